"""One engine on a living market: it executes, books, follows reorgs, and comes back from faults."""

import threading
from dataclasses import replace

import pytest
from django.db import connection

from arbsite import wiring
from arbsite.base.models import Alert, User
from contracts.models import Pool
from execution import accounting, fast_mode, services
from execution.leader import Leadership, is_led
from execution.models import Execution, FastMode, PnlEntry
from execution.render import STAGES
from prices.models import Monitor, Opportunity
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import Running, await_, ledger_of
from wallets import kill
from wallets.models import Attempt, ChainLeader, Transaction

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=77, states_kept=256)


@pytest.fixture(autouse=True)
def _orderly(place):
    """Every test begins armed, watched and idle, and leaves no engine behind."""
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="a test begins")
    yield
    place.stop()
    for _ in range(6):
        place.market.driver.step()
        place.settle()
    assert not Transaction.objects.filter(status__in=["signed", "submitted", "unknown"]).exists()


def more_than(place, count):
    return await_(lambda: len(place.included()) > count and place.included(), until_s=60)


def test_it_finds_executes_and_books(place):
    before = len(place.included())
    place.start()
    with place.pump():
        rows = more_than(place, before + 2)
        await_(lambda: all("inclusion" in r.latency_us for r in place.included()[before:-1]))
    place.stop()
    for row in rows[before:]:
        row.refresh_from_db()
        assert row.automatic
        assert row.opportunity_id is not None
        assert row.tip_wei == 0
        assert ledger_of(row) == row.net_profit_wei
        if row.transaction.receipt["status"] == "0x1":
            assert row.realized_profit == row.expected_profit
        assert {*STAGES} - {*row.latency_us} <= {"inclusion"}
        parts = sum(row.latency_us[s] for s in ("search", "simulate", "sign", "submit"))
        assert row.latency_us["total"] >= parts
        assert Opportunity.objects.filter(pk=row.opportunity_id, chain=place.chain).exists()
    # A typed replacement, such as the cancel of another test's reorg, shares its nonce on purpose.
    attempts = Attempt.objects.filter(transaction__execution__in=rows, replaces__isnull=True)
    assert attempts.count() == len({(a.sequence_id, a.nonce) for a in attempts})


def test_after_the_first_receipt_of_a_kind_its_gas_bounds_the_next(place):
    before = len(place.included())
    place.start()
    with place.pump():
        rows = more_than(place, before + 3)
    place.stop()
    seen: dict[tuple[str, int], int] = {}
    for row in place.included():
        kind, sent = (row.lender_kind, len(row.path)), row.transaction
        if row in rows and kind in seen:
            assert sent.gas_limit >= sent.gas_used
        if sent.receipt["status"] == "0x1":
            seen[kind] = max(seen.get(kind, 0), sent.gas_used)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_reorg_books_the_opposite_and_then_what_is_mined_again(place, depth):
    before = len(place.included())
    place.start()
    with place.pump():
        row = more_than(place, before)[-1]
    await_(lambda: Execution.objects.get(pk=row.pk).net_profit_wei is not None)
    row = place.included()[-1]
    head = place.market.chain.head()
    back = head - row.transaction.block_number + 1
    place.rpc.call("anvil_reorg", [max(depth, min(back, 3)), []])
    place.market.chain.forget_nonces()
    with place.pump():
        await_(
            lambda: (
                Execution.objects.get(pk=row.pk).transaction.status
                in ("included", "confirmed", "reverted", "cancelled", "expired")
                and place.market.chain.head() > head + 6
            ),
            until_s=60,
        )
    place.stop()
    for _ in range(5):
        place.market.driver.step()
        place.settle()
    accounting.executions_settle(chain=place.chain, everything=True)
    fresh = Execution.objects.select_related("transaction").get(pk=row.pk)
    assert ledger_of(fresh) == (fresh.net_profit_wei or 0)
    for entry in PnlEntry.objects.filter(execution=row, reversal=True):
        twin = PnlEntry.objects.filter(
            execution=row, block_hash=entry.block_hash, kind=entry.kind, reversal=False
        )
        assert entry.amount in {-t.amount for t in twin}
    mined = [
        a.hash
        for a in Attempt.objects.filter(transaction=fresh.transaction)
        if place.rpc.call("eth_getTransactionReceipt", [a.hash])
    ]
    assert len(mined) <= 1
    if fresh.transaction.receipt:
        there = place.rpc.call("eth_getTransactionReceipt", [fresh.transaction.tx_hash])
        assert there["blockHash"] == fresh.transaction.block_hash


def test_two_engines_one_leads_and_the_other_takes_over(place):
    first = place.start()
    leader = await_(lambda: ChainLeader.objects.filter(chain=place.chain).first())
    await_(lambda: Monitor.objects.get(chain=place.chain).running == "stream")
    epoch = ChainLeader.objects.get(chain=place.chain).epoch
    second = place.start()
    with place.pump():
        more_than(place, len(place.included()))
        assert ChainLeader.objects.get(chain=place.chain).epoch == epoch
        assert first.stop() < 10
        await_(lambda: ChainLeader.objects.get(chain=place.chain).epoch > epoch)
        more_than(place, len(place.included()))
    assert second.alive
    assert leader.chain_id == place.chain.key
    place.engines.remove(first)


def test_a_lead_whose_session_ended_is_taken_again_with_a_higher_epoch(place):
    place.start()
    await_(lambda: Monitor.objects.get(chain=place.chain).running == "stream")
    epoch = ChainLeader.objects.get(chain=place.chain).epoch
    with place.pump():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()",
                [f"arb-engine:{place.chain.key}"],
            )
        await_(lambda: ChainLeader.objects.get(chain=place.chain).epoch > epoch)
        more_than(place, len(place.included()))
    place.stop()


def test_a_lead_is_seen_while_it_is_held_and_the_next_has_a_higher_epoch(place):
    leadership, other = Leadership(place.chain.key), Leadership(place.chain.key)
    epoch = leadership.acquire()

    assert is_led(place.chain.key)
    assert other.acquire() is None
    leadership.release()
    await_(lambda: not is_led(place.chain.key))
    assert other.acquire() == epoch + 1
    other.release()


def test_it_stops_within_ten_seconds_and_leaves_nothing_half_sent(place):
    before = len(place.traded())
    running = place.start()
    with place.pump():
        await_(lambda: len(place.traded()) > before, until_s=60)
        assert running.stop() < 10
    place.engines.remove(running)
    assert not Attempt.objects.filter(status="prepared").exists()


class Liar:
    """A node whose fork pairs take more than they say, as soon as it is told to lie."""

    def __init__(self, true):
        self.true = true

    def note_block(self, **block):
        self.true.note_block(**block)

    def make_way(self):
        self.true.make_way()

    def go_on(self):
        self.true.go_on()

    def rehearse(self, **asked):
        self.true.rehearse(**asked)

    def simulate(self, **asked):
        told = self.true.simulate(**asked)
        return replace(told, profit=told.profit - 1) if told.profit else told


def test_a_simulation_that_disagrees_quarantines_the_path_and_sends_nothing(place):
    before = len(place.traded())
    engine = wiring.engine(place.chain)
    honest = engine.parts.desk

    def lying(epoch, head):
        desk = honest(epoch, head)
        desk.trial.simulator = Liar(desk.trial.simulator)
        return desk

    engine.parts = replace(engine.parts, desk=lying)
    running = Running(engine)
    place.engines.append(running)
    try:
        with place.pump():
            distrusted = await_(lambda: list(Pool.objects.exclude(quarantined="")), until_s=60)
            alerts = Alert.objects.filter(resolved_at__isnull=True, severity="critical")
            await_(lambda: alerts.filter(key__startswith="quarantine:").count() >= 2)
            await_(lambda: Opportunity.objects.filter(reason="stale_pool").exists())
        place.stop()
        assert all("simulation says" in pool.quarantined for pool in distrusted)
        assert len(place.traded()) == before
    finally:
        place.stop()
        Pool.objects.update(quarantined="", quarantined_at=None)


def test_pausing_stops_and_resuming_goes_on_without_losing_the_book(place):
    place.start()
    with place.pump():
        more_than(place, len(place.included()))
        revision = Monitor.objects.get(chain=place.chain).started_at
        fast_mode.fast_mode_set(chain=place.chain, state="paused", reason="by hand")
        await_(lambda: Opportunity.objects.filter(reason="paused").exists(), until_s=60)
        count = len(place.traded())
        head = place.market.chain.head()
        await_(lambda: place.market.chain.head() > head + 5)
        assert len(place.traded()) == count
        fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="by hand")
        await_(lambda: len(place.traded()) > count, until_s=60)
        assert Monitor.objects.get(chain=place.chain).started_at == revision
    place.stop()


def test_a_person_executes_while_fast_mode_is_off(place):
    fast_mode.fast_mode_set(chain=place.chain, state="off", reason="by hand")
    user = User.objects.create(username=f"ada{User.objects.count()}", role="operator")
    place.start()
    done = None
    with place.pump(0.6):
        for _ in range(20):
            row = await_(
                lambda: (
                    Opportunity.objects.filter(verdict="executable", ended_at__isnull=True)
                    .order_by("-pk")
                    .first()
                ),
                until_s=60,
            )
            answers = two_clicks(row, user)
            done = next((a for a in answers if isinstance(a, services.Outcome)), None)
            if done:
                break
    assert done is not None, answers
    place.stop()
    assert len([a for a in answers if isinstance(a, services.Outcome)]) == 1
    refused = next(a for a in answers if not isinstance(a, services.Outcome))
    assert refused.extra["reason"] == "in_flight"
    assert Execution.objects.filter(opportunity_id=row.pk, transaction__isnull=False).count() == 1
    assert done.execution.requested_by == user
    assert not done.execution.automatic


def two_clicks(row, user):
    answers = []

    def click():
        try:
            answers.append(
                services.execution_request(opportunity_id=row.pk, by=user, request=None, wait_s=5)
            )
        except services.Conflict as error:
            answers.append(error)
        finally:
            connection.close()

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    return answers


def test_a_test_transaction_needs_no_monitoring(place):
    Monitor.objects.filter(chain=place.chain).update(wanted=False)
    user = User.objects.create(username=f"bob{User.objects.count()}", role="operator")
    place.start()
    try:
        with place.pump():
            outcome = services.probe_request(chain=place.chain, by=user, request=None, wait_s=15)
        assert outcome.http_status == 201
        assert outcome.execution.transaction.status in ("included", "confirmed")
        assert outcome.execution.transaction.gas_used == 21_000
    finally:
        place.stop()
        Monitor.objects.filter(chain=place.chain).update(wanted=True)


def test_while_killed_nothing_is_sent_and_requests_are_refused(place):
    user = User.objects.create(username=f"eve{User.objects.count()}", role="operator")
    place.start()
    with place.pump():
        more_than(place, len(place.included()))
        kill.kill_engage(reason="drill")
        handed = Attempt.objects.exclude(purpose="cancel").filter(sent_at__isnull=False)
        sent = handed.count()
        head = place.market.chain.head()
        with pytest.raises(services.Conflict) as refused:
            services.probe_request(chain=place.chain, by=user, request=None, wait_s=5)
        await_(lambda: place.market.chain.head() > head + 5)
        assert refused.value.extra["reason"] == "killed"
        assert handed.count() == sent  # what was prepared in that instant may stand, unsent
        kill.kill_release(reason="over")
        more_than(place, len(place.included()))
    place.stop()
    assert FastMode.objects.get(chain=place.chain).state == "armed"
