// A list that grows at the top: known rows are patched, new ones wait behind a bar while one reads.

import { blink, newRow, patchRow } from "./rows.js";

const MOST = 300;
const $ = (id) => document.getElementById(id);

export function growing({ address, wanted, word }) {
  const body = $("rows");
  const waiting = new Map();
  const at = (id) => body.querySelector(`tr[data-id="${id}"]`);

  function reading() {
    return window.scrollY > 160 || body.matches(":focus-within") || Boolean(document.querySelector("dialog[open]"));
  }

  function release() {
    const rows = [...waiting.values()].sort((a, b) => a.id - b.id);
    waiting.clear();
    for (const row of rows) {
      const element = newRow($("row"), row.id, row, address(row));
      const below = [...body.children].find((other) => Number(other.dataset.id) < row.id);
      body.insertBefore(element, below ?? null);
      blink(element, "new");
    }
    while (body.children.length > MOST) body.lastElementChild.remove();
    bar();
  }

  function bar() {
    $("fresh").hidden = waiting.size === 0;
    $("fresh").textContent = `${waiting.size} new ${word} – show`;
    $("empty").hidden = body.children.length > 0 || waiting.size > 0;
    $("listing").hidden = body.children.length === 0;
  }

  $("fresh").addEventListener("click", () => {
    document.activeElement?.blur();
    window.scrollTo({ top: 0 });
    release();
  });

  return (kind, rows) => {
    const first = body.firstElementChild ? Number(body.firstElementChild.dataset.id) : 0;
    for (const row of rows) {
      const element = at(row.id);
      if (element) patchRow(element, row);
      else if (waiting.has(row.id)) waiting.set(row.id, row);
      else if (row.id > first && wanted(row)) waiting.set(row.id, row);
    }
    if (waiting.size && !reading()) release();
    else bar();
  };
}
