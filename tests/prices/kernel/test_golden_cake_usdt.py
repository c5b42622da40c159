"""The run that started this project: CAKE bought at 1.9079 on MDEX, sold at 1.9858 on BabySwap.

It claimed 3.48 % net, about $20.88: the spread of 4.08 % less two fees of 0.3 %. What it forgot was
that a size moves both prices, that a loan costs, and that gas is paid. The same prices stand here
over thin and over deep reserves.
"""

import pytest

from arbsite.base.units import Bps, Wei
from prices.kernel.book import PoolBook, PoolSpec
from prices.kernel.costs import Costs, Policy, native_rates
from prices.kernel.lenders import FIRST_POOL
from prices.kernel.opportunity import SizedFor, evaluate
from prices.kernel.sizing import Hop, walk
from prices.kernel.waterfall import Reason, SpreadClass, Verdict
from tests.prices.kernel.builders import GAS, aave, address, block_ref
from tests.prices.kernel.every_cycle import find_cycles

WBNB, USDT, CAKE = range(3)
MDEX, BABYSWAP, NATIVE_POOL = range(3)
BUY, SELL = 19_079, 19_858  # USDT for 10,000 CAKE
ONE = 10**18
THIN_USDT = 3_000 * ONE
DEEP_USDT = 4_000_000 * ONE
POLICY = Policy(min_pool_depth_wei=Wei(40 * ONE))  # about $24,000 a side
CLAIMED_BPS = 348


def market(usdt_on_each):
    pools = [
        PoolSpec(address=address(1), token0=USDT, token1=CAKE, fee_bps=Bps(30), dex="mdex"),
        PoolSpec(address=address(2), token0=USDT, token1=CAKE, fee_bps=Bps(30), dex="babyswap"),
        PoolSpec(address=address(3), token0=WBNB, token1=USDT, fee_bps=Bps(25), dex="pancakeswap"),
    ]
    book = PoolBook(tokens=[address(91), address(92), address(93)], pools=pools)
    book.load(
        block_ref(100),
        {
            MDEX: (usdt_on_each, usdt_on_each * 10_000 // BUY),
            BABYSWAP: (usdt_on_each, usdt_on_each * 10_000 // SELL),
            NATIVE_POOL: (20_000 * ONE, 12_000_000 * ONE),
        },
    )
    return book


def decide(book, *, lender, policy=POLICY):
    cycles = find_cycles(book.pools, lendable=[USDT])
    costs = Costs(
        gas_price_wei=Wei(50_000_000),
        l1_fee_wei=Wei(0),
        gas=GAS,
        native_rates=native_rates(book, native=WBNB),
    )
    found = [
        evaluate(
            book,
            cycles=cycles,
            cycle=cycle,
            lenders={USDT: [lender]},
            costs=costs,
            policy=policy,
        )
        for cycle in range(len(cycles))
    ]
    (paying,) = [each for each in found if each is not None]  # the other direction is no spread
    return paying


@pytest.mark.parametrize("usdt", [THIN_USDT, DEEP_USDT])
def test_the_spread_and_the_claim_are_those_of_the_old_run(usdt):
    decided = decide(market(usdt), lender=aave())
    assert [hop.pool for hop in decided.hops] == [MDEX, BABYSWAP]
    assert decided.spread_bps == 408
    claimed = decided.spread_bps - 30 - 30
    assert claimed == CLAIMED_BPS
    assert decided.net_profit_bps < claimed


def test_the_thin_case_is_refused_and_says_why():
    decided = decide(market(THIN_USDT), lender=aave())
    assert (decided.verdict, decided.reason) == (Verdict.REJECTED, Reason.THIN_POOL)
    assert decided.spread_class is SpreadClass.THIN


def test_the_claimed_size_loses_money_in_thin_pools():
    """$600 at 3.48 % was the claim; the same pools give back less than was put in."""
    book = market(THIN_USDT)
    decided = decide(book, lender=aave())
    hops = [Hop(hop.reserve_in, hop.reserve_out, hop.fee_bps) for hop in decided.hops]
    assert walk(hops, 600 * ONE)[-1] < 600 * ONE


@pytest.mark.parametrize("usdt", [THIN_USDT, DEEP_USDT])
def test_every_forgotten_cost_stands_in_the_waterfall(usdt):
    decided = decide(market(usdt), lender=aave())
    fall = decided.waterfall
    assert decided.sized_for is SizedFor.EXECUTION
    assert fall.gross_spread > 0
    assert fall.swap_fees < 0
    assert fall.price_impact < 0
    assert fall.flash_loan_premium == -aave().premium(decided.borrow_amount) < 0
    # 322,500 gas at 0.05 gwei and $600 a BNB: about a cent.
    assert -fall.gas == -(-322_500 * 50_000_000 * 12_000_000 // 20_000)
    assert (fall.relay_tip, fall.l1_data_fee) == (0, 0)
    assert sum(row.amount for row in fall.rows()[:-1]) == fall.net
    # At the best size, impact takes about half of what fees left: never zero, never nothing.
    left = fall.gross_spread + fall.swap_fees
    assert 0.45 < -fall.price_impact / left < 0.55


def test_what_was_claimed_is_more_than_twice_what_deep_pools_give():
    decided = decide(market(DEEP_USDT), lender=aave())
    assert (decided.verdict, decided.reason) == (Verdict.EXECUTABLE, None)
    assert decided.spread_class is SpreadClass.REAL
    assert decided.net_profit_bps * 2 < CLAIMED_BPS


def test_a_loan_from_the_first_pool_spares_the_premium():
    book = market(DEEP_USDT)
    through_aave = decide(book, lender=aave())
    first_pool = decide(book, lender=FIRST_POOL)
    assert first_pool.waterfall.flash_loan_premium == 0
    assert first_pool.lender_address == address(1)
    assert first_pool.net_profit > through_aave.net_profit


def test_without_a_floor_on_depth_thin_pools_yield_small_change():
    decided = decide(market(THIN_USDT), lender=aave(), policy=Policy())
    assert decided.reason is None
    assert decided.net_profit < 2 * ONE  # under two dollars where $20.88 was claimed
