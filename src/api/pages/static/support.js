// Support: the account at another moment, and an admin's changes.
import { fetchPage, loadsMore, takeOver } from "./fragments.js";
import { ask, isRefusal, newKey } from "./server.js";
import { text } from "./texts.js";
import { toast } from "./toast.js";

const REGIONS = ["#banner", "#numbers", "#timeline", "#wrong"];
const moment = document.getElementById("moment");
let looking = null;

loadsMore({ append, waiting });

function append(page) {
  const selector = ".events, .accounts";
  const fresh = [...page.querySelector(selector).children];
  document.querySelector(selector).append(...fresh);
  return fresh;
}

function waiting() {
  const placeholder = document.getElementById("waiting")?.content.firstElementChild;
  if (!placeholder) return [];
  const rows = Array.from({ length: 4 }, () => placeholder.cloneNode(true));
  document.querySelector(".events").append(...rows);
  return rows;
}

if (moment) {
  const slider = moment.elements.event;
  const field = moment.elements.at;
  const shown = moment.querySelector("output");
  slider.addEventListener("input", () => (shown.value = slider.value));
  // Each look is recorded: only where the slider comes to rest.
  slider.addEventListener("change", () => show({ event: slider.value === slider.max ? "" : slider.value }));
  moment.addEventListener("submit", (event) => {
    event.preventDefault();
    show(field.value ? { at: field.value } : { event: slider.value });
  });

  async function show(wanted) {
    const address = new URL(moment.action);
    for (const [name, value] of Object.entries(wanted)) if (value) address.searchParams.set(name, value);
    looking?.abort();
    looking = new AbortController();
    moment.setAttribute("aria-busy", "true");
    try {
      const page = await fetchPage(address, looking);
      takeOver(page, ...REGIONS);
      const theirs = page.getElementById("moment").elements;
      slider.max = theirs.event.max;
      slider.value = theirs.event.getAttribute("value");
      shown.value = slider.value;
      if (!theirs.at.hasAttribute("aria-invalid")) field.value = theirs.at.getAttribute("value");
      field.toggleAttribute("aria-invalid", theirs.at.hasAttribute("aria-invalid"));
      history.replaceState(null, "", address);
    } catch (error) {
      if (error.name === "AbortError") return;
      toast(error.message);
    }
    moment.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-change]");
  if (!form) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  const [method, path] = form.dataset.change.split(" ");
  const alert = form.querySelector("[role=alert]");
  form.dataset.key ??= newKey();
  form.setAttribute("aria-busy", "true");
  alert.hidden = true;
  try {
    await ask(path, {
      method,
      headers: { "Content-Type": "application/json", "Idempotency-Key": form.dataset.key },
      body: JSON.stringify(fieldsOf(form)),
    });
    toast(form.dataset.said);
    delete form.dataset.key;
    form.reset();
    again().catch((error) => toast(error.message));
  } catch (error) {
    // What was not answered may have been done: pressed again, it goes out under the same key.
    if (isRefusal(error)) delete form.dataset.key;
    alert.textContent = isRefusal(error) ? wordsOf(error) : text("gaveUp");
    alert.hidden = false;
  }
  form.removeAttribute("aria-busy");
});

// Another input is another request.
document.addEventListener("input", (event) => delete event.target.closest?.("[data-change]")?.dataset.key);

async function again() {
  const page = await fetchPage(location.href);
  takeOver(page, ...REGIONS);
  const theirs = page.getElementById("moment")?.elements;
  if (!theirs) return;
  moment.elements.event.max = theirs.event.max;
  moment.elements.event.value = theirs.event.getAttribute("value");
  moment.querySelector("label").replaceChild(page.querySelector("#moment label > span"), moment.querySelector("label > span"));
}

function fieldsOf(form) {
  const fields = Object.fromEntries(new FormData(form));
  if (fields.amount) fields.amount = Number(fields.amount);
  if (fields.is_member) fields.is_member = fields.is_member === "true";
  return fields;
}

function wordsOf(problem) {
  const fields = problem.document.errors ?? [];
  return [problem.message, ...fields.map((each) => each.message)].join(" ");
}
