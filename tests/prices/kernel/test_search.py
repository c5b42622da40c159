"""The compiled search finds all that integers would, and no more than it says.

Held against every cycle of the market, one by one, in exact integers.
"""

import random
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from arbsite.base.units import Gas, Wei
from prices.kernel import compiled
from prices.kernel.book import AFTER_FEE, MARGINAL, PoolState
from prices.kernel.costs import Policy
from prices.kernel.lenders import FIRST_POOL
from prices.kernel.opportunity import evaluate
from prices.kernel.search import Search
from prices.kernel.sizing import Hop, best_size, spread_bps
from prices.kernel.waterfall import Verdict
from tests.prices.kernel.builders import aave, block_ref, make_market
from tests.prices.kernel.every_cycle import find_cycles

seeds = st.integers(0, 10_000)
hop_counts = st.integers(2, 4)
TOKENS, POOLS = 6, 20


def made(seed, *, max_hops=3, most=100_000, noise=0.006):
    market = make_market(seed, tokens=TOKENS, pools=POOLS, noise=noise)
    search = Search(market.book, lendable=market.lendable, max_hops=max_hops, most=most)
    cycles = find_cycles(market.book.pools, lendable=market.lendable, max_hops=max_hops)
    return market, search, cycles


def hops_of(book, path):
    return [Hop(*book.edge_reserves(edge), book.pools[edge >> 1].fee_bps) for edge in path]


def product(book, row, path):
    return prod(book.rates[row, edge] for edge in path)


def move(book, rng, *, pools=2):
    """The next block: a few pools moved, one of them perhaps drained or filled deep."""
    states = []
    for pool in rng.sample(range(len(book.pools)), pools):
        share, growth = rng.randrange(9_900, 10_100), rng.choice((1, 1, 1, 3))
        r0, r1 = book.reserve0[pool], book.reserve1[pool]
        states.append(PoolState(pool, r0 * growth * share // 10_000, r1 * growth * 10_000 // share))
    return book.apply_block(block_ref(book.head.number + 1), states)


def executable(market, cycles, *, lenders, costs, policy, through=None):
    """Every cycle that may be executed, decided one by one."""
    found = {}
    for cycle, path in enumerate(cycles.paths):
        if through is None or any(edge >> 1 in through for edge in path):
            each = evaluate(
                market.book,
                cycles=cycles,
                cycle=cycle,
                lenders=lenders,
                costs=costs,
                policy=policy,
            )
            if each is not None and each.verdict is Verdict.EXECUTABLE:
                found[path] = each
    return found


@given(seed=seeds, min_spread=st.sampled_from((0, 5, 10, 50)), max_hops=hop_counts)
def test_no_cycle_over_the_minimum_spread_is_missed(seed, min_spread, max_hops):
    market, search, cycles = made(seed, max_hops=max_hops)
    found = search.over(min_spread)
    spreads = {path: spread_bps(hops_of(market.book, path)) for path in cycles.paths}
    exact = {path for path, spread in spreads.items() if spread >= min_spread}
    paths = {path for _, path in found.paths}
    assert len(paths) == len(found.paths)
    assert found.left_out == 0
    assert exact <= paths <= spreads.keys()
    assert all(spreads[path] >= min_spread - 1 for path in paths - exact)
    for rate, path in found.paths:
        assert rate == pytest.approx(product(market.book, AFTER_FEE, path), rel=1e-12)
    assert found.paths == sorted(found.paths, key=lambda each: -each[0])


@given(seed=seeds, max_hops=hop_counts)
def test_pairs_find_the_same_paying_cycles_as_every_cycle_multiplied(seed, max_hops):
    market, search, cycles = made(seed, max_hops=max_hops)
    lenders = dict.fromkeys(market.lendable, (FIRST_POOL,))
    free, policy = market.costs(gas_price_wei=Wei(0)), Policy(min_profit_threshold_bps=0)
    search.price(lenders=lenders, costs=free, policy=policy)
    found = {path for _, path in search.paying().paths}
    exact = {path: after_fees(hops_of(market.book, path)) for path in cycles.paths}
    assert {path for path, (num, den) in exact.items() if num > den} <= found
    assert all(num * 10**9 > den * (10**9 - 1) for num, den in map(exact.get, found))


def after_fees(hops):
    """(numerator, denominator) of what a first unit becomes."""
    num = prod(hop.reserve_out * (10_000 - hop.fee_bps) for hop in hops)
    return num, prod(hop.reserve_in * 10_000 for hop in hops)


@given(seed=seeds, most=st.integers(1, 30))
def test_where_not_all_fit_the_best_rates_after_fees_are_kept(seed, most):
    _, search, _ = made(seed, most=most)
    _, whole, _ = made(seed)
    some, everything = search.over(5), whole.over(5)
    assert bool(some.left_out) == (len(everything.paths) > most)
    best = [rate for rate, _ in everything.paths[:most]]
    assert [rate for rate, _ in some.paths] == pytest.approx(best, rel=1e-12)


@settings(max_examples=60)
@given(
    seed=seeds,
    max_hops=hop_counts,
    threshold=st.sampled_from((0, 5, 50)),
    gas_gwei=st.sampled_from((0, 1, 5, 50)),
    sources=st.sampled_from(((FIRST_POOL,), (aave(),), (FIRST_POOL, aave(bps=9)))),
    pools=st.integers(1, 2),
)
def test_nothing_that_may_be_executed_is_missed_however_costs_and_pools_move(
    seed, max_hops, threshold, gas_gwei, sources, pools
):
    rng = random.Random(seed)  # noqa: S311 - reproducible markets
    market, search, cycles = made(seed, max_hops=max_hops)
    lenders = dict.fromkeys(market.lendable, sources)
    policy = Policy(min_profit_threshold_bps=threshold, min_spread_bps=0)
    touched = None
    for _ in range(4):
        price = gas_gwei * 10**9 * rng.randrange(70, 140) // 100
        costs = market.costs(gas_price_wei=Wei(price))
        search.price(lenders=lenders, costs=costs, policy=policy)

        found = search.paying(touched)

        best = executable(
            market, cycles, lenders=lenders, costs=costs, policy=policy, through=touched
        )
        ranks = {path: rank for rank, path in found.paths}
        assert best.keys() <= ranks.keys() <= set(cycles.paths)
        for path, each in best.items():
            assert each.net_wei <= ranks[path]
        if touched is not None:
            assert all(any(e >> 1 in touched for e in path) for path in ranks)
        touched = move(market.book, rng, pools=pools)


@settings(max_examples=30)
@given(seed=seeds, gas_gwei=st.sampled_from((1, 5, 50)))
def test_a_market_that_grows_pool_by_pool_is_searched_as_what_it_has_become(seed, gas_gwei):
    """Break-even rates stand on depth: what was too small for its gas pays once it is deep."""
    market = make_market(seed, tokens=TOKENS, pools=POOLS, noise=0.02)
    book, lenders, policy = market.book, market.lenders(), Policy(min_profit_threshold_bps=0)
    costs = market.costs(gas_price_wei=Wei(gas_gwei * 10**9))
    cycles = find_cycles(book.pools, lendable=market.lendable, max_hops=3)
    grown = [PoolState(i, book.reserve0[i], book.reserve1[i]) for i in range(POOLS)]
    small = [
        PoolState(i, book.reserve0[i] // 1_000, book.reserve1[i] // 1_000) for i in range(POOLS)
    ]
    book.apply_block(block_ref(101), small)
    search = Search(book, lendable=market.lendable, most=100_000)
    search.price(lenders=lenders, costs=costs, policy=policy)
    for number, state in enumerate(grown, start=102):
        touched = book.apply_block(block_ref(number), [state])
        found = {path for _, path in search.paying(touched).paths}
        best = executable(
            market, cycles, lenders=lenders, costs=costs, policy=policy, through=touched
        )
        assert best.keys() <= found


@settings(max_examples=30)
@given(
    seed=seeds, max_hops=hop_counts, pools=st.integers(0, 3), gas_wei=st.sampled_from((1, 10**9))
)
def test_the_one_call_for_a_few_pools_says_what_its_steps_say(seed, max_hops, pools, gas_wei):
    rng = random.Random(seed)  # noqa: S311 - reproducible markets
    market, search, _ = made(seed, max_hops=max_hops)
    _, steps, _ = made(seed, max_hops=max_hops)
    for each in (search, steps):
        each.price(
            lenders=market.lenders(),
            costs=market.costs(gas_price_wei=Wei(gas_wei)),
            policy=Policy(),
        )
    for _ in range(4):
        touched = move(market.book, rng, pools=pools)
        steps.book.apply_block(
            market.book.head,
            [PoolState(i, market.book.reserve0[i], market.book.reserve1[i]) for i in touched],
        )
        table, levels, rings = steps.buffers
        rates, moved = steps.book.rates, np.array(sorted(touched), dtype=np.int64)
        for pool in moved:
            compiled.touch(rates, table, levels, pool)
        count = compiled.through(table, levels, moved, rings)
        ranks, paths = np.zeros(1_000), np.zeros((1_000, 4), dtype=np.int32)
        kept = compiled.expand(rates, table, levels, rings[:count], True, -1, ranks, paths)
        wanted = {
            (rank, tuple(edge for edge in path if edge >= 0))
            for rank, path in zip(ranks[:kept].tolist(), paths[:kept].tolist(), strict=True)
        }

        found = list(search.likeliest(touched))

        assert np.array_equal(search.break_even, steps.break_even)  # also of what grew deep
        assert len(found) == len(set(found))
        assert set(found) == wanted
        assert [rank for rank, _ in found] == sorted((rank for rank, _ in found), reverse=True)
        assert sorted(search.paying(touched).paths) == sorted(found)


@settings(max_examples=15)
@given(seed=seeds, move=st.integers(-600, 600), max_hops=st.integers(3, 4))
def test_of_many_rings_through_a_pool_the_first_paths_are_the_best_of_all(seed, move, max_hops):
    """What the likeliest rings net rules the others out, and never one that nets more."""
    tokens = 160 if max_hops == 3 else 40
    market = make_market(seed, tokens=tokens, pools=8 * tokens, noise=0.01)
    book, rng = market.book, random.Random(seed)  # noqa: S311 - a reproducible choice
    search = Search(book, lendable=market.lendable, max_hops=max_hops, most=100_000)
    terms = {"lenders": market.lenders(), "costs": market.costs(), "policy": Policy()}
    search.price(**terms)
    pool = rng.choice([i for i, spec in enumerate(book.pools) if spec.token0 + spec.token1 <= 3])
    r0, r1 = book.reserve0[pool], book.reserve1[pool]
    book.apply_block(block_ref(101), [PoolState(pool, r0, r1 * (10_000 + move) // 10_000)])
    table, levels, rings = search.buffers
    few = list(islice(search.likeliest([pool]), 2))

    one = np.array([pool], dtype=np.int64)
    some_ranks, some_paths = np.zeros(40), np.zeros((40, 4), dtype=np.int32)
    some = compiled.react(book.rates, table, levels, one, rings, some_ranks, some_paths)
    count = compiled.through(table, levels, one, rings)
    ranks, paths = np.zeros(100_000), np.zeros((100_000, 4), dtype=np.int32)
    kept = compiled.expand(book.rates, table, levels, rings[:count], True, -1, ranks, paths)

    event(f"{count // 64 * 64} rings or more")
    best = sorted(ranks[:kept].tolist(), reverse=True)
    assert [rank for rank, _ in few] == best[:2]
    assert sorted(some_ranks[:some].tolist(), reverse=True) == best[:40]
    assert all(any(edge >> 1 == pool for edge in path) for _, path in few)


def test_what_was_found_stays_when_the_next_search_begins():
    market, search, _ = made(3)
    search.price(lenders=market.lenders(), costs=market.costs(), policy=Policy())
    whole = search.paying().paths
    assert len(whole) > 1
    begun = search.likeliest(range(POOLS))
    first = next(begun)
    search.paying(frozenset())
    search.paying([0])
    assert [first, *begun] == whole


@settings(max_examples=30)
@given(seed=seeds, max_hops=hop_counts)
def test_following_pool_by_pool_gives_what_looking_at_all_pairs_gives(seed, max_hops):
    rng = random.Random(seed)  # noqa: S311 - reproducible markets
    market, search, _ = made(seed, max_hops=max_hops)
    for _ in range(5):
        move(market.book, rng)
        again = Search(market.book, lendable=market.lendable, max_hops=max_hops, most=100_000)
        assert again.over(5) == search.over(5)
        assert np.array_equal(again.pairs_best, search.pairs_best)
    market.book.rollback_to(block_ref(102).hash)
    again = Search(market.book, lendable=market.lendable, max_hops=max_hops, most=100_000)
    assert again.over(5) == search.over(5)


@given(seed=seeds)
def test_no_cycle_below_its_pairs_break_even_rate_pays_whatever_its_size(seed):
    market, search, cycles = made(seed, noise=0.02)
    lenders, policy = market.lenders(), Policy(min_profit_threshold_bps=5, min_spread_bps=0)
    costs = market.costs(gas_price_wei=Wei(2_000_000_000))
    search.price(lenders=lenders, costs=costs, policy=policy)
    below = set()
    for path in cycles.paths:
        bound = search.break_even[ring_of(search, path)]
        assert bound >= 1.0 - 1e-9
        if product(market.book, AFTER_FEE, path) < bound:
            below.add(path)
    best = executable(market, cycles, lenders=lenders, costs=costs, policy=policy)
    assert below.isdisjoint(best)
    assert below


def ring_of(search, path):
    """The ring of directed pairs that a path of pools belongs to."""
    graph = search.graph
    pair_of_pool = graph.region(compiled.PAIR_OF_POOL, len(search.book.pools))
    takes = graph.region(compiled.TOKEN_IN, 2 * graph.pairs)
    directed = []
    for edge in path:
        pair, token = int(pair_of_pool[edge >> 1]), search.book.edge_tokens(edge)[0]
        directed.append(2 * pair + (int(takes[2 * pair]) != token))
    if len(path) == 2:
        return directed[0] >> 1
    rows = graph.region(compiled.RINGS3, 3 * graph.threes).reshape(-1, 3).tolist()
    return graph.pairs + rows.index(directed)


def test_break_even_follows_gas_premium_and_the_least_profit():
    market, search, _ = made(5)
    given = {
        "lenders": dict.fromkeys(market.lendable, (FIRST_POOL,)),
        "costs": market.costs(gas_price_wei=Wei(10**9)),
        "policy": Policy(min_profit_threshold_bps=5),
    }

    def bounds(**changes):
        search.price(**{**given, **changes})
        return search.break_even.copy()

    first = bounds()
    usable = np.isfinite(first)
    assert usable.any()
    assert np.all(bounds(costs=market.costs(gas_price_wei=Wei(4 * 10**9)))[usable] > first[usable])
    assert np.array_equal(bounds(), first)
    aave_only = dict.fromkeys(market.lendable, (aave(bps=9),))
    assert np.all(bounds(lenders=aave_only)[usable] > first[usable])
    dearer = Policy(min_profit_threshold_bps=50)
    assert np.all(bounds(policy=dearer)[usable] > first[usable])
    unknown = replace(market.costs(), gas={})
    assert not np.isfinite(bounds(costs=unknown)).any()
    assert search.paying().paths == []


def test_a_path_of_a_length_whose_gas_nobody_measured_is_never_paying():
    market, search, _ = made(5, max_hops=4, noise=0.05)
    costs = market.costs()
    lenders = dict.fromkeys(market.lendable, (FIRST_POOL,))
    policy = Policy(min_profit_threshold_bps=0)
    search.price(lenders=lenders, costs=costs, policy=policy)
    assert {len(path) for _, path in search.paying().paths} == {2, 3, 4}
    measured = {key: gas for key, gas in costs.gas.items() if key[1] < 4}
    search.price(lenders=lenders, costs=replace(costs, gas=measured), policy=policy)
    assert {len(path) for _, path in search.paying().paths} == {2, 3}
    assert Gas(0) not in measured.values()


def test_empty_pools_and_empty_markets_search_to_nothing():
    market = make_market(1, tokens=3, pools=2)
    assert Search(market.book, lendable=[], most=10).over(0).paths == []
    none = type(market.book)(tokens=[], pools=[])
    search = Search(none, lendable=[], most=10)
    assert (search.over(0).paths, search.paying().paths) == ([], [])
    unread = type(market.book)(tokens=market.book.tokens, pools=market.book.pools)
    assert Search(unread, lendable=[0], most=10).over(0).paths == []
    assert unread.rates[MARGINAL].tolist() == [0.0] * 4


def signatures():
    """How many each function of the compiled search has machine code for."""
    found = vars(compiled).items()
    return {name: len(each.signatures) for name, each in found if hasattr(each, "signatures")}


def print_what_a_first_event_compiles():
    market, search, _ = made(7)
    ready = signatures()
    search.price(
        lenders=dict.fromkeys(market.lendable, (FIRST_POOL, aave())),
        costs=market.costs(gas_price_wei=Wei(10**9)),
        policy=Policy(min_profit_threshold_bps=0, min_spread_bps=0),
    )
    moved = move(market.book, random.Random(7))  # noqa: S311 - a reproducible market
    found = [*search.likeliest(moved), *search.paying(moved).paths]
    found += [*search.paying().paths, *search.over(0).paths]
    coarse = best_size([Hop(1_000, 1_500, 25)] * 3, lender=FIRST_POOL)
    many = move(market.book, random.Random(8), pools=POOLS)  # noqa: S311
    found += search.paying(many).paths
    now = signatures()
    grown = sorted(name for name in now if now[name] != ready[name])
    print(len(ready), bool(found and coarse), grown)


def test_everything_is_compiled_before_the_first_event():
    """In a process of its own: what another test had compiled would hide what is missing."""
    script = f"import {__name__} as here; here.print_what_a_first_event_compiles()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    functions, worked, grown = done.stdout.strip().split(" ", 2)
    assert (int(functions) > 20, worked, grown) == (True, "True", "[]")
