// What the server has written into the page: texts in its language, and the language itself.
const texts = JSON.parse(document.getElementById("texts").textContent);

export const language = document.documentElement.lang;

export function text(name, values = {}) {
  return fill(texts[name], values);
}

export function failure(reason) {
  return texts.failures[reason];
}

function fill(pattern, values) {
  return pattern.replace(/\{([a-z_]+)\}/g, (all, name) => values[name] ?? all);
}
