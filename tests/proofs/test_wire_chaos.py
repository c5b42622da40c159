"""Random steps of an operator, a market and a bad wire: no nonce is ever lost, none spent twice.

PROVE_STEPS and PROVE_SEED lengthen and choose the walk; a failure prints its seed and last steps.
"""

import os
import random
from collections import deque
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db.models import F, Max
from django.utils import timezone

from arbsite.base.errors import ArbError
from tests.wallets.conftest import (  # noqa: F401  fixtures
    CHAIN_ID,
    FEES,
    await_no_sessions,
    channel_layer,
    desk,
    make_bench,
)
from tests.wallets.strict_node import DIALECTS, NOT_TAKEN, TAKEN, strict_node
from tests.wallets.test_crashes import at_once
from tests.wallets.test_receipts import _executable
from tests.wallets.test_strict_node import builder_of
from wallets import kill, selectors
from wallets.kernel.lifecycle import FINAL, HOLDS_NONCE, OPEN
from wallets.models import Attempt, NonceSequence, Transaction
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer_client import SignerUnavailable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e, pytest.mark.timeout(5400)]

STEPS = int(os.environ.get("PROVE_STEPS", "200"))
DEPTH = 3  # the chain's confirmations: a reorg stays below it
FUNDS = 10**24


class Death(BaseException):
    """The process is gone: nothing of ours catches it."""


class Dying:
    """Signs or hands over, and dies before or after it."""

    name = "public"

    def __init__(self, real, *, after):
        self.real, self.after = real, after

    def sign(self, attempt_id):
        if self.after:
            self.real.sign(attempt_id)
        raise Death

    def send(self, raw, *, timeout_s):
        if self.after:
            with suppress(ArbError):
                self.real.send(raw, timeout_s=timeout_s)
        raise Death


class Walk:
    """One account, one node, a public and a private sender over it, and a random will."""

    def __init__(self, bench, node, seed):
        self.bench, self.node, self.random = bench, node, random.Random(seed)  # noqa: S311
        self.public = bench.sender
        self.private = self._sender(builder_of(node))
        self.executable = _executable(bench)
        self.steps = deque(maxlen=40)
        self.counts = {}

    def _sender(self, private):
        made = self.bench.sender
        return Sender(
            chain=made.chain, connect=made._record._connect, signer=self.bench.desk.client,
            rpc=self.bench.rpc, relay=PublicRelay(self.bench.rpc), private=private,
            notify=lambda pk: None,
        )  # fmt: skip

    # Steps. Each may be refused; none may break.

    def send(self):
        self.public.send(self.bench.plan().pk, fees=FEES)

    def send_execution(self):
        draft = self.bench.draft(**self.executable, last_block=self._soon())
        at_once(draft)(self.public)

    def send_bundle(self):
        draft = self.bench.draft(**self.executable, last_block=self._soon(), private_only=True)
        at_once(draft)(self.private)

    def send_what_the_signer_refuses(self):
        self.public.send(self.bench.plan(to=self.bench.reserve.address).pk, fees=FEES)

    def send_without_a_signer(self):
        class Away:
            def sign(self, attempt_id):
                raise SignerUnavailable("is away", asked=asked)

        asked = self.random.random() < 0.5
        self.public._signer = Away()
        try:
            self.random.choice([self.send, self.send_execution, self.cancel, self.bump])()
        finally:
            self.public._signer = self.bench.desk.client

    def die_signing(self):
        self.public._signer = Dying(self.public._signer, after=self.random.random() < 0.5)
        self._die()

    def die_handing_over(self):
        ways = self.public._ways
        ways.public = Dying(ways.public, after=self.random.random() < 0.5)
        self._die()

    def _die(self):
        try:
            self.random.choice([self.send, self.send_execution, self.cancel, self.bump])()
        except Death:
            pass
        finally:
            self.restart()

    def restart(self):
        """A fresh process: it remembers nothing."""
        self.public.close()
        self.public = self._sender(None)
        self.bench.sender = self.public

    def cancel(self):
        raising = self.random.random() < 0.3
        self.public.cancel(self._open(), reason="a step", raise_fee=raising)

    def bump(self):
        simulated = (self.node.head + 1, "0x" + "cd" * 32)
        self.public.bump(self._open(), reason="a step", simulated=simulated)

    def break_the_wire(self):
        faults = self.random.choices([*TAKEN, *NOT_TAKEN, "delayed", "none"], k=2)
        self.node.send_faults.extend(faults)

    def speak_otherwise(self):
        self.node.dialect = self.random.choice(sorted(DIALECTS))

    def lag(self):
        self.node.lag = self.random.choice([0, 0, 1, 2])

    def hide_receipts(self):
        self.node.receipts_lost = self.random.random() < 0.4

    def deliver(self):
        self.node.deliver()

    def leak(self):
        self.node.leak()

    def forget_pool(self):
        self.node.forget_pool()

    def mine(self):
        self.node.mine(self.random.choice([1, 1, 1, 2, DEPTH]), private=self.random.random() < 0.3)

    def reorg(self):
        # What was final for us stays: a deeper one is a halt, tested elsewhere.
        depth = self.random.randint(1, DEPTH - 1)
        if self.node.head - depth >= self.deepest_seen - DEPTH + 1:
            self.node.reorg(depth, keep=self.random.random() < 0.6)

    def engage_and_release(self):
        kill.kill_engage(reason="a step")
        with suppress(ArbError):
            self.send()
        self.settle()
        kill.kill_release(reason="on")

    def recover(self):
        self.public.recover(older_than_s=0)

    def settle(self):
        seconds = self.random.choice([5, 30, 100])
        Attempt.objects.filter(sent_at__isnull=False).update(
            sent_at=F("sent_at") - timedelta(seconds=seconds)
        )
        Attempt.objects.filter(signed_at__isnull=False).update(
            signed_at=F("signed_at") - timedelta(seconds=seconds)
        )
        self.bench.sender = self.random.choice([self.public, self.private])
        try:
            report = self.bench.settle()
        finally:
            self.bench.sender = self.public
        assert report.frozen == []

    WEIGHTS = {
        "send": 10, "send_execution": 6, "send_bundle": 6, "send_what_the_signer_refuses": 2,
        "send_without_a_signer": 4, "die_signing": 3, "die_handing_over": 3, "restart": 1,
        "cancel": 4, "bump": 4, "break_the_wire": 8,
        "speak_otherwise": 2, "lag": 3, "hide_receipts": 2, "deliver": 3, "leak": 1,
        "forget_pool": 2, "mine": 16, "reorg": 4, "engage_and_release": 1, "recover": 3,
        "settle": 18,
    }  # fmt: skip

    @property
    def deepest_seen(self):
        return max(self.node.head, getattr(self, "_deepest", 0))

    def _soon(self):
        return self.node.head + self.random.randint(1, 4)

    def _open(self):
        rows = Transaction.objects.filter(status__in=[s.value for s in OPEN])
        keys = list(rows.values_list("pk", flat=True))
        return self.random.choice(keys) if keys else 0

    def step(self):
        waiting = Transaction.objects.filter(status__in=[s.value for s in HOLDS_NONCE])
        names = list(self.WEIGHTS)
        if waiting.count() > 25:
            names = [name for name in names if not name.startswith("send")]
        [name] = self.random.choices(names, [self.WEIGHTS[name] for name in names])
        self._deepest = self.deepest_seen
        said = "done"
        try:
            getattr(self, name)()
        except ArbError as error:
            said = type(error).__name__
        self.steps.append(f"{name}: {said}")
        self.counts[name, said] = self.counts.get((name, said), 0) + 1
        self.check()

    # What always holds.

    def check(self):
        highest = Attempt.objects.filter(released=False).aggregate(n=Max("nonce"))["n"]
        mine = NonceSequence.objects.filter(address=self.bench.executor.address).first()
        if mine is not None:
            assert mine.next_nonce == (0 if highest is None else highest + 1)
            assert not mine.frozen

    def check_hand_overs(self):
        """Whatever ever left is in the record, and each nonce was mined at most once."""
        known = {"0x" + bytes(raw).hex() for raw in Attempt.objects.filter(
            raw__isnull=False).values_list("raw", flat=True)}  # fmt: skip
        assert set(self.node.sent) <= known
        nonces = [tx.nonce for _, tx in self.node.mined()]
        assert nonces == list(range(len(nonces)))

    def heal(self):
        """The wire mends: everything ends, and within a bounded number of rounds."""
        self.node.send_faults.clear()
        self.node.lag, self.node.receipts_lost = 0, False
        self.node.deliver()
        for _ in range(60):
            self.recover()
            self.settle()
            self.node.mine()
            if not selectors.transactions_open(chain_key="local") and not self._prepared():
                return
        raise AssertionError("something is still open")

    def _prepared(self):
        return Attempt.objects.filter(status="prepared", released=False).exists()

    def check_ends(self):
        address = self.bench.executor.address
        mined = {tx.hash: tx for _, tx in self.node.mined()}
        ours = {a.hash: a for a in Attempt.objects.filter(hash__isnull=False)}
        assert set(mined) <= set(ours)
        assert self.node.nonce(address) == NonceSequence.objects.get(address=address).next_nonce
        ended = Transaction.objects.filter(status__in=[s.value for s in FINAL])
        landed = {"confirmed", "cancelled", "reverted"}
        for one in ended.prefetch_related("attempts"):
            hits = [a for a in one.attempts.all() if a.hash in mined]
            assert len(hits) == (one.status in landed), (one.pk, one.status)
            if hits:
                assert one.tx_hash == hits[0].hash
                assert (hits[0].purpose == "cancel") == (one.status == "cancelled")
        booked = sum(one.gas_used * int(one.gas_price_wei) for one in ended if one.status in landed)
        assert booked == self.node.blocks[-1].burnt
        assert self.node.balance(address) == FUNDS - booked


def test_no_walk_loses_a_nonce_or_spends_one_twice(transactional_db, desk):  # noqa: F811
    seed = int(os.environ.get("PROVE_SEED") or random.SystemRandom().randrange(10**9))
    with strict_node(CHAIN_ID) as node:
        node.mine(4)
        bench = make_bench(anvil=node, desk=desk)
        for block in node.blocks:  # no reorg takes it back
            block.balances[bench.executor.address] = FUNDS
        walk = Walk(bench, node, seed)
        try:
            for _ in range(STEPS):
                walk.step()
            walk.check_hand_overs()
            walk.heal()
            walk.check_hand_overs()
            walk.check_ends()
        except BaseException:
            print(
                f"PROVE_SEED={seed} PROVE_STEPS={STEPS}; the last steps:", *walk.steps, sep="\n  "
            )
            raise
        finally:
            walk.private.close()
            walk.public.close()
            bench.rpc.close()
            await_no_sessions("test-sender")
    statuses = dict(selectors.transactions_by_status(chain_key="local"))
    print({"seed": seed, "steps": STEPS, "at": timezone.now().isoformat(), **statuses})
    if STEPS >= 5_000:  # a long walk goes everywhere
        refused = {"send_what_the_signer_refuses", "send_without_a_signer"}
        done = {name for name, said in walk.counts if said == "done"}
        assert done >= set(walk.WEIGHTS) - refused
        assert all(statuses[name] for name in ("confirmed", "cancelled", "expired", "rejected"))
