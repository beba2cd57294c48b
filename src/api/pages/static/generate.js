// The form: what it would cost, whether it may be pressed, and what a press becomes.
import { current, onBalance, refresh } from "./balance.js";
import { press, unanswered } from "./press.js";
import { clearReference, reference, setReference } from "./reference.js";
import { ask, isRefusal, Problem } from "./server.js";
import { text } from "./texts.js";
import { clearEnded, sayNone, showTile } from "./tiles.js";
import { toast } from "./toast.js";

const RECENT = 8;
const CLEARED = "mintage-cleared";
const SETTLE_SECONDS = 0.25;
const RETRY_SECONDS = 5;
const form = document.getElementById("asking");
const button = document.getElementById("go");
const why = document.getElementById("why");
const refused = document.getElementById("refused");
const costPreview = form.querySelector('[data-testid="cost-preview"]');
const balanceAfter = form.querySelector('[data-testid="balance-after"]');
const files = new Map();
let sending = false;
let listedAt = -1;
let adopting = null;

const clearedAt = () => Number(sessionStorage.getItem(CLEARED));
const cardOf = (promptId) => form.querySelector(`[data-prompt-id="${CSS.escape(promptId)}"]`);

function wanted() {
  const data = new FormData(form);
  const promptId = data.get("prompt_id");
  if (!promptId) return null;
  const count = Number(data.get("count"));
  const cost = Number(cardOf(promptId).dataset.cost) * count;
  return { prompt_id: promptId, count, aspect_ratio: data.get("aspect_ratio"), expected_cost: cost };
}

function show() {
  const fields = wanted();
  const { available } = current();
  costPreview.textContent = fields ? fields.expected_cost : "–";
  balanceAfter.textContent = String(available - (fields?.expected_cost ?? 0)).replace("-", "−");
  const reason = reasonNot(fields, available);
  button.setAttribute("aria-disabled", String(Boolean(reason)));
  why.textContent = reason;
}

function reasonNot(fields, available) {
  if (sending) return text("sending");
  if (!fields) return text("choosePrompt");
  if (fields.expected_cost > available) return text("tooFew", { cost: fields.expected_cost, available });
  return "";
}

// Send what `sender` sends, and show the tile that it becomes, or why there is none.
async function become(sender, file) {
  sending = true;
  refused.textContent = "";
  show();
  try {
    const generation = await sender(() => { refused.textContent = text("notAnswering"); });
    refused.textContent = "";
    if (file) files.set(generation.id, file);
    showTile(generation, { again, isNew: true });
    toast(text("started", { title: generation.prompt.title.slice(0, 60) }));
  } catch (error) {
    refuse(error);
  }
  sending = false;
  show();
  refresh().catch(() => {});
}

function refuse(error) {
  if (!isRefusal(error)) {
    refused.textContent = text("gaveUp");
    return;
  }
  refused.textContent = error.message;
  if (error.code === "PRICE_CHANGED") reprice(error.document.cost);
}

function reprice(cost) {
  const fields = wanted();
  if (!fields) return;
  const card = cardOf(fields.prompt_id);
  card.dataset.cost = cost / fields.count;
  card.querySelector(".card-cost b").textContent = card.dataset.cost;
  refused.textContent = text("priceChanged", { cost });
}

// The same once more: the settings go back into the form, so that what is sent is what is seen.
async function again(generation) {
  if (sending) return;
  const card = cardOf(generation.prompt.id);
  if (!card) {
    refused.textContent = text("subjectGone");
    return;
  }
  card.querySelector("input").checked = true;
  choose("count", generation.count);
  choose("aspect_ratio", generation.aspect_ratio);
  clearReference();
  if (generation.reference_url) {
    const file = files.get(generation.id) ?? (await fetchReference(generation));
    if (!file) {
      refused.textContent = text("referenceLost");
      show();
      return;
    }
    await setReference(file);
  }
  show();
  form.requestSubmit(button);
}

function choose(name, value) {
  form.querySelector(`[name="${name}"][value="${value}"]`).checked = true;
}

// Links to a storage elsewhere can be looked at but not read by a script.
async function fetchReference(generation) {
  const answer = await fetch(generation.reference_url).catch(() => null);
  if (!answer?.ok) return null;
  return new File([await answer.blob()], text("earlierReference"));
}

async function load() {
  const { position } = current();
  const { items } = await ask(`/v1/generations?limit=${RECENT}`);
  for (const generation of items) {
    if (!generation.ended_at || generation.position > clearedAt()) showTile(generation, { again });
  }
  sayNone();
  listedAt = Math.max(listedAt, position);
}

// What moved the balance may have happened in another place. Amounts do not tell: what ended there
// and what began there may hold as much.
function adopt(seconds = SETTLE_SECONDS) {
  if (document.hidden || listedAt >= current().position) return;
  adopting ??= setTimeout(async () => {
    const pause = await load().then(() => SETTLE_SECONDS, () => RETRY_SECONDS);
    adopting = null;
    adopt(pause);
  }, seconds * 1000);
}

form.addEventListener("input", () => {
  refused.textContent = "";
  show();
});
form.addEventListener("keydown", (event) => {
  // Enter on a choice would spend tokens at once.
  if (event.key === "Enter" && event.target.type === "radio") event.preventDefault();
});
button.addEventListener("click", (event) => {
  // The second half of a double click is no second wish.
  if (event.detail > 1) event.preventDefault();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  show();
  if (button.getAttribute("aria-disabled") === "true") return;
  const file = reference();
  const fields = wanted();
  become((onWait) => press(fields, file, { onWait }), file);
});
document.querySelector('[data-testid="reset-button"]').addEventListener("click", () => {
  form.reset();
  clearReference();
  refused.textContent = "";
  sessionStorage.setItem(CLEARED, Math.max(clearedAt(), clearEnded()));
  show();
});
onBalance(() => {
  show();
  adopt();
});
document.addEventListener("visibilitychange", () => adopt());
show();

load()
  .catch((error) => {
    if (!(error instanceof Problem && error.status === 401)) toast(text("unreachable"));
  })
  .finally(adopt);
const cutOff = unanswered();
if (cutOff === null) refused.textContent = text("unconfirmed");
else if (cutOff) become(cutOff, null);
