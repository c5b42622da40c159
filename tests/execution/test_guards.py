"""What disarms Fast Mode by itself, and what it is after a start (I21, I22)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base.models import Alert, AuditEvent
from arbsite.base.problems import Conflict
from execution import fast_mode, guards, limits, selectors, services
from execution.models import Execution, FastMode
from tests.execution.rows import armed, make_chain, make_execution, make_sent, mine
from wallets.models import Attempt, Transaction

pytestmark = pytest.mark.django_db(transaction=True)
REMOTE = {"key": "bsc", "eip155_id": 56, "is_local": False}


@pytest.fixture(autouse=True)
def _quiet(channel_layer):
    return None


def now_ms(chain=None):
    return int(timezone.now().timestamp() * 1000)


def look(chain, *, settled_at_ms="now"):
    return guards.mode_guard(
        chain=chain,
        mode=FastMode.objects.select_related("config").get(chain=chain),
        settled_at_ms=now_ms() if settled_at_ms == "now" else settled_at_ms,
    )


def ended(chain, *, n, ok, net=None, **facts):
    sent = make_sent(chain, n=n, status="confirmed" if ok else "reverted")
    Transaction.objects.filter(pk=sent.pk).update(
        receipt={"status": "0x1" if ok else "0x0"}, gas_used=200_000, gas_price_wei=10**9
    )
    net = net if net is not None else (10**15 if ok else -2 * 10**14)
    return make_execution(chain, n=n, sent=sent, net_profit_wei=net, realized_profit=0, **facts)


def test_a_local_chain_is_armed_at_first_and_keeps_what_the_operator_chose():
    chain = make_chain()
    assert fast_mode.fast_mode_at_start(chain=chain).state == "armed"
    fast_mode.fast_mode_set(chain=chain, state="paused", reason="by hand")
    assert fast_mode.fast_mode_at_start(chain=chain).state == "paused"


def test_any_other_chain_is_off_at_first_and_after_every_start():
    chain = make_chain(**REMOTE)
    assert fast_mode.fast_mode_at_start(chain=chain).state == "off"
    assert armed(chain).expires_at is not None
    assert fast_mode.fast_mode_at_start(chain=chain).state == "off"
    assert FastMode.objects.get(chain=chain).reason == "the engine started"


def test_arming_ends_after_twelve_hours():
    chain = make_chain(**REMOTE)
    mode = armed(chain)
    assert mode.expires_at - mode.since == timedelta(hours=12)
    assert look(chain).state == "armed"
    late = timezone.now() - timedelta(seconds=1)
    FastMode.objects.update(armed_at=late - timedelta(hours=12), expires_at=late)
    mode = look(chain)
    assert (mode.state, mode.reason) == ("off", "armed for 12 hours: arm it again")
    assert Alert.objects.filter(key="disarmed:bsc").exists()
    assert AuditEvent.objects.filter(verb="fast_mode_off", target="bsc").exists()


def test_too_many_reverts_in_a_row_disarm_with_a_reason_and_an_alert():
    chain = make_chain(**REMOTE)
    limit = armed(chain).config.max_consecutive_failures
    for n in range(1, limit):
        ended(chain, n=n, ok=False)
    assert look(chain).state == "armed"
    ended(chain, n=limit, ok=False)
    mode = look(chain)
    assert mode.state == "off"
    assert mode.reason.startswith("consecutive_reverts: 5 executions in a row failed")
    assert Alert.objects.get(key="disarmed:bsc").severity == "critical"


def test_bundles_that_missed_in_a_row_disarm_where_the_gate_would_hold_for_ever():
    chain = make_chain(**REMOTE)
    most = armed(chain).config.max_consecutive_failures
    for n in range(1, most + 1):
        assert look(chain).state == "armed"
        make_execution(chain, n=n, sent=make_sent(chain, n=n, status="expired"))
    since = FastMode.objects.get(chain=chain).counts_from
    assert selectors.consecutive_failures(chain=chain, since=since) == most
    assert look(chain).reason.startswith("consecutive_reverts")


def test_a_limit_above_what_is_usually_read_is_reached_all_the_same():
    chain, most = make_chain(**REMOTE), 60
    armed(chain)
    mode = FastMode.objects.select_related("config").get(chain=chain)
    limits.limits_change(mode=mode, changes={"maxConsecutiveFailures": most})
    for n in range(1, most + 1):
        make_execution(chain, n=n, sent=make_sent(chain, n=n, status="expired"))
    since = FastMode.objects.get(chain=chain).counts_from
    assert selectors.consecutive_failures(chain=chain, since=since) == most
    assert look(chain).reason.startswith("consecutive_reverts")


def test_what_was_mined_and_cannot_be_booked_disarms():
    """Its loss is in no figure: whoever cannot see stops."""
    chain = make_chain(**REMOTE)
    armed(chain)
    sent = make_sent(chain, n=1)
    row = make_execution(chain, n=1, sent=sent)
    mine(sent, status="confirmed")
    assert row.net_profit_wei is None
    assert look(chain).state == "armed"  # it is booked in a moment
    FastMode.objects.update(armed_at=timezone.now() - timedelta(minutes=20))
    Execution.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    assert look(chain).reason.startswith("inputs: the outcomes of executions could not be read or")


@pytest.mark.parametrize(
    "costs",
    [
        {"status": "cancelled", "receipt": {"status": "0x1"}, "gas_used": 21_000},
        {"l1_fee_wei": 10**12},
    ],
    ids=["a cancel that was mined", "a revert whose fee is the first layer's"],
)
def test_all_that_a_failure_costs_counts_as_gas_without_success(costs):
    chain = make_chain(**REMOTE)
    config = armed(chain).config
    most = guards.breaker_limits(config, is_local=False).gas_without_success_wei
    mode = FastMode.objects.select_related("config").get(chain=chain)
    limits.limits_change(mode=mode, changes={"maxLossPerDayWei": most * 20})
    FastMode.objects.update(armed_at=timezone.now() - timedelta(hours=6))
    for n in (1, 2):
        assert look(chain).state == "armed"
        row = ended(chain, n=n, ok=False, net=-int(most * 6 // 10))
        Transaction.objects.filter(pk=row.transaction_id).update(**costs)
        then = timezone.now() - timedelta(hours=1.5 * n)
        Execution.objects.filter(pk=row.pk).update(created_at=then)
    assert look(chain).reason.startswith("gas_without_success")


def test_a_success_in_between_begins_the_count_anew():
    chain = make_chain(**REMOTE)
    armed(chain)
    for n in range(1, 10):
        ended(chain, n=n, ok=n == 5)
    assert look(chain).state == "armed"


BY_HAND = {"automatic": False}


def test_what_a_person_ordered_disarms_nothing():
    chain = make_chain(**REMOTE)
    limits = guards.breaker_limits(armed(chain).config, is_local=False)
    for n in range(1, limits.consecutive_reverts + 1):
        ended(chain, n=n, ok=False, net=-limits.loss_per_day_wei, **BY_HAND)
    assert look(chain).state == "armed"
    since = timezone.now() - timedelta(hours=1)
    assert selectors.consecutive_failures(chain=chain, since=since) == 0


def test_a_success_that_a_person_ordered_ends_no_row_of_failures():
    chain = make_chain(**REMOTE)
    mode = armed(chain)
    most = mode.config.max_consecutive_failures
    for n in range(1, most + 1):
        ended(chain, n=n, ok=False)
        ended(chain, n=100 + n, ok=True, **BY_HAND)
    assert selectors.consecutive_failures(chain=chain, since=mode.since) == most
    assert look(chain).reason.startswith("consecutive_reverts")


def test_what_a_person_earned_hides_no_loss():
    chain = make_chain(**REMOTE)
    limits = guards.breaker_limits(armed(chain).config, is_local=False)
    ended(chain, n=1, ok=True, net=-limits.loss_per_hour_wei)
    ended(chain, n=2, ok=True, net=10 * limits.loss_per_hour_wei, **BY_HAND)
    assert look(chain).reason.startswith("loss_per_hour")


def test_what_happens_on_another_chain_disarms_nothing_here():
    here, there = make_chain(**REMOTE), make_chain(key="other", eip155_id=57, is_local=False)
    limits = guards.breaker_limits(armed(here).config, is_local=False)
    for n in range(1, limits.consecutive_reverts + 1):
        ended(there, n=n, ok=False, net=-limits.loss_per_day_wei)
    assert look(here).state == "armed"


def test_a_lost_race_now_and_then_disarms_no_local_chain():
    chain = make_chain()
    armed(chain)
    for n in range(1, 20):
        ended(chain, n=n, ok=False)
    assert look(chain).state == "armed"


def test_losses_count_though_it_was_armed_anew_since():
    chain = make_chain(**REMOTE)
    limits = guards.breaker_limits(armed(chain).config, is_local=False)
    row = ended(chain, n=1, ok=True, net=-limits.loss_per_day_wei)
    Execution.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=5))
    armed(chain)
    assert look(chain).reason.startswith("loss_per_day")


def test_a_pause_stops_neither_the_time_nor_the_count():
    chain = make_chain(**REMOTE)
    mode = armed(chain)
    for n in range(1, mode.config.max_consecutive_failures):
        ended(chain, n=n, ok=False)
    paused = fast_mode.fast_mode_pause(chain=chain, reason="by hand")
    assert paused.expires_at == mode.expires_at
    resumed = fast_mode.fast_mode_resume(chain=chain)
    assert (resumed.state, resumed.expires_at) == ("armed", mode.expires_at)
    ended(chain, n=9, ok=False)
    assert look(chain).reason.startswith("consecutive_reverts")


def test_an_arming_ends_though_it_is_paused():
    chain = make_chain(**REMOTE)
    armed(chain)
    fast_mode.fast_mode_pause(chain=chain, reason="by hand")
    FastMode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Conflict, match="has ended meanwhile"):
        fast_mode.fast_mode_resume(chain=chain)
    assert look(chain).state == "off"


@pytest.mark.parametrize("verb", [fast_mode.fast_mode_resume, fast_mode.fast_mode_pause])
def test_what_is_off_is_neither_paused_nor_resumed(verb):
    chain = make_chain(**REMOTE)
    more = {"reason": "by hand"} if verb is fast_mode.fast_mode_pause else {}
    with pytest.raises(Conflict, match="is off"):
        verb(chain=chain, **more)


def test_a_loss_within_an_hour_disarms():
    chain = make_chain(**REMOTE)
    limits = guards.breaker_limits(armed(chain).config, is_local=False)
    ended(chain, n=1, ok=True, net=-limits.loss_per_hour_wei)
    assert look(chain).reason.startswith("loss_per_hour")


@pytest.mark.parametrize("age_ms", [None, guards.INPUTS_MAX_AGE_MS + 1_000])
def test_receipts_that_nobody_could_look_at_disarm(age_ms):
    chain = make_chain()
    armed(chain)
    mode = look(chain, settled_at_ms=None if age_ms is None else now_ms() - age_ms)
    assert (mode.state, mode.reason.split(":")[0]) == ("off", "inputs")


def test_what_was_before_arming_counts_no_more():
    chain = make_chain(**REMOTE)
    armed(chain)
    for n in range(1, 8):
        ended(chain, n=n, ok=False)
    assert look(chain).state == "off"
    mode = armed(chain)
    assert look(chain).state == "armed"
    assert selectors.consecutive_failures(chain=chain, since=mode.since) == 0


def test_what_is_not_armed_is_left_alone(django_assert_num_queries):
    chain = make_chain()
    mode = fast_mode.fast_mode_ensure(chain=chain)
    mode.state = "paused"
    with django_assert_num_queries(0):
        assert guards.mode_guard(chain=chain, mode=mode, settled_at_ms=None) is mode


def planned(chain, *, n, epoch, status="simulated"):
    sent = make_sent(chain, n=n, status=status, leader_epoch=epoch)
    Attempt.objects.filter(transaction=sent).delete()
    return make_execution(chain, n=n, sent=sent)


def test_what_a_dead_engine_planned_is_ended_and_what_this_one_plans_is_not():
    chain = make_chain()
    dead, mine = planned(chain, n=1, epoch=3), planned(chain, n=2, epoch=4)
    with_nonce = make_execution(
        chain, n=3, sent=make_sent(chain, n=3, status="simulated", leader_epoch=3)
    )
    assert services.executions_abandon(chain=chain, leader_epoch=4) == 1
    stands = {row.pk: row.transaction.status for row in Execution.objects.all()}
    assert stands == {dead.pk: "rejected", mine.pk: "simulated", with_nonce.pk: "simulated"}


def test_figures_take_a_fixed_number_of_queries(django_assert_num_queries):
    chain = make_chain()
    for n in range(1, 6):
        ended(chain, n=n, ok=True)
    since = timezone.now() - timedelta(hours=1)
    with django_assert_num_queries(1):
        assert len(selectors.outcomes(chain=chain, since=since)) == 5
    with django_assert_num_queries(1):
        assert selectors.in_flight(chain=chain).pools == frozenset()
    with django_assert_num_queries(1):
        assert selectors.consecutive_failures(chain=chain, since=since) == 0
    with django_assert_num_queries(3):
        assert len(selectors.executions_recent()) == 5
    with django_assert_num_queries(5):
        selectors.stats(chain=chain)
