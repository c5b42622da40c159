"""Nonces under concurrency: many at one transaction, and many processes at one account.

PROVE_ROUNDS (3) is the number of rounds of fifty preparations; PROVE_PROCESSES (8) times
PROVE_EACH (50) the nonces that processes take.
"""

import os
import signal
import threading
import time

import pytest
from django.db import connection
from django.db.models import Count, Max, Min

from tests.wallets.conftest import (  # noqa: F401  fixtures
    CHAIN_ID,
    FEES,
    await_no_sessions,
    channel_layer,
    desk,
    make_bench,
)
from tests.wallets.strict_node import strict_node
from wallets import adapters, ledger
from wallets.models import Attempt, NonceSequence, StatusChange, Transaction
from wallets.outcomes import Storing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e, pytest.mark.timeout(5400)]

ROUNDS = int(os.environ.get("PROVE_ROUNDS", "3"))
PROCESSES = int(os.environ.get("PROVE_PROCESSES", "8"))
EACH = int(os.environ.get("PROVE_EACH", "50"))
AT_ONCE = 50
SIGNING = 5  # of the fifty ask for a signature too: an hour has a cap of those
NAME = "test-allocation"


@pytest.fixture
def bench(transactional_db, desk):  # noqa: F811
    with strict_node(CHAIN_ID) as node:
        made = make_bench(anvil=node, desk=desk)
        with made.sender._record.borrow() as session:
            made.sender._open_account(session, made.plan().wallet.address)
        yield made
        made.sender.close()
        made.rpc.close()
        await_no_sessions("test-sender")


def prepare(session, pk):
    return ledger.prepare(session, pk, fees=FEES, public=True)


def test_fifty_preparations_of_one_transaction_give_one_nonce_and_one_hash(bench):
    sessions = [adapters.connect(name=NAME) for _ in range(AT_ONCE)]
    gate = threading.Barrier(AT_ONCE + 1)
    found = [None] * AT_ONCE
    wanted = []

    def run(i):
        for _ in range(ROUNDS):
            gate.wait(60)
            try:
                of = prepare(sessions[i], wanted[-1])
                signed = bench.desk.client.sign(of.attempt_id) if i < SIGNING else None
                found[i] = (of.nonce, of.attempt_id, signed and signed.hash)
            except Exception as error:
                found[i] = error
            gate.wait(60)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    broken = []
    for number in range(ROUNDS):
        wanted.append(bench.plan().pk)
        gate.wait(60)
        gate.wait(60)
        nonces = {answer[0] for answer in found if isinstance(answer, tuple)}
        hashes = {answer[2] for answer in found[:SIGNING] if isinstance(answer, tuple)}
        if nonces != {number} or len(hashes) != 1 or any(isinstance(a, Exception) for a in found):
            broken.append((number, found[:]))
    for thread in threads:
        thread.join(60)
    for session in sessions:
        session.close()
    await_no_sessions(NAME)
    assert broken == []
    assert Attempt.objects.count() == ROUNDS == bench.next_nonce()
    assert list(Attempt.objects.order_by("id").values_list("nonce", flat=True)) == list(
        range(ROUNDS)
    )


def simulated(bench, count):
    """So many simulated transactions of the executor, made in bulk; their keys."""
    model = bench.plan()
    model.refresh_from_db()
    facts = {
        name: getattr(model, name)
        for name in (
            "chain_id", "wallet_id", "kind", "to", "value_wei", "gas_limit", "kill_epoch",
            "simulated_block", "simulated_block_hash", "status",
        )
    }  # fmt: skip
    Transaction.objects.filter(pk=model.pk).update(status="rejected")
    keys = []
    for start in range(0, count, 5_000):
        rows = [
            Transaction(**facts, data=b"", idempotency_key=f"bulk{n}")
            for n in range(start, min(start + 5_000, count))
        ]
        keys += [row.pk for row in Transaction.objects.bulk_create(rows)]
    return keys


def test_processes_take_distinct_nonces_without_gaps(bench):
    keys = simulated(bench, PROCESSES * EACH)
    opening, opened = os.pipe()
    children = []
    for part in range(PROCESSES):
        child = os.fork()
        if child:
            children.append(child)
            continue
        code = 1
        try:
            signal.alarm(3600)
            os.close(opened)
            session = adapters.connect(name=NAME)
            os.read(opening, 1)  # ends when all are there
            for pk in keys[part::PROCESSES]:
                prepare(session, pk)
            code = 0
        finally:
            os._exit(code)
    _await_sessions(PROCESSES)
    started = time.perf_counter()
    os.close(opened)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    took_s = time.perf_counter() - started
    os.close(opening)
    connection.close()
    assert codes == [0] * PROCESSES
    facts = Attempt.objects.aggregate(
        rows=Count("id"),
        distinct=Count("nonce", distinct=True),
        low=Min("nonce"),
        high=Max("nonce"),
    )
    total = PROCESSES * EACH
    assert facts == {"rows": total, "distinct": total, "low": 0, "high": total - 1}
    assert NonceSequence.objects.get(address=bench.executor.address).next_nonce == total
    print({"processes": PROCESSES, "nonces": total, "per_second": round(total / took_s)})
    await_no_sessions(NAME)


def _await_sessions(count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*), pg_sleep(0.01) FROM pg_stat_activity WHERE application_name = %s",
                [NAME],
            )
            if cursor.fetchone()[0] >= count:
                return
    raise AssertionError("the processes never began")


def test_a_preparation_that_fails_takes_no_nonce(bench):
    planned = bench.plan()
    sequence = NonceSequence.objects.get(address=bench.executor.address)
    with adapters.connect(name=NAME) as session:
        for _ in range(20):
            with session.transaction(force_rollback=True):
                assert prepare(session, planned.pk).nonce == sequence.next_nonce
        assert prepare(session, planned.pk).nonce == sequence.next_nonce
    assert StatusChange.objects.filter(transaction=planned).count() == 2
    await_no_sessions(NAME)


def test_only_the_commit_of_the_bytes_waits_for_the_disk_and_it_covers_the_nonce(bench):
    planned = bench.plan()
    with adapters.connect(name=NAME) as session:
        with session.transaction(force_rollback=True):
            prepare(session, planned.pk)
            assert _waits(session) == "off"
        of = prepare(session, planned.pk)
        assert _waits(session) == "on"
        signed = bench.desk.client.sign(of.attempt_id)
        Storing(of, raw=signed.raw, tx_hash=signed.hash, via="public").write(session)
        assert Attempt.objects.get(pk=of.attempt_id).status == "signed"
    await_no_sessions(NAME)


def _waits(session):
    return session.execute("SHOW synchronous_commit").fetchone()[0]
