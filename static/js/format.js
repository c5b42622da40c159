// How numbers are shown; says the same as arbsite/base/formats.py. Amounts are BigInt, never Number.

export const UNKNOWN = "–";
const MINUS = "−";
const SUBSCRIPT = "₀₁₂₃₄₅₆₇₈₉";
const NOT_KNOWN = { text: UNKNOWN, title: "unknown", tone: "" };
const STATUS_TONES = {
  confirmed: "good", included: "good", reverted: "bad", rejected: "bad", unknown: "warn",
  submitted: "live", signed: "live", simulated: "note", planned: "note", cancelled: "mute",
  expired: "mute",
};
export const REASONS = {
  fees: "swap fees eat it", price_impact: "price impact eats it", premium: "loan premium eats it",
  gas: "gas eats it", min_profit: "below minimum profit", max_gas: "gas price above limit",
  thin_pool: "pool too thin", stale_pool: "pool state stale", token_risk: "token not proven",
  simulation_failed: "simulation failed", paused: "paused", cooldown: "cooling down",
  not_armed: "not armed", killed: "kill switch on", in_flight: "already in flight",
  limit: "limit reached", superseded: "superseded", implausible: "implausible",
};
const L1_FEE_UNKNOWN = "the L1 data fee is not computed here";

const abs = (value) => (value < 0n ? -value : value);
const power = (n) => 10n ** BigInt(n);
const floorDiv = (a, b) => (a < 0n && a % b !== 0n ? a / b - 1n : a / b);

export function grouped(whole) {
  const value = BigInt(whole);
  const digits = abs(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return (value < 0n ? MINUS : "") + digits;
}

export function decimalText(raw, decimals) {
  const value = abs(raw);
  const part = decimals ? (value % power(decimals)).toString().padStart(decimals, "0") : "";
  const tail = part.replace(/0+$/, "");
  return (raw < 0n ? MINUS : "") + grouped(value / power(decimals)) + (tail ? "." + tail : "");
}

export function shortUnits(raw, decimals) {
  if (raw === 0n) return "0";
  let places = abs(raw) >= 1000n * power(decimals) ? 2 : 4;
  places = Math.min(places, decimals);
  const scaled = floorDiv(raw, power(decimals - places));
  if (scaled === 0n) return `< 0.${"0".repeat(places - 1)}1`;
  const value = abs(scaled);
  const part = places ? "." + (value % power(places)).toString().padStart(places, "0") : "";
  return (scaled < 0n ? MINUS : "") + grouped(value / power(places)) + part;
}

export function priceText(text) {
  const found = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (!found) throw new RangeError(text);
  const whole = BigInt(found[1]);
  const part = found[2] || "";
  if (whole === 0n && !/[1-9]/.test(part)) return "0";
  const size = whole.toString().length;
  if (whole > 0n && size >= 6) return grouped(whole);
  if (whole > 0n) return `${grouped(whole)}.${part.slice(0, 6 - size).padEnd(6 - size, "0")}`;
  const zeros = part.length - part.replace(/^0+/, "").length;
  const digits = part.slice(zeros, zeros + 6).padEnd(6, "0");
  if (zeros >= 4) {
    const counted = [...String(zeros)].map((digit) => SUBSCRIPT[Number(digit)]).join("");
    return `0.0${counted}${digits.slice(0, 4)}`;
  }
  return `0.${"0".repeat(zeros)}${digits}`;
}

export function ageText(ms) {
  const seconds = Math.floor(Math.max(ms, 0) / 1000);
  for (const [size, word] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${word}`;
  }
  return `${seconds} s`;
}

export function msText(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) {
    return `${Math.floor(ms / 1000)}.${String(Math.floor((ms % 1000) / 10)).padStart(2, "0")} s`;
  }
  return ageText(ms);
}

export const shortHex = (text) => (text.length <= 16 ? text : `${text.slice(0, 8)}…${text.slice(-6)}`);

export function tokenOf(facts, name) {
  if (name && typeof name === "object") return name;
  const tokens = facts.tokens || {};
  return tokens[name] || Object.values(tokens).find((token) => token.symbol === name) || {};
}

const toneOf = (value) => (value > 0n ? "up" : value < 0n ? "down" : "");
const show = (text, title = "", tone = "") => ({ text, title, tone });
const percent = (bps) =>
  `${bps < 0n ? MINUS : ""}${abs(bps) / 100n}.${String(abs(bps) % 100n).padStart(2, "0")} %`;

function amount(value, row, facts, asset) {
  const token = tokenOf(facts, row[asset] ?? asset);
  const raw = BigInt(value);
  if (token.decimals === undefined) return show(grouped(raw), "raw units");
  const symbol = token.symbol ?? "";
  return show(
    `${shortUnits(raw, token.decimals)} ${symbol}`,
    `${decimalText(raw, token.decimals)} ${symbol}`,
  );
}

function signedAmount(value, row, facts, asset) {
  const plain = amount(value, row, facts, asset);
  const raw = BigInt(value);
  const plus = raw > 0n && !plain.text.startsWith("<") ? "+" : "";
  return show(plus + plain.text, plain.title, toneOf(raw));
}

function usd(value) {
  const found = /^(-?)(\d+)(?:\.(\d*))?$/.exec(String(value));
  if (!found) throw new RangeError(value);
  const micro = BigInt(found[2] + (found[3] || "").slice(0, 6).padEnd(6, "0"));
  const cents = floorDiv(found[1] ? -micro : micro, 10000n);
  const size = abs(cents);
  const text = `${grouped(size / 100n)}.${String(size % 100n).padStart(2, "0")}`;
  return show(`≈ ${cents < 0n ? MINUS : ""}$${text}`, "display only", toneOf(cents));
}

function time(value) {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) throw new RangeError(value);
  const iso = at.toISOString();
  return show(iso.slice(11, 23), `${iso.slice(0, 10)} ${iso.slice(11, 23)} UTC`);
}

function gwei(value) {
  const wei = BigInt(value);
  const text = wei >= 1000000n ? decimalText(wei / 1000000n, 3) : decimalText(wei, 9);
  return show(`${text} gwei`, `${grouped(wei)} wei`);
}

function route(hops, row, facts) {
  const names = hops.length ? [hops[0].tokenIn, ...hops.map((hop) => hop.tokenOut)] : [];
  return show(names.map((name) => tokenOf(facts, name).symbol ?? String(name)).join(" → ") || UNKNOWN);
}

// "gas" is also the reason where the L1 fee is not known.
function reasonWords(row) {
  const reason = row.reason || "";
  if (reason === "gas" && row.l1FeeWei === null) return L1_FEE_UNKNOWN;
  return REASONS[reason] ?? reason;
}

function verdict(value, row) {
  const reason = row.reason || "";
  if (value === "executable") {
    if (!reason) return show("executable", "passes every gate", "good");
    return show(reason, `executable, not sent: ${reasonWords(row)}`, "live");
  }
  return show(reason || String(value), reasonWords(row), "mute");
}

const WALLET_TONES = { active: "good", frozen: "bad", exposed: "bad", retired: "mute" };
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

function date(value) {
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) throw new RangeError(value);
  const iso = at.toISOString();
  return show(
    `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${iso.slice(11, 16)}`,
    `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`,
  );
}

function walletState(value, row) {
  if (value === "active" && row.source === "watch") {
    return show("watch-only", "its key is elsewhere: nothing is signed for it here", "note");
  }
  return show(String(value), row.stateReason || "", WALLET_TONES[value] ?? "note");
}

const FORMATS = {
  text: (value) => show(String(value)),
  int: (value) => show(grouped(value)),
  about: (value) => show(`≈ ${grouped(value)}`, "rounded down"),
  amount,
  "amount+": signedAmount,
  native: (value, row, facts) => amount(value, row, facts, "native"),
  "native+": (value, row, facts) => signedAmount(value, row, facts, "native"),
  bps: (value) => show(grouped(value), `${grouped(value)} bps = ${percent(BigInt(value))}`),
  "bps+": (value) => {
    const bps = BigInt(value);
    const plus = bps > 0n ? "+" : "";
    return show(plus + grouped(bps), `${grouped(bps)} bps = ${percent(bps)}`, toneOf(bps));
  },
  price: (value) => show(priceText(String(value)), String(value)),
  usd,
  ms: (value) => show(msText(Math.trunc(Number(value))), `${value} ms`),
  gwei,
  time,
  hex: (value) => show(shortHex(String(value)), String(value)),
  venue: (value, row, facts) => show((facts.dexes || {})[value] ?? String(value)),
  date,
  wallet_state: walletState,
  route,
  venues: (hops, row, facts) =>
    show(hops.map((hop) => (facts.dexes || {})[hop.dex] ?? hop.dex).join(" → ") || UNKNOWN),
  verdict,
  why: (value, row) => show(row.reason ? reasonWords(row) : "passes every gate"),
  status: (value, row) =>
    row.simulated
      ? show("simulated only", "nothing was signed or sent on this chain", "sim")
      : value === "included" && row.succeeded === false
      ? show("included, reverted", "its block has it and it failed; not final yet", "bad")
      : show(String(value), "", STATUS_TONES[value] ?? "note"),
};

// What is missing or cannot be read is unknown, never zero.
export function shown(value, { fmt, row = {}, facts = {}, asset = "" }) {
  if (value === null || value === undefined || value === "") return NOT_KNOWN;
  try {
    return FORMATS[fmt](value, row, facts, asset);
  } catch {
    return NOT_KNOWN;
  }
}
