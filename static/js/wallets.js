// Wallets: rows are patched in place, a new one has the server draw the table again.

import { api } from "./api.js";
import { live, openDrawer, reload, toast } from "./app.js";
import { shortHex, shortUnits } from "./format.js";
import { facts, patchRow, read } from "./rows.js";
import { attend, redrawing } from "./wallet_parts.js";

const $ = (id) => document.getElementById(id);
const refresh = redrawing("wallets-live", () => `/wallets/live/${location.search}`);

// Half of the bar is the threshold, all of it twice that; for the eye only.
function fill(row) {
  const threshold = BigInt(row.thresholdWei);
  if (row.balanceWei === null || threshold === 0n) return 0;
  const part = (500n * BigInt(row.balanceWei)) / threshold;
  return Number(part > 1000n ? 1000n : part);
}

function patch(element, row) {
  patchRow(element, row);
  element.querySelector(".low-note").hidden = !row.low;
  const none = element.querySelector(".none-note");
  if (none) none.hidden = row.authorized > 0 || row.source === "watch" || row.state !== "active";
  const exposed = element.querySelector(".exposed-note");
  exposed.hidden = row.state !== "exposed";
  exposed.title = `${row.stateReason || "Others may know its key"}: open it and press Move away`;
  const bar = element.querySelector(".g-fill");
  bar.setAttribute("width", fill(row));
  bar.classList.toggle("g-low", row.low);
}

// What the page knows of every wallet, shown or not: for the count of those that are low.
const low = new Map();

live.on("wallets", (kind, rows) => {
  // A snapshot may know more than the page that was drawn before it.
  let stranger = kind === "snapshot" && rows.length !== Number($("wallet-cards").dataset.total);
  if (kind === "snapshot") low.clear();
  for (const row of rows) {
    const known = low.has(row.id);
    low.set(row.id, row.low);
    const element = $("rows")?.querySelector(`tr[data-id="${row.id}"]`);
    if (element) patch(element, row);
    else if (kind === "update" && !known) stranger = true;
  }
  $("low-count").textContent = [...low.values()].filter(Boolean).length;
  if (stranger) refresh();
}, { poll: "/api/wallets?limit=200" });

attend();
document.addEventListener("arb:done", (event) => {
  const form = event.target;
  refresh();
  if (!form.dataset) return; // a request that took longer: its form may be gone
  if (form.dataset.show && event.detail.id) openDrawer(`${form.dataset.show}${event.detail.id}/`);
  if (form.dataset.reload !== undefined) reload();
});

// --- generate -------------------------------------------------------------------------------------

const paths = read("next-paths");

function preview() {
  const next = paths[$("generate-chain").value]?.[$("generate-role").value];
  const watched = $("generate-address").value.trim() !== "";
  $("generate-path").textContent = watched ? "none: it is only watched" : next?.path || "none: a master here is watch-only, give its address";
  $("generate-address").required = !watched && !next?.path;
  $("generate-label").placeholder = next?.label ?? "";
  if (!$("generate-label").dataset.own) $("generate-label").value = next?.label ?? "";
}

if (paths) {
  for (const id of ["generate-chain", "generate-role", "generate-address"]) $(id).addEventListener("input", preview);
  $("generate-label").addEventListener("input", () => { $("generate-label").dataset.own = "1"; });
  preview();
}

// --- fund all that are low --------------------------------------------------------------------------

function cell(text, name = "") {
  const made = document.createElement("td");
  made.textContent = text;
  made.className = name;
  return made;
}

function drawPlan(answer) {
  const box = $("auto-plan");
  const given = answer.plan.filter((one) => one.funds);
  const words = document.createElement("p");
  const symbol = facts.native.symbol;
  words.textContent = given.length
    ? `${given.length} wallet(s) would get ${shortUnits(BigInt(answer.totalWei), 18)} ${symbol} in all:`
    : "Nothing to do: no wallet would get anything now.";
  if (answer.simulatedWhy) words.textContent += ` Simulated and recorded only: ${answer.simulatedWhy}.`;
  const table = document.createElement("table");
  for (const one of answer.plan) {
    const line = table.insertRow();
    line.append(
      cell(shortHex(one.wallet ?? ""), "num"),
      cell(one.funds ? `${shortUnits(BigInt(one.amountWei), 18)} ${symbol}` : "–", "r num"),
      cell(one.funds ? (one.cutBy ? `cut by ${one.cutBy}` : "to its target") : one.reason.replaceAll("_", " "), "dim"),
    );
  }
  box.replaceChildren(words, table);
  $("auto-confirm").disabled = given.length === 0;
}

document.querySelector("[data-open=auto-dialog]")?.addEventListener("click", async () => {
  $("auto-confirm").disabled = true;
  const body = { chain: facts.chain, dryRun: true };
  const answer = await api("POST", "/api/wallets/auto-fund", { body, key: crypto.randomUUID() });
  if (answer.ok) drawPlan(answer.body);
  else {
    $("auto-dialog").close();
    toast(answer.detail, { bad: true, request: answer.request });
  }
});
