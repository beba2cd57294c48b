// The gallery: more of it, a full view, favourites, and many at once.
import { onBalance } from "./balance.js";
import { fetchPage, loadsMore, takeOver } from "./fragments.js";
import { marks } from "./favorites.js";
import { text } from "./texts.js";
import { opensView } from "./view.js";

const form = document.getElementById("gallery");
const shots = () => [...form.querySelectorAll(".shot:not(.waiting)")];

marks(form);
const more = loadsMore({ append, waiting });
const open = opensView(document.getElementById("view"), { shots, more });
marks(document.getElementById("view"));
watchPictures(form);
form.addEventListener("change", showPicked);
form.addEventListener("reset", () => setTimeout(showPicked));
form.addEventListener("click", (event) => {
  const link = event.target.closest(".shot-open");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(link.closest(".shot"));
});
addEventListener("pageshow", showPicked);
if ("live" in form.dataset) onBalance(lookForNew);

function append(page) {
  const here = new Set(shots().map((each) => each.dataset.imageId));
  const fresh = [...page.querySelectorAll(".shot")].filter((each) => !here.has(each.dataset.imageId));
  form.querySelector(".shots").append(...fresh);
  watchPictures(...fresh);
  remember();
  return fresh;
}

// The address says how many are shown, so that they are there again after a reload or a way back.
function remember() {
  if (!("live" in form.dataset)) return;
  const address = new URL(location.href);
  address.searchParams.set("shown", Math.min(shots().length, Number(form.dataset.shownMax)));
  history.replaceState(history.state, "", address);
}

function waiting() {
  const template = document.getElementById("waiting");
  const placeholders = Array.from({ length: 6 }, () => template.content.firstElementChild.cloneNode(true));
  form.querySelector(".shots").append(...placeholders);
  return placeholders;
}

// Something was charged or given back: perhaps there is a new picture.
async function lookForNew() {
  const address = new URL(location.href);
  address.searchParams.delete("shown");
  const page = await fetchPage(address).catch(() => null);
  if (!page) return;
  const theirs = [...page.querySelectorAll("#gallery .shot")];
  const newest = shots()[0]?.dataset.imageId;
  const known = theirs.findIndex((each) => each.dataset.imageId === newest);
  if (known < 0) {
    // None was there, or so many are new that some would be missing between.
    takeOver(page, "#gallery", ".more");
    watchPictures(form);
    return;
  }
  const fresh = theirs.slice(0, known);
  form.querySelector(".shots").prepend(...fresh);
  watchPictures(...fresh);
}

// A place without its picture says so, and tries again when it is asked to.
function watchPictures(...places) {
  for (const place of places) {
    for (const picture of place.querySelectorAll(".shot-open img")) {
      const open = picture.parentElement;
      const done = () => open.classList.add("loaded");
      if (picture.complete && picture.naturalWidth) done();
      picture.addEventListener("load", () => {
        open.classList.remove("broken");
        done();
      });
      const fail = () => open.classList.add("broken");
      if (picture.complete && !picture.naturalWidth && picture.currentSrc) fail();
      picture.addEventListener("error", fail);
    }
  }
}

function showPicked() {
  const count = form.querySelectorAll("[name=ids]:checked").length;
  const most = Number(form.dataset.imagesMax);
  const words = form.querySelector("[data-picked]");
  words.textContent = count > most ? text("tooManyPicked", { count, maximum: most }) : text("picked", { count });
  words.classList.toggle("error", count > most);
  form.querySelector("[data-zip]").disabled = count > most;
}
