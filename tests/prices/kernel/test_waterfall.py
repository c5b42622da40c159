"""The waterfall adds up to the unit, and the first gate is the first in MONEY's order."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prices.kernel.costs import NO_TIP, Costs, NativeRate, Policy, TipTerms
from prices.kernel.lenders import FIRST_POOL, LenderKind
from prices.kernel.sizing import Hop, Size, walk
from prices.kernel.waterfall import (
    Reason,
    SpreadClass,
    Step,
    Waterfall,
    depth,
    explain,
    first_gate,
    net_profit_wei,
    on_chain_min_profit,
    spread_class,
)
from tests.prices.kernel.builders import GAS, aave

reserves = st.integers(1, 2**112 - 1)
hops_strategy = st.lists(
    st.builds(Hop, reserves, reserves, st.integers(0, 300)), min_size=2, max_size=4
)
rates = st.builds(NativeRate, st.integers(1, 10**30), st.integers(1, 10**30))
lenders = st.sampled_from((FIRST_POOL, aave()))


tip_terms = st.builds(TipTerms, share_bps=st.integers(0, 9_999), most_wei=st.integers(0, 10**20))


def make_costs(*, gas_price=500_000_000, tips=NO_TIP, l1=0, gas=GAS):
    return Costs(gas_price_wei=gas_price, tips=tips, l1_fee_wei=l1, gas=gas, native_rates={})


def sized(hops, lender, amount):
    amounts = walk(hops, amount)
    premium = lender.premium(amount)
    return Size(amounts, premium, amounts[-1] - amount - premium)


@given(
    hops=hops_strategy,
    lender=lenders,
    amount=st.integers(1, 2**112),
    rate=rates,
    tips=tip_terms,
    l1=st.integers(0, 10**18),
)
def test_the_steps_add_up_to_the_last_unit(hops, lender, amount, rate, tips, l1):
    size = sized(hops, lender, amount)
    costs = make_costs(tips=tips, l1=l1)
    fall = explain(hops, size=size, lender=lender, costs=costs, rate=rate)
    rows = fall.rows()
    assert [row.step for row in rows] == list(Step)
    assert sum(row.amount for row in rows[:-1]) == rows[-1].amount == fall.net
    assert fall.expected_profit == size.profit
    assert fall.swap_fees <= 0
    assert fall.price_impact <= 0
    assert fall.flash_loan_premium == -lender.premium(amount)
    assert all(row.amount <= 0 for row in rows[4:7])


@given(hops=hops_strategy, amount=st.integers(1, 2**112), rate=rates)
def test_each_step_is_what_its_definition_says(hops, amount, rate):
    costs = make_costs(l1=11)
    fall = explain(
        hops, size=sized(hops, FIRST_POOL, amount), lender=FIRST_POOL, costs=costs, rate=rate
    )
    price = after_fees = Fraction(amount)
    for hop in hops:
        price *= Fraction(hop.reserve_out, hop.reserve_in)
        after_fees *= Fraction(hop.reserve_out * (10_000 - hop.fee_bps), hop.reserve_in * 10_000)
    assert fall.gross_spread == floor(price) - amount
    assert fall.swap_fees == floor(after_fees) - floor(price)
    gas = GAS[LenderKind.FIRST_POOL, len(hops)] * costs.gas_price_wei
    for paid, wei in ((fall.gas, gas), (fall.relay_tip, 0), (fall.l1_data_fee, 11)):
        assert -paid == -floor(-Fraction(wei * rate.num, rate.den))
    assert fall.net_profit_bps == floor(Fraction(10_000 * fall.net, amount))


HOPS = [Hop(10**24, 2 * 10**24, 30), Hop(10**24, 52 * 10**22, 30)]
RATE = NativeRate(600, 1)


def make_fall(**changes):
    steps = {
        "amount": 1_000_000,
        "gross_spread": 30_000,
        "swap_fees": -6_000,
        "price_impact": -4_000,
        "flash_loan_premium": -500,
        "gas": -300,
        "relay_tip": 0,
        "l1_data_fee": 0,
    }
    return Waterfall(**{**steps, **changes})


def gate(fall, *, policy=None, **changes):
    given_ = {
        "hops": HOPS,
        "stale": False,
        "token_risk": False,
        "token": 1,
        "rate": RATE,
        "costs": make_costs(),
        **changes,
    }
    return first_gate(fall, policy=policy or Policy(), **given_)


def test_a_trade_that_pays_passes_every_gate():
    assert gate(make_fall()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"swap_fees": -30_000}, Reason.FEES),
        ({"price_impact": -24_000}, Reason.PRICE_IMPACT),
        ({"flash_loan_premium": -20_000}, Reason.PREMIUM),
        ({"gas": -19_500}, Reason.GAS),
        ({"relay_tip": -19_500}, Reason.GAS),
        ({"l1_data_fee": -19_500}, Reason.GAS),
        ({"gas": None}, Reason.GAS),
        ({"l1_data_fee": None}, Reason.GAS),
        ({"gas": -14_501}, Reason.MIN_PROFIT),
        ({"amount": 90_000}, Reason.IMPLAUSIBLE),
    ],
)
def test_the_first_step_that_uses_up_the_rest_names_the_reason(changes, reason):
    assert gate(make_fall(**changes)) is reason


def test_the_gates_stand_in_their_order():
    fall = make_fall(swap_fees=-30_000)
    policy = Policy(min_pool_depth_wei=10**40)
    assert gate(fall, policy=policy, stale=True, token_risk=True) is Reason.STALE_POOL
    assert gate(fall, policy=policy, token_risk=True) is Reason.TOKEN_RISK
    assert gate(fall, policy=policy) is Reason.THIN_POOL
    assert gate(fall) is Reason.FEES


def test_no_route_to_the_native_coin_is_refused_as_gas():
    assert gate(make_fall(gas=0), rate=None) is Reason.GAS
    fall = explain(
        HOPS,
        size=sized(HOPS, FIRST_POOL, 10**20),
        lender=FIRST_POOL,
        costs=make_costs(),
        rate=None,
    )
    assert fall.gas is None
    assert fall.relay_tip == 0
    assert fall.net == fall.expected_profit


def test_an_unknown_l1_fee_is_null_and_nothing_is_executable():
    fall = explain(
        HOPS,
        size=sized(HOPS, FIRST_POOL, 10**20),
        lender=FIRST_POOL,
        costs=make_costs(l1=None),
        rate=RATE,
    )
    assert fall.l1_data_fee is None
    assert fall.rows()[6].amount is None
    assert not fall.complete


def test_the_threshold_is_of_the_size_and_the_contracts_minimum_before_gas():
    fall = make_fall()  # nets 19,200 of 1,000,000: 192 bps
    assert gate(fall, policy=Policy(min_profit_threshold_bps=192)) is None
    assert gate(fall, policy=Policy(min_profit_threshold_bps=193)) is Reason.MIN_PROFIT
    at = Policy(contract_min_profit={1: 19_500})
    over = Policy(contract_min_profit={1: 19_501})
    assert gate(fall, policy=at) is None
    assert gate(fall, policy=over) is Reason.MIN_PROFIT


def test_even_a_threshold_of_zero_asks_one_unit():
    assert Policy(min_profit_threshold_bps=0).threshold(10**18) == 1


def test_a_gas_price_over_the_limit_is_the_last_economic_gate():
    policy = Policy(max_gas_price_wei=499_999_999)
    assert gate(make_fall(), policy=policy) is Reason.MAX_GAS
    assert gate(make_fall(gas=-14_501), policy=policy) is Reason.MIN_PROFIT


def test_depth_is_the_shallowest_side_in_the_borrow_token():
    # 1,000 A for 2,000 B, then 10 B for 5 A: the second pool holds 5 A's worth.
    assert depth([Hop(1_000, 2_000, 30), Hop(10, 5, 30)]) == 5
    assert depth([Hop(7, 2_000, 30), Hop(2_000, 1_000, 30)]) == 7


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (None, SpreadClass.REAL),
        (Reason.STALE_POOL, SpreadClass.STALE),
        (Reason.TOKEN_RISK, SpreadClass.TOKEN_RISK),
        (Reason.THIN_POOL, SpreadClass.THIN),
        (Reason.IMPLAUSIBLE, SpreadClass.TOKEN_RISK),
        (Reason.FEES, SpreadClass.FEE_BOUND),
        (Reason.PRICE_IMPACT, SpreadClass.THIN),
        (Reason.PREMIUM, SpreadClass.FEE_BOUND),
        (Reason.GAS, SpreadClass.REAL),
        (Reason.MIN_PROFIT, SpreadClass.REAL),
        (Reason.MAX_GAS, SpreadClass.REAL),
    ],
)
def test_the_class_of_a_spread_follows_its_reason(reason, expected):
    assert spread_class(reason) is expected


def test_the_minimum_in_the_plan_is_the_largest_of_its_three_floors():
    fall = make_fall()  # expected 19,500 before gas, gas 300

    def minimum(**changes):
        asked = {"amount_out": 1_020_000, "max_slippage_bps": 10, "contract_min": 1, "floor": 1}
        return on_chain_min_profit(fall, **{**asked, **changes})

    assert minimum() == 19_500 - 1_020
    assert minimum(max_slippage_bps=10_000) == 301
    assert minimum(max_slippage_bps=10_000, floor=5_000) == 5_300
    assert minimum(contract_min=19_000) == 19_000


def test_the_net_in_wei_rounds_toward_less():
    assert net_profit_wei(make_fall(), rate=NativeRate(7, 2)) == 19_200 * 2 // 7
    loss = make_fall(gas=-19_501)
    assert net_profit_wei(loss, rate=NativeRate(7, 2)) == -1
