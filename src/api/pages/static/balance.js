// The balance wherever it stands, moving by itself. One page of the browser listens to the server
// and tells the others; where nobody can listen, each page asks now and then.
import { ask } from "./server.js";

const POLL_SECONDS = 1.5;
const REFUSED_SECONDS = 15;
const DOUBT_SECONDS = 30;
const place = document.querySelector("[data-balance-position]");
const shared = `mintage-balance-${place?.dataset.account}`;
const channel = new BroadcastChannel(shared);
const watchers = new Set();
let balance = place && {
  available: number("available"),
  held: number("held"),
  position: Number(place.dataset.balancePosition),
};

export const current = () => balance;

// Call it with every balance from now on.
export function onBalance(watcher) {
  watchers.add(watcher);
}

// What the server has just said of it; older news is passed over.
export function take(news, { tell = true } = {}) {
  if (!balance || news.position <= balance.position) return;
  balance = { available: news.available, held: news.held, position: news.position };
  show("available");
  show("held");
  for (const element of document.querySelectorAll("[data-balance-held]")) element.hidden = !balance.held;
  for (const watcher of watchers) watcher(balance);
  if (tell) channel.postMessage(balance);
}

export async function refresh() {
  take(await ask("/v1/balance"));
}

export function start() {
  if (!balance) return;
  channel.onmessage = ({ data }) => take(data, { tell: false });
  // A browser opens six connections to one host: the pages share a stream.
  if (navigator.locks) navigator.locks.request(shared, () => new Promise(listen));
  else listen();
  document.addEventListener("visibilitychange", look);
  addEventListener("online", look);
  // A stream may be dead and not know it.
  setInterval(look, DOUBT_SECONDS * 1000);
  addEventListener("pageshow", (event) => event.persisted && look());
}

function look() {
  if (document.visibilityState === "visible") refresh().catch(() => {});
}

function listen() {
  const source = new EventSource("/v1/balance/events");
  let polling = null;
  source.addEventListener("balance", ({ data }) => {
    clearInterval(polling);
    polling = null;
    take(JSON.parse(data));
  });
  source.onerror = () => {
    polling ??= setInterval(look, POLL_SECONDS * 1000);
    if (source.readyState !== EventSource.CLOSED) return;
    // After a refusal the browser does not come back by itself.
    look();
    setTimeout(() => {
      clearInterval(polling);
      listen();
    }, REFUSED_SECONDS * 1000);
  };
}

function number(name) {
  return Number(place.querySelector(`[data-balance="${name}"]`).textContent);
}

function show(name) {
  for (const element of document.querySelectorAll(`[data-balance="${name}"]`)) {
    if (element.textContent === String(balance[name])) continue;
    element.textContent = balance[name];
    element.classList.remove("moved");
    void element.offsetWidth;
    element.classList.add("moved");
  }
}
