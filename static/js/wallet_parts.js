// The parts of one wallet that need a script: tabs, chart, the review of a funding, a typed word.

import { api } from "./api.js";
import { coinsOf, faces, openDrawer } from "./app.js";
import { balanceChart } from "./charts.js";
import { shortUnits } from "./format.js";

const AT_MOST_EVERY_MS = 2000;

let chosen = "tab-overview"; // kept while the drawer is drawn again

// A function that has the server draw a box again, now and then; never under an open dialog or a focus.
export function redrawing(id, address) {
  let asked = 0;
  let timer = null;
  const inUse = (box) => document.hidden || document.querySelector("dialog[open]") || box.matches(":focus-within");
  return function refresh() {
    if (timer) return;
    timer = setTimeout(async () => {
      asked = Date.now();
      timer = null;
      const box = document.getElementById(id);
      if (inUse(box)) return refresh();
      let response;
      try {
        response = await fetch(address(), { credentials: "same-origin" });
      } catch {
        return; // the banner says that the connection is gone
      }
      if (!response.ok || response.redirected) return;
      const drawn = await response.text();
      if (inUse(box)) return refresh(); // a dialog was opened while we asked
      box.innerHTML = drawn; // our own template: every value in it is escaped
      faces(box);
    }, Math.max(0, asked + AT_MOST_EVERY_MS - Date.now()));
  };
}

export function draw(root) {
  const list = root.querySelector("[role=tablist]");
  if (!list || list.dataset.drawn) return;
  list.dataset.drawn = "1";
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const from = new URLSearchParams(location.search).get("tab");
  const first = root.querySelector(`#tab-${CSS.escape(from || "none")}`) ?? root.querySelector(`#${chosen}`) ?? tabs[0];
  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      show(root, tabs, tab);
      if (root === document) history.replaceState(null, "", `?tab=${tab.id.slice(4)}`);
    });
    tab.addEventListener("keydown", (event) => move(event, root, tabs, tab));
  }
  show(root, tabs, first);
  for (const form of root.querySelectorAll("form[data-review]")) review(form);
  for (const input of root.querySelectorAll("input[data-must]")) {
    const button = input.form.querySelector("button.red");
    input.addEventListener("input", () => { button.disabled = input.value !== input.dataset.must; });
  }
  for (const line of root.querySelectorAll("[data-full]")) {
    line.textContent = `0x ${line.dataset.full.slice(2).match(/.{4}/g).join(" ")}`;
  }
}

// Where a wallet is shown in the drawer: its parts are drawn, and again after a change.
export function attend() {
  const drawer = document.getElementById("drawer");
  document.addEventListener("arb:drawn", (event) => draw(event.target));
  document.addEventListener("arb:done", () => {
    const own = drawer.open && drawer.querySelector(".title a");
    if (own) openDrawer(own.getAttribute("href"));
  });
}

function show(root, tabs, tab) {
  chosen = tab.id;
  for (const each of tabs) {
    const on = each === tab;
    each.setAttribute("aria-selected", on);
    each.tabIndex = on ? 0 : -1;
    root.querySelector(`#${each.getAttribute("aria-controls")}`).hidden = !on;
  }
  tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (tab.id === "tab-overview") chart(root);
}

function move(event, root, tabs, tab) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
  show(root, tabs, next);
  next.focus();
}

async function chart(root) {
  const element = root.querySelector("[data-balances]");
  if (!element || element.children.length) return;
  const answer = await api("GET", element.dataset.balances);
  if (answer.ok && !element.children.length) balanceChart(element, answer.body.results);
}

// Two steps: what is to be sent is said in full before the button that sends it is there.
function review(form) {
  const amount = form.elements.amountWei;
  const words = form.querySelector(".review");
  const step = form.querySelector("[data-step]");
  const send = form.querySelector("button.red");
  const again = () => {
    words.hidden = send.hidden = true;
    step.hidden = false;
  };
  amount.addEventListener("input", again);
  form.closest("dialog").addEventListener("close", again);
  form.querySelector("[data-fill]").addEventListener("click", (event) => {
    amount.value = plain(BigInt(event.currentTarget.dataset.fill));
    again();
  });
  const look = () => {
    const raw = coinsOf(amount.value, 18);
    if (raw === null || raw === "0") {
      amount.setCustomValidity("An amount above zero, such as 0.1");
      amount.reportValidity();
      amount.setCustomValidity("");
      return;
    }
    const symbol = form.dataset.symbol;
    const said = (wei) => `${shortUnits(wei, 18)} ${symbol}`;
    const sum = BigInt(raw);
    words.textContent = `Send ${said(sum)}. The wallet then holds ${said(BigInt(form.dataset.balance) + sum)}, the reserve ${said(BigInt(form.dataset.reserve) - sum)} less the gas of one transfer.`;
    words.hidden = send.hidden = false;
    step.hidden = true;
    send.focus();
  };
  step.addEventListener("click", look);
  amount.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && send.hidden) {
      event.preventDefault();
      look();
    }
  });
}

function plain(wei) {
  const digits = wei.toString().padStart(19, "0");
  return `${digits.slice(0, -18)}.${digits.slice(-18)}`.replace(/\.?0+$/, "");
}
