// A word in passing, for ear and eye; whatever matters is said in its place as well.
const SECONDS = 6;
const region = document.querySelector(".toasts");
const template = document.getElementById("toast");

export function toast(message) {
  const line = template.content.firstElementChild.cloneNode();
  line.textContent = message;
  region.append(line);
  while (region.children.length > 3) region.firstElementChild.remove();
  setTimeout(() => line.remove(), SECONDS * 1000);
}
