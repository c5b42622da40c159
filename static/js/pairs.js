// One row a pair from one row a pool; says the same as prices/pairs.py.

const SCALE = 10n ** 18n;
const BPS = 10000n;
const floorDiv = (a, b) => (a < 0n && a % b !== 0n ? a / b - 1n : a / b);
const NONE = -(10n ** 9n);

function scaled(text) {
  const [whole, part = ""] = text.split(".");
  return BigInt(whole) * SCALE + BigInt(part.slice(0, 18).padEnd(18, "0"));
}

// The pool's price as shown, quote per base, scaled by 1e18; null where it has none.
export function priceShown(pool) {
  let price = null;
  if (pool.quoteOut && pool.quoteIn && BigInt(pool.quoteIn) > 0n) {
    const out = BigInt(pool.quoteOut) * 10n ** BigInt(pool.baseDecimals) * SCALE;
    price = out / (BigInt(pool.quoteIn) * 10n ** BigInt(pool.quoteDecimals));
  } else if (pool.price) price = scaled(pool.price);
  return price || null;
}

function text(value) {
  if (value === null) return null;
  const part = (value % SCALE).toString().padStart(18, "0").replace(/0+$/, "");
  return (value / SCALE).toString() + (part ? `.${part}` : "");
}

export function pairRow(name, pools, best) {
  const offers = pools
    .filter((pool) => !pool.stale && priceShown(pool) !== null)
    .map((pool) => [priceShown(pool), pool])
    .sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
  const [buy, buyPool] = offers.length > 1 ? offers[0] : [null, {}];
  const [sell, sellPool] = offers.length > 1 ? offers[offers.length - 1] : [null, {}];
  let liquidity = 0n;
  for (const pool of pools) {
    const reserve = pool.quoteToken === pool.token1 ? pool.reserve1 : pool.reserve0;
    liquidity += 2n * BigInt(reserve || 0);
  }
  return {
    pair: name,
    venues: pools.length,
    buyDex: buyPool.dex ?? null,
    buyPrice: text(buy),
    sellDex: sellPool.dex ?? null,
    sellPrice: text(sell),
    grossBps: buy && sell ? Number(floorDiv((sell - buy) * BPS, buy)) : null,
    netBps: best ? best.netProfitBps : null,
    netProfit: best ? best.netProfit : null,
    borrowToken: best ? best.borrowToken : null,
    borrowAmount: best ? best.borrowAmount : null,
    opportunityId: best ? best.id : null,
    verdict: best ? best.verdict : null,
    reason: best ? best.reason : null,
    liquidity: liquidity.toString(),
    quoteToken: pools[0].quoteToken,
    staleDexes: pools.filter((pool) => pool.stale).map((pool) => pool.dex),
  };
}

const rank = (value) => (value === null || value === undefined ? NONE : BigInt(value));

export function bestOf(opportunities) {
  const best = new Map();
  for (const each of opportunities) {
    if (!each.pair || each.endedAt) continue;
    const known = best.get(each.pair);
    if (!known || rank(each.netProfitBps) > rank(known.netProfitBps)) best.set(each.pair, each);
  }
  return best;
}

export function pairRows(pools, opportunities) {
  const byPair = new Map();
  for (const pool of pools) {
    if (!byPair.has(pool.pair)) byPair.set(pool.pair, []);
    byPair.get(pool.pair).push(pool);
  }
  const best = bestOf(opportunities);
  return [...byPair].map(([name, rows]) => pairRow(name, rows, best.get(name))).sort(inOrder);
}

export function inOrder(a, b) {
  const net = rank(b.netBps) - rank(a.netBps);
  const gross = rank(b.grossBps) - rank(a.grossBps);
  if (net !== 0n) return net > 0n ? 1 : -1;
  if (gross !== 0n) return gross > 0n ? 1 : -1;
  return a.pair < b.pair ? -1 : a.pair > b.pair ? 1 : 0;
}
