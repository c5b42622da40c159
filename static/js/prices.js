// Live prices: pools and living opportunities in, one row a pair out.

import { api } from "./api.js";
import { bpsOf, here, live } from "./app.js";
import { pairRows } from "./pairs.js";
import { facts, newRow, patchRow, read } from "./rows.js";

const $ = (id) => document.getElementById(id);
const body = $("rows");
const pools = new Map(read("pools").map((row) => [row.pool, row]));
const living = new Map(read("living").map((row) => [row.id, row]));
let drawing = false;

const query = `?chain=${encodeURIComponent(facts.chain)}`;
const ours = (rows) => rows.filter((row) => row.chain === facts.chain);

live.on("prices", (kind, rows) => {
  if (kind === "snapshot") pools.clear();
  for (const row of ours(rows)) {
    const known = facts.pools[row.pool];
    if (known) pools.set(row.pool, { ...row, quoteToken: known.quote });
  }
  draw(kind === "update");
}, { poll: `/api/prices/live${query}` });

// The channel's snapshot has the best opportunities only: what lives on each pair is asked for.
const address = `/prices/living/${query}`;
let since = null;

function take(rows) {
  for (const row of ours(rows)) {
    if (row.endedAt) living.delete(row.id);
    else if (row.pair) living.set(row.id, row);
  }
}

function replace(rows) {
  living.clear();
  take(rows);
}

live.on("opportunities", async (kind, rows) => {
  if (kind === "update") {
    since?.push(...rows);
    take(rows);
  } else if (live.state === "polling") replace(rows);
  else if (since === null) {
    since = [];
    const answer = await api("GET", address);
    if (answer.ok) replace(answer.body.results);
    take(since);
    since = null;
  }
  draw(false);
}, { poll: address });

// Many changes of one moment are drawn once.
let flash = false;
function draw(changed) {
  flash ||= changed;
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render(flash);
    flash = false;
  });
}

function render(flashing) {
  const rows = pairRows(pools.values(), living.values());
  const known = new Map([...body.children].map((element) => [element.dataset.id, element]));
  // Nothing jumps under a pointer or away from whoever reads with the keyboard.
  const still = body.matches(":hover, :focus-within") || document.querySelector("dialog[open]");
  $("paused").hidden = !body.matches(":hover, :focus-within");
  const order = [];
  for (const row of rows) {
    let element = known.get(row.pair);
    if (element) patchRow(element, row, { flash: flashing });
    else element = newRow($("row"), row.pair, row, `/prices/${row.pair.replace("/", "-")}/`);
    known.delete(row.pair);
    element.toggleAttribute("data-stale", row.staleDexes.length > 0);
    const note = element.querySelector(".stale-note");
    note.title = row.staleDexes.map((dex) => facts.dexes[dex] ?? dex).join(", ");
    element.hidden = !wanted(row);
    order.push(element);
  }
  for (const gone of known.values()) gone.remove();
  if (!still || !body.children.length) {
    let at = body.firstElementChild;
    for (const element of order) {
      if (element === at) at = at.nextElementSibling;
      else body.insertBefore(element, at);
    }
  } else {
    for (const element of order) if (!element.isConnected) body.append(element);
  }
  $("shown-count").textContent = order.filter((element) => !element.hidden).length;
  $("pool-count").textContent = pools.size;
}

function wanted(row) {
  const text = $("filter").value.trim().toLowerCase().replace("-", "/");
  if (text && !row.pair.toLowerCase().includes(text)) return false;
  const dex = $("dex").value;
  if (dex && ![...pools.values()].some((pool) => pool.pair === row.pair && pool.dex === dex)) return false;
  const least = $("min-gross").value.trim();
  if (least && (row.grossBps === null || row.grossBps < Number(least))) return false;
  return !$("only-net").checked || (row.netBps !== null && row.netBps > 0);
}

for (const id of ["filter", "dex", "min-gross", "only-net"]) {
  $(id).addEventListener("input", () => render(false));
}

document.addEventListener("arb:status", ({ detail: { chain } }) => {
  if (!chain) return;
  $("mon-dot").className = `dot ${chain.monitoring ? "on" : ""}`;
  $("mon-word").textContent = chain.monitoring ? "Monitoring" : "Stopped";
  $("mon-mode").textContent = chain.feedMode;
  if ($("stop-form")) $("stop-form").hidden = !chain.monitoring;
  if ($("start-word")) $("start-word").textContent = chain.monitoring ? "Apply" : "Start monitoring";
});

const spread = $("start-form")?.elements.minSpreadBps;
spread?.addEventListener("input", () => {
  const bps = bpsOf(spread.value);
  $("bps-echo").textContent = Number.isNaN(bps) ? "bps" : spread.value.includes("%") ? `= ${bps} bps` : `bps = ${(bps / 100).toFixed(2)} %`;
});
if (here()) render(false);
