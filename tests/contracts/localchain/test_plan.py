"""The market's plan and its noise, without a node."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from contracts.localchain import market
from contracts.localchain.artifacts import OWN, build
from contracts.localchain.market import plan_market
from contracts.localchain.stream import Stream

PACKAGE = Path(market.__file__).parent


def test_the_same_seed_plans_the_same_market_and_another_seed_another():
    assert plan_market(5) == plan_market(5)
    assert plan_market(5).pools != plan_market(6).pools


def test_there_are_49_pairs_of_at_least_12_tokens_on_five_exchanges():
    plan = plan_market(1)

    assert len({frozenset(pair) for pair in plan.pairs}) == len(plan.pairs) == 49
    assert len(plan.tokens) >= 12
    assert [dex.fee_bps for dex in plan.dexes] == [25, 10, 20, 30, 30]
    assert {pool.dex for pool in plan.pools} == {dex.key for dex in plan.dexes}


def test_not_every_pair_is_on_every_exchange_and_each_is_on_one():
    places = Counter((pool.token_a, pool.token_b) for pool in plan_market(1).pools)

    assert set(places) == set(plan_market(1).pairs)
    assert min(places.values()) == 1
    assert max(places.values()) == 5


def test_the_lent_tokens_hold_one_of_6_decimals_and_it_has_low_fee_pools():
    plan = plan_market(1)
    lent = {token.symbol: token.decimals for token in plan.tokens if token.lent}

    assert lent == {"WBNB": 18, "USDT": 18, "BUSD": 18, "USDC": 6, "ETH": 18, "BTCB": 18}
    assert sum(pool.dex == "biswap" and pool.token_b == "USDC" for pool in plan.pools) >= 5


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_no_spread_is_planted_at_birth(seed):
    plan = plan_market(seed)
    for pool in plan.pools:
        base, quote = plan.token(pool.token_a), plan.token(pool.token_b)
        worth_a = pool.amount_a * base.price_micro_usd * 10**quote.decimals
        worth_b = pool.amount_b * quote.price_micro_usd * 10**base.decimals
        assert abs(worth_b - worth_a) * 10_000 < 5 * worth_a


def test_draws_follow_from_their_labels_alone():
    assert [Stream(1, "a").u64() for _ in range(2)] == [Stream(1, "a").u64()] * 2
    assert Stream(1, "a").u64() != Stream(1, "b").u64() != Stream(2, "b").u64()


def test_a_poisson_draw_has_its_mean_and_its_variance():
    draws = [Stream("poisson", i).poisson(2.0) for i in range(4_000)]
    mean = sum(draws) / len(draws)
    variance = sum((draw - mean) ** 2 for draw in draws) / len(draws)

    assert abs(mean - 2) < 0.1
    assert abs(variance - 2) < 0.2


def test_sizes_are_log_uniform_within_their_bounds():
    draws = sorted(Stream("size", i).log_uniform(20_000, 6_000_000) for i in range(4_000))

    assert 20_000 <= draws[0] < 21_000
    assert 5_800_000 < draws[-1] <= 6_000_000
    assert 300_000 < draws[2_000] < 400_000  # the geometric mean is 346,410


def test_the_market_and_its_people_know_nothing_of_the_product():
    """Only the ground, the JSON-RPC door and the ABI coder are shared; no table, no deployment."""
    allowed = ("arbsite.base.", "contracts.localchain", "contracts.kernel.abi")
    allowed += ("contracts.kernel.jsonrpc", "contracts.rpc")
    ours = ("arbsite", "contracts", "wallets", "prices", "execution", "django")
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] in ours and name != "contracts.localchain":
                    assert name.startswith(allowed), (path.name, name)


def test_the_committed_artifacts_are_what_the_sources_compile_to():
    import json

    built = build()
    assert {path.stem for path in OWN.glob("*.json")} == set(built)
    for name, artifact in built.items():
        assert json.loads((OWN / f"{name}.json").read_text()) == artifact, (
            f"{name} is stale: run python -m contracts.localchain.artifacts"
        )
