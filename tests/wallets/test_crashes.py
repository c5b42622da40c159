"""kill -9 at every statement and every hand-over of the send path: once, or provably never."""

import os
import signal
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from contracts.kernel.jsonrpc import hex_int
from tests.wallets.conftest import FEES
from tests.wallets.test_receipts import _executable
from wallets import adapters, kill
from wallets.kernel.lifecycle import FINAL
from wallets.models import Attempt, NonceSequence, Transaction
from wallets.sender import Sender

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
ENDS = {status.value for status in FINAL}
LAST_STATEMENT = 40


class Fuse:
    """Ends this process without a word at the given point."""

    def __init__(self, point):
        self.point = point
        self.statements = 0

    def at(self, name):
        if name == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(self):
        fuse = self

        class Cursor(psycopg.Cursor):
            def execute(self, *args, **options):
                fuse.statements += 1
                number = fuse.statements
                fuse.at(f"before statement {number}")
                answer = super().execute(*args, **options)
                fuse.at(f"after statement {number}")
                return answer

        session = adapters.connect(name="test-child")
        session.cursor_factory = Cursor
        return session


class FusedDesk:
    def __init__(self, desk, fuse):
        self.desk, self.fuse = desk, fuse

    def sign(self, attempt_id):
        self.fuse.at("before sign")
        signed = self.desk.sign(attempt_id)
        self.fuse.at("after sign")
        return signed


class FusedRelay:
    name = "public"

    def __init__(self, rpc, fuse):
        self.rpc, self.fuse = rpc, fuse

    def send(self, raw, *, timeout_s):
        self.fuse.at("before send")
        answer = self.rpc.send_raw(raw)
        self.fuse.at("after send")
        return answer


def by_key(planned):
    """Send what was planned and proven before."""
    return lambda sender: sender.send(planned.pk, fees=FEES)


def at_once(draft):
    """Plan and send as the desk does it."""

    def act(sender):
        with sender.begin(draft.intent.nonce_of, payer=draft.intent.payer, fees=FEES) as begun:
            begun.write(draft.intent, draft.statements)
            begun.answers()
            begun.commit()
            begun.send()

    return act


def send_in_a_child(bench, act, point):
    """Send in a process of its own that dies at ``point``. True when it lived to the end."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return not os.WIFSIGNALED(status)
    try:
        signal.alarm(30)
        fuse = Fuse(point)
        from contracts.rpc import HttpRpc
        from wallets.signer_client import SignerClient

        rpc = HttpRpc([bench.rpc.endpoints[0].url])
        sender = Sender(
            chain=bench.sender.chain,
            connect=fuse.connect,
            signer=FusedDesk(SignerClient(bench.desk.client.path), fuse),
            rpc=rpc,
            relay=FusedRelay(rpc, fuse),
            notify=lambda pk: None,
        )
        act(sender)
    finally:
        os._exit(0)


def points(stride):
    """Each hand-over to another process, and each ``stride``-th statement, before and after."""
    statements = (f"statement {n}" for n in range(1, LAST_STATEMENT, stride))
    return [
        f"{when} {what}" for what in ("sign", "send", *statements) for when in ("before", "after")
    ]


@pytest.mark.parametrize(
    ("kind", "then", "stride"),
    [
        ("test", "nothing", 1),
        ("test", "a kill", 6),
        ("test", "a reorg", 4),
        ("execution", "nothing", 4),
        ("execution", "a kill", 6),
        ("execution", "a reorg", 5),
    ],
)
def test_a_crash_anywhere_ends_in_one_execution_or_none(bench, kind, then, stride):
    # The account's first use reads the chain: let the path under test be the usual one.
    bench.sender.send(bench.plan().pk, fees=FEES)
    settle_everything(bench)
    execution = {} if kind == "test" else _executable(bench)
    died = 0
    for point in points(stride):
        last = bench.head() + 500
        if kind == "test":
            planned = bench.plan(last_block=last)
            act = by_key(planned)
        else:
            draft = bench.draft(**execution, last_block=last)
            planned, act = draft.row, at_once(draft)
        if send_in_a_child(bench, act, point):
            if point.startswith("before statement"):
                break  # the path has no more statements
            continue
        died += 1
        if then == "a kill":
            kill.kill_engage(reason="drill")
        if then == "a reorg":
            bench.mine()
            bench.rpc.call("anvil_reorg", [1, []])
        settle_everything(bench)
        if then == "a kill":
            kill.kill_release(reason="over")
        check(bench, planned, point)
    assert died >= 30 // stride
    settle_everything(bench)
    wait_for_children()


def settle_everything(bench):
    then = timezone.now() - timedelta(seconds=30)
    for _ in range(3):
        Attempt.objects.filter(sent_at__isnull=False).update(sent_at=then)
        Attempt.objects.filter(signed_at__isnull=False).update(signed_at=then)
        bench.sender.recover(older_than_s=0)
        bench.settle()
        bench.mine(3)
    bench.settle()


def check(bench, planned, point):
    now = Transaction.objects.filter(pk=planned.pk).first()
    attempts = list(Attempt.objects.filter(transaction_id=planned.pk))
    if not attempts:  # it never began: the caller may send it
        assert now is None or now.status == "simulated", point
    else:
        assert now.status in ENDS, (point, now.status)
    held = [a for a in attempts if not a.released]
    assert len({a.nonce for a in held}) <= 1, point
    mined = [a for a in held if a.hash and _receipt(bench, a.hash)]
    assert len(mined) <= 1, point
    if held:
        assert len(mined) == 1, point
    # Every nonce given out is spent: no gap, nothing lost.
    address = bench.executor.address
    spent = hex_int(bench.rpc.call("eth_getTransactionCount", [address, "latest"]))
    assert NonceSequence.objects.get(address=address).next_nonce == spent, point


def _receipt(bench, tx_hash):
    return bench.rpc.call("eth_getTransactionReceipt", [tx_hash])


def wait_for_children():
    from tests.wallets.conftest import await_no_sessions

    await_no_sessions("test-child")
    connection.close()


def test_many_processes_take_distinct_nonces_without_gaps(bench):
    bench.sender.send(bench.plan().pk, fees=FEES)
    planned = [bench.plan().pk for _ in range(40)]
    children = []
    for part in range(4):
        child = os.fork()
        if child:
            children.append(child)
            continue
        try:
            signal.alarm(60)
            from contracts.rpc import HttpRpc
            from wallets.relays.public import PublicRelay
            from wallets.signer_client import SignerClient

            rpc = HttpRpc([bench.rpc.endpoints[0].url])
            sender = Sender(
                chain=bench.sender.chain,
                connect=partial(adapters.connect, name="test-child"),
                signer=SignerClient(bench.desk.client.path),
                rpc=rpc,
                relay=PublicRelay(rpc),
                notify=lambda pk: None,
            )
            for pk in planned[part::4] + planned[(part + 1) % 4 :: 4]:
                sender.send(pk, fees=FEES)
        finally:
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    nonces = list(Attempt.objects.order_by("nonce").values_list("nonce", flat=True))
    assert nonces == list(range(41))
    assert bench.next_nonce() == 41
    wait_for_children()
