// The statement: more of it, and what has moved since.
import { onBalance } from "./balance.js";
import { fetchPage, loadsMore, takeOver } from "./fragments.js";

const lines = document.getElementById("lines");

loadsMore({ append, waiting });
onBalance(lookForNew);

// The days of the next page; the first may be the last day that is here.
function append(page) {
  const table = lines.querySelector("table");
  const fresh = [...page.querySelectorAll("[data-line]")].filter((row) => !lines.querySelector(`[data-line="${row.dataset.line}"]`));
  for (const row of fresh) place(row, table, "append");
  return fresh;
}

function place(row, table, way) {
  const theirs = row.closest("tbody");
  let day = table.querySelector(`[data-day="${theirs.dataset.day}"]`);
  if (!day) {
    day = theirs.cloneNode();
    day.append(theirs.rows[0].cloneNode(true));
    if (way === "append") table.append(day);
    else table.querySelector("tbody").before(day);
  }
  if (way === "append") day.append(row);
  else day.rows[0].after(row);
}

function waiting() {
  const placeholder = document.getElementById("waiting").content.firstElementChild;
  const rows = Array.from({ length: 4 }, () => placeholder.cloneNode(true));
  lines.querySelector("table").append(...rows);
  return rows;
}

// Tokens were held, settled or given back: the head anew, and lines that were not here before.
async function lookForNew() {
  const address = new URL(location.href);
  address.searchParams.delete("cursor");
  const page = await fetchPage(address).catch(() => null);
  if (!page?.getElementById("lines")) return;
  takeOver(page, "#sum", "#holds");
  if (new URLSearchParams(location.search).has("cursor")) return;
  const theirs = [...page.querySelectorAll("[data-line]")];
  const newest = lines.querySelector("[data-line]")?.dataset.line;
  const known = theirs.findIndex((row) => row.dataset.line === newest);
  // None was there, or so many are new that some would be missing between.
  if (known < 0) takeOver(page, "#lines", ".more");
  else for (const row of theirs.slice(0, known).reverse()) place(row, lines.querySelector("table"), "prepend");
}
