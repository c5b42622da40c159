"""kill -9 at every boundary of the send path and at random instants: once, or provably never.

PROVE_KILLS (random instants, 20) and PROVE_ALONE (each crash settled by itself, four ways) give
the long form.
"""

import json
import os
import random
import select
import signal
import time
from functools import partial

import pytest

from contracts.rpc import HttpRpc
from tests.proofs.crash_points import BOUNDARIES, Tracer
from tests.wallets.conftest import (  # noqa: F401  fixtures
    CHAIN_ID,
    FEES,
    anvil,
    await_no_sessions,
    bench,
    channel_layer,
    desk,
)
from tests.wallets.test_crashes import at_once, check, settle_everything, wait_for_children
from tests.wallets.test_receipts import _executable
from wallets import adapters, kill, receipts, sender
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer import Signer
from wallets.signer_client import SignerClient
from wallets.signer_server import SignerServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e, pytest.mark.timeout(5400)]

KILLS = int(os.environ.get("PROVE_KILLS", "20"))
ALONE = bool(os.environ.get("PROVE_ALONE"))
BATCH = 1 if ALONE else 12
AFTER = ("nothing", "a kill", "a reorg", "a kill and a reorg")


def in_a_child(act):
    """Run ``act(report)`` in a fork of its own; (what it reported, whether it was killed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            os.close(reading)
            act(partial(_tell, writing))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGKILL, "it hung"
    return (json.loads(said) if said else None), os.WIFSIGNALED(status)


def _tell(writing, document):
    os.write(writing, json.dumps(document).encode())


def fresh_sender(bench, *, signer=None, rpc=None):  # noqa: F811
    """What a fresh process has: it remembers nothing."""
    rpc = rpc or HttpRpc([bench.rpc.endpoints[0].url], chain_id=CHAIN_ID)
    return Sender(
        chain=bench.sender.chain,
        connect=partial(adapters.connect, name="test-child"),
        signer=signer or SignerClient(bench.desk.client.path),
        rpc=rpc,
        relay=PublicRelay(rpc),
        notify=lambda pk: None,
    )


def own_signer(bench):  # noqa: F811
    """A signer inside the process that will die, on a socket of its own."""
    import threading

    signer = Signer(
        keystore=bench.desk.keystore,
        connect=partial(adapters.connect, name="test-child"),
        live_chains=frozenset(),
        journal=bench.desk.folder / f"journal-{os.getpid()}.jsonl",
    )
    path = bench.desk.folder / f"s{os.getpid()}.sock"
    server = SignerServer(signer=signer, path=path)
    server.start()
    threading.Thread(target=server.serve, daemon=True).start()
    return SignerClient(path)


def act_of(bench, name, planned):  # noqa: F811
    """What the child does with a transaction."""
    return {
        "send": lambda one: one.send(planned.pk, fees=FEES),
        "begin": at_once(planned),
        "cancel": lambda one: one.cancel(planned.pk, reason="drill"),
        "bump": lambda one: one.bump(planned.pk, reason="drill"),
        "resend": lambda one: one.resend(planned.attempts.get().pk),
    }[name]


def traced(bench, name, planned, *, stop_at=None, whole=False):  # noqa: F811
    """Trace or kill one act in a child; (its boundaries in order, whether it was killed)."""

    def act(report):
        tracer = Tracer(stop_at)
        one = fresh_sender(bench, signer=own_signer(bench) if whole else None)
        tracer.install()
        act_of(bench, name, planned)(one)
        report(tracer.order)

    return in_a_child(act)


def ready(bench, name, facts):  # noqa: F811
    """A transaction on which the act can be done."""
    last = bench.head() + 500
    if name == "begin":
        return bench.draft(**facts, last_block=last)
    planned = bench.plan(**facts, last_block=last)
    if name != "send":
        bench.sender.send(planned.pk, fees=FEES)
    return planned


def row_of(planned):
    """The transaction of a draft, or of what is one."""
    return getattr(planned, "row", planned)


def points_of(bench, name, *, whole=False):  # noqa: F811
    order, killed = traced(bench, name, ready(bench, name, {}), whole=whole)
    assert not killed
    return [(point, n) for point, n in order]


def test_every_boundary_of_the_send_path_is_in_the_register(bench):  # noqa: F811
    found = {point for point, _ in points_of(bench, "send")}  # an account's first
    for name in ("send", "begin", "cancel", "bump", "resend"):
        found |= {point for point, _ in points_of(bench, name, whole=name == "send")}
    assert sorted(found - BOUNDARIES) == [], "new boundaries: say what a crash there leaves behind"
    assert sorted(BOUNDARIES - found) == [], "gone: take them out of the register"
    settle_everything(bench)
    wait_for_children()


def recover_and_check(bench, crashed, then):  # noqa: F811
    """What comes right after the crash, then a fresh process; each ends in one or none."""
    if "kill" in then:
        kill.kill_engage(reason="drill")
    if "reorg" in then:
        bench.mine()
        bench.rpc.call("anvil_reorg", [1, []])
    held = bench.sender
    bench.sender = fresh_sender(bench, signer=bench.desk.client, rpc=bench.rpc)
    try:
        settle_everything(bench)
    finally:
        bench.sender.close()
        bench.sender = held
    if "kill" in then:
        kill.kill_release(reason="over")
    for planned, point in crashed:
        check(bench, planned, point)


@pytest.mark.parametrize("then", AFTER)
@pytest.mark.parametrize("name", ["send", "begin", "cancel", "bump"])
def test_a_crash_at_every_boundary_ends_in_one_execution_or_none(bench, name, then):  # noqa: F811
    bench.sender.send(bench.plan().pk, fees=FEES)
    settle_everything(bench)
    execution = _executable(bench)
    points = points_of(bench, name)
    settle_everything(bench)
    # The second half of a batch are executions: given up, where the others are finished.
    kinds = ({}, execution) if name in ("send", "begin") else ({},)
    todo = [(point, facts) for facts in kinds for point in points]
    if not ALONE:  # each point once, its aftermath by turns
        todo = todo[AFTER.index(then) :: len(AFTER)]
    deaths = 0
    for start in range(0, len(todo), BATCH):
        crashed = []
        for point, facts in todo[start : start + BATCH]:
            planned = ready(bench, name, facts)
            _, killed = traced(bench, name, planned, stop_at=point)
            deaths += killed
            crashed.append((row_of(planned), point))
        recover_and_check(bench, crashed, then)
    assert deaths >= len(todo) * 3 // 4  # the number of reads of one answer varies
    wait_for_children()


def test_a_crash_of_sender_and_signer_together_loses_nothing(bench):  # noqa: F811
    bench.sender.send(bench.plan().pk, fees=FEES)
    settle_everything(bench)
    points = [p for p in points_of(bench, "send", whole=True) if "signer." in p[0]]
    points += [p for p in points_of(bench, "send", whole=True) if "vetting" in p[0]]
    settle_everything(bench)
    crashed = []
    for point in points:
        planned = ready(bench, "send", {})
        traced(bench, "send", planned, stop_at=point, whole=True)
        crashed.append((planned, point))
    recover_and_check(bench, crashed, "nothing")
    assert len(points) >= 5
    wait_for_children()


def test_a_crash_at_any_instant_loses_nothing(bench):  # noqa: F811
    bench.sender.send(bench.plan().pk, fees=FEES)
    settle_everything(bench)
    execution = _executable(bench)
    deaths, usual_s = 0, _usual_s(bench)
    for start in range(0, KILLS, 5):
        crashed = []
        for i in range(start, min(start + 5, KILLS)):
            name = ("send", "begin", "cancel", "bump")[i % 4]
            own = i % 8 < 4 and name in ("send", "begin")
            planned = ready(bench, name, execution if own else {})
            after_s = random.uniform(0, 1.3 * usual_s)  # noqa: S311  an instant
            deaths += kill_after(bench, name, planned, after_s)
            crashed.append((row_of(planned), f"{name} after {after_s * 1e3:.2f} ms"))
        recover_and_check(bench, crashed, random.choice(AFTER))  # noqa: S311
    print({"kills": KILLS, "died_before_the_end": deaths, "usual_ms": round(usual_s * 1e3, 1)})
    assert deaths >= KILLS // 4
    wait_for_children()


def _usual_s(bench):  # noqa: F811
    planned = ready(bench, "send", {})

    def act(report):
        one = fresh_sender(bench)
        started = time.perf_counter()
        one.send(planned.pk, fees=FEES)
        report(time.perf_counter() - started)

    took_s, _ = in_a_child(act)
    settle_everything(bench)
    return took_s


def kill_after(bench, name, planned, after_s):  # noqa: F811
    """SIGKILL a child so long after it began; True if it had not ended by itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            one = fresh_sender(bench)
            os.write(writing, b"!")
            act_of(bench, name, planned)(one)
        finally:
            os._exit(0)
    os.close(writing)
    ready_to_read, _, _ = select.select([reading], [], [], 30)
    assert ready_to_read, "it never began"
    os.read(reading, 1)
    select.select([], [], [], after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    return os.WIFSIGNALED(status)


def test_recovery_begins_within_thirty_seconds():
    # An abandoned attempt is taken up, and young bytes are looked for, well inside the promise;
    # settling runs at each head, and every few seconds where no engine runs.
    assert sender.ABANDONED_S + receipts.SETTLING.total_seconds() <= 15
