// One tile a generation: its steps, how it ended, and what came of it.
import { refresh } from "./balance.js";
import { follow, hasEnded } from "./follow.js";
import { ask } from "./server.js";
import { failure, text } from "./texts.js";
import { toast } from "./toast.js";

const TILES_MAX = 60;
const STEPS = ["validating", "generating", "storing", "completed"];
const list = document.getElementById("tiles");
const none = document.getElementById("none-yet");
const said = document.getElementById("said");
const view = document.getElementById("view");
const shown = new Map();
const cleared = new Set();

// Show it, the newest first, or what has become of it; `again` is called with it where the same is
// wanted once more. What was cleared stays away, whatever a list says.
export function showTile(generation, { again, isNew = false }) {
  if (cleared.has(generation.id)) return;
  const known = shown.get(generation.id);
  if (known) {
    known.isNew ||= isNew;
    known.hear?.(generation);
    return;
  }
  const tile = document.getElementById("tile").content.firstElementChild.cloneNode(true);
  const part = (name) => tile.querySelector(`[data-part="${name}"]`);
  const entry = { tile, generation, isNew, hear: null };
  shown.set(generation.id, entry);
  part("title").textContent = generation.prompt.title;
  part("settings").textContent = text(generation.reference_url ? "settingsWithReference" : "settings", {
    count: generation.count,
    ratio: generation.aspect_ratio,
  });
  // Ids grow with time.
  tile.dataset.generation = generation.id;
  list.insertBefore(tile, [...list.children].find((other) => other.dataset.generation < generation.id) ?? null);
  none.hidden = true;
  dropOldest();
  if (isNew) tile.scrollIntoView({ block: "nearest" });

  let reached = -1;
  function reach(step) {
    const index = STEPS.indexOf(step);
    if (index <= reached) return;
    reached = index;
    for (const [at, name] of STEPS.entries()) {
      mark(tile, name, at < index ? "done" : at === index ? "active" : "todo");
    }
    if (entry.isNew) said.textContent = `${generation.prompt.title}: ${nameOf(tile, step)}`;
  }

  function end(document) {
    entry.generation = document;
    part("cancel").remove();
    part("foot").hidden = false;
    if (document.status === "succeeded") {
      for (const name of STEPS) mark(tile, name, "done");
      part("message").textContent = text("charged", { cost: document.cost.charged });
      for (const [index, image] of document.images.entries()) part("pictures").append(pictureOf(image, index + 1));
    } else {
      tile.classList.add(document.status === "failed" ? "failed" : "canceled");
      mark(tile, STEPS[Math.max(reached, 0)], "error");
      mark(tile, "error", "error");
      part("message").textContent = failure(document.error.reason);
    }
    if (entry.isNew) {
      const isDone = document.status === "succeeded";
      toast(isDone ? text("finished", { title: document.prompt.title.slice(0, 60) }) : failure(document.error.reason));
      refresh().catch(() => {});
    }
  }

  tile.querySelector('[data-testid="regenerate-button"]').addEventListener("click", (event) => {
    if (event.detail <= 1) again(entry.generation);
  });
  if (hasEnded(generation)) {
    end(generation);
    return;
  }
  const { look, hear } = follow(generation, { onStep: reach, onEnd: end });
  entry.hear = hear;
  part("cancel").addEventListener("click", async ({ currentTarget }) => {
    currentTarget.setAttribute("aria-disabled", "true");
    await ask(generation.urls.cancel, { method: "POST" }).catch((error) => toast(error.message || text("unreachable")));
    currentTarget.removeAttribute("aria-disabled");
    look();
  });
}

// Take away what has ended; the newest position of it all, so that a reload leaves it away too.
export function clearEnded() {
  let newest = 0;
  for (const [id, { generation }] of shown) {
    if (!hasEnded(generation)) continue;
    newest = Math.max(newest, generation.position);
    cleared.add(id);
    drop(id);
  }
  sayNone();
  return newest;
}

// A page may be open for days beside a program that asks.
function dropOldest() {
  for (const { dataset } of [...list.children].reverse()) {
    const id = dataset.generation;
    if (shown.size > TILES_MAX && hasEnded(shown.get(id).generation)) drop(id);
  }
}

function drop(id) {
  shown.get(id).tile.remove();
  shown.delete(id);
}

export function sayNone() {
  none.hidden = list.children.length > 0;
}

function mark(tile, step, state) {
  const element = tile.querySelector(`[data-step="${step}"]`);
  element.dataset.state = state;
  if (state === "active") element.setAttribute("aria-current", "step");
  else element.removeAttribute("aria-current");
}

function nameOf(tile, step) {
  return tile.querySelector(`[data-step="${step}"]`).textContent;
}

function pictureOf(image, number) {
  const figure = document.getElementById("picture").content.firstElementChild.cloneNode(true);
  const picture = figure.querySelector("img");
  const title = text("imageOf", { title: image.prompt.title.slice(0, 100), number });
  picture.width = image.width;
  picture.height = image.height;
  picture.alt = title;
  picture.src = image.thumbnail_url;
  figure.querySelector("a").href = image.download_url;
  figure.querySelector('[data-part="look"]').addEventListener("click", () => {
    const large = view.querySelector("img");
    large.src = image.url;
    large.alt = title;
    view.showModal();
  });
  const favorite = figure.querySelector('[data-part="favorite"]');
  favorite.setAttribute("aria-pressed", image.favorite);
  favorite.addEventListener("click", async () => {
    const wanted = favorite.getAttribute("aria-pressed") !== "true";
    favorite.setAttribute("aria-pressed", wanted);
    try {
      await ask(`/v1/images/${image.id}/favorite`, { method: wanted ? "PUT" : "DELETE" });
    } catch (error) {
      favorite.setAttribute("aria-pressed", !wanted);
      toast(error.message || text("unreachable"));
    }
  });
  return figure;
}
