// Fast Mode: the server draws state, readiness and offers anew when something happened; limits are
// compared before they are saved; latency and the log are drawn here.

import { api } from "./api.js";
import { bpsOf, coinsOf, here, live, openDialog, reload, toast } from "./app.js";
import { REASONS, shortHex, shown } from "./format.js";
import { latencyChart, msWords } from "./latency_chart.js";
import { facts, read } from "./rows.js";
import { redrawing } from "./wallet_parts.js";

const $ = (id) => document.getElementById(id);
const KEPT = 500;
const chain = encodeURIComponent(facts.chain);

// --- state, readiness, offers --------------------------------------------------------------------

function state() {
  const refresh = redrawing("fast-live", () => `/fast-mode/live/?chain=${chain}`);
  let known = $("fast-live").querySelector("[data-state]")?.dataset.state;
  document.addEventListener("arb:status", () => {
    const mode = here();
    const now = mode && `${mode.fastMode}:${mode.autoExecute}:${mode.reason}`;
    if (now && now !== known) refresh();
    known = now;
  });
  setInterval(refresh, 5000); // readiness passes by itself: nobody tells of it
  live.on("opportunities", (kind, rows) => {
    if (!$("offers") && !document.querySelector(".modecard.asks")) return;
    for (const row of rows) {
      const gone = row.endedAt || row.verdict !== "executable";
      if (gone) document.querySelector(`[data-offer="${row.id}"]`)?.remove();
    }
    if (rows.some((row) => row.chain === facts.chain && row.verdict === "executable")) refresh();
  });
  document.addEventListener("arb:done", ({ target, detail }) => {
    if (detail.handOver !== undefined) {
      const after = detail.released ? "released" : "left engaged, because somebody used it meanwhile";
      toast(`${detail.passed ? "The stop holds" : "The stop is not proven"}: ${after} after ${msWords(detail.tookMs)}.`, { bad: !detail.passed || !detail.released });
    }
    if (detail.config && /config/.test(target.dataset?.api ?? "")) return reload();
    document.activeElement?.blur();
    refresh();
  });
}

// --- limits --------------------------------------------------------------------------------------

// What was typed, as it travels; null where it cannot be read.
function travelling(input) {
  if (input.type === "checkbox") return input.checked;
  const text = input.value.trim();
  const { kind } = input.dataset;
  if (kind === "coin") return coinsOf(text, 18);
  if (kind === "gwei") return /^[0-9]{1,30}(\.[0-9]{1,9})?$/.test(text) ? text.replace(/(\.[0-9]*?)0+$/, "$1").replace(/\.$/, "") : null;
  if (kind === "bps") {
    const bps = bpsOf(text);
    return Number.isInteger(bps) ? bps : null;
  }
  if (kind === "min") return /^[0-9]{1,9}(\.[0-9]{1,3})?$/.test(text) ? Math.round(Number(text) * 60000) : null;
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

// A limit as a sentence has it: "0.12%" was typed, 12 bps are saved.
const spoken = (input, value) => {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (input.dataset.none && /^0(\.0*)?$/.test(String(value))) return "no limit";
  return `${value} ${input.dataset.unit ?? ""}`.trim();
};
const typed = (input) => {
  if (input.type === "checkbox") return input.checked;
  return input.dataset.kind === "bps" ? travelling(input) : input.value.trim();
};

function limits() {
  const form = $("limits-form");
  const inputs = [...form.elements].filter((input) => input.name);
  const changes = () => inputs.filter((input) => String(travelling(input)) !== input.dataset.was);
  for (const input of inputs) {
    input.addEventListener("input", () => {
      input.setCustomValidity(travelling(input) === null ? "Not a number that this limit takes." : "");
      input.closest(".limit").classList.toggle("differs", changes().includes(input));
    });
  }
  form.addEventListener("reset", () => {
    for (const input of inputs) {
      input.setCustomValidity("");
      input.closest(".limit").classList.remove("differs");
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (form.querySelector(".differs")) event.preventDefault();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const changed = changes();
    if (!changed.length) return toast("Nothing differs from the limits that hold.");
    $("diff").replaceChildren(...changed.map((input) => line(input.dataset.title, spoken(input, before(input)), spoken(input, typed(input)))));
    $("diff-inputs").replaceChildren(...changed.map((input) => {
      const hidden = document.createElement("input");
      Object.assign(hidden, { type: "hidden", name: input.name, value: JSON.stringify(travelling(input)) });
      hidden.dataset.type = "json";
      return hidden;
    }));
    $("limits-dialog").querySelector(".problem").hidden = true;
    openDialog($("limits-dialog"));
  });
  document.addEventListener("arb:done", ({ target }) => {
    if (target.closest?.("#limits-dialog")) for (const each of form.querySelectorAll(".differs")) each.classList.remove("differs");
  }, true);
}

const before = (input) => (input.type === "checkbox" ? input.dataset.was === "true" : input.dataset.said);

function line(...texts) {
  const row = document.createElement("tr");
  row.append(...texts.map((text, i) => {
    const made = document.createElement(i ? "td" : "th");
    made.textContent = text;
    if (i) made.className = "r num";
    else made.scope = "row";
    return made;
  }));
  return row;
}

// --- latency -------------------------------------------------------------------------------------

const WORDS = { eventToState: "event → state", total: "event → sent" };

function latencies() {
  let windowS = 900;
  let timer = null;
  const draw = latencyChart($("latency-chart"));
  const show = (measured) => {
    const any = measured.series.some((point) => point.count > 0);
    $("latency-chart").hidden = !any;
    $("latency-empty").hidden = any;
    if (any) draw(measured);
    $("latency-stages").tBodies[0].replaceChildren(...Object.entries(measured.stages).map(([stage, row]) => {
      const made = line(WORDS[stage] ?? stage, row.count, msWords(row.p50Ms), msWords(row.p95Ms), msWords(row.p99Ms), msWords(row.maxMs));
      made.append(spread(row.buckets, measured.bucketsMs));
      return made;
    }));
    table("latency-rpc", measured.rpc.map((row) => [`${row.endpoint} (${row.use})`, row.count, msWords(row.p50Ms), msWords(row.p95Ms), msWords(row.p99Ms)]), "Nobody measured an endpoint in this window.");
    table("latency-relays", measured.relays.map((row) => [row.relay, row.stage, row.count, msWords(row.p50Ms), msWords(row.p95Ms)]), "Nothing was handed over in this window.");
  };
  show(read("latency"));
  const ask = async () => {
    const answer = await api("GET", `/api/fast-mode/latency?chain=${chain}&windowS=${windowS}`);
    if (answer.ok) show(answer.body);
  };
  for (const button of document.querySelectorAll("[data-window]")) {
    button.addEventListener("click", () => {
      windowS = Number(button.dataset.window);
      for (const other of document.querySelectorAll("[data-window]")) other.setAttribute("aria-pressed", other === button);
      ask();
    });
  }
  live.on("latency", (kind, rows) => {
    if (kind === "snapshot" || timer || !rows.some((row) => row.chain === facts.chain)) return;
    timer = setTimeout(() => {
      timer = null;
      if (!document.hidden) ask();
    }, 3000);
  });
}

function table(id, rows, nothing) {
  const body = $(id).tBodies[0];
  if (rows.length) return body.replaceChildren(...rows.map((row) => line(...row)));
  const row = document.createElement("tr");
  const cell = row.insertCell();
  cell.colSpan = 5;
  cell.className = "dim wrap";
  cell.textContent = nothing;
  body.replaceChildren(row);
}

// A column a bucket; its height is its share of the fullest.
function spread(counts, bounds) {
  const cell = document.createElement("td");
  cell.className = "pic";
  const most = Math.max(1, ...counts);
  const NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `0 0 ${counts.length * 10} 20`);
  svg.setAttribute("class", "spread");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", counts.map((n, i) => (n ? `${n} ${i < bounds.length ? `below ${bounds[i]} ms` : "above"}` : "")).filter(Boolean).join(", ") || "no samples");
  counts.forEach((n, i) => {
    const bar = document.createElementNS(NS, "rect");
    const height = n ? Math.max(2, Math.round((20 * n) / most)) : 0;
    for (const [name, value] of Object.entries({ x: i * 10 + 1, y: 20 - height, width: 8, height, class: "w-gross" })) bar.setAttribute(name, value);
    svg.append(bar);
  });
  cell.append(svg);
  return cell;
}

// --- log -----------------------------------------------------------------------------------------

const SHOWN = ["search", "simulate", "sign", "persist", "submit", "total", "inclusion"];
const LABELS = ["Search", "Simulate", "Sign", "Persist", "Submit", "Event → sent", "Inclusion"];
const say = (row, field, fmt) => shown(row[field], { fmt, row, facts });

function log() {
  const body = $("log").tBodies[0];
  const rows = new Map(read("log-rows").map((row) => [row.id, row]));
  const wanted = (row) => row.chain === facts.chain && row.kind === "arbitrage";
  const text = (row) => [say(row, "path", "route").text, row.status, row.txHash ?? "", row.reason ?? "", `v${row.configVersion ?? ""}`].join(" ").toLowerCase();
  const draw = () => {
    const held = body.matches(":hover, :focus-within");
    $("log-held").hidden = !held;
    if (held) return;
    const sought = $("filter").value.trim().toLowerCase();
    const newest = [...rows.values()].sort((a, b) => b.id - a.id).slice(0, KEPT);
    for (const id of [...rows.keys()]) if (!newest.some((row) => row.id === id)) rows.delete(id);
    body.replaceChildren(...newest.filter((row) => text(row).includes(sought)).map(entry));
    $("log-empty").hidden = rows.size > 0;
    $("log").closest(".tablewrap").hidden = rows.size === 0;
  };
  live.on("executions", (kind, changed) => {
    const ours = changed.filter(wanted);
    for (const row of ours) rows.set(row.id, row);
    if (ours.length) draw();
  }, { poll: `/api/executions?limit=100&chain=${chain}` });
  $("filter").addEventListener("input", draw);
  body.addEventListener("mouseleave", draw);
  body.addEventListener("focusout", () => setTimeout(draw));
  $("log-download").addEventListener("click", () => download([...rows.values()].filter((row) => text(row).includes($("filter").value.trim().toLowerCase()))));
  draw();
}

function entry(row) {
  const made = document.createElement("tr");
  made.dataset.id = row.id;
  const cell = (label, content, name = "") => {
    const one = made.insertCell();
    one.dataset.label = label;
    one.className = name;
    one.append(content);
    return one;
  };
  const link = document.createElement("a");
  Object.assign(link, { href: `/executions/${row.id}/`, className: "rowlink num", textContent: say(row, "createdAt", "time").text, title: say(row, "createdAt", "time").title });
  link.dataset.drawer = "";
  cell("Time (UTC)", link);
  const status = say(row, "status", "status");
  const badge = document.createElement("span");
  badge.className = `badge ${status.tone ? `t-${status.tone}` : ""}`;
  badge.textContent = status.text;
  badge.title = REASONS[row.reason] ?? row.reason ?? status.title;
  cell("Status", badge);
  cell("Route", say(row, "path", "route").text, "way");
  cell("By", row.automatic ? "Fast Mode" : row.requestedBy ?? "–");
  SHOWN.forEach((stage, i) => cell(LABELS[i], msWords(row.latency[stage]), `r num${stage === "total" ? " strong" : ""}`));
  cell("Limits", row.configVersion ? `v${row.configVersion}` : "–", "r num");
  const hash = cell("Transaction", row.txHash ? shortHex(row.txHash) : "–", "num");
  if (row.txHash) hash.title = row.txHash;
  return made;
}

function download(rows) {
  const head = ["id", "createdAt", "status", "reason", "route", "by", ...SHOWN.map((stage) => `${stage}Ms`), "configVersion", "expectedProfit", "netProfitWei", "txHash"];
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""').replace(/^[=+\-@](?![0-9])/, "'$&")}"`;
  const lines = rows.sort((a, b) => b.id - a.id).map((row) => [
    row.id, row.createdAt, row.simulated ? "simulated only" : row.status, row.reason, say(row, "path", "route").text, row.automatic ? "Fast Mode" : row.requestedBy,
    ...SHOWN.map((stage) => row.latency[stage]), row.configVersion, row.expectedProfit, row.netProfitWei, row.txHash,
  ].map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[head.join(","), ...lines].join("\r\n")], { type: "text/csv" }));
  link.download = `executions-${facts.chain}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

if ($("fast-live")) {
  state();
  limits();
  latencies();
  log();
}
