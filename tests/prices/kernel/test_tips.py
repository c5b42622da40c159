"""What a builder is offered: a share of what is left, and never what would make a trade not pay."""

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prices.kernel.costs import NO_TIP, NativeRate, Policy, TipTerms
from prices.kernel.lenders import FIRST_POOL, LenderKind
from prices.kernel.sizing import Hop, best_size
from prices.kernel.waterfall import (
    Reason,
    Verdict,
    explain,
    first_gate,
    on_chain_min_profit,
    tipped,
)
from tests.prices.kernel.builders import GAS, make_market
from tests.prices.kernel.every_cycle import find_cycles
from tests.prices.kernel.test_opportunity import decide
from tests.prices.kernel.test_waterfall import make_costs

COIN = 10**18
TENTH = TipTerms(share_bps=1_000, most_wei=COIN)
# 600 units a coin, 18 decimals; what trades of 6 decimals are valued by.
SIX = NativeRate(600 * 10**6, COIN)
NATIVE = NativeRate(1, 1)

rates = st.builds(NativeRate, st.integers(1, 10**30), st.integers(1, 10**30))
shares = st.integers(1, 9_999)
nets = st.integers(-(10**30), 10**30)
leasts = st.integers(1, 10**30)
terms = st.builds(TipTerms, share_bps=shares, most_wei=st.integers(0, 10**20))


@pytest.mark.parametrize(
    ("tips", "net", "least", "rate", "wei"),
    [
        (TENTH, 10_000, 1, NATIVE, 1_000),
        (TENTH, 10_001, 1, NATIVE, 1_001),  # 1,000.1: up
        (TENTH, 12_000_000, 1, SIX, 2 * COIN // 1_000),  # a tenth of 12 dollars is 0.002 coins
        (TENTH, 10_000, 9_500, NATIVE, 500),  # what must stay stays
        (TENTH, 10_000, 10_000, NATIVE, 0),
        (TENTH, 10_000, 10_001, NATIVE, 0),  # it does not pay anyway
        (TENTH, 0, 1, NATIVE, 0),
        (TENTH, -5, 1, NATIVE, 0),
        (TENTH, 10_000, 1, None, 0),  # nobody knows what it is worth
        (replace(TENTH, most_wei=7), 10_000, 1, NATIVE, 7),
        (TENTH, 1, 0, NativeRate(3, 1), 0),  # a third of a wei: there is none to give
        (NO_TIP, 10_000, 1, NATIVE, 0),
    ],
)
def test_a_tip_is_a_share_of_the_net_rounded_up_within_its_bounds(tips, net, least, rate, wei):
    assert tips.offered(net, least=least, rate=rate) == wei


@given(tips=terms, net=nets, least=leasts, rate=rates)
def test_a_trade_that_pays_without_a_tip_pays_with_it(tips, net, least, rate):
    paid = tipped(net, gas=0, l1_data_fee=0, tips=tips, rate=rate, least=least)
    assert 0 <= paid.tip_wei <= tips.most_wei
    assert paid.relay_tip == -ceil(Fraction(paid.tip_wei * rate.num, rate.den))
    if net >= least:
        assert net + paid.relay_tip >= least
    else:
        assert paid.tip_wei == 0


@given(tips=terms, net=nets, least=leasts, rate=rates)
def test_no_more_than_its_share_rounded_up_is_offered_and_no_less_than_the_bounds_leave(
    tips, net, least, rate
):
    assume(net > least)
    share = ceil(Fraction(net * tips.share_bps * rate.den, rate.num * 10_000))
    room = floor(Fraction((net - least) * rate.den, rate.num))
    assert tips.offered(net, least=least, rate=rate) == min(share, room, tips.most_wei)


@given(
    tips=terms,
    profit=st.integers(1, 10**30),
    gas=st.integers(0, 10**28),
    l1=st.integers(0, 10**28),
    rate=rates,
)
def test_the_tip_is_of_what_the_other_costs_leave(tips, profit, gas, l1, rate):
    paid = tipped(profit, gas=-gas, l1_data_fee=-l1, tips=tips, rate=rate, least=1)
    assert paid.total == paid.gas + paid.relay_tip + paid.l1_data_fee
    assert paid.tip_wei == tips.offered(profit - gas - l1, least=1, rate=rate)


# 1,000 coins for 300,000 tokens, and 3 % more of them beside it.
HOPS = [Hop(300_000 * COIN, 1_030 * COIN, 25), Hop(1_000 * COIN, 300_000 * COIN, 25)]


def golden(tips, *, policy=None):
    rate = NativeRate(300, 1)
    size = best_size(HOPS, lender=FIRST_POOL)
    policy = policy or Policy()
    least = policy.threshold(size.amount)
    costs = make_costs(gas_price=10**9, tips=tips)
    fall = explain(HOPS, size=size, lender=FIRST_POOL, costs=costs, rate=rate, least=least)
    reason = first_gate(
        fall, hops=HOPS, stale=False, token_risk=False, token=0, rate=rate, costs=costs,
        policy=policy,
    )  # fmt: skip
    return fall, reason, least


def test_a_tenth_of_what_gas_leaves_is_the_step_and_the_net_is_the_rest():
    without, _, _ = golden(NO_TIP)
    fall, reason, least = golden(TENTH)

    before = without.net
    assert fall.gas == -GAS[LenderKind.FIRST_POOL, 2] * 10**9 * 300
    assert fall.relay_tip == -ceil(Fraction(ceil(Fraction(before, 3_000)) * 300))
    assert fall.net == before + fall.relay_tip
    assert (fall.expected_profit, reason) == (without.expected_profit, None)
    # The contract asks for what pays the tip as well.
    asked = on_chain_min_profit(
        fall, amount_out=10**30, max_slippage_bps=10_000, contract_min=1, floor=least
    )
    assert asked == least - fall.gas - fall.relay_tip


def test_at_the_very_minimum_no_tip_is_left_to_offer_and_it_still_pays():
    fall, _, _ = golden(NO_TIP)
    bps = 10_000 * fall.net // fall.amount
    policy = Policy(min_profit_threshold_bps=bps)
    tipped_fall, reason, least = golden(replace(TENTH, share_bps=9_000), policy=policy)

    assert reason is None
    assert least <= tipped_fall.net < least + 300
    over = Policy(min_profit_threshold_bps=bps + 1)
    refused, reason, _ = golden(TENTH, policy=over)
    assert (refused.relay_tip, reason) == (0, Reason.MIN_PROFIT)


@pytest.mark.parametrize("share_bps", [100, 5_000, 9_000])
def test_whatever_is_executable_without_a_tip_is_executable_with_it(share_bps):
    market = make_market(3)
    cycles = find_cycles(market.book.pools, lendable=market.lendable)
    policy = Policy(min_profit_threshold_bps=1, implausible_bps=9_000)
    tips = TipTerms(share_bps=share_bps, most_wei=COIN)
    plain = market.costs()
    given_ = replace(plain, tips=tips)
    tips_seen = 0
    for cycle in range(len(cycles)):
        without = decide(market, cycle=cycle, cycles=cycles, policy=policy, costs=plain)
        got = decide(market, cycle=cycle, cycles=cycles, policy=policy, costs=given_)
        assert (without is None) is (got is None)
        if without is None:
            continue
        assert (got.verdict, got.reason) == (without.verdict, without.reason)
        steps = [row.amount for row in got.waterfall.rows()]
        assert sum(steps[:-1]) == got.net_profit
        if got.verdict is Verdict.EXECUTABLE:
            rate = got.native_rate
            assert got.waterfall.relay_tip == -rate.tokens_ceil(got.tip_wei)
            assert got.net_profit >= policy.threshold(got.borrow_amount)
            tips_seen += bool(got.tip_wei)
        else:
            assert (got.tip_wei, got.waterfall.relay_tip) == (0, 0)
    assert tips_seen


def test_a_profit_too_good_to_be_true_is_not_true_because_most_of_it_is_given_away():
    fall, _, _ = golden(NO_TIP)
    policy = Policy(implausible_bps=10_000 * fall.net // fall.amount - 1)
    _, reason, _ = golden(replace(TENTH, share_bps=9_000), policy=policy)
    assert reason is Reason.IMPLAUSIBLE


def test_a_share_of_all_of_it_is_refused():
    with pytest.raises(ValueError, match="below all"):
        TipTerms(share_bps=10_000, most_wei=1)
