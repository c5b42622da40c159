// Opportunities: what is born appears on top, what changes or ends is patched.

import { live } from "./app.js";
import { growing } from "./list.js";
import { facts } from "./rows.js";

const query = new URLSearchParams(location.search);
const net = query.get("net") ? Number(query.get("net")) : null;

function wanted(row) {
  if (row.chain !== facts.chain || query.get("before")) return false;
  if (query.get("verdict") && row.verdict !== query.get("verdict")) return false;
  if (query.get("reason") && row.reason !== query.get("reason")) return false;
  if (query.get("dex") && !row.path.some((hop) => hop.dex === query.get("dex"))) return false;
  const pair = query.get("pair");
  if (pair && !row.path.some((hop) => facts.pools[hop.pool]?.pair === pair)) return false;
  return net === null || Number.isNaN(net) || (row.netProfitBps !== null && row.netProfitBps >= net);
}

live.on(
  "opportunities",
  growing({ address: (row) => `/opportunities/${row.id}/`, wanted, word: "opportunities" }),
  { poll: `/api/opportunities?limit=100&chain=${encodeURIComponent(facts.chain)}` },
);
