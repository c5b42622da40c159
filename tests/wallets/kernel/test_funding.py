"""Whom a plan funds, what stops it, and the laws that no list of wallets can break."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbsite.base.units import BlockNumber, Wei
from wallets.kernel.funding import (
    FRUITLESS_MAX,
    GAS_WORTH,
    ChainMoment,
    FundingPolicy,
    Reason,
    ReserveFacts,
    WalletFacts,
    decide_manual,
    loosened,
    plan,
    target_of,
    threshold_of,
)

POLICY = FundingPolicy(
    threshold_wei=Wei(500),
    target_wei=Wei(1_000),
    min_transfer_wei=Wei(10),
    cap_transfer_wei=Wei(900),
    cap_wallet_day_wei=Wei(2_000),
    cap_chain_day_wei=Wei(5_000),
    reserve_floor_wei=Wei(300),
    cooldown_s=600,
    balance_age_max_s=60,
)
MOMENT = ChainMoment(killed=False, funded_day_wei=Wei(0), gas_cost_wei=Wei(1))
RICH = ReserveFacts(wallet_id=100, balance_wei=Wei(1_000_000))


def wallet(pk=1, *, balance=200, **facts):
    found = {
        "wallet_id": pk, "ours": True, "balance_wei": None if balance is None else Wei(balance),
        "balance_block": BlockNumber(50), "balance_age_s": 1,
    }  # fmt: skip
    return WalletFacts(**{**found, **facts})


def decide(one, *, reserves=(RICH,), policy=POLICY, moment=MOMENT):
    [decision] = plan([one], reserves=reserves, policy=policy, moment=moment)
    return decision


def test_a_low_wallet_is_brought_to_its_target():
    decision = decide(wallet(balance=200))

    assert decision.funds
    assert (decision.amount_wei, decision.reserve_id, decision.cut_by) == (800, 100, None)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"ours": False}, Reason.NOT_OURS),
        ({"open_funding": True}, Reason.OPEN_FUNDING),
        ({"balance": None}, Reason.STALE_BALANCE),
        ({"balance_age_s": 61}, Reason.STALE_BALANCE),
        ({"last_funding_block": BlockNumber(51)}, Reason.STALE_BALANCE),
        ({"balance": 500}, Reason.NOT_LOW),
        ({"fruitless": FRUITLESS_MAX}, Reason.BURNING),
        ({"last_funding_age_s": 599}, Reason.COOLDOWN),
        ({"funded_day_wei": Wei(1_995)}, Reason.CAP_WALLET_DAY),
    ],
)
def test_the_first_reason_not_to_is_named(facts, reason):
    decision = decide(wallet(**facts))

    assert decision.reason is reason
    assert decision.amount_wei == 0
    assert decision.detail


def test_a_balance_of_the_last_fundings_own_block_counts():
    assert decide(wallet(last_funding_block=BlockNumber(50), last_funding_age_s=600)).funds


def test_the_switch_stops_every_funding():
    killed = replace(MOMENT, killed=True)

    assert decide(wallet(), moment=killed).reason is Reason.KILLED
    assert manual(wallet(), 10, moment=killed).reason is Reason.KILLED


@pytest.mark.parametrize(
    ("change", "amount", "cut_by"),
    [
        ({"policy": replace(POLICY, cap_transfer_wei=Wei(700))}, 700, Reason.CAP_TRANSFER),
        ({"policy": replace(POLICY, cap_wallet_day_wei=Wei(600))}, 600, Reason.CAP_WALLET_DAY),
        ({"moment": replace(MOMENT, funded_day_wei=Wei(4_500))}, 500, Reason.CAP_CHAIN_DAY),
        ({"reserves": [replace(RICH, balance_wei=Wei(701))]}, 400, Reason.RESERVE_FLOOR),
        (
            {"reserves": [replace(RICH, balance_wei=Wei(1_001), committed_wei=Wei(300))]},
            400,
            Reason.RESERVE_FLOOR,
        ),
    ],
)
def test_a_cap_cuts_the_amount_and_is_named(change, amount, cut_by):
    decision = decide(wallet(balance=200), **change)

    assert (decision.amount_wei, decision.cut_by) == (amount, cut_by)


def test_what_is_left_after_the_caps_is_not_worth_its_gas():
    dear = replace(MOMENT, gas_cost_wei=Wei(50))
    short = replace(POLICY, cap_transfer_wei=Wei(GAS_WORTH * 50 - 1))

    assert decide(wallet(), policy=short, moment=dear).reason is Reason.CAP_TRANSFER


def test_a_chain_without_a_reserve_says_so():
    assert decide(wallet(), reserves=()).reason is Reason.NO_RESERVE
    unread = replace(RICH, balance_wei=None)
    assert decide(wallet(), reserves=[unread]).reason is Reason.NO_RESERVE


def test_a_reserve_whose_ledger_is_torn_gives_nothing_and_another_may():
    torn = replace(RICH, torn=True)

    assert decide(wallet(), reserves=[torn]).reason is Reason.TORN_BOOK
    assert manual(wallet(), 10, reserves=[torn]).reason is Reason.TORN_BOOK
    other = ReserveFacts(wallet_id=7, balance_wei=Wei(2_000))
    assert decide(wallet(), reserves=[torn, other]).reserve_id == 7


def test_what_is_only_simulated_says_why():
    unsigned = replace(MOMENT, simulated_why="what the L1 charges is not computed yet")

    assert decide(wallet(), moment=unsigned).detail.endswith(
        "simulated only: what the L1 charges is not computed yet"
    )
    assert "simulated" not in decide(wallet()).detail


def test_the_richest_reserve_gives_and_the_neediest_is_served_first():
    poor, rich = ReserveFacts(wallet_id=7, balance_wei=Wei(310)), replace(RICH, wallet_id=8)
    last = replace(MOMENT, funded_day_wei=Wei(4_200))
    less, more = wallet(1, balance=400), wallet(2, balance=100)

    first, second = plan([less, more], reserves=[poor, rich], policy=POLICY, moment=last)

    assert (second.reserve_id, second.amount_wei, second.cut_by) == (8, 800, Reason.CAP_CHAIN_DAY)
    assert first.reason is Reason.CAP_CHAIN_DAY


def test_a_wallets_own_threshold_raises_its_target_too():
    own = wallet(threshold_wei=Wei(2_000))

    assert threshold_of(own, policy=POLICY) == 2_000
    assert target_of(own, policy=POLICY) == 4_000


def manual(one, amount, *, reserves=(RICH,), policy=POLICY, moment=MOMENT):
    return decide_manual(
        one, amount_wei=Wei(amount), reserves=reserves, policy=policy, moment=moment
    )


def test_a_person_may_fund_what_is_not_low_or_burns_or_was_funded_just_now():
    full = wallet(balance=10**6, fruitless=9, last_funding_age_s=1)

    assert manual(full, 900).amount_wei == 900


@pytest.mark.parametrize(
    ("facts", "amount", "change", "reason"),
    [
        ({}, 901, {}, Reason.CAP_TRANSFER),
        ({"funded_day_wei": Wei(1_500)}, 501, {}, Reason.CAP_WALLET_DAY),
        ({}, 600, {"moment": replace(MOMENT, funded_day_wei=Wei(4_401))}, Reason.CAP_CHAIN_DAY),
        ({}, 600, {"reserves": [replace(RICH, balance_wei=Wei(900))]}, Reason.RESERVE_FLOOR),
        ({"open_funding": True}, 5, {}, Reason.OPEN_FUNDING),
        ({"balance": None}, 5, {}, Reason.STALE_BALANCE),
        ({"ours": False}, 5, {}, Reason.NOT_OURS),
        ({}, 5, {"reserves": ()}, Reason.NO_RESERVE),
    ],
)
def test_no_person_passes_a_cap_the_floor_or_an_open_funding(facts, amount, change, reason):
    assert manual(wallet(**facts), amount, **change).reason is reason


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_is_positive(amount):
    with pytest.raises(ValueError, match="positive"):
        manual(wallet(), amount)


def test_a_policy_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="target_wei"):
        replace(POLICY, target_wei=Wei(500))
    with pytest.raises(ValueError, match="cap_chain_day_wei"):
        replace(POLICY, cap_chain_day_wei=Wei(-1))


def test_looser_limits_are_named_and_tighter_ones_are_not():
    looser = replace(POLICY, cap_transfer_wei=Wei(901), reserve_floor_wei=Wei(299))
    tighter = replace(POLICY, cap_transfer_wei=Wei(1), cooldown_s=9_000)

    assert loosened(POLICY, looser) == ("cap_transfer_wei", "reserve_floor_wei")
    assert loosened(POLICY, tighter) == ()


small = st.integers(0, 3_000).map(Wei)
ages = st.integers(0, 1_000)
wallets = st.builds(
    wallet,
    pk=st.integers(1, 12),
    balance=st.none() | st.integers(0, 2_000),
    ours=st.sampled_from([True, True, True, False]),
    threshold_wei=st.sampled_from([0, 0, 100, 1_500]).map(Wei),
    open_funding=st.sampled_from([False, False, True]),
    balance_age_s=st.integers(0, 70),
    last_funding_block=st.none() | st.integers(45, 52).map(BlockNumber),
    last_funding_age_s=st.none() | ages,
    funded_day_wei=small,
    fruitless=st.integers(0, 4),
)
lists = st.lists(wallets, max_size=10, unique_by=lambda one: one.wallet_id)
reserves = st.lists(
    st.builds(
        ReserveFacts,
        wallet_id=st.integers(100, 103),
        balance_wei=st.none() | small,
        committed_wei=st.integers(0, 500).map(Wei),
    ),
    max_size=3,
    unique_by=lambda one: one.wallet_id,
)
policies = st.builds(
    lambda threshold, above, **limits: FundingPolicy(
        threshold_wei=Wei(threshold), target_wei=Wei(threshold + above), **limits
    ),
    threshold=st.integers(0, 1_000),
    above=st.integers(1, 1_500),
    min_transfer_wei=st.integers(0, 100).map(Wei),
    cap_transfer_wei=small,
    cap_wallet_day_wei=small,
    cap_chain_day_wei=small,
    reserve_floor_wei=small,
    cooldown_s=ages,
    balance_age_max_s=st.just(60),
)
moments = st.builds(
    ChainMoment,
    killed=st.sampled_from([False, False, False, True]),
    funded_day_wei=small,
    gas_cost_wei=st.integers(0, 20).map(Wei),
)


@given(lists, reserves, policies, moments)
def test_no_cap_is_passed_and_every_reserve_keeps_its_floor(some, from_, policy, moment):
    decisions = plan(some, reserves=from_, policy=policy, moment=moment)

    assert [d.wallet_id for d in decisions] == sorted(one.wallet_id for one in some)
    by_id = {one.wallet_id: one for one in some}
    given_ = [d for d in decisions if d.funds]
    total = sum(d.amount_wei for d in given_)
    assert not given_ or moment.funded_day_wei + total <= policy.cap_chain_day_wei
    for decision in given_:
        one = by_id[decision.wallet_id]
        assert 0 < decision.amount_wei <= policy.cap_transfer_wei
        assert one.funded_day_wei + decision.amount_wei <= policy.cap_wallet_day_wei
        assert one.balance_wei + decision.amount_wei <= target_of(one, policy=policy)
        assert decision.amount_wei >= max(policy.min_transfer_wei, GAS_WORTH * moment.gas_cost_wei)
        assert one.ours
        assert not one.open_funding
        assert not moment.killed
    for reserve in from_:
        mine = [d.amount_wei for d in given_ if d.reserve_id == reserve.wallet_id]
        if mine:
            left = reserve.balance_wei - reserve.committed_wei - sum(mine)
            assert left - len(mine) * moment.gas_cost_wei >= policy.reserve_floor_wei


@given(lists, reserves, policies, moments, st.randoms(use_true_random=False))
def test_the_order_of_wallets_and_reserves_changes_nothing(some, from_, policy, moment, random):
    there = plan(some, reserves=from_, policy=policy, moment=moment)
    some, from_ = list(some), list(from_)
    random.shuffle(some)
    random.shuffle(from_)

    assert plan(some, reserves=from_, policy=policy, moment=moment) == there


@given(lists, reserves, policies, moments)
def test_once_it_is_in_the_ledger_the_same_plan_funds_nobody_again(some, from_, policy, moment):
    given_ = {
        d.wallet_id: d for d in plan(some, reserves=from_, policy=policy, moment=moment) if d.funds
    }
    now = [
        replace(
            one,
            open_funding=True,
            funded_day_wei=Wei(one.funded_day_wei + given_[one.wallet_id].amount_wei),
        )
        if one.wallet_id in given_
        else one
        for one in some
    ]
    left = [
        replace(
            reserve,
            committed_wei=Wei(
                reserve.committed_wei
                + sum(
                    d.amount_wei + moment.gas_cost_wei
                    for d in given_.values()
                    if d.reserve_id == reserve.wallet_id
                )
            ),
        )
        for reserve in from_
    ]
    total = moment.funded_day_wei + sum(d.amount_wei for d in given_.values())
    again = plan(now, reserves=left, policy=policy, moment=replace(moment, funded_day_wei=total))

    assert not any(d.funds for d in again)


@given(wallets, st.integers(1, 3_000), reserves, policies, moments)
def test_what_a_person_asks_is_given_whole_within_the_limits_or_not_at_all(
    one, amount, from_, policy, moment
):
    decision = decide_manual(
        one, amount_wei=Wei(amount), reserves=from_, policy=policy, moment=moment
    )

    if not decision.funds:
        assert decision.amount_wei == 0
        return
    assert decision.amount_wei == amount <= policy.cap_transfer_wei
    assert one.funded_day_wei + amount <= policy.cap_wallet_day_wei
    assert moment.funded_day_wei + amount <= policy.cap_chain_day_wei
    [reserve] = [r for r in from_ if r.wallet_id == decision.reserve_id]
    kept = reserve.balance_wei - reserve.committed_wei - amount - moment.gas_cost_wei
    assert kept >= policy.reserve_floor_wei
