// Another state of a page, fetched as the page that it is: the server alone makes lists.
import { text } from "./texts.js";

export class PageError extends Error {}

// The page's document. Throws a PageError with words for people.
export async function fetchPage(url, { signal } = {}) {
  let answer;
  try {
    answer = await fetch(url, { headers: { Accept: "text/html" }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new PageError(text("unreachable"));
  }
  if (answer.redirected && new URL(answer.url).pathname === "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    throw new PageError(text("unreachable"));
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok) throw new PageError(page.querySelector(".lead")?.textContent ?? text("unreachable"));
  return page;
}

// What stands in parts of this page becomes what stands in them on the other.
export function takeOver(page, ...selectors) {
  for (const selector of selectors) {
    const mine = document.querySelector(selector);
    const theirs = page.querySelector(selector);
    if (!mine || !theirs || mine.isEqualNode(theirs)) continue;
    mine.replaceChildren(...theirs.childNodes);
    mine.hidden = theirs.hidden;
  }
}

// "Load more": `append` puts the next page's items behind those that are here and returns them;
// `waiting` shows meanwhile where they will be, and returns those elements.
export function loadsMore({ append, waiting = () => [] }) {
  let loading = null;

  async function load() {
    const link = document.querySelector(".more a");
    if (!link) return [];
    const error = link.parentElement.querySelector("[role=alert]");
    error.hidden = true;
    link.setAttribute("aria-busy", "true");
    const placeholders = waiting();
    try {
      const page = await fetchPage(link.href);
      for (const each of placeholders) each.remove();
      const fresh = append(page);
      const further = page.querySelector(".more a");
      if (further) link.replaceWith(document.adoptNode(further));
      else link.remove();
      return fresh;
    } catch (failure) {
      for (const each of placeholders) each.remove();
      error.textContent = failure.message;
      error.hidden = false;
      link.textContent = text("retry");
      link.removeAttribute("aria-busy");
      return [];
    }
  }

  const once = () => (loading ??= load().finally(() => (loading = null)));
  document.addEventListener("click", async (event) => {
    if (!event.target.closest(".more a") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const [first] = await once();
    // Whoever goes on by keyboard goes on with the first of the new ones.
    first?.querySelector("a, input")?.focus({ preventScroll: true });
  });
  return once;
}
