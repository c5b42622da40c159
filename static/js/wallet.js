// One wallet as a page of its own.

import { reload } from "./app.js";
import { attend, draw } from "./wallet_parts.js";

draw(document);
attend();
document.addEventListener("arb:done", reload);
