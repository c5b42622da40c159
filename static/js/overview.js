// Overview: its live part is drawn by the server and asked for again when something happened.

import { here, live, status } from "./app.js";
import { profitChart } from "./charts.js";
import { facts, read } from "./rows.js";

const $ = (id) => document.getElementById(id);
const AT_MOST_EVERY_MS = 2000;
let asked = 0;
let timer = null;
let state = "";
let chart = null;

// For the eye only: the exact figures stand in the cards.
const coins = (wei) => Number(BigInt(wei) / 10n ** 9n) / 1e9;

function draw(points) {
  $("profit").hidden = points.length === 0;
  $("profit-empty").hidden = points.length > 0;
  if (!points.length) return;
  chart ??= profitChart($("profit"));
  chart.set(points.map((point) => ({ time: point.time, value: coins(point.wei) })));
}
draw(read("live-points"));

function refresh() {
  if (timer) return;
  timer = setTimeout(async () => {
    asked = Date.now();
    timer = null;
    if (document.hidden || document.querySelector("dialog[open]")) return refresh();
    let response;
    try {
      response = await fetch(`/overview/live/?chain=${encodeURIComponent(facts.chain)}`, { credentials: "same-origin" });
    } catch {
      return; // the banner says that the connection is gone
    }
    if (!response.ok || response.redirected) return;
    const box = $("overview-live");
    if (box.matches(":focus-within")) return refresh();
    box.innerHTML = await response.text(); // our own template: every value in it is escaped
    const points = box.querySelector("#live-points");
    if (points) draw(JSON.parse(points.textContent));
  }, Math.max(0, asked + AT_MOST_EVERY_MS - Date.now()));
}

let first = true;
live.on("executions", (kind) => {
  if (kind === "update" || !first) refresh();
  first = false;
}, { poll: "/api/executions?limit=8" });

// Opportunities come by the dozen: counting them again every ten seconds is soon enough.
setInterval(refresh, 10000);

document.addEventListener("arb:status", () => {
  const chain = here();
  const now = JSON.stringify([chain?.engine, status.alerts, status.lowGas, chain?.stale, chain?.monitoring]);
  if (state && state !== now) refresh();
  state = now;
});
