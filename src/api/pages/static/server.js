// Asking the server: with the session's token, in the page's language, and problems as errors.
import { language } from "./texts.js";

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? "");
    this.code = document.code ?? "UNKNOWN";
    this.status = status;
    this.document = document;
  }
}

// The answer's document. Throws a Problem where the server has refused, and what fetch throws
// where it could not be reached, so that the outcome is unknown.
export async function ask(path, { method = "GET", headers = {}, body } = {}) {
  const answer = await fetch(path, {
    method,
    body,
    headers: { "Accept-Language": language, Accept: "application/json", "X-CSRF-Token": token, ...headers },
  });
  if (answer.status === 204) return null;
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(document, answer.status);
  return document;
}

// An idempotency key. `randomUUID` is there for pages by HTTPS only.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const isRefusal = (error) => error instanceof Problem && error.status < 500;
