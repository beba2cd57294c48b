// The reference image: chosen, dropped or pasted; looked at before anything is sent.
import { text } from "./texts.js";

const form = document.getElementById("asking");
const drop = document.getElementById("drop");
const input = document.getElementById("reference");
const preview = document.getElementById("preview");
const picture = preview.querySelector("img");
const said = document.getElementById("said");
const error = document.getElementById("reference-error");
const HEAD_BYTES = 12;
let file = null;

export const reference = () => file;

// Take it, or say what is wrong with it; what was there before stays then.
export async function setReference(given) {
  const problem = await problemOf(given);
  error.textContent = problem;
  input.value = "";
  if (problem) return;
  show(given);
  said.textContent = text("referenceSet", { name: given.name.slice(0, 60) });
}

export function clearReference() {
  error.textContent = "";
  show(null);
}

function show(given) {
  file = given;
  URL.revokeObjectURL(picture.src);
  picture.removeAttribute("src");
  if (given) picture.src = URL.createObjectURL(given);
  preview.querySelector(".file-name").textContent = given?.name ?? "";
  preview.hidden = !given;
  drop.querySelector("label").hidden = Boolean(given);
}

async function problemOf(given) {
  if (given.size > Number(form.dataset.bytesMax)) return text("tooLarge", { maximum: form.dataset.megabytesMax });
  // A name or a declared type may say anything: the first bytes tell.
  const head = new Uint8Array(await given.slice(0, HEAD_BYTES).arrayBuffer());
  return isPicture(head) ? "" : text("unsupported");
}

function isPicture(head) {
  const begins = (bytes, at = 0) => bytes.every((byte, index) => head[at + index] === byte);
  const isWebp = begins([0x52, 0x49, 0x46, 0x46]) && begins([0x57, 0x45, 0x42, 0x50], 8);
  return begins([0xff, 0xd8, 0xff]) || begins([0x89, 0x50, 0x4e, 0x47]) || isWebp;
}

picture.addEventListener("error", () => {
  if (!file) return;
  clearReference();
  error.textContent = text("unsupported");
});

input.addEventListener("change", () => input.files[0] && setReference(input.files[0]));

preview.querySelector("button").addEventListener("click", () => {
  clearReference();
  said.textContent = text("referenceGone");
  input.focus();
});

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
// A picture that misses its place must not take the page away.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
drop.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) setReference(event.dataTransfer.files[0]);
});

document.addEventListener("paste", (event) => {
  const pasted = event.clipboardData?.files[0];
  if (!pasted) return;
  event.preventDefault();
  setReference(pasted);
});
