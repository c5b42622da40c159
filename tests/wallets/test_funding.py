"""Fundings on a real node: once whatever is triggered, and whole after a crash."""

import os
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from contracts.rpc import RpcUnavailable
from tests.wallets.conftest import make_bench
from tests.wallets.funds import (
    COIN,
    LOW,
    balance_of,
    drain,
    mined,
    office_of,
    reason_for,
    run_and_hang_up,
)
from tests.wallets.test_sender import FakeRelay, in_threads
from wallets import funding, kill, services
from wallets.funding import Reason
from wallets.kernel.lifecycle import FINAL
from wallets.models import (
    Attempt,
    Funding,
    Transaction,
    Wallet,
)
from wallets.signer_client import SignerUnavailable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
TOGETHER = 50
ROUNDS = int(os.environ.get("PROVE_FUNDING_ROUNDS", "2"))


@pytest.fixture
def office(bench):
    drain(bench, bench.executor)
    return office_of(bench)


def test_a_low_executor_is_brought_to_its_target_and_the_ledger_says_from_what(bench, office):
    before = balance_of(bench, bench.reserve)
    report = funding.funding_run(office)
    mined(bench)

    [row] = Funding.objects.all()
    target = 2 * bench.executor.threshold_wei
    assert report.problems == []
    assert balance_of(bench, bench.executor) == target
    assert (row.amount_wei, row.automatic, row.requested_by) == (target - LOW, True, None)
    assert row.decided_balance_wei == LOW
    assert row.transaction.status == "confirmed"
    assert row.closed_at is not None
    spent = row.amount_wei + row.transaction.gas_used * row.transaction.gas_price_wei
    assert before - balance_of(bench, bench.reserve) == spent
    assert row.transaction.gas_used * row.transaction.gas_price_wei <= row.gas_wei


def test_fifty_triggers_at_once_fund_once(bench, office):
    reserve_before = balance_of(bench, bench.reserve)

    results = in_threads(TOGETHER, partial(run_and_hang_up, office))
    mined(bench)

    assert [r for r in results if isinstance(r, Exception)] == []
    [row] = Funding.objects.all()
    assert Transaction.objects.filter(kind="funding").count() == 1
    assert Attempt.objects.filter(transaction=row.transaction).count() == 1
    assert balance_of(bench, bench.executor) == LOW + row.amount_wei
    gas = row.transaction.gas_used * row.transaction.gas_price_wei
    assert reserve_before - balance_of(bench, bench.reserve) == row.amount_wei + gas


def test_many_low_wallets_and_many_triggers_never_pass_the_chains_day(bench, office):
    others = [
        services.wallet_create(chain=bench.chain, role="executor", signer=bench.desk.client)
        for _ in range(5)
    ]
    cap = 2 * 10**17
    funding.funding_policy_set(chain=bench.chain, changes={"cap_chain_day_wei": cap})
    before = balance_of(bench, bench.reserve)

    results = in_threads(8, partial(run_and_hang_up, office))
    mined(bench)

    assert [r for r in results if isinstance(r, Exception)] == []
    rows = list(Funding.objects.select_related("transaction"))
    assert sum(row.amount_wei for row in rows) == cap
    assert len(rows) == len({row.wallet_id for row in rows}) >= 2
    gas = sum(row.transaction.gas_used * row.transaction.gas_price_wei for row in rows)
    assert before - balance_of(bench, bench.reserve) == cap + gas
    again = funding.funding_run(office)
    unfunded = next(w for w in others if w.pk not in {row.wallet_id for row in rows})
    assert reason_for(again, unfunded) is Reason.CAP_CHAIN_DAY


@pytest.mark.timeout(300 + 30 * ROUNDS)
def test_round_after_round_of_fifty_triggers_passes_no_cap(bench, office):
    """Three empty wallets a round, a chain's day that is enough for some of them."""
    Wallet.objects.filter(pk=bench.executor.pk).update(state="retired")
    random = Random(7)  # noqa: S311  caps, not keys
    act = partial(run_and_hang_up, office)
    for _ in range(ROUNDS):
        Funding.objects.update(closed_at=timezone.now() - timedelta(days=2))
        Wallet.objects.filter(role="executor").update(state="retired")
        wallets = [
            services.wallet_create(chain=bench.chain, role="executor", signer=bench.desk.client)
            for _ in range(3)
        ]
        cap = random.randrange(10**16, 4 * 10**17)
        funding.funding_policy_set(chain=bench.chain, changes={"cap_chain_day_wei": cap})
        drain(bench, bench.reserve, to=10 * COIN)
        results = in_threads(TOGETHER, act)
        assert [r for r in results if isinstance(r, Exception)] == []
        mined(bench)

        rows = Funding.objects.select_related("transaction").filter(wallet__in=wallets)
        assert {row.transaction.status for row in rows} == {"confirmed"}
        assert len({row.wallet_id for row in rows}) == len(rows)
        given = {row.wallet_id: row.amount_wei for row in rows}
        assert sum(given.values()) == min(cap, 3 * 10**17) or cap - sum(given.values()) < 10**15
        assert {w.pk: balance_of(bench, w) for w in wallets if w.pk in given} == given
        gas = sum(row.transaction.gas_used * row.transaction.gas_price_wei for row in rows)
        assert 10 * COIN - balance_of(bench, bench.reserve) == sum(given.values()) + gas


def test_the_database_itself_refuses_a_second_open_funding(bench):
    facts = {"wallet": bench.executor, "reserve": bench.reserve, "amount_wei": 5}
    Funding.objects.create(**facts)

    with pytest.raises(IntegrityError, match="funding_one_open_per_wallet"), transaction.atomic():
        Funding.objects.create(**facts)
    Funding.objects.update(closed_at=timezone.now())
    Funding.objects.create(**facts)


def test_until_it_is_final_and_read_again_nothing_more_is_given(bench, office):
    funding.funding_policy_set(chain=bench.chain, changes={"cooldown_s": 0})
    funding.funding_run(office)
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.OPEN_FUNDING
    bench.mine()
    bench.settle()
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.OPEN_FUNDING
    mined(bench)
    assert reason_for(funding.funding_run(office), bench.executor) is Reason.NOT_LOW
    drain(bench, bench.executor)
    stale = funding.funding_plan(bench.chain)  # by the record, which knows nothing of it yet
    assert [d.reason for d in stale] == [Reason.NOT_LOW]
    funding.funding_run(office)
    assert Funding.objects.count() == 2


@pytest.mark.parametrize("step", ["reserved", "planned", "simulated"])
def test_what_a_crash_left_is_taken_up_as_the_same_funding(bench, office, step):
    class Died(BaseException):
        """The process ends here."""

    class DyingSender:
        def __getattr__(self, name):
            if name == "send":
                raise Died
            return getattr(bench.sender, name)

    class DyingRpc:
        def __init__(self):
            self.estimated = False

        def __getattr__(self, name):
            return getattr(bench.rpc, name)

        def call(self, method, params=()):
            # The first question of a proof: after its plan was committed.
            if method == "eth_getBlockByNumber" and Funding.objects.exists():
                raise Died
            return bench.rpc.call(method, params)

    broken = {
        "reserved": {"rpc": DyingRpc()},
        "planned": {"rpc": DyingRpc()},
        "simulated": {"sender": DyingSender()},
    }[step]
    with pytest.raises(Died):
        funding.funding_run(office_of(bench, **broken))
    [row] = Funding.objects.all()
    if step == "reserved":  # as if it had died one commit earlier
        one, row.transaction = row.transaction, None
        row.save(update_fields=["transaction"])
        with_trigger_off(one)
    assert not Attempt.objects.exists()

    report = funding.funding_run(office, older_than_s=0)
    mined(bench)

    assert [taken.pk for taken in report.fundings] == [row.pk]
    assert Transaction.objects.filter(kind="funding").count() == 1
    row.refresh_from_db()
    assert row.transaction.status == "confirmed"
    assert balance_of(bench, bench.executor) == LOW + row.amount_wei


def with_trigger_off(one):
    """Delete a transaction with its append-only history."""
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE wallets_statuschange DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM wallets_statuschange WHERE transaction_id = %s", [one.pk])
        cursor.execute("DELETE FROM wallets_transaction WHERE id = %s", [one.pk])
        cursor.execute("ALTER TABLE wallets_statuschange ENABLE TRIGGER USER")


def test_a_signer_that_is_away_leaves_it_for_the_next_run(bench, office, desk):
    class Away:
        def sign(self, attempt_id):
            raise SignerUnavailable("the signer is away", asked=False)

    bench.sender._signer, there = Away(), bench.sender._signer
    report = funding.funding_run(office)
    assert report.problems
    [row] = Funding.objects.all()
    assert row.closed_at is None
    bench.sender._signer = there

    funding.funding_run(office, older_than_s=0)
    mined(bench)

    assert Funding.objects.get().transaction.status == "confirmed"


def test_what_nobody_took_up_in_time_is_dropped_and_decided_anew(bench, office):
    row = Funding.objects.create(
        wallet=bench.executor, reserve=bench.reserve, amount_wei=5, gas_wei=10**15,
        kill_epoch=services.kill_epoch("local"),
    )  # fmt: skip
    Funding.objects.update(created_at=timezone.now() - timedelta(minutes=11))

    report = funding.funding_run(office)

    row.refresh_from_db()
    assert row.closed_at is not None
    assert row.refused
    assert reason_for(report, bench.executor) is None


@pytest.mark.parametrize("facts", [{"amount_wei": 10**21}, {"gas_wei": 1}])
def test_what_the_reserve_cannot_pay_or_did_not_set_aside_is_refused_before_a_nonce(
    bench, office, facts
):
    usual = {"amount_wei": 5, "gas_wei": 10**15, "kill_epoch": services.kill_epoch("local")}
    row = Funding.objects.create(wallet=bench.executor, reserve=bench.reserve, **{**usual, **facts})

    report = funding.funding_run(office, older_than_s=0)

    row.refresh_from_db()
    assert row.transaction.status == "rejected"
    assert row.closed_at is not None
    assert report.problems
    assert not Attempt.objects.filter(transaction=row.transaction).exists()


def test_the_kill_switch_stops_what_is_decided_and_what_was_reserved(bench, office):
    row = Funding.objects.create(
        wallet=bench.executor, reserve=bench.reserve, amount_wei=5, gas_wei=10**15,
        kill_epoch=services.kill_epoch("local"),
    )  # fmt: skip
    kill.kill_engage(reason="a test", scope="local")

    report = funding.funding_run(office, older_than_s=0)

    row.refresh_from_db()
    assert row.transaction.status == "rejected"
    assert reason_for(report, bench.executor) is Reason.KILLED
    assert not Attempt.objects.exists()


def test_a_row_of_before_the_kill_is_not_sent_after_its_release(bench, office):
    Funding.objects.create(
        wallet=bench.executor, reserve=bench.reserve, amount_wei=5, gas_wei=10**15,
        kill_epoch=services.kill_epoch("local") - 1,
    )  # fmt: skip

    funding.funding_run(office, older_than_s=0)

    assert Transaction.objects.get().status == "rejected"


def test_bytes_that_were_sent_without_an_answer_hold_the_wallet_until_they_are_settled(
    transactional_db, anvil, desk
):
    """UNKNOWN is open: nothing is given twice for it."""

    def lost(raw, timeout_s):
        raise RpcUnavailable("no answer", endpoint="fake", sent=True)

    made = make_bench(anvil=anvil, desk=desk, relay=FakeRelay(lost))
    try:
        drain(made, made.executor)
        office = office_of(made)
        funding.funding_run(office)
        [row] = Funding.objects.select_related("transaction")
        assert row.transaction.status == "unknown"
        assert row.transaction.status not in {status.value for status in FINAL}
        again = funding.funding_run(office, older_than_s=0)
        assert reason_for(again, made.executor) is Reason.OPEN_FUNDING
        assert Attempt.objects.count() == 1
    finally:
        made.sender.close()
        made.rpc.close()
