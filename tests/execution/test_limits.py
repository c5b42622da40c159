"""Each limit alone changes what is decided; versions are kept, named and gone back to."""

import inspect
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError

from arbsite.base.models import AuditEvent
from arbsite.base.problems import Conflict
from arbsite.base.units import Bps, TokenAmount, Wei
from contracts.models import Chain, Dex, Pair, Pool, Token
from contracts.services import pair_deny, token_deny
from execution import fast_mode, guards, limits
from execution.desk import Desk
from execution.engine import _limits
from execution.kernel.limits import LIMITS, LONGEST_MS
from execution.kernel.plan import plan_from, validity_for
from execution.models import Execution, FastMode, FastModeConfig
from prices.kernel.costs import NativeRate, position_caps
from tests.execution import test_tips
from tests.execution.kernel.builders import TOKEN
from tests.execution.rows import armed, change, make_chain
from tests.execution.test_desk import (
    BEST,
    BOOK,
    PAYING,
    POLICY,
    PRICE_WEI,
    another,
    make_bench,
    wanted_of,
)
from tests.execution.test_guards import REMOTE, ended, look
from tests.execution.test_requests import client, post
from wallets.models import ChainLeader, Transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bench(channel_layer):
    return make_bench()


@pytest.fixture
def chain(channel_layer):
    row = make_chain(**REMOTE)
    armed(row)
    return row


def settled(acted):
    Transaction.objects.filter(execution=acted.execution_pk).update(status="confirmed")
    return acted


def test_enabled_alone_decides_whether_it_acts_by_itself(bench):
    said = post(
        "/api/fast-mode/config", {"chain": "local", "enabled": False}, by=client("admin")
    ).data
    assert (said["config"]["version"], said["changes"]) == (1, {})  # no limit was touched
    assert bench.act().reason == "not_armed"
    armed(bench.chain)
    assert bench.act().execution_pk is not None


def test_auto_execute_alone_decides_whether_it_acts_by_itself(bench):
    change(bench.chain, autoExecute=False)
    assert bench.act().reason == "not_armed"
    assert bench.act(wanted_of(manual=True)).execution_pk is not None


def test_the_least_profit_alone_decides(bench):
    worth = BEST.net_profit * 10_000 // BEST.borrow_amount
    change(bench.chain, minProfitThresholdBps=worth + 1)
    assert bench.act().reason == "min_profit"
    change(bench.chain, minProfitThresholdBps=worth)
    assert bench.act().execution_pk is not None


def test_the_gas_ceiling_alone_decides(bench):
    change(bench.chain, maxGasGwei=PRICE_WEI - 1)
    assert bench.act().reason == "max_gas"
    change(bench.chain, maxGasGwei=PRICE_WEI)
    assert bench.act().execution_pk is not None


def plan_with(config):
    return plan_from(
        BEST,
        book=BOOK,
        policy=POLICY,
        max_slippage_bps=Bps(config.max_slippage_bps),
        validity=validity_for(block_time_ms=1_000, blocks=3),
        block_timestamp_s=1_800_000_000,
    )


def test_the_slippage_alone_moves_the_least_profit_that_the_contract_holds(bench):
    loose = plan_with(change(bench.chain, maxSlippageBps=5_000))
    strict = plan_with(change(bench.chain, maxSlippageBps=0))
    assert strict.min_profit == BEST.waterfall.expected_profit > loose.min_profit


def test_what_was_planned_by_earlier_limits_is_planned_anew_and_never_named_after_later_ones(bench):
    """Its least profit on chain and its slippage are of the version that it was planned by."""
    before = wanted_of()
    change(bench.chain, maxSlippageBps=0)
    acted = bench.act(before)
    assert (acted.reason, acted.stops_all) == ("superseded", True)
    assert not Transaction.objects.exists()
    row = Execution.objects.get(pk=bench.act(wanted_of()).execution_pk)
    assert row.config.max_slippage_bps == 0


def test_limits_that_the_desk_has_not_read_yet_are_read_before_it_acts_by_them(bench):
    bench.desk.refresh()
    change(bench.chain, maxSlippageBps=7)
    row = Execution.objects.get(pk=bench.desk.act(wanted_of()).execution_pk)
    assert row.config.max_slippage_bps == 7


def test_the_private_mempool_alone_keeps_what_is_planned_from_public_endpoints(bench):
    Chain.objects.update(relays=[{"kind": "private_rpc", "name": "quiet", "url": "https://x"}])
    bench.chain.refresh_from_db()
    open_ = settled(bench.act())
    change(bench.chain, usePrivateMempool=True)
    kept = bench.act(another(bench))
    planned = dict(Transaction.objects.values_list("execution", "private_only"))
    assert planned == {open_.execution_pk: False, kept.execution_pk: True}


def test_the_cooldown_alone_holds_the_next_one_back(bench):
    settled(bench.act())
    change(bench.chain, cooldownMs=60_000)
    assert bench.act(another(bench)).reason == "cooldown"
    change(bench.chain, cooldownMs=0)
    assert bench.act(another(bench)).execution_pk is not None


def desk_of_the_next_lead(bench):
    ChainLeader.objects.update(epoch=6)
    bench.desk = Desk(
        chain=bench.chain,
        may_sign=True,
        simulator=bench.simulator,
        sender=bench.sender,
        epoch=6,
        head=lambda: bench.head[0],
    )


def test_the_cooldown_holds_though_another_engine_took_the_lead(bench):
    done = settled(bench.act())
    change(bench.chain, cooldownMs=60_000)

    desk_of_the_next_lead(bench)
    assert bench.act(another(bench)).reason == "cooldown"

    age = {"created_at": timezone.now() - timedelta(seconds=61)}
    Execution.objects.filter(pk=done.execution_pk).update(**age)
    desk_of_the_next_lead(bench)
    assert bench.act(another(bench)).execution_pk is not None


def test_what_a_person_ordered_begins_no_cooldown_before_or_after_a_lead_changes(bench):
    change(bench.chain, cooldownMs=60_000)
    request = Execution.objects.create(chain=bench.chain, kind="arbitrage", key="request:7:0")
    settled(bench.act(wanted_of(manual=True, request_pk=request.pk)))

    desk_of_the_next_lead(bench)

    assert bench.act(another(bench)).execution_pk is not None


def test_only_the_first_reading_of_a_lead_asks_when_the_last_execution_was(bench):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            bench.desk.refresh()
        return len(asked)

    keys_ahead = 2
    assert queries() == 1 + keys_ahead + queries()
    assert queries() == queries()


def test_the_largest_position_alone_stops_a_larger_loan(bench):
    worth = wanted_of().candidate.position_wei
    change(bench.chain, maxPositionWei=worth - 1)
    assert bench.act().reason == "limit"
    change(bench.chain, maxPositionWei=worth)
    assert bench.act().execution_pk is not None


def test_the_largest_position_bounds_the_size_that_is_searched(bench):
    change(bench.chain, maxPositionWei=7 * 10**18)
    assert _limits(fast_mode.fast_mode_ensure(chain=bench.chain)).max_position_wei == 7 * 10**18
    rates = {3: NativeRate(601, 2), 4: NativeRate(1, 10**18)}
    assert position_caps(Wei(9), native_rates=rates) == {3: TokenAmount(2704), 4: TokenAmount(0)}
    assert position_caps(Wei(0), native_rates=rates) == {}


def test_executions_an_hour_alone_hold_the_next_one_back(bench):
    settled(bench.act())
    change(bench.chain, maxExecutionsPerHour=1)
    assert bench.act(another(bench)).reason == "limit"
    assert bench.act(wanted_of(PAYING[1], manual=True)).execution_pk is not None


@pytest.mark.parametrize(
    ("name", "age", "breaker"),
    [
        ("maxLossPerHourWei", timedelta(), "loss_per_hour"),
        ("maxLossPerDayWei", timedelta(hours=2), "loss_per_day"),
    ],
)
def test_a_loss_alone_disarms(chain, name, age, breaker):
    row = ended(chain, n=1, ok=True, net=-1_000)
    Execution.objects.filter(pk=row.pk).update(created_at=timezone.now() - age)
    change(chain, **{name: 1_001})
    assert look(chain).state == "armed"
    change(chain, **{name: 1_000})
    assert look(chain).reason.startswith(f"{breaker}: 1000 wei lost")


def test_failures_in_a_row_alone_disarm(chain):
    ended(chain, n=1, ok=False)
    assert look(chain).state == "armed"
    change(chain, maxConsecutiveFailures=1)
    assert look(chain).reason.startswith("consecutive_reverts")


def test_the_expiry_alone_moves_the_end_of_an_arming_that_runs(chain):
    mode = FastMode.objects.get()
    assert mode.expires_at - mode.armed_at == timedelta(hours=12)
    change(chain, expiryMs=60_000)
    assert FastMode.objects.get().expires_at - mode.armed_at == timedelta(minutes=1)
    FastMode.objects.update(armed_at=mode.armed_at - timedelta(minutes=2))
    change(chain, expiryMs=90_000)
    assert look(chain).reason == "armed for 2 minutes: arm it again"


def registered(chain):
    """The pools of the best opportunity, as the registry has them, with one token and pair each."""
    dex = Dex.objects.create(
        chain=chain, key="one", name="One", kind="uniswap_v2", factory=TOKEN, router=TOKEN,
        fee_bps=25, callback="pancakeCall",
    )  # fmt: skip
    for n, hop in enumerate(BEST.hops):
        sides = [
            Token.objects.create(
                chain=chain, address=f"0x{0xA000 + 2 * n + i:040x}", symbol=f"T{n}{i}", decimals=18
            )
            for i in (0, 1)
        ]
        pair = Pair.objects.create(chain=chain, base=sides[0], quote=sides[1], name=f"T{n}")
        Pool.objects.create(
            chain=chain, dex=dex, pair=pair, address=BOOK.pools[hop.pool].address,
            token0=sides[0], token1=sides[1], fee_bps=25,
        )  # fmt: skip


@pytest.mark.parametrize("manual", [False, True])
def test_a_denied_token_or_pair_is_refused_though_the_book_does_not_know_yet(bench, manual):
    registered(bench.chain)
    token, pair = Token.objects.get(symbol="T01"), Pair.objects.get(name="T1")
    for row, deny in ((token, token_deny), (pair, pair_deny)):
        bench.desk.refresh()
        deny(**{type(row).__name__.lower(): row, "denied": True})
        assert bench.desk.act(wanted_of(manual=manual)).reason == "token_risk"
        assert bench.sender.sent == []
        deny(**{type(row).__name__.lower(): row, "denied": False})
    assert bench.act(wanted_of(manual=manual)).execution_pk is not None


# The tests that change one limit alone.
CHANGED_ALONE = {
    "autoExecute": (test_auto_execute_alone_decides_whether_it_acts_by_itself,),
    "minProfitThresholdBps": (test_the_least_profit_alone_decides,),
    "maxGasGwei": (test_the_gas_ceiling_alone_decides,),
    "maxSlippageBps": (test_the_slippage_alone_moves_the_least_profit_that_the_contract_holds,),
    "usePrivateMempool": (
        test_the_private_mempool_alone_keeps_what_is_planned_from_public_endpoints,
    ),
    "cooldownMs": (
        test_the_cooldown_alone_holds_the_next_one_back,
        test_the_cooldown_holds_though_another_engine_took_the_lead,
    ),
    "maxPositionWei": (
        test_the_largest_position_alone_stops_a_larger_loan,
        test_the_largest_position_bounds_the_size_that_is_searched,
    ),
    "maxExecutionsPerHour": (test_executions_an_hour_alone_hold_the_next_one_back,),
    "maxLossPerHourWei": (test_a_loss_alone_disarms,),
    "maxLossPerDayWei": (test_a_loss_alone_disarms,),
    "maxConsecutiveFailures": (test_failures_in_a_row_alone_disarm,),
    "expiryMs": (test_the_expiry_alone_moves_the_end_of_an_arming_that_runs,),
    "tipShareBps": (test_tips.test_without_a_share_no_tip_is_offered,),
}


def test_every_limit_has_a_test_here():
    """A new limit needs one, and one that is renamed or deleted is missed here."""
    assert {limit.name for limit in LIMITS} == set(CHANGED_ALONE)
    for name, tests in CHANGED_ALONE.items():
        for test in tests:
            assert name in inspect.getsource(test), f"{test.__name__} does not change {name}"


def test_an_execution_names_the_version_that_held(bench):
    first = settled(bench.act())
    change(bench.chain, maxSlippageBps=7)
    second = bench.act(another(bench))
    versions = dict(Execution.objects.values_list("pk", "config__version"))
    assert versions == {first.execution_pk: 1, second.execution_pk: 2}


def test_a_change_is_a_new_version_with_an_audit_row_and_the_old_one_stays(chain):
    before = FastModeConfig.objects.values().get()
    config = change(chain, cooldownMs=5)
    assert (config.version, config.cooldown_ms) == (2, 5)
    assert FastModeConfig.objects.values().get(version=1) == before
    said = AuditEvent.objects.get(verb="fast_mode_limits")
    assert said.before == {"version": 1, "cooldownMs": 0}
    assert said.after == {"version": 2, "cooldownMs": 5}


def test_what_changes_nothing_is_no_version(chain):
    assert change(chain, cooldownMs=0).version == 1
    assert FastModeConfig.objects.count() == 1


def test_going_back_makes_a_version_that_repeats_the_old_one(chain):
    change(chain, cooldownMs=5)
    change(chain, cooldownMs=9, maxSlippageBps=1)
    mode = FastMode.objects.select_related("config", "chain").get()
    config = limits.limits_rollback(mode=mode, version=2)
    assert (config.version, config.repeats, config.cooldown_ms) == (4, 2, 5)
    assert config.max_slippage_bps == 50
    assert FastMode.objects.get().config_id == config.pk
    with pytest.raises(NotFound, match="no version 17"):
        limits.limits_rollback(mode=mode, version=17)


def test_whoever_changes_what_another_changed_meanwhile_is_told(chain):
    change(chain, cooldownMs=5)
    mode = FastMode.objects.select_related("config", "chain").get()
    with pytest.raises(Conflict, match="Version 2 holds by now"):
        limits.limits_change(mode=mode, changes={"cooldownMs": 6}, base_version=1)
    assert limits.limits_change(mode=mode, changes={"cooldownMs": 6}, base_version=2).version == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"minProfitThresholdBps": 0}, "minProfitThresholdBps"),
        ({"maxLossPerHourWei": 0}, "maxLossPerHourWei"),
        ({"maxGasGwei": 10**15}, "maxGasGwei"),
        ({"expiryMs": 0}, "expiryMs"),
        ({"expiryMs": LONGEST_MS + 1}, "expiryMs"),
        ({"usePrivateMempool": True}, "usePrivateMempool"),
    ],
)
def test_what_cannot_hold_is_named_and_nothing_is_kept(chain, changes, named):
    with pytest.raises(ValidationError) as refused:
        change(chain, **changes)
    assert list(refused.value.detail) == [named]
    assert FastModeConfig.objects.count() == 1


def test_a_version_older_than_a_limit_holds_what_was_derived_before(chain):
    FastModeConfig.objects.update(
        max_loss_per_hour_wei=None, max_loss_per_day_wei=None, expiry_ms=None
    )
    config = FastModeConfig.objects.get()
    held = limits.limits_of(config, is_local=False)
    assert held["maxLossPerHourWei"] == 20 * 500_000 * config.max_gas_price_wei
    assert held["maxLossPerDayWei"] == 3 * held["maxLossPerHourWei"]
    assert held["expiryMs"] == LONGEST_MS
    assert guards.breaker_limits(config, is_local=True).loss_per_hour_wei == (
        500 * 500_000 * config.max_gas_price_wei
    )
