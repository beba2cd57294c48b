// One picture in full, opened by calling what is returned: ← and → turn, Esc closes, and the focus goes back to where it is in the grid.
export function opensView(dialog, { shots, more }) {
  const picture = dialog.querySelector("img");
  const [before, after] = dialog.querySelectorAll("[data-turn]");
  let shot = null;

  function show(wanted) {
    shot = wanted;
    dialog.dataset.imageId = shot.dataset.imageId;
    const link = shot.querySelector(".shot-open");
    const small = link.querySelector("img");
    picture.width = small.getAttribute("width");
    picture.height = small.getAttribute("height");
    picture.alt = small.alt;
    picture.src = small.currentSrc || small.src;
    load(link.href);
    dialog.querySelector("h2 bdi").textContent = small.alt;
    const facts = { ...shot.dataset, made: shot.querySelector("time").title };
    for (const place of dialog.querySelectorAll("[data-fact]")) place.textContent = facts[place.dataset.fact] ?? "–";
    dialog.querySelector("[download]").href = shot.querySelector("[download]").href;
    const pressed = shot.querySelector("[data-favorite]").getAttribute("aria-pressed");
    dialog.querySelector("[data-favorite]").setAttribute("aria-pressed", pressed);
    showPlace();
  }

  // The small picture stands there until the large one is ready.
  function load(address) {
    const large = new Image();
    const wanted = shot;
    large.src = address;
    large
      .decode()
      .then(() => shot === wanted && (picture.src = large.src))
      .catch(() => {});
  }

  function showPlace() {
    const all = shots();
    const index = all.indexOf(shot);
    dialog.querySelector("[data-place]").textContent = `${index + 1} / ${all.length}`;
    before.disabled = index <= 0;
    after.disabled = index === all.length - 1 && !document.querySelector(".more a");
  }

  async function turn(by) {
    let wanted = shots()[shots().indexOf(shot) + by];
    if (!wanted && by > 0) [wanted] = await more();
    if (!wanted || !dialog.open) return showPlace();
    const held = document.activeElement;
    show(wanted);
    if (held?.disabled) dialog.querySelector("[data-close]").focus();
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    turn(event.key === "ArrowLeft" ? -1 : 1);
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-turn]");
    if (button) turn(Number(button.dataset.turn));
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
  dialog.addEventListener("close", () => {
    picture.removeAttribute("src");
    const link = shot?.querySelector(".shot-open");
    link?.focus({ preventScroll: true });
    link?.scrollIntoView({ block: "nearest" });
    shot = null;
  });

  return (wanted) => {
    show(wanted);
    dialog.showModal();
  };
}
