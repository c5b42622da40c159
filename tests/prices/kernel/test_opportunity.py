"""A cycle decided: the best way to run it, against every way tried one by one."""

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prices.kernel.book import PoolBook, PoolSpec, PoolState
from prices.kernel.costs import Costs, Policy, native_rates
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind, pair_lender
from prices.kernel.opportunity import SizedFor, evaluate
from prices.kernel.sizing import Hop, Size, best_size, walk
from prices.kernel.waterfall import Reason, Verdict, explain
from tests.prices.kernel.builders import GAS, aave, address, block_ref, make_market
from tests.prices.kernel.every_cycle import find_cycles

ONE = 10**18


def decide(market, *, cycle, cycles, lenders=None, policy=None, costs=None):
    return evaluate(
        market.book,
        cycles=cycles,
        cycle=cycle,
        lenders=market.lenders() if lenders is None else lenders,
        costs=costs or market.costs(),
        policy=policy or Policy(),
    )


def test_a_token_whose_minimum_the_contract_would_refuse_hides_none_that_it_takes():
    pools = [PoolSpec(address=address(i), token0=0, token1=1, fee_bps=25) for i in range(2)]
    book = PoolBook(tokens=[address(8), address(9)], pools=pools)
    book.load(block_ref(1), {0: (1_000 * ONE, 600_000 * ONE), 1: (1_000 * ONE, 630_000 * ONE)})
    cycles = find_cycles(book.pools, lendable=[0, 1])
    costs = Costs(
        gas_price_wei=10**9, l1_fee_wei=0, gas=GAS, native_rates=native_rates(book, native=0)
    )

    def best(policy):
        found = [
            evaluate(
                book, cycles=cycles, cycle=cycle, costs=costs, policy=policy,
                lenders={0: [FIRST_POOL], 1: [FIRST_POOL]},
            )
            for cycle in range(len(cycles))
        ]  # fmt: skip
        (one,) = [each for each in found if each and each.verdict is Verdict.EXECUTABLE]
        return one

    free = best(Policy())
    richest = free.borrow_token
    too_much = free.waterfall.expected_profit + 1
    other = best(Policy(contract_min_profit={richest: too_much, 1 - richest: 1}))
    assert other.borrow_token == 1 - richest
    assert 0 < other.net_wei <= free.net_wei


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_way_taken_is_the_best_of_all_ways(seed):
    market = make_market(seed, tokens=6, pools=16)
    book = market.book
    cycles = find_cycles(book.pools, lendable=market.lendable)
    lenders = {
        token: [aave(bps=9), FIRST_POOL, aave(bps=5, cap=10**16)] for token in market.lendable
    }
    costs = market.costs()
    for cycle in range(len(cycles)):
        got = decide(market, cycle=cycle, cycles=cycles, lenders=lenders, costs=costs)
        if got is None or got.sized_for is not SizedFor.EXECUTION:
            continue
        nets = []
        for start in range(len(cycles.path(cycle))):
            path = cycles.path(cycle, start=start)
            if book.edge_tokens(path[0])[0] not in lenders:
                continue
            hops = [Hop(*book.edge_reserves(e), book.pools[e >> 1].fee_bps) for e in path]
            token = book.edge_tokens(path[0])[0]
            rate = costs.native_rates[token]
            for lender in lenders[token]:
                size = best_size(hops, lender=lender)
                if size is not None:
                    fall = explain(hops, size=size, lender=lender, costs=costs, rate=rate)
                    nets.append(rate.wei_floor(fall.net))
        assert got.net_wei == max(nets)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_what_an_evaluation_says_holds_together(seed):
    market = make_market(seed, tokens=6, pools=16)
    book = market.book
    cycles = find_cycles(book.pools, lendable=market.lendable)
    for cycle in range(len(cycles)):
        got = decide(market, cycle=cycle, cycles=cycles)
        ring = cycles.path(cycle)
        rate = prod(book.edge_reserves(edge)[1] for edge in ring)
        parity = prod(book.edge_reserves(edge)[0] for edge in ring)
        if rate <= parity:
            assert got is None
            continue
        amounts = (got.borrow_amount, *(hop.amount_out for hop in got.hops))
        assert [hop.amount_in for hop in got.hops] == list(amounts[:-1])
        hops = [Hop(hop.reserve_in, hop.reserve_out, hop.fee_bps) for hop in got.hops]
        assert walk(hops, got.borrow_amount) == amounts
        assert got.hops[0].token_in == got.hops[-1].token_out == got.borrow_token
        assert got.waterfall.expected_profit == (
            got.amount_out - got.borrow_amount - got.lender.premium(got.borrow_amount)
        )
        size = Size(amounts, got.lender.premium(amounts[0]), got.waterfall.expected_profit)
        assert got.waterfall == explain(
            hops, size=size, lender=got.lender, costs=market.costs(), rate=got.native_rate
        )
        assert got.net_wei == got.native_rate.wei_floor(got.waterfall.net)
        assert (got.reason is None) == (got.verdict is Verdict.EXECUTABLE)
        assert got.spread_bps == 10_000 * rate // parity - 10_000
        assert got.block == book.head


WBNB, USDT, CAKE = range(3)


def two_pool_book(*, gain_bps, fee_bps=30):
    pools = [
        PoolSpec(address=address(1), token0=WBNB, token1=CAKE, fee_bps=fee_bps),
        PoolSpec(address=address(2), token0=WBNB, token1=CAKE, fee_bps=fee_bps),
        PoolSpec(address=address(3), token0=WBNB, token1=USDT, fee_bps=25),
    ]
    book = PoolBook(tokens=[address(91), address(92), address(93)], pools=pools)
    book.load(
        block_ref(100),
        {
            0: (1_000 * ONE, 300_000 * ONE),
            1: (1_000 * ONE * (10_000 + gain_bps) // 10_000, 300_000 * ONE),
            2: (20_000 * ONE, 12_000_000 * ONE),
        },
    )
    return book


def only(book, *, lenders, policy=None, native=WBNB, **changes):
    cycles = find_cycles(book.pools, lendable=list(lenders))
    costs = Costs(
        **{
            "gas_price_wei": 10**9,
            "l1_fee_wei": 0,
            "gas": GAS,
            "native_rates": native_rates(book, native=native),
            **changes,
        }
    )
    found = [
        evaluate(
            book,
            cycles=cycles,
            cycle=cycle,
            lenders=lenders,
            costs=costs,
            policy=policy or Policy(),
        )
        for cycle in range(len(cycles))
    ]
    (one,) = [each for each in found if each]
    return one


def test_a_spread_under_the_fees_is_sized_as_if_there_were_none():
    got = only(two_pool_book(gain_bps=40), lenders={WBNB: [FIRST_POOL]})
    assert (got.sized_for, got.reason) == (SizedFor.NO_PREMIUM_NO_FEES, Reason.FEES)
    assert got.waterfall.gross_spread > 0 > got.waterfall.expected_profit


def test_a_spread_under_the_premium_is_sized_without_it_and_charged_with_it():
    got = only(two_pool_book(gain_bps=64), lenders={WBNB: [aave(bps=9)]})
    assert (got.sized_for, got.reason) == (SizedFor.NO_PREMIUM, Reason.PREMIUM)
    fall = got.waterfall
    assert fall.gross_spread + fall.swap_fees + fall.price_impact > 0
    assert fall.flash_loan_premium == -aave(bps=9).premium(got.borrow_amount)


def test_gas_takes_what_a_small_spread_leaves():
    got = only(two_pool_book(gain_bps=64), lenders={WBNB: [FIRST_POOL]}, gas_price_wei=10**13)
    assert got.reason is Reason.GAS
    assert got.gas_estimate == GAS[LenderKind.FIRST_POOL, 2]


def test_a_lender_nobody_priced_is_taken_only_where_no_other_is():
    book = two_pool_book(gain_bps=300)
    both = {WBNB: [FIRST_POOL, aave()]}
    priced = only(book, lenders=both, gas={(LenderKind.AAVE_V3, 2): 322_500})
    assert priced.lender.kind is LenderKind.AAVE_V3
    unpriced = only(book, lenders=both, gas={})
    assert (unpriced.reason, unpriced.gas_estimate) == (Reason.GAS, None)


def test_a_pair_never_lends_to_a_path_that_crosses_it():
    book = two_pool_book(gain_bps=300)
    inside = pair_lender(address=address(1), fee_bps=10, reserve=10**30)
    outside = pair_lender(address=address(7), fee_bps=10, reserve=10**30)
    got = only(book, lenders={WBNB: [inside, outside]})
    assert got.lender is outside


def test_the_cheapest_that_can_lend_enough_is_taken():
    book = two_pool_book(gain_bps=300)
    dear = Lender(kind=LenderKind.AAVE_V3, address=address(8), premium_bps=9)
    small = aave(bps=5, cap=10**15)
    assert only(book, lenders={WBNB: [small, dear]}).lender is dear
    assert only(book, lenders={WBNB: [aave(bps=5), dear]}).lender == aave(bps=5)


def test_a_maximum_position_caps_the_size():
    got = only(
        two_pool_book(gain_bps=300),
        lenders={WBNB: [FIRST_POOL]},
        policy=Policy(max_position={WBNB: ONE}),
    )
    assert got.borrow_amount == ONE


def test_risk_and_staleness_come_before_all_else():
    book = two_pool_book(gain_bps=300)
    lenders = {WBNB: [FIRST_POOL]}
    for policy in (Policy(risky_tokens=frozenset({CAKE})), Policy(risky_pools=frozenset({1}))):
        assert only(book, lenders=lenders, policy=policy).reason is Reason.TOKEN_RISK
    book.quarantine(1, "differs from the chain")
    assert only(book, lenders=lenders).reason is Reason.STALE_POOL
    book.release(1)
    book.distrust("logs are silent")
    assert only(book, lenders=lenders).reason is Reason.STALE_POOL


def test_a_profit_too_good_to_be_true_is_refused():
    got = only(two_pool_book(gain_bps=20_000), lenders={WBNB: [FIRST_POOL]})
    assert got.net_profit_bps > 2_000
    assert got.reason is Reason.IMPLAUSIBLE


def test_a_token_without_a_route_to_the_native_coin_is_refused_as_gas():
    book = two_pool_book(gain_bps=300)
    got = only(book, lenders={CAKE: [FIRST_POOL]}, native_rates={})
    assert (got.reason, got.net_wei, got.native_rate) == (Reason.GAS, None, None)


def test_a_cycle_that_would_pay_is_refused_as_gas_while_the_l1_fee_is_not_known():
    book = two_pool_book(gain_bps=300)
    lenders = {WBNB: [FIRST_POOL]}
    assert only(book, lenders=lenders).verdict is Verdict.EXECUTABLE

    got = only(book, lenders=lenders, l1_fee_wei=None)

    assert (got.verdict, got.reason) == (Verdict.REJECTED, Reason.GAS)
    assert (got.l1_fee_wei, got.waterfall.rows()[6].amount) == (None, None)
    assert got.net_profit > 0  # what is known of it is shown all the same


@pytest.mark.parametrize("reserves", [(0, 5), (5, 0), (0, 0)])
def test_an_empty_pool_makes_no_opportunity(reserves):
    book = two_pool_book(gain_bps=300)
    book.apply_block(block_ref(101), [PoolState(0, *reserves)])
    cycles = find_cycles(book.pools, lendable=[WBNB])
    costs = Costs(gas_price_wei=1, l1_fee_wei=0, gas=GAS, native_rates={})
    for cycle in range(len(cycles)):
        assert (
            evaluate(
                book,
                cycles=cycles,
                cycle=cycle,
                lenders={WBNB: [FIRST_POOL]},
                costs=costs,
                policy=Policy(),
            )
            is None
        )
