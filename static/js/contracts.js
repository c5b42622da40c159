// Contracts: the server draws what was last read, and is asked again when something changed.

import { live } from "./app.js";
import { facts } from "./rows.js";
import { attend, redrawing } from "./wallet_parts.js";

const refresh = redrawing("contracts-live", () => `/contracts/live/?chain=${encodeURIComponent(facts.chain)}`);

// A snapshot may know more than the page that was drawn before it.
function drawn(row) {
  const element = document.querySelector(`[data-contract="${row.id}"]`);
  return element?.dataset.read === String(row.observedAt ?? "") && element.dataset.paused === String(row.paused ?? "");
}

live.on("contracts", (kind, rows) => {
  const ours = rows.filter((row) => row.chain === facts.chain);
  if (kind === "update" ? ours.length : !ours.every(drawn)) refresh();
}, { poll: "/api/contracts" });
live.on("wallets", (kind) => {
  if (kind === "update") refresh();
}, { poll: "/api/wallets?limit=200" });
document.addEventListener("arb:done", () => {
  document.activeElement?.blur();
  refresh();
});
attend();
