// Patching live cells in place: what a cell shows stands on it as data-f, data-fmt and data-token.

import { UNKNOWN, shown } from "./format.js";

const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");

export const facts = read("facts") ?? {};
export { read };

export function patchCell(cell, row, { flash = false } = {}) {
  const { f: field, fmt, token: asset } = cell.dataset;
  let said = shown(row[field], { fmt, row, facts, asset });
  // An empty badge is not drawn.
  if (said.text === UNKNOWN && cell.classList.contains("badge")) said = { text: "", title: "", tone: "" };
  const before = cell.textContent;
  if (before !== said.text) {
    cell.textContent = said.text;
    if (flash && cell.closest(".flash") && before) {
      const up = parseFloat(said.text.replace(/,/g, "")) > parseFloat(before.replace(/,/g, ""));
      blink(cell.closest(".flash"), up ? "rise" : "fall");
    }
  }
  if (cell.title !== said.title) cell.title = said.title;
  const tone = said.tone ? `t-${said.tone}` : "";
  for (const name of [...cell.classList]) {
    if (name.startsWith("t-") && name !== tone) cell.classList.remove(name);
  }
  if (tone) cell.classList.add(tone);
}

export function blink(element, name) {
  element.classList.remove("rise", "fall", "new");
  void element.offsetWidth; // start the animation again
  element.classList.add(name);
}

export function patchRow(element, row, options) {
  for (const cell of element.querySelectorAll("[data-f]")) patchCell(cell, row, options);
}

export function newRow(template, id, row, address) {
  const element = template.content.firstElementChild.cloneNode(true);
  element.dataset.id = id;
  const link = element.querySelector(".rowlink");
  if (link && address) link.href = address;
  patchRow(element, row);
  return element;
}
