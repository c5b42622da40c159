// The chart of one pair: a line for each exchange over the last hour.

import { api } from "./api.js";
import { venueChart } from "./charts.js";
import { facts } from "./rows.js";

export async function drawPair(root) {
  const element = root.querySelector(".chart[data-pair]");
  if (!element || element.children.length) return;
  const chain = encodeURIComponent(facts.chain);
  const answer = await api("GET", `/api/prices/pair/${element.dataset.pair}?chain=${chain}`);
  const history = answer.ok ? answer.body.history : {};
  const lines = Object.values(history);
  if (!lines.some((points) => points.length > 1)) {
    const words = document.createElement("p");
    words.className = "empty";
    words.textContent = answer.ok ? "No history yet: a point is kept each minute." : answer.detail;
    element.replaceWith(words);
    return;
  }
  venueChart(element, history, facts.dexes);
}

drawPair(document);
document.addEventListener("arb:drawn", (event) => drawPair(event.target));
