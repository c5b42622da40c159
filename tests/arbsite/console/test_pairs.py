"""One row a pair: cheapest and dearest quote, and what is left of it."""

from prices import pairs

ONE = 10**18


def make_row(dex, quote, **change):
    return {
        "pair": "CAKE/USDT", "dex": dex, "pool": f"0x{dex}", "price": "2.5", "quoteIn": str(ONE),
        "quoteOut": None if quote is None else str(quote), "baseDecimals": 18, "quoteDecimals": 6,
        "token0": "0xA", "token1": "0xB", "quoteToken": "0xB", "reserve0": "7", "reserve1": "11",
        "stale": False, **change,
    }  # fmt: skip


def make_opportunity(pk, net_bps):
    return {
        "id": pk, "pair": "CAKE/USDT", "netProfitBps": net_bps, "netProfit": "5", "reason": None,
        "borrowToken": "0xB", "borrowAmount": "900", "verdict": "executable",
    }  # fmt: skip


def test_the_quoted_prices_decide_who_is_cheapest():
    rows = [make_row("mdex", 1_907_900), make_row("babyswap", 1_985_800), make_row("ape", None)]

    [row] = pairs.pair_rows(rows, [])

    assert (row["buyDex"], row["buyPrice"]) == ("mdex", "1.9079")
    assert (row["sellDex"], row["sellPrice"]) == ("ape", "2.5")  # never asked: its marginal price
    assert row["grossBps"] == (25_000 - 19_079) * 10_000 // 19_079
    assert row["netBps"] is None


def test_a_stale_pool_is_named_and_takes_no_part():
    rows = [make_row("mdex", 1_907_900), make_row("babyswap", 1_985_800, stale=True)]

    [row] = pairs.pair_rows(rows, [])

    assert row["buyDex"] is None
    assert row["grossBps"] is None
    assert row["staleDexes"] == ["babyswap"]


def test_the_best_living_opportunity_of_the_pair_gives_the_net():
    rows = [make_row("mdex", 1_907_900), make_row("babyswap", 1_985_800)]

    [row] = pairs.pair_rows(rows, [make_opportunity(1, -4), make_opportunity(2, 9)])

    assert (row["opportunityId"], row["netBps"], row["borrowAmount"]) == (2, 9, "900")


def test_liquidity_counts_both_sides_in_the_second_token_whatever_the_pools_order():
    rows = [make_row("mdex", 1, reserve1="11"), make_row("ape", 2, token0="0xB", token1="0xA")]

    [row] = pairs.pair_rows(rows, [])

    assert row["liquidity"] == str(2 * 11 + 2 * 7)


def test_pairs_with_net_profit_come_first_then_by_gross():
    rows = [
        *(make_row(d, q, pair="A/B") for d, q in (("x", 100), ("y", 150))),
        *(make_row(d, q, pair="C/D") for d, q in (("x", 100), ("y", 200))),
        *(make_row(d, q) for d, q in (("x", 100), ("y", 101))),
    ]

    ordered = [row["pair"] for row in pairs.pair_rows(rows, [make_opportunity(1, -50)])]

    assert ordered == ["CAKE/USDT", "C/D", "A/B"]
