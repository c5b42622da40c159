"""The kill switch at random instants, four processes sending, measured on the wire.

A proxy that reads at once stands in front of a slow node. After the kill's answer it sees nothing
but what ends nonces and pauses contracts: judged by the decoded bytes alone.
PROVE_KILL_TRIALS (3) and PROVE_KILL_RATE (80 requests a second, all processes together);
PROVE_SEED repeats a run.
"""

import mmap
import os
import random
import signal
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection

from contracts.kernel import abi
from contracts.localchain.anvil import Anvil, free_port
from contracts.models import Deployment
from contracts.rpc import HttpRpc
from tests.proofs.slow_proxy import slow_proxy
from tests.wallets.conftest import (  # noqa: F401  fixtures
    CHAIN_ID,
    FEES,
    await_no_sessions,
    desk,
    make_bench,
)
from tests.wallets.strict_node import decode
from wallets import adapters, kill, services
from wallets.kernel.lifecycle import HOLDS_NONCE
from wallets.kernel.policy import PAUSE, SET_EXECUTOR
from wallets.models import Assignment, Attempt, Transaction
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer_client import SignerClient

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e, pytest.mark.timeout(14_400)]

TRIALS = int(os.environ.get("PROVE_KILL_TRIALS", "3"))
RATE = int(os.environ.get("PROVE_KILL_RATE", "80"))
LONG = 200  # from so many trials on the promise on time is held as well
PROCESSES = 4
THREADS = 8
SECONDS = 1.5  # of requests in one trial
AFTER_S = 0.5  # how long the wire is watched after each answer
NAME = "test-kill-load"
ALIVE_LAYER = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DEAD_LAYER = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": ["redis://127.0.0.1:9"]},
    }
}


class Baton:
    """What the processes share: the trial that runs, and how many processes are through with it."""

    def __init__(self):
        self._memory = mmap.mmap(-1, 8 * (PROCESSES + 1))

    def __getitem__(self, place):
        return struct.unpack_from("q", self._memory, 8 * place)[0]

    def __setitem__(self, place, value):
        struct.pack_into("q", self._memory, 8 * place, value)

    def await_value(self, place, value, *, seconds=120):
        deadline = time.monotonic() + seconds
        while self[place] < value:
            if time.monotonic() > deadline:
                raise AssertionError(f"process {place} never came to trial {value}")
            threading.Event().wait(0.002)


class Unsteady:
    """A process that is not always scheduled at once between the guard and its first byte."""

    name = "public"

    def __init__(self, real):
        self.real = real

    def send(self, raw, *, timeout_s):
        longest = 0.02 if random.random() < 0.9 else 1.0  # noqa: S311  a pause, no secret
        late_s = random.uniform(0, longest)  # noqa: S311  as above
        threading.Event().wait(late_s)
        return self.real.send(raw, timeout_s=timeout_s - late_s)


def load(place, wallet_pk, baton, make_sender):
    """One process: in each trial it asks for the wallet's transactions at its share of the rate."""
    sender, every_s = make_sender(), PROCESSES / RATE
    session = adapters.connect(name=NAME)

    def ask(pk):
        try:
            sender.send(pk, fees=FEES)
        except Exception as error:  # refused: the kill has come; anything else shows on the wire
            return type(error).__name__
        return "sent"

    trial = 0
    with ThreadPoolExecutor(THREADS) as pool:
        while True:
            trial += 1
            baton.await_value(0, trial, seconds=3600)
            keys = session.execute(
                "SELECT id FROM wallets_transaction WHERE wallet_id = %s AND status = 'simulated'"
                " AND kind = 'sweep' ORDER BY id",
                (wallet_pk,),
            ).fetchall()
            if not keys:
                return
            began, asked = time.monotonic(), []
            for number, (pk,) in enumerate(keys):
                threading.Event().wait(max(0, began + number * every_s - time.monotonic()))
                asked.append(pool.submit(ask, pk))
            for each in asked:
                each.result()
            baton[place] = trial


def planned_in_bulk(model, wallets, each):
    """So many simulated transactions of each wallet: its coin goes home, which the kill stops."""
    facts = {
        name: getattr(model, name)
        for name in ("chain_id", "to", "gas_limit", "simulated_block", "simulated_block_hash")
    }
    epoch = services.kill_epoch(model.chain_id)
    rows = [
        Transaction(
            **facts, wallet=wallet, kind="sweep", value_wei=1, kill_epoch=epoch, data=b"",
            status="simulated", idempotency_key=f"load:{epoch}:{wallet.pk}:{number}",
        )
        for wallet in wallets
        for number in range(each)
    ]  # fmt: skip
    Transaction.objects.bulk_create(rows)


def may_pass(raw):
    """Whether the bytes alone say that the switch lets them: a cancel, a pause or a revoke."""
    tx = decode(raw)
    if tx.value:
        return False
    if tx.to == tx.sender.lower() and tx.data == b"":
        return True
    return tx.data == PAUSE or revokes(tx.data)


def revokes(data):
    """Whether this takes a right away: the word behind the address is false."""
    return len(data) == 68 and data[:4] == SET_EXECUTOR and not any(data[36:])


def test_only_what_takes_a_right_away_counts_as_a_revoke():
    given, taken = (
        abi.encode_call("setExecutor(address,bool)", "0x" + "77" * 20, allowed)
        for allowed in (True, False)
    )
    assert revokes(taken)
    assert not revokes(given)
    assert not revokes(taken[:-1])


@pytest.mark.parametrize("redis", ["alive", "killed"])
def test_after_the_answer_only_cancels_pauses_and_revokes_are_on_the_wire(
    transactional_db,
    desk,  # noqa: F811
    settings,
    redis,
):
    settings.CHANNEL_LAYERS = ALIVE_LAYER if redis == "alive" else DEAD_LAYER
    seed = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(10**9))
    with (
        Anvil(port=free_port(), chain_id=CHAIN_ID) as node,
        slow_proxy(node.http_url, seed=seed) as proxy,
    ):
        bench = make_bench(anvil=node, desk=desk)
        bench.sender._ways.public = PublicRelay(HttpRpc([proxy.url], chain_id=CHAIN_ID))
        try:
            trials = Trials(bench, proxy, random.Random(seed))  # noqa: S311  no secret
            trials.run()
        finally:
            print({"redis": redis, "seed": seed, **trials.figures()})
            bench.sender.close()
            bench.rpc.close()
            await_no_sessions("test-sender")
    assert trials.late == []
    assert trials.incomplete == []
    assert trials.before >= TRIALS * PROCESSES
    assert trials.harmless >= TRIALS  # something was let through, and seen
    assert trials.revoked == TRIALS  # one of each trial, by its bytes
    if TRIALS >= LONG:
        assert trials.p99_s() <= 2.5


class Trials:
    """The trials of one run, and what was seen in them."""

    def __init__(self, bench, proxy, dice):
        self.bench, self.proxy, self.random = bench, proxy, dice
        self.late, self.incomplete, self.took = [], [], []
        self.before = self.harmless = self.revoked = self.sent_s = 0
        self.wallets = [self._wallet() for _ in range(PROCESSES)]
        self.receiver = Deployment.objects.create(
            chain=bench.chain, kind="receiver", address="0x" + "77" * 20,
            owner=bench.reserve.address, code_hash="0x" + "00" * 32,
        )  # fmt: skip
        Assignment.objects.create(wallet=bench.executor, deployment=self.receiver)
        self.model = bench.plan(kind="sweep", to=bench.reserve.address, value=1)
        self.model.refresh_from_db()
        Transaction.objects.filter(pk=self.model.pk).update(status="rejected")
        bench.sender.send(bench.plan().pk, fees=FEES)  # the account's sequence begins

    def run(self):
        baton, children = Baton(), []
        try:
            for place, wallet in enumerate(self.wallets, start=1):
                children.append(self._fork(place, wallet, baton))
            for number in range(1, TRIALS + 1):
                self._one(number, baton)
            baton[0] = TRIALS + 1  # nothing is planned for it: they end
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
            children.clear()
            assert codes == [0] * PROCESSES
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            connection.close()
            await_no_sessions(NAME)

    def _one(self, number, baton):
        planned_in_bulk(self.model, self.wallets, int(RATE * SECONDS / PROCESSES))
        first = len(self.proxy.seen)
        began = time.monotonic()
        baton[0] = number
        threading.Event().wait(self.random.uniform(0.2, SECONDS))
        started = time.monotonic()
        proof = kill.kill_engage(reason=f"trial {number}")
        answered = time.monotonic()
        self.took.append(answered - started)
        self.sent_s += started - began
        if not proof.complete:
            self.incomplete.append(number)
        self._end_some(number)
        threading.Event().wait(max(0, answered + AFTER_S - time.monotonic()))
        for place in range(1, PROCESSES + 1):
            baton.await_value(place, number)
        for at, raw in self.proxy.seen[first:]:
            if at <= answered:
                self.before += began < at <= started
            elif may_pass(raw):
                self.harmless += 1
                self.revoked += revokes(decode(raw).data)
            else:
                self.late.append((number, round(at - answered, 4), raw.hex()[:24]))
        kill.kill_release(reason="next trial")
        self._close_the_record()

    def _end_some(self, number):
        """A cancel of something that is out, a pause by an executor, and a revoke: they pass."""
        out = Attempt.objects.filter(purpose="first", status="accepted").order_by("-id").first()
        if out is not None:
            self.bench.sender.cancel(out.transaction_id, reason="drill")
        pause = self.bench.plan(kind="pause", to=self.receiver.address, data=PAUSE)
        self.bench.sender.send(pause.pk, fees=FEES)
        taken = abi.encode_call("setExecutor(address,bool)", self.bench.executor.address, False)
        revoke = self.bench.plan(
            self.bench.reserve, kind="revoke", to=self.receiver.address, data=taken
        )
        self.bench.sender.send(revoke.pk, fees=FEES)

    def _close_the_record(self):
        """All that is out is mined; the record need not be read for it in the next trial."""
        self.bench.mine(2)
        waiting = [status.value for status in HOLDS_NONCE] + ["simulated"]
        Transaction.objects.filter(status__in=waiting).update(status="confirmed")
        Attempt.objects.filter(status__in=["accepted", "unknown"]).update(status="mined")

    def _wallet(self):
        made = services.wallet_create(
            chain=self.bench.chain, role="executor", signer=self.bench.desk.client
        )
        self.bench.rpc.call("anvil_setBalance", [made.address, hex(10**24)])
        return made

    def _fork(self, place, wallet, baton):
        facts, socket = self.bench.sender.chain, self.bench.desk.client.path
        urls = [self.bench.rpc.endpoints[0].url], [self.proxy.url]

        def make_sender():
            rpc, out = (HttpRpc(each, chain_id=CHAIN_ID) for each in urls)
            return Sender(
                chain=facts, connect=partial(adapters.connect, name=NAME),
                signer=SignerClient(socket), rpc=rpc, relay=Unsteady(PublicRelay(out)),
                notify=lambda pk: None,
            )  # fmt: skip

        child = os.fork()
        if child:
            return child
        code = 1
        try:
            signal.alarm(14_000)
            load(place, wallet.pk, baton, make_sender)
            code = 0
        finally:
            os._exit(code)

    def p99_s(self):
        return sorted(self.took)[len(self.took) * 99 // 100]

    def figures(self):
        took = sorted(self.took) or [0.0]
        return {
            "trials": len(self.took),
            "handedOverBefore": self.before,
            "perSecond": round(self.before / self.sent_s) if self.sent_s else 0,
            "late": len(self.late),
            "letThrough": self.harmless,
            "revoked": self.revoked,
            "medianS": round(took[len(took) // 2], 3),
            "p99S": round(self.p99_s() if self.took else 0, 3),
        }
