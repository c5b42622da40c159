"""A thousand random markets: what would be executed, against every cycle by brute force.

The brute force goes through all 2- and 3-hop cycles and knows reserves, fees and gas only:
permutations of tokens, products of pools, sizes by exact ternary search. It shares no search,
sizing or costing code with the product (MONEY 2).
"""

from itertools import permutations, product

import pytest

from prices.kernel.costs import Policy
from prices.kernel.lenders import FIRST_POOL
from prices.kernel.scan import Market, Scanner
from tests.prices.kernel.builders import GAS, NATIVE, make_market

BPS = 10_000
STATES, BATCHES = 1_000, 10
MIN_PROFIT_BPS = 5
IMPLAUSIBLE_BPS = 2_000
TOKENS, POOLS = 6, 16
GAS_OF = {hops: GAS[FIRST_POOL.kind, hops] for hops in (2, 3)}


def sides_of(book, hop):
    pool, zero_for_one = hop
    reserves = (book.reserve0[pool], book.reserve1[pool])
    return reserves if zero_for_one else reserves[::-1]


def walk(book, hops, amount):
    """The amount after each hop, raw units, as the pairs compute it."""
    amounts = [amount]
    for hop in hops:
        reserve_in, reserve_out = sides_of(book, hop)
        kept = amounts[-1] * (BPS - book.pools[hop[0]].fee_bps)
        amounts.append(kept * reserve_out // (reserve_in * BPS + kept))
    return amounts


def all_cycles(book, lendable):
    """Every 2- and 3-hop cycle over different pools, from each of its lendable tokens."""
    between = {}
    for index, pool in enumerate(book.pools):
        between.setdefault((pool.token0, pool.token1), []).append((index, True))
        between.setdefault((pool.token1, pool.token0), []).append((index, False))
    for count in (2, 3):
        for ring in permutations(range(TOKENS), count):
            if ring[0] in lendable:
                legs = zip(ring, ring[1:] + ring[:1], strict=True)
                for hops in product(*(between.get(leg, ()) for leg in legs)):
                    if len({pool for pool, _ in hops}) == count:
                        yield ring[0], hops


def pays_its_fees(book, hops):
    gained, given = 1, 1
    for hop in hops:
        reserve_in, reserve_out = sides_of(book, hop)
        gained *= reserve_out * (BPS - book.pools[hop[0]].fee_bps)
        given *= reserve_in * BPS
    return gained > given


def best_gain(book, hops, *, most):
    """(gain, size) of the best integer size up to ``most``: it rises, then falls, by rounding's
    small steps, which the last window goes through one by one."""

    def gain(amount):
        return walk(book, hops, amount)[-1] - amount

    low, high = 1, most
    while high - low > 128:
        third = (high - low) // 3
        if gain(low + third) < gain(high - third):
            low += third
        else:
            high -= third
    return max((gain(amount), amount) for amount in range(max(1, low - 128), high + 128))


def per_wei(book, token):
    """(units, wei) of a token: its reserve in the pool with the most native coin, and that."""
    if token == NATIVE:
        return 1, 1
    pools = [
        (book.reserve0[i], book.reserve1[i]) if pool.token0 == NATIVE else (0, 0)
        for i, pool in enumerate(book.pools)
        if {pool.token0, pool.token1} == {NATIVE, token}
    ]
    native, units = max(pools)
    return units, native


def brute_force(book, lendable, *, gas_price_wei):
    """The largest net in wei of what may be executed, by the first pool's loan."""
    best = 0
    for token, hops in all_cycles(book, lendable):
        if not pays_its_fees(book, hops):
            continue
        gain, size = best_gain(book, hops, most=sides_of(book, hops[0])[0])
        units, wei = per_wei(book, token)
        net = gain - -(-GAS_OF[len(hops)] * gas_price_wei * units // wei)
        if net > 0 and MIN_PROFIT_BPS * size <= net * BPS <= IMPLAUSIBLE_BPS * size:
            best = max(best, net * wei // units)
    return best


def one_unit_of_each(book, hops):
    """One unit of every intermediate token in units of the borrow token, rounded up."""
    worth, num, den = 0, 1, 1
    for hop in hops[:-1]:
        reserve_in, reserve_out = sides_of(book, hop)
        num, den = num * reserve_in, den * reserve_out
        worth += -(-num // den)
    return worth


@pytest.mark.parametrize("batch", range(BATCHES))
def test_what_would_be_executed_is_the_best_of_all_cycles_at_the_best_size(batch):
    paying = 0
    for seed in range(batch * STATES // BATCHES, (batch + 1) * STATES // BATCHES):
        made = make_market(seed, tokens=TOKENS, pools=POOLS, noise=0.006)
        book, costs = made.book, made.costs()
        policy = Policy(min_profit_threshold_bps=MIN_PROFIT_BPS, implausible_bps=IMPLAUSIBLE_BPS)
        scanner = Scanner(book, lendable=made.lendable, max_hops=3)
        market = Market(lenders=made.lenders(), costs=costs, policy=policy)

        chosen = list(scanner.hot(market=market, touched=range(POOLS)))

        best = brute_force(book, set(made.lendable), gas_price_wei=costs.gas_price_wei)
        assert bool(chosen) == (best > 0), seed
        if not chosen:
            continue
        paying += 1
        first = chosen[0]
        hops = [(hop.pool, book.pools[hop.pool].token0 == hop.token_in) for hop in first.hops]
        assert walk(book, hops, first.borrow_amount)[-1] == first.amount_out
        assert first.net_wei * 1_000 >= best * 999, seed
        gain, _ = best_gain(book, hops, most=sides_of(book, hops[0])[0])
        short = gain - (first.amount_out - first.borrow_amount)
        assert short * BPS <= gain or short <= one_unit_of_each(book, hops), seed
    assert paying > 10  # both answers were met
