// What every page has: header, connection, dialogs, forms that call the API, toasts, keys, ages.

import { api, newKey } from "./api.js";
import { ageText, grouped } from "./format.js";
import { facts, read } from "./rows.js";
import { Live } from "./socket.js";
import { blo } from "../vendor/blo/index.js";
import { tinykeys } from "../vendor/tinykeys/tinykeys.js";

export const live = new Live();
const $ = (id) => document.getElementById(id);
const HELD_KEY_MS = 400;
const FOLLOW_MS = 1000;

// --- status -----------------------------------------------------------------------------------

export let status = read("status");
export const here = () => status?.chains?.find((chain) => chain.chain === facts.chain);
let headAt = headTime(here());

// The server's clock and ours may differ: ages count from the age it told us.
function headTime(chain) {
  return chain && chain.headAgeMs !== null ? Date.now() - chain.headAgeMs : null;
}

live.on("status", (kind, data) => {
  status = data;
  const chain = here();
  headAt = headTime(chain);
  if (chain) {
    const chip = $("engine-chip");
    if (chip) {
      chip.textContent = chain.engine.word;
      chip.className = `chip tone-${chain.engine.tone}`;
      chip.title = chain.reason ?? "";
    }
    const icon = $("tab-icon");
    const drawn = chain.engine.armed ? icon.dataset.armed : icon.dataset.calm;
    if (icon.getAttribute("href") !== drawn) icon.href = drawn;
    if ($("head-number")) $("head-number").textContent = chain.blockNumber === null ? "–" : grouped(chain.blockNumber);
  }
  $("low-gas").hidden = !data.lowGas;
  $("low-gas").querySelector("span").textContent = data.lowGas;
  $("alert-count").hidden = !data.alerts;
  $("alert-count").textContent = data.alerts;
  if ($("kill-button")) {
    const killed = data.killed || Boolean(chain?.killed);
    $("kill-button").hidden = killed;
    $("release-button").hidden = !killed;
  }
  ages();
  document.dispatchEvent(new CustomEvent("arb:status", { detail: { status: data, chain } }));
}, { poll: "/api/status" });

// --- ages, once a second ------------------------------------------------------------------------

function ages() {
  const now = Date.now();
  $("clock").textContent = new Date().toISOString().slice(11, 19);
  const age = headAt === null ? null : now - headAt;
  const text = age === null ? "–" : ageText(age);
  if ($("head-age")) $("head-age").textContent = text;
  const limit = here()?.staleAfterMs ?? 3000;
  const stale = age === null || age > limit;
  for (const cell of document.querySelectorAll("[data-chain-age]")) {
    cell.textContent = stale && age !== null ? `stale ${text}` : text;
  }
  for (const table of document.querySelectorAll("#prices")) {
    table.classList.toggle("stale", stale);
    table.classList.toggle("dead", age === null || age > 10 * limit);
  }
}
setInterval(ages, 1000);
ages();

// --- connection ---------------------------------------------------------------------------------

const LINK = {
  live: ["Live", "on"], connecting: ["Connecting", ""], lost: ["Reconnecting", "warn"],
  polling: ["Polling", "warn"], "signed-out": ["Signed out", "off"],
};

live.onState((link) => {
  const [word, dot] = LINK[link.state];
  $("link-word").textContent = word;
  $("link-chip").querySelector(".dot").className = `dot ${dot}`;
  const banner = $("banner");
  const away = link.lostAt === null ? 0 : Date.now() - link.lostAt;
  if (link.state === "signed-out") {
    if (banner.dataset.state !== "out") {
      banner.dataset.state = "out";
      banner.replaceChildren("You are signed out: what you see no longer changes. ", anchor("/accounts/login/", "Sign in"));
    }
    banner.hidden = false;
  } else if (away > 5000) {
    const since = link.lastDataAt ? new Date(link.lastDataAt).toISOString().slice(11, 19) + " UTC" : "when the page was loaded";
    const retry = link.retryAt ? ` Retrying in ${Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000))} s` : " Retrying";
    if (banner.dataset.state !== "away") {
      banner.dataset.state = "away";
      const words = document.createElement("span");
      words.setAttribute("aria-live", "off"); // it counts: heard once is enough
      const again = document.createElement("button");
      again.type = "button";
      again.textContent = "Retry now";
      again.addEventListener("click", () => live.retryNow());
      banner.replaceChildren(words, again);
    }
    banner.firstElementChild.textContent =
      `Live updates lost ${ageText(away)} ago. Showing data from ${since}.${link.state === "polling" ? " Asking every 5 s." : ""}${retry}`;
    banner.hidden = false;
  } else {
    banner.hidden = true;
    banner.dataset.state = "";
  }
});

function anchor(href, text) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = text;
  return link;
}

// --- toasts -------------------------------------------------------------------------------------

export function toast(text, { bad = false, href = null, request = null } = {}) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.setAttribute("role", bad ? "alert" : "status");
  const words = document.createElement("div");
  words.append(href ? anchor(href, text) : text);
  if (bad && request) words.append(document.createElement("br"), `Request ${request}`);
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "✕";
  close.setAttribute("aria-label", "Dismiss");
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  $("toasts").append(box);
  while ($("toasts").children.length > 3) $("toasts").firstElementChild.remove();
  if (bad) return;
  const fade = () => {
    if (box.matches(":hover, :focus-within")) setTimeout(fade, 1000);
    else box.remove();
  };
  setTimeout(fade, 4000);
}

// Draws the page anew; what was said goes with it.
export function reload() {
  const said = [...$("toasts").children].map((box) => [box.firstElementChild.textContent, box.classList.contains("bad")]);
  sessionStorage.setItem("arb.said", JSON.stringify(said));
  location.reload();
}

for (const [text, bad] of JSON.parse(sessionStorage.getItem("arb.said") ?? "[]")) toast(text, { bad });
sessionStorage.removeItem("arb.said");

// --- forms that call the API ----------------------------------------------------------------------

function bodyOf(form) {
  const body = {};
  for (const input of form.elements) {
    if (!input.name || input.disabled) continue;
    const text = input.value.trim();
    if (input.dataset.type === "int") body[input.name] = Number(text);
    else if (input.dataset.type === "json") body[input.name] = JSON.parse(text);
    else if (input.dataset.type === "bps") body[input.name] = bpsOf(text);
    else if (text && input.dataset.type === "coins") {
      put(body, input.name, coinsOf(text, Number(input.dataset.decimals ?? 18)) ?? NaN);
    } else if (text) body[input.name] = text;
  }
  return body;
}

// "minProfit:0x..." goes into an object of its own.
function put(body, name, value) {
  const [outer, inner] = name.split(":");
  if (Number.isNaN(value)) body[outer] = value;
  else if (inner) (body[outer] ??= {})[inner] = value;
  else body[name] = value;
}

// "0.1" of a coin with so many decimals as raw units, in digits; null where it is no such number.
export function coinsOf(text, decimals) {
  const found = /^([0-9]{1,30})(?:\.([0-9]+))?$/.exec(text.trim());
  const part = found?.[2] ?? "";
  if (!found || part.length > decimals) return null;
  return BigInt(found[1] + part.padEnd(decimals, "0")).toString();
}

// "0.5%" or "50": basis points.
export function bpsOf(text) {
  const found = /^([0-9]+(?:\.[0-9]+)?)\s*(%)?$/.exec(text.trim());
  if (!found) return NaN;
  return found[2] ? Math.round(Number(found[1]) * 100) : Number(found[1]);
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-api]");
  if (!form) return;
  event.preventDefault();
  const button = event.submitter ?? form.querySelector("button:not([type=button])");
  if (button.disabled || form.dataset.busy) return;
  const body = bodyOf(form);
  for (const [name, value] of Object.entries(body)) {
    if (Number.isNaN(value)) return toast(`${name}: not a number.`, { bad: true });
  }
  // The same key until an answer came: pressing again after a lost answer cannot act twice.
  form.dataset.once ||= newKey();
  form.dataset.busy = "1";
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  const answer = await api("POST", form.dataset.api, { body, key: form.dataset.once });
  if (answer.status && answer.status < 500) delete form.dataset.once;
  delete form.dataset.busy;
  button.disabled = false;
  button.removeAttribute("aria-busy");
  const problem = form.querySelector(".problem");
  if (!answer.ok) {
    const proof = answer.body.code === "reauthentication_required" && answer.body.url;
    const href = proof ? `${proof}?next=${encodeURIComponent(location.pathname + location.search)}` : null;
    if (problem) {
      problem.replaceChildren(answer.detail, ...(href ? [" ", anchor(href, "Prove it now")] : []));
      problem.hidden = false;
    } else toast(answer.detail, { bad: true, href, request: answer.request });
    return;
  }
  if (problem) problem.hidden = true;
  form.closest("dialog.dialog")?.close();
  if (answer.status === 202 && answer.body.url) {
    toast(`${form.dataset.done}: asked for, and under way`);
    followed(form, answer.body.url);
    return;
  }
  said(form, answer.body);
  form.dispatchEvent(new CustomEvent("arb:done", { bubbles: true, detail: answer.body }));
});

// A worker is at it: ask until it has ended.
async function followed(form, url) {
  const answer = await api("GET", url);
  const { state, result, problem } = answer.body;
  if (answer.ok && state === "refused") {
    toast(problem, { bad: true });
    return;
  }
  if (answer.ok && state === "done") {
    said(form, result);
    document.dispatchEvent(new CustomEvent("arb:done", { detail: result }));
    return;
  }
  if (answer.status !== 401 && answer.status !== 404) setTimeout(() => followed(form, url), FOLLOW_MS);
}

function said(form, body) {
  if (form.dataset.api === "/api/kill") {
    if (body.complete === false) {
      toast(`Stopped, but something may be in flight: ${body.detail}`, { bad: true });
      return;
    }
    const sent = body.sent?.length ?? 0;
    toast(sent ? `Stopped. ${sent} transaction(s) had already been sent.` : "Stopped. Nothing was in flight.");
    return;
  }
  if (body.proof?.complete === false) {
    toast(`${form.dataset.done}, but something may be in flight: ${body.proof.detail}`, { bad: true });
    return;
  }
  if (body.id !== undefined && form.dataset.api.startsWith("/api/execute")) {
    toast(`${form.dataset.done}: #${body.id} is ${body.status}`, { href: `/executions/${body.id}/` });
    return;
  }
  if (body.fundings && body.problems) {
    toast(`${body.fundings.length} funding(s) begun`);
    for (const problem of body.problems) toast(problem, { bad: true });
    return;
  }
  for (const left of body.stays ?? []) toast(left, { bad: true });
  toast(body.simulated ? `${form.dataset.done}, but simulated only: nothing is signed on this chain` : form.dataset.done);
}

// --- dialogs --------------------------------------------------------------------------------------

// The attribute autofocus would act on a page's parts that are drawn anew, too.
export function openDialog(dialog) {
  dialog.showModal();
  dialog.querySelector("[data-first]")?.focus();
}

export function openKill() {
  const dialog = $("kill-dialog");
  if (!dialog || dialog.open || $("kill-button").hidden) return;
  const confirm = $("kill-confirm");
  confirm.disabled = true; // a key held down must not confirm what it opened
  dialog.querySelector(".problem").hidden = true;
  dialog.showModal();
  dialog.focus();
  setTimeout(() => {
    confirm.disabled = false;
    if (dialog.open) confirm.focus();
  }, HELD_KEY_MS);
}

$("kill-button")?.addEventListener("click", openKill);
$("release-button")?.addEventListener("click", () => openDialog($("release-dialog")));

document.addEventListener("click", async (event) => {
  const target = event.target;
  const opener = target.closest("[data-open]");
  if (opener) openDialog($(opener.dataset.open));
  if (target.closest("[data-kill]")) openKill();
  if (target.closest("[data-close]")) target.closest("dialog")?.close();
  const copy = target.closest("[data-copy]");
  if (copy) {
    event.stopPropagation();
    await copied(copy);
    return;
  }
  if (target.nodeName === "DIALOG") target.close(); // its backdrop
  const row = target.closest(".live tbody tr");
  const link = target.closest("a[data-drawer]") ?? (row && !target.closest("a, button, input") ? row.querySelector("a[data-drawer]") : null);
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    openDrawer(link.getAttribute("href"));
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
});

async function copied(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast("Copied");
  } catch {
    toast("The browser did not let us copy: select the text instead.", { bad: true });
  }
}

export async function openDrawer(address) {
  const drawer = $("drawer");
  let response;
  try {
    response = await fetch(`${address}?fragment=1`, { credentials: "same-origin" });
  } catch {
    return toast("The server did not answer.", { bad: true });
  }
  if (response.redirected) {
    location.href = address;
    return;
  }
  if (!response.ok) return toast("That is gone: old entries are pruned.", { bad: true });
  drawer.innerHTML = await response.text(); // our own template: every value in it is escaped
  faces(drawer);
  if (!drawer.open) drawer.showModal();
  drawer.scrollTop = 0;
  drawer.dispatchEvent(new CustomEvent("arb:drawn", { bubbles: true }));
}

export function faces(root) {
  for (const image of root.querySelectorAll("img[data-face]:not([src])")) {
    image.src = blo(image.dataset.face);
  }
}
faces(document);

// --- keys -----------------------------------------------------------------------------------------

const off = $("keys-off");
off.checked = localStorage.getItem("arb.keys") === "off";
off.addEventListener("change", () => localStorage.setItem("arb.keys", off.checked ? "off" : "on"));

const typing = (event) =>
  off.checked || event.target.closest?.("input, select, textarea, [contenteditable]") || document.querySelector("dialog[open]");
const key = (action) => (event) => {
  if (typing(event)) return;
  event.preventDefault();
  action(event);
};

const bindings = {
  "Shift+?": key(() => openDialog($("help"))),
  "/": key(() => $("filter")?.focus()),
  j: key(() => step(1)),
  k: key(() => step(-1)),
  r: key(() => live.retryNow()),
  "Shift+K": key(openKill),
};
for (const link of document.querySelectorAll(".rail a[data-key]")) {
  bindings[`g ${link.dataset.key}`] = key(() => link.click());
}
tinykeys(window, bindings);

function step(by) {
  const links = [...document.querySelectorAll("main .live tbody a.rowlink")].filter((link) => link.offsetParent);
  const at = links.indexOf(document.activeElement);
  const next = links[Math.min(Math.max(at + by, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
