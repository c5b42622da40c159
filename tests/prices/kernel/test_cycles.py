"""Rings and cycles against a naive enumeration."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.kernel import compiled
from prices.kernel.book import PoolSpec
from prices.kernel.costs import Policy
from prices.kernel.cycles import Cycles, TooManyCycles, cycle_identity, from_smallest_token
from prices.kernel.graph import build
from prices.kernel.search import Search
from tests.prices.kernel.builders import address, make_market
from tests.prices.kernel.every_cycle import find_cycles

TOKENS = 5
pair_lists = st.lists(
    st.tuples(st.integers(0, TOKENS - 1), st.integers(0, TOKENS - 1)).filter(
        lambda p: p[0] != p[1]
    ),
    max_size=7,
)


def make_pools(pairs):
    return [
        PoolSpec(address=address(500 - i), token0=a, token1=b, fee_bps=30)
        for i, (a, b) in enumerate(pairs)
    ]


def naive_rings(pools, *, lendable, max_hops):
    """Every ring as a frozenset-free canonical tuple of edges: rotation of the least edge first."""
    rings = set()
    for hops in range(2, max_hops + 1):
        for picked in permutations(range(len(pools)), hops):
            for flips in range(2**hops):
                path = [2 * pool + (flips >> at & 1) for at, pool in enumerate(picked)]
                ends = [tokens(pools, edge) for edge in path]
                closed = all(ends[i][1] == ends[(i + 1) % hops][0] for i in range(hops))
                visited = [end[0] for end in ends]
                if closed and len(set(visited)) == hops and set(visited) & set(lendable):
                    first = path.index(min(path))
                    rings.add(tuple(path[first:] + path[:first]))
    return rings


def tokens(pools, edge):
    pool = pools[edge >> 1]
    return (pool.token1, pool.token0) if edge & 1 else (pool.token0, pool.token1)


def canonical(path):
    first = path.index(min(path))
    return path[first:] + path[:first]


@given(
    pairs=pair_lists,
    lendable=st.sets(st.integers(0, TOKENS - 1), max_size=3),
    max_hops=st.integers(2, 4),
)
def test_the_enumeration_that_the_search_is_held_against_misses_nothing(pairs, lendable, max_hops):
    pools = make_pools(pairs)
    index = find_cycles(pools, lendable=lendable, max_hops=max_hops)
    found = [canonical(index.path(cycle)) for cycle in range(len(index))]
    assert len(found) == len(set(found))
    assert set(found) == naive_rings(pools, lendable=lendable, max_hops=max_hops)


@given(
    pairs=pair_lists,
    lendable=st.sets(st.integers(0, TOKENS - 1), max_size=3),
    max_hops=st.integers(2, 4),
)
def test_every_ring_through_a_lendable_token_is_found_once(pairs, lendable, max_hops):
    pools = make_pools(pairs)
    graph = build(pools, tokens=TOKENS, lendable=lendable, max_hops=max_hops)
    found = [path_tokens(graph, ring) for ring in range(graph.rings) if counts(graph, ring)]
    expected = set()
    for path in find_cycles(pools, lendable=lendable, max_hops=max_hops).paths:
        expected.add(tuple(tokens(pools, edge)[0] for edge in path))
    assert len(found) == len(set(found))
    assert set(found) == expected


@given(pairs=pair_lists, lendable=st.sets(st.integers(0, TOKENS - 1), max_size=3))
def test_starts_are_the_lendable_tokens_and_every_pool_knows_its_cycles(pairs, lendable):
    pools = make_pools(pairs)
    graph = build(pools, tokens=TOKENS, lendable=lendable, max_hops=4)
    rings = range(graph.pairs, graph.rings)
    assert all(lendable & set(path_tokens(graph, ring)) for ring in rings)
    offsets = graph.region(compiled.THROUGH_OFFSETS, graph.pairs + 1).tolist()
    members = graph.region(compiled.THROUGH, offsets[-1] if offsets else 0).tolist()
    for pool, pair in enumerate(graph.region(compiled.PAIR_OF_POOL, len(pools)).tolist()):
        ends = {pools[pool].token0, pools[pool].token1}
        crossing = [ring for ring in rings if ends in steps(path_tokens(graph, ring))]
        assert sorted(members[offsets[pair] : offsets[pair + 1]]) == crossing


def steps(ring):
    """The couples of tokens that a ring of them goes through."""
    return [{ring[at - 1], ring[at]} for at in range(len(ring))]


def test_touched_pools_give_each_cycle_once():
    market = make_market(5, tokens=5, pools=14, noise=0.05)
    search = Search(market.book, lendable=market.lendable, max_hops=4, most=10)
    policy = Policy(min_profit_threshold_bps=0)
    search.price(lenders=market.lenders(), costs=market.costs(), policy=policy)
    some = [path for _, path in search.paying([0, 1, 2]).paths]
    assert len(set(some)) == len(some) > 3
    each = {path for pool in (0, 1, 2) for _, path in search.paying([pool]).paths}
    assert set(some) == each
    assert search.paying([]).paths == []


def counts(graph, ring):
    return ring >= graph.pairs or graph.region(compiled.USABLE, graph.pairs)[ring]


def path_tokens(graph, ring):
    """The tokens of a ring in order, as its directed pairs take them."""
    if ring < graph.pairs:
        hops = [2 * ring, 2 * ring + 1]
    elif ring < graph.pairs + graph.threes:
        at = 3 * (ring - graph.pairs)
        hops = graph.region(compiled.RINGS3, 3 * graph.threes)[at : at + 3]
    else:
        at = 4 * (ring - graph.pairs - graph.threes)
        hops = graph.region(compiled.RINGS4, 4 * graph.fours)[at : at + 4]
    takes = graph.region(compiled.TOKEN_IN, 2 * graph.pairs)
    ring_tokens = [int(takes[hop]) for hop in hops]
    gives = [int(takes[int(hop) ^ 1]) for hop in hops]
    assert gives == ring_tokens[1:] + ring_tokens[:1]
    return tuple(ring_tokens)


def test_a_cycle_keeps_its_number_until_it_is_left_out():
    pools = make_pools([(0, 1), (0, 1), (1, 2)])
    cycles = Cycles(pools)
    first, second = cycles.number((0, 3)), cycles.number((2, 1))
    assert (first, cycles.number((0, 3))) == (first, first) != (second, second)
    assert cycles.path(first, start=1) == (3, 0)
    assert cycles.identity(first) == cycle_identity(pools, (3, 0))

    cycles.keep({second})

    assert len(cycles) == 1
    assert cycles.path(second) == (2, 1)
    assert cycles.number((0, 3)) not in (first, second)


def test_a_path_is_numbered_from_its_smallest_token_wherever_it_begins():
    pools = make_pools([(0, 1), (1, 2), (2, 0)])
    assert from_smallest_token(pools, (2, 4, 0)) == (0, 2, 4)
    assert from_smallest_token(pools, (3, 1, 5)) == (5, 3, 1)


def test_the_identity_ignores_rotation_and_indexes_but_not_direction():
    pools = make_pools([(0, 1), (1, 2), (2, 0)])
    forward = (0, 2, 4)
    assert cycle_identity(pools, forward) == cycle_identity(pools, (4, 0, 2))
    assert cycle_identity(pools, forward) != cycle_identity(pools, (5, 3, 1))
    moved = [pools[2], pools[0], pools[1]]
    assert cycle_identity(pools, forward) == cycle_identity(moved, (2, 4, 0))
    assert len(cycle_identity(pools, forward)) == 32


def test_two_pools_of_one_pair_make_two_rings_and_one_pool_none():
    assert len(find_cycles(make_pools([(0, 1), (1, 0)]), lendable=[0])) == 2
    assert len(find_cycles(make_pools([(0, 1)]), lendable=[0])) == 0


def test_too_many_rings_are_refused_with_the_mend():
    everyone = make_pools([(a, b) for a in range(8) for b in range(a)])
    with pytest.raises(TooManyCycles, match="register fewer pools"):
        build(everyone, tokens=8, lendable=range(8), limit=10)
    with pytest.raises(TooManyCycles, match="search fewer hops"):
        build(everyone, tokens=8, lendable=range(8), max_hops=4, limit=200)


@pytest.mark.parametrize("hops", [1, 5])
def test_hops_out_of_range_are_a_bug(hops):
    with pytest.raises(ValueError, match="max_hops"):
        build([], tokens=0, lendable=[], max_hops=hops)
