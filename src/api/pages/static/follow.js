// Following a generation to its end: by its events, and by asking wherever those do not come.
import { ask } from "./server.js";

const STREAMS_MAX = 2;
const POLL_SECONDS = 1.2;
const DOUBT_SECONDS = 4;
const ENDED = ["succeeded", "failed", "canceled"];

export const hasEnded = (generation) => ENDED.includes(generation.status);

// Calls `onStep(step)` as the server moves and `onEnd(generation)` once. Returns `look`, to ask now,
// and `hear`, for what a list says of it.
export function follow(generation, { onStep, onEnd }) {
  let source = null;
  let heardAt = 0;
  let ended = false;

  function end(document) {
    if (ended) return;
    ended = true;
    source?.close();
    clearInterval(timer);
    leave();
    onEnd(document);
  }

  async function look() {
    if (ended) return;
    const document = await ask(generation.urls.self).catch(() => null);
    if (document) hear(document);
  }

  function hear(document) {
    if (ended) return;
    if (hasEnded(document)) end(document);
    else onStep(document.step);
  }

  function listen() {
    source = new EventSource(generation.urls.events);
    source.addEventListener("step", ({ data }) => {
      heardAt = Date.now();
      const { step } = JSON.parse(data);
      if (step !== "error" && step !== "completed") onStep(step);
    });
    source.addEventListener("done", ({ data }) => end(JSON.parse(data)));
    source.onopen = () => { heardAt = Date.now(); };
    source.onerror = () => { heardAt = 0; };
  }

  // A browser opens six connections to one host, for all of its pages.
  let stop = null;
  takeSlot(1, (release) => {
    if (ended) return release();
    stop = release;
    listen();
  });

  let beats = 0;
  const timer = setInterval(() => {
    beats += 1;
    const silent = Date.now() - heardAt > DOUBT_SECONDS * 1000;
    // An open stream may be dead and not know it: ask all the same, but seldom.
    if (silent && (source?.readyState !== EventSource.OPEN || beats % 4 === 0)) look();
  }, POLL_SECONDS * 1000);

  const seen = () => document.visibilityState === "visible" && look();
  document.addEventListener("visibilitychange", seen);
  addEventListener("online", look);
  function leave() {
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("online", look);
    stop?.();
  }

  onStep(generation.step);
  return { look, hear };
}

function takeSlot(number, use) {
  if (!navigator.locks) return use(() => {});
  navigator.locks.request(`mintage-steps-${number}`, { ifAvailable: true }, (lock) => {
    if (lock) return new Promise((release) => use(release));
    if (number < STREAMS_MAX) takeSlot(number + 1, use);
    return undefined;
  });
}
