// Executions: what is acted on appears on top, and its status moves in place.

import { live } from "./app.js";
import { growing } from "./list.js";
import { facts } from "./rows.js";

const query = new URLSearchParams(location.search);

function wanted(row) {
  if (row.chain !== facts.chain || query.get("before")) return false;
  if (query.get("status") && row.status !== query.get("status")) return false;
  return !query.get("kind") || row.kind === query.get("kind");
}

live.on(
  "executions",
  growing({ address: (row) => `/executions/${row.id}/`, wanted, word: "executions" }),
  { poll: "/api/executions?limit=100" },
);
