// Favourites: shown at once, and taken back where the server did not take them.
import { ask } from "./server.js";
import { toast } from "./toast.js";
import { text } from "./texts.js";

const busy = new Set();

// The buttons below `region`, each within the element of its picture.
export function marks(region) {
  region.addEventListener("click", (event) => {
    const button = event.target.closest("[data-favorite]");
    if (button) mark(button.closest("[data-image-id]").dataset.imageId, button.getAttribute("aria-pressed") !== "true");
  });
}

async function mark(id, wanted) {
  if (busy.has(id)) return;
  busy.add(id);
  show(id, wanted);
  try {
    await ask(`/v1/images/${id}/favorite`, { method: wanted ? "PUT" : "DELETE" });
  } catch (error) {
    show(id, !wanted);
    toast(error.code ? error.message : text("unreachable"));
  } finally {
    busy.delete(id);
  }
}

function show(id, wanted) {
  for (const place of document.querySelectorAll(`[data-image-id="${id}"]`)) {
    for (const button of place.querySelectorAll("[data-favorite]")) button.setAttribute("aria-pressed", wanted);
  }
}
