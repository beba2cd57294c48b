// One press of the button: sent until it is answered, always with its own key, so that it is done once.
import { ask, isRefusal, newKey } from "./server.js";

const SLOT = "mintage-press";
const TRIES_MAX = 8;
const WAIT_SECONDS_MAX = 8;
let keptFile = null;

// The generation that the press has become. Throws the server's refusal, or the last error
// where no answer came: then the press is kept, and the same one is sent when it is made again.
export async function press(fields, file, { onWait }) {
  const kept = read();
  const isSame = kept && kept.hasFile === Boolean(file) && keptFile === file && JSON.stringify(kept.fields) === JSON.stringify(fields);
  const key = isSame ? kept.key : newKey();
  keptFile = file;
  sessionStorage.setItem(SLOT, JSON.stringify({ key, fields, hasFile: Boolean(file) }));
  return send(key, fields, file, onWait);
}

// The press whose answer a reload has cut off, if any: sent again, or `null`, where its file is gone.
export function unanswered() {
  const kept = read();
  if (!kept) return undefined;
  if (!kept.hasFile) return (onWait) => send(kept.key, kept.fields, null, onWait);
  sessionStorage.removeItem(SLOT);
  return null;
}

async function send(key, fields, file, onWait) {
  for (let tries = 1; ; tries += 1) {
    try {
      const generation = await ask("/v1/generations", {
        method: "POST",
        headers: { "Idempotency-Key": key },
        body: formOf(fields, file),
      });
      sessionStorage.removeItem(SLOT);
      return generation;
    } catch (error) {
      if (isRefusal(error)) sessionStorage.removeItem(SLOT);
      if (isRefusal(error) || tries === TRIES_MAX) throw error;
      onWait();
      const seconds = Math.min(2 ** (tries - 1), WAIT_SECONDS_MAX);
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

function formOf(fields, file) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  // Its name is nobody's business, and of no use.
  if (file) form.append("reference_image", file, "reference");
  return form;
}

function read() {
  return JSON.parse(sessionStorage.getItem(SLOT));
}
