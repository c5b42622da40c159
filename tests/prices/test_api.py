"""The prices and opportunities endpoints, in the words of the outside contract."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone
from rest_framework.test import APIClient

from contracts.models import Chain, Pair, Pool, Token
from prices import rollups, services
from prices.models import Monitor, Opportunity, PoolState, PriceCandle
from tests.arbsite.console.builders import (
    ONE,
    make_address,
    make_market,
    make_opportunity,
    make_pool,
    make_user,
)

pytestmark = pytest.mark.django_db
LIVE = {
    "chain", "pair", "dex", "pool", "price", "quoteIn", "quoteOut", "token0", "token1", "reserve0",
    "reserve1", "feeBps", "blockNumber", "ageMs", "stale",
}  # fmt: skip
STATUS = {
    "running", "mode", "chain", "pollIntervalMs", "minSpreadBps", "pairs", "dexes", "pools",
    "updates", "opportunitiesDetected", "best", "startedAt", "durationMs", "lastUpdateAt",
}  # fmt: skip
OPPORTUNITY = {
    "id", "chain", "blockNumber", "blockHash", "path", "borrowToken", "borrowAmount", "lender",
    "spreadBps", "waterfall", "netProfit", "netProfitBps", "verdict", "reason", "spreadClass",
    "pair", "buyDex", "buyPrice", "sellDex", "sellPrice", "netProfitUsd", "usdSource",
    "detectedAt",
}  # fmt: skip
STEPS = [
    "gross_spread", "swap_fees", "price_impact", "flash_loan_premium", "gas", "relay_tip",
    "l1_data_fee", "net",
]  # fmt: skip
HOSTILE = ("%00", "%E2%80%AE")  # NUL, and the mark that turns text around


@pytest.fixture(autouse=True)
def fresh_cache():
    cache.clear()


@pytest.fixture
def chain():
    return make_market()


@pytest.fixture
def api():
    client = APIClient()
    client.force_login(make_user("oda", role="operator"))
    return client


def test_status_has_the_contract_s_fields(api, chain):
    make_opportunity(1, net_bps=12)
    make_opportunity(2, net_bps=40)
    body = api.get("/api/prices/status").json()

    assert set(body) >= STATUS
    assert (body["running"], body["mode"], body["chain"]) == (True, "stream", "local")
    assert (body["pairs"], body["dexes"], body["pools"]) == (5, 3, 15)
    assert body["best"]["id"] == 2
    assert body["durationMs"] >= 0


def test_status_of_a_feeder_that_fell_silent_is_not_running(api, chain):
    Monitor.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    body = api.get("/api/prices/status").json()

    assert (body["running"], body["mode"]) == (False, "stopped")
    assert "no feeder has reported" in body["problem"]


def test_looking_at_a_chain_without_an_engine_starts_nothing(api, chain):
    Chain.objects.create(
        key="bsc", name="BSC", eip155_id=56, native_symbol="BNB", block_time_ms=450,
        confirmations=5, fee_model="legacy", min_gas_price_wei=1, wrapped_native=make_address(9),
    )  # fmt: skip
    body = api.get("/api/prices/status?chain=bsc").json()
    stopped = api.post("/api/prices/stop", {"chain": "bsc"}, format="json")

    assert (body["running"], body["mode"]) == (False, "stopped")
    assert stopped.status_code == 200
    assert Monitor.objects.count() == 1
    assert api.get("/api/prices/status").status_code == 200


def test_where_several_chains_have_engines_the_choices_are_named(api, chain):
    other = Chain.objects.create(
        key="other", name="Other", eip155_id=56, native_symbol="BNB", block_time_ms=450,
        confirmations=5, fee_model="legacy", min_gas_price_wei=1, wrapped_native=make_address(9),
    )  # fmt: skip
    Monitor.objects.create(chain=other)
    for path in ("status", "live", "spreads", "pair/CAKE-USDT"):
        answer = api.get(f"/api/prices/{path}")
        assert answer.status_code == 400
        assert "local, other" in answer.json()["errors"]["chain"][0]


def test_live_rows_have_the_contract_s_fields_and_strings(api, chain):
    rows = api.get("/api/prices/live").json()["results"]

    assert len(rows) == 15
    for row in rows:
        assert set(row) >= LIVE
        assert all(isinstance(row[k], str) for k in ("quoteIn", "quoteOut", "reserve0", "reserve1"))
        assert isinstance(row["feeBps"], int)
        assert row["stale"] is False
        assert 0 <= row["ageMs"] < 5_000
        assert row["blockNumber"] == 24_817_203


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("pair=CAKE/USDT", 3), ("pair=CAKE-USDT", 3), ("pair=CAKE%2FUSDT", 3), ("dex=mdex", 5),
        ("pair=CAKE-USDT&dex=mdex", 1), ("chain=local", 15), ("pair=NONE", 0), ("dex=nobody", 0),
    ],
)  # fmt: skip
def test_live_rows_are_filtered(query, count, api, chain):
    assert len(api.get(f"/api/prices/live?{query}").json()["results"]) == count


def test_what_no_head_vouches_for_is_stale(api, chain):
    Monitor.objects.update(head_at=timezone.now() - timedelta(seconds=30))
    rows = api.get("/api/prices/live").json()["results"]
    assert all(row["stale"] and row["ageMs"] >= 30_000 for row in rows)


def test_a_pool_that_was_never_read_is_stale_and_without_price(api, chain):
    PoolState.objects.filter(pool__dex__key="mdex").delete()
    rows = api.get("/api/prices/live?dex=mdex").json()["results"]
    assert len(rows) == 5
    assert all(row["stale"] and row["price"] is None and row["quoteOut"] is None for row in rows)


@pytest.mark.parametrize("name", ["CAKE-USDT", "CAKE%2FUSDT", "CAKE/USDT"])
def test_a_pair_by_either_of_its_names_shows_the_quoted_spread(name, api, chain):
    rollups.candles_write()
    body = api.get(f"/api/prices/pair/{name}").json()

    assert (body["pair"], body["chain"]) == ("CAKE/USDT", "local")
    quotes = {row["dex"]: int(row["quoteOut"]) for row in body["dexes"]}
    low, high = min(quotes.values()), max(quotes.values())
    assert body["spreadBps"] == (high - low) * 10_000 // low
    assert quotes[body["buyDex"]] == low
    assert quotes[body["sellDex"]] == high
    assert set(body["history"]) == set(quotes)


def test_a_stale_pool_takes_no_part_in_a_pair_s_spread(api, chain):
    Pool.objects.filter(dex__key="babyswap").update(quarantined="changed storage")
    body = api.get("/api/prices/pair/CAKE-USDT").json()
    assert body["sellDex"] == "mdex"


@pytest.mark.parametrize("name", ["NO-PAIR", "%F0%9F%92%A9", "a" * 300, "..%2F..", "-"])
def test_an_unknown_pair_is_not_found(name, api, chain):
    assert api.get(f"/api/prices/pair/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("prices/status?chain=moon", "chain"), ("prices/status?chain=", "chain"),
        ("prices/live?chain=" + "x" * 40, "chain"),
        ("prices/spreads?minSpreadBps=-1", "minSpreadBps"),
        ("prices/spreads?minSpreadBps=ten", "minSpreadBps"),
        ("prices/spreads?executable=maybe", "executable"), ("prices/spreads?limit=0", "limit"),
        ("prices/spreads?limit=201", "limit"), ("opportunities?verdict=good", "verdict"),
        ("opportunities?reason=luck", "reason"), ("opportunities?chain=moon", "chain"),
    ],
)  # fmt: skip
def test_an_odd_query_is_refused_by_field(path, field, api, chain):
    answer = api.get(f"/api/{path}")
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.parametrize("mark", HOSTILE)
@pytest.mark.parametrize(
    "path",
    ["prices/status?chain=", "prices/live?pair=", "prices/live?dex=", "prices/pair/",
     "prices/spreads?chain=", "opportunities?reason="],
)  # fmt: skip
def test_a_hostile_character_is_refused(path, mark, api, chain):
    answer = api.get(f"/api/{path}{mark}")
    assert answer.status_code in (400, 404)
    assert answer["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pollIntervalMs": 99}, "pollIntervalMs"), ({"pollIntervalMs": "2000"}, "pollIntervalMs"),
        ({"pollIntervalMs": True}, "pollIntervalMs"), ({"pollIntervalMs": 1e3}, "pollIntervalMs"),
        ({"pollIntervalMs": 10**30}, "pollIntervalMs"), ({"minSpreadBps": -1}, "minSpreadBps"),
        ({"minSpreadBps": 10_001}, "minSpreadBps"), ({"mode": "push"}, "mode"),
        ({"chain": "moon"}, "chain"), ({"chain": 7.5}, "chain"), ({"interval": 5}, "interval"),
    ],
)  # fmt: skip
def test_an_odd_start_is_refused_by_field_and_changes_nothing(body, field, api, chain):
    before = Monitor.objects.values().get()
    answer = api.post("/api/prices/start", body, format="json")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert Monitor.objects.values().get() == before


def test_start_and_stop_write_the_operator_s_wish(api, chain):
    revision = Monitor.objects.get().revision
    wish = {"mode": "poll", "pollIntervalMs": 100, "minSpreadBps": 7}
    started = api.post("/api/prices/start", wish, format="json")
    monitor = Monitor.objects.get()

    assert started.status_code == 200
    assert (monitor.mode, monitor.poll_interval_ms, monitor.min_spread_bps) == ("poll", 100, 7)
    assert monitor.changed_by == "oda"
    assert monitor.revision > revision
    assert started.json()["pollIntervalMs"] == 100

    stopped = api.post("/api/prices/stop", {}, format="json").json()
    assert (stopped["running"], stopped["mode"]) == (False, "stopped")
    assert not Monitor.objects.get().wanted

    api.post("/api/prices/start", {}, format="json")
    monitor = Monitor.objects.get()
    assert (monitor.mode, monitor.poll_interval_ms, monitor.min_spread_bps) == ("stream", 2000, 5)


def test_a_viewer_reads_and_starts_nothing(chain):
    client = APIClient()
    client.force_login(make_user("vic", role="viewer"))
    assert client.get("/api/prices/live").status_code == 200
    for path in ("start", "stop"):
        assert client.post(f"/api/prices/{path}", {}, format="json").status_code == 403
    assert APIClient().get("/api/prices/live").status_code in (401, 403)


def test_spreads_are_the_living_opportunities_best_net_first(api, chain):
    make_opportunity(1, net_bps=12)
    make_opportunity(2, net_bps=40)
    make_opportunity(3, net_bps=-30, verdict="rejected", reason="fees")
    make_opportunity(4, net_bps=90, ended=True)

    def ids(query=""):
        return [row["id"] for row in api.get(f"/api/prices/spreads{query}").json()["results"]]

    assert ids() == [2, 1, 3]
    assert ids("?executable=true") == [2, 1]
    assert ids("?executable=false") == [3]
    assert ids("?minSpreadBps=81") == []
    assert ids("?limit=1") == [2]


def test_an_opportunity_has_the_contract_s_fields_and_adds_up(api, chain):
    make_opportunity(7)
    body = api.get("/api/opportunities/7").json()

    assert set(body) >= OPPORTUNITY
    assert [row["step"] for row in body["waterfall"]] == STEPS
    amounts = [int(row["amount"]) for row in body["waterfall"]]
    assert sum(amounts[:-1]) == amounts[-1] == int(body["netProfit"])
    assert body["path"][0]["tokenIn"] == body["borrowToken"]
    assert {body["buyDex"], body["sellDex"]} == {"pancakeswap", "babyswap"}
    assert isinstance(body["borrowAmount"], str)


@pytest.mark.parametrize("pk", ["99", str(2**63), str(10**40)])
def test_an_opportunity_that_is_not_there_is_not_found(pk, api, chain):
    assert api.get(f"/api/opportunities/{pk}").status_code == 404


def test_opportunities_are_filtered_and_paged_newest_first(api, chain):
    for pk in range(1, 6):
        make_opportunity(pk, verdict="rejected" if pk % 2 else "executable", reason="")
    first = api.get("/api/opportunities?limit=2").json()
    second = api.get(first["next"]).json()

    assert [row["id"] for row in first["results"] + second["results"]] == [5, 4, 3, 2]
    rejected = api.get("/api/opportunities?verdict=rejected").json()["results"]
    assert [row["id"] for row in rejected] == [5, 3, 1]


@pytest.fixture
def many_pools(chain):
    """150 pools and 40 living opportunities."""
    pair = Pair.objects.get(name="XVS/WBNB")
    dex = Pool.objects.first().dex
    tokens = Token.objects.bulk_create(
        Token(chain=chain, address=make_address(0x9000 + n), symbol=f"T{n}", decimals=18)
        for n in range(135)
    )
    for n, token in enumerate(tokens):
        row = Pair.objects.create(chain=chain, base=token, quote=pair.quote, name=f"T{n}/WBNB")
        make_pool(row, dex, 1_000_000, number=1_000 + n, shift_bps=0)
    for pk in range(1, 41):
        make_opportunity(pk)
    assert Pool.objects.count() == 150


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("prices/live", 8), ("prices/status", 12), ("prices/spreads", 7),
        ("prices/pair/CAKE-USDT", 9), ("opportunities", 6),
    ],
)  # fmt: skip
def test_150_pools_cost_a_fixed_number_of_queries(
    path, most, api, many_pools, django_assert_max_num_queries
):
    api.get(f"/api/{path}")
    with django_assert_max_num_queries(most):
        api.get(f"/api/{path}")


def test_candles_of_all_pools_are_one_statement(many_pools, django_assert_num_queries):
    now = timezone.now().replace(second=5)
    with django_assert_num_queries(2):
        assert rollups.candles_write(now=now) == 150
    state = PoolState.objects.get(pool__pair__name="CAKE/USDT", pool__dex__key="mdex")
    opened = state.reserve1 * ONE // state.reserve0
    PoolState.objects.filter(pk=state.pk).update(reserve1=state.reserve1 * 2)
    rollups.candles_write(now=now)
    PoolState.objects.filter(pk=state.pk).update(reserve1=state.reserve1 // 2)
    rollups.candles_write(now=now)

    candle = PriceCandle.objects.get(pool_id=state.pk)
    assert (candle.open_e18, candle.samples) == (opened, 3)
    assert candle.high_e18 == state.reserve1 * 2 * ONE // state.reserve0
    assert candle.low_e18 == candle.close_e18 == state.reserve1 // 2 * ONE // state.reserve0


def test_a_candle_is_quote_per_base_whatever_the_order_and_decimals(chain):
    state = PoolState.objects.get(pool__pair__name="CAKE/USDT", pool__dex__key="mdex")
    pool = Pool.objects.get(pk=state.pk)
    Token.objects.filter(pk=pool.token1_id).update(decimals=6)
    Pool.objects.filter(pk=pool.pk).update(token0=pool.token1_id, token1=pool.token0_id)
    PoolState.objects.filter(pk=pool.pk).update(reserve0=19_079 * 10**6, reserve1=10_000 * ONE)
    rollups.candles_write()

    assert PriceCandle.objects.get(pool=pool).close_e18 == 1_907_900_000_000_000_000


def test_an_empty_pool_has_no_candle_and_an_absurd_one_stops_no_other(chain):
    first, second = PoolState.objects.order_by("pk")[:2]
    PoolState.objects.filter(pk=first.pk).update(reserve0=0)
    PoolState.objects.filter(pk=second.pk).update(reserve0=1, reserve1=2**112 - 1)
    Token.objects.filter(pk=second.pool.token0_id).update(decimals=36)
    Token.objects.filter(pk=second.pool.token1_id).update(decimals=0)

    assert rollups.candles_write() == 13


def test_partitions_are_made_ahead_and_dropped_when_old(chain):
    today = timezone.now().date()
    rollups.partitions_keep(today=today)
    rollups.partitions_keep(today=today)
    old = make_opportunity(1, at=timezone.now() - timedelta(days=20))
    new = make_opportunity(2, at=timezone.now() + timedelta(days=1))
    rollups.partitions_keep(today=today)

    assert not Opportunity.objects.filter(pk=old.pk).exists()
    assert Opportunity.objects.filter(pk=new.pk).exists()
    rollups.partitions_keep(today=today + timedelta(days=30))
    assert not Opportunity.objects.filter(pk=new.pk).exists()


def test_gas_from_a_receipt_replaces_what_was_estimated(chain):
    for gas, source in ((500, "estimate"), (300, "receipt"), (200, "receipt"), (900, "estimate")):
        services.gas_measured(
            chain=chain, lender_kind="first_pool", hops=2, gas_used=gas, source=source
        )
    from prices.models import GasUse

    row = GasUse.objects.get()
    assert (row.samples, row.total_gas, row.largest_gas, row.source) == (2, 500, 300, "receipt")
