"""Ten markets never seen in development: each trades by itself from an empty folder."""

import json
import secrets
from types import SimpleNamespace

import pytest

from contracts.localchain.deployed import Market
from contracts.rpc import HttpRpc
from tests.e2e.product import Client, Product, rpc, wait_for
from tests.proofs.sizes import assert_best_size, books

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SEEN_IN_DEVELOPMENT = {1, 777, 4242, 90210}


def landed(client):
    rows = client.get("/api/executions?kind=arbitrage&limit=200")["results"]
    # Included counts from its receipt on, a revert too: only a profit is a trade.
    return [r for r in rows if int(r["realizedProfit"] or 0) > 0]


def of_hops(client, hops):
    return [row for row in landed(client) if len(row["path"]) == hops]


def transfers(receipt, token, account):
    """Units of ``token`` to ``account`` less those from it, from raw logs alone."""
    ours = account.lower()[2:].rjust(64, "0")
    total = 0
    for log in receipt["logs"]:
        if log["topics"][0] == TRANSFER and log["address"].lower() == token.lower():
            value = int(log["data"], 16)
            total += value * log["topics"][2].endswith(ours)
            total -= value * log["topics"][1].endswith(ours)
    return total


def assert_sizes(product, node, rows):
    """Each size against brute force at the reserves it was decided on."""
    kept = json.loads((product.data_dir / "local/state/market.json").read_text())
    live = SimpleNamespace(market=Market.from_json(kept["market"]), rpc=HttpRpc([node]))
    book, snapshots = books(live, {row["opportunityBlockNumber"] for row in rows})
    for row in rows:
        book.reserves = snapshots[row["opportunityBlockNumber"]]
        assert_best_size(
            book,
            row["path"],
            size=int(row["borrowAmount"]),
            expected_profit=int(row["expectedProfit"]),
            borrows_from_aave=row["lender"]["kind"] == "aave_v3",
        )
    live.rpc.close()


@pytest.mark.parametrize("market", range(10))
def test_an_unseen_market_trades_by_itself_and_every_unit_is_accounted_for(tmp_path, market):
    forced = "aave_v3" if market >= 8 else ""  # seldom the cheapest: two markets borrow there
    seed = next(s for _ in range(9) if (s := secrets.randbelow(10**9)) not in SEEN_IN_DEVELOPMENT)
    more = {"ARB_LOCAL_SEED": str(seed)} | ({"ARB_FORCE_LENDER": forced} if forced else {})
    product = Product(tmp_path / "data", more=more)
    try:
        product.start()
        client = Client(product.url)
        client.sign_in("admin", product.password)
        wait_for(f"2 hops at seed {seed}", lambda: of_hops(client, 2), within_s=60)
        wait_for(f"3 hops at seed {seed}", lambda: of_hops(client, 3), within_s=300)
        booked = wait_for(
            "all booked",
            lambda: (
                all(r["netProfitWei"] is not None for r in landed(client)[1:])
                and landed(client)[1:]
            ),
            within_s=30,
        )
        node = product.market()["chain"]["rpcHttp"][0]
        for row in booked:
            receipt = rpc(node, "eth_getTransactionReceipt", row["txHash"])
            moved = transfers(receipt, row["borrowToken"], row["contract"])
            num, den = int(row["nativeRate"]["num"]), int(row["nativeRate"]["den"])
            cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
            assert moved == int(row["realizedProfit"]) > 0
            assert int(row["netProfitWei"]) == moved * den // num - cost - int(row["tipWei"])
            if forced:
                assert row["lender"]["kind"] == forced
        assert_sizes(product, node, booked)
        symbols = sorted({row["borrowSymbol"] for row in booked})
        kinds = sorted({row["lender"]["kind"] for row in booked})
        facts = {"seed": seed, "forced": forced, "executed": len(booked)}
        print(json.dumps({**facts, "borrowed": symbols, "lenders": kinds}))
        assert product.stop() == 0
    finally:
        product.kill()
