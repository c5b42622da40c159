"""Bundles that miss give their nonce back, and only they; what lands late is booked (I51)."""

import threading

import pytest
from django.db import connection

from contracts.kernel.fees import fees_bumped
from contracts.kernel.jsonrpc import RpcError
from contracts.kernel.relay_entry import RelayEntry
from tests.wallets.conftest import FEES, await_no_sessions, make_bench
from tests.wallets.test_receipts import _executable, age
from wallets import kill, outcomes, selectors
from wallets.ledger import NotSendable
from wallets.models import Attempt, NonceSequence
from wallets.relays.fan_out import FanOut
from wallets.relays.public import PublicRelay
from wallets.sender import Sender

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


class Builder:
    """Takes bundles and shows them to nobody, until a test lets it."""

    name = "test"
    shows_bundles_only = True
    entry = RelayEntry(kind="bundle", name="test", url="")

    def __init__(self):
        self.got = []

    def send(self, parcel, *, timeout_s):
        self.got.append(parcel.raw)
        return "taken"

    def close(self):
        """Nothing is open."""


@pytest.fixture
def private(transactional_db, anvil, desk):
    builder = Builder()
    made = make_bench(anvil=anvil, desk=desk, private=FanOut([builder]))
    made.builder = builder
    made.execution = _executable(made)
    yield made
    made.sender.close()
    made.rpc.close()
    await_no_sessions("test-sender")


def bundled(bench, blocks=2):
    """An execution that a builder has, good for so many blocks more."""
    planned = bench.plan(**bench.execution, last_block=bench.head() + blocks, private_only=True)
    bench.sender.send(planned.pk, fees=FEES)
    return planned


def settled(bench, blocks=0):
    bench.mine(blocks)
    age()
    return bench.settle()


def test_a_bundle_past_its_last_block_gives_its_nonce_back(private):
    planned = bundled(private)
    assert private.next_nonce() == 1
    settled(private, 2)  # the head is its last block: the next one is too late for it
    assert private.fresh(planned).status != "expired"
    settled(private, 1)
    assert private.fresh(planned).status == "expired"
    assert private.next_nonce() == 0
    assert Attempt.objects.get().released
    assert [item.state for item in selectors.sent_items()] == ["mayLand"]


class Limited:
    """A node that answers for headers and refuses the rest of each batch."""

    def __init__(self, rpc):
        self.rpc = rpc

    def __getattr__(self, name):
        return getattr(self.rpc, name)

    def batch(self, calls, **how):
        return [
            answer if method == "eth_getBlockByNumber" else RpcError(-32005, "rate limited")
            for (method, _), answer in zip(calls, self.rpc.batch(calls, **how), strict=True)
        ]


def test_a_node_that_says_no_nonce_gives_none_back(private):
    """Nothing follows from what it did not say."""
    planned = bundled(private)
    private.rpc.send_raw(private.builder.got[0])  # the builder lands it
    private.mine(4)
    age()
    real, private.rpc = private.rpc, Limited(private.rpc)
    with pytest.raises(RpcError, match="rate limited"):
        private.settle()
    private.rpc = real
    assert (private.next_nonce(), private.fresh(planned).status) == (1, "submitted")
    private.settle()
    assert private.fresh(planned).status in ("included", "confirmed")


def test_while_it_may_land_it_is_handed_to_the_builder_again(private):
    planned = bundled(private, blocks=50)
    settled(private, 1)
    assert len(private.builder.got) == 2
    assert len(set(private.builder.got)) == 1
    assert private.fresh(planned).status in ("submitted", "unknown")


def test_the_nonce_is_used_again_as_a_typed_reuse(private):
    first = bundled(private)
    settled(private, 3)
    second = bundled(private, blocks=10)
    reuse = Attempt.objects.get(transaction=second)
    assert (reuse.nonce, reuse.purpose) == (0, "reuse")
    assert reuse.replaces == Attempt.objects.get(transaction=first)
    # Builders have no rule of ten percent: a wei makes the same call another payload.
    assert int(reuse.max_fee_wei) == FEES.max_fee_wei + 1
    private.rpc.send_raw(private.builder.got[-1])
    settled(private, 3)
    assert private.fresh(second).status == "confirmed"
    settled(private)
    assert Attempt.objects.get(transaction=first).status == "dead"
    assert private.next_nonce() == 1


def test_a_reuse_that_the_public_sees_pays_ten_percent_more_than_every_earlier_payload(private):
    bundled(private)
    settled(private, 3)
    planned = private.plan()
    private.sender.send(planned.pk, fees=FEES)
    reuse = Attempt.objects.get(transaction=planned)
    assert reuse.purpose == "reuse"
    assert int(reuse.max_fee_wei) * 10 >= FEES.max_fee_wei * 11
    assert int(reuse.tip_fee_wei) * 10 >= FEES.max_priority_fee_wei * 11


def test_the_switch_is_rehearsed_on_a_nonce_that_a_missed_bundle_gave_back(private):
    bundled(private)
    settled(private, 3)
    planned = private.plan()

    rehearsal = private.sender.rehearse_stop(
        planned.pk, fees=FEES, stop=lambda: kill.kill_engage(reason="drill")
    )

    assert ("kill" in rehearsal.signer, "kill" in rehearsal.hand_over) == (True, True)
    assert Attempt.objects.get(transaction=planned).purpose == "reuse"
    assert private.fresh(planned).status == "rejected"
    assert private.next_nonce() == 0


def test_a_public_execution_on_such_a_nonce_decided_with_that_price_or_is_not_sent(private):
    bundled(private)
    settled(private, 3)
    planned = private.plan(**private.execution, last_block=10**6)
    with pytest.raises(NotSendable, match="may still land"):
        private.sender.send(planned.pk, fees=FEES)
    assert private.next_nonce() == 0
    dearer = fees_bumped(FEES)
    private.sender.send(planned.pk, fees=dearer)
    assert int(Attempt.objects.get(transaction=planned).max_fee_wei) == dearer.max_fee_wei


def test_what_lands_late_is_booked_and_takes_its_nonce(private):
    planned = bundled(private)
    settled(private, 3)
    assert private.next_nonce() == 0
    private.rpc.send_raw(private.builder.got[0])
    report = settled(private, 1)
    assert report.frozen == []
    assert private.fresh(planned).status == "included"
    assert private.next_nonce() == 1
    settled(private, 2)
    done = private.fresh(planned)
    assert done.status == "confirmed"
    assert done.tx_hash == Attempt.objects.get().hash
    assert private.sender.send(private.plan().pk, fees=FEES).nonce == 1


def test_what_lands_late_ends_the_transaction_that_used_its_nonce_without_an_alarm(private):
    first = bundled(private)
    settled(private, 3)
    second = bundled(private, blocks=50)
    private.rpc.send_raw(private.builder.got[0])  # the first one leaks
    settled(private, 1)
    assert private.fresh(first).status == "included"
    report = settled(private, 4)
    assert report.frozen == []
    assert private.fresh(first).status == "confirmed"
    assert private.fresh(second).status == "expired"
    assert "earlier payload" in private.fresh(second).reason
    assert private.next_nonce() == 1


def test_a_late_one_that_a_reorg_takes_back_is_given_back_again(private):
    first = bundled(private)
    settled(private, 3)
    second = bundled(private, blocks=50)
    private.rpc.send_raw(private.builder.got[0])
    settled(private, 1)
    private.rpc.call("anvil_reorg", [1, []])
    private.rpc.call("anvil_dropAllTransactions", [])
    settled(private)
    assert private.fresh(first).status == "expired"
    private.rpc.send_raw(private.builder.got[-1])
    settled(private, 3)
    assert private.fresh(second).status == "confirmed"
    assert private.next_nonce() == 1


def test_under_a_later_nonce_it_is_cancelled_in_public(private):
    lower = bundled(private, blocks=1)
    higher = bundled(private, blocks=50)
    settled(private, 2)
    cancel = Attempt.objects.get(transaction=lower, purpose="cancel")
    assert cancel.sent_via == "public"
    settled(private, 3)
    assert private.fresh(lower).status == "cancelled"
    assert private.fresh(higher).status in ("submitted", "unknown")
    assert private.next_nonce() == 2


def test_two_in_a_row_are_given_back_from_the_highest(private):
    bundled(private)
    bundled(private)
    settled(private, 3)
    assert private.next_nonce() == 0


class PrivateEndpoint:
    """Promises to show nobody what it is given, and lets it wait at a node."""

    name = "promise"
    shows_bundles_only = False
    entry = RelayEntry(kind="private_rpc", name="promise", url="")

    def __init__(self, rpc):
        self.rpc = rpc

    def send(self, parcel, *, timeout_s):
        return self.rpc.send_raw(parcel.raw)


def test_bytes_that_a_private_rpc_had_are_never_given_back(private):
    ways = private.sender._ways
    builders, ways.private = ways.private, FanOut([PrivateEndpoint(private.rpc)])
    planned = bundled(private)
    assert Attempt.objects.get().sent_via == "private:promise"
    private.rpc.call("anvil_dropAllTransactions", [])
    ways.private = builders
    settled(private, 1)  # handed to the builder as well
    assert len(private.builder.got) == 1
    assert Attempt.objects.get().sent_via == "private:promise"
    settled(private, 2)
    assert private.next_nonce() == 1
    settled(private, 3)
    assert private.fresh(planned).status == "cancelled"


def test_a_process_without_a_private_way_leaves_a_private_one_alone(private):
    bundled(private, blocks=50)
    public = Sender(
        chain=private.sender.chain, connect=private.sender._record._connect,
        signer=private.desk.client, rpc=private.rpc, relay=PublicRelay(private.rpc),
        notify=lambda pk: None,
    )  # fmt: skip
    held, private.sender = private.sender, public
    settled(private, 1)
    with pytest.raises(NotSendable, match="private"):
        public.resend(Attempt.objects.get().pk)
    public.close()
    private.sender = held
    assert private.rpc.call("eth_getTransactionByHash", [Attempt.objects.get().hash]) is None


def test_a_stranger_under_a_given_back_nonce_still_freezes(private):
    bundled(private)
    settled(private, 3)
    private.rpc.call("anvil_setNonce", [private.executor.address, hex(3)])
    private.mine()
    assert private.settle().frozen == [private.executor.address]
    assert NonceSequence.objects.get(address=private.executor.address).frozen


def test_a_nonce_is_given_back_or_its_bytes_go_a_public_way_but_never_both(private):
    planned = bundled(private)
    private.mine(3)
    attempt = Attempt.objects.get()
    answers = []

    def release():
        answers.append(private.sender.release_missed(planned.pk, head=private.head()))

    with private.sender._record.borrow() as session, session.transaction():
        outcomes.mark_in_flight(session, attempt.pk, via="public")
        releasing = threading.Thread(target=release)
        releasing.start()
        await_a_waiting_lock()
    releasing.join(30)
    assert answers == [False]
    assert private.next_nonce() == 1

    other = bundled(private, blocks=1)
    private.mine(3)
    assert private.sender.release_missed(other.pk, head=private.head())
    with pytest.raises(NotSendable, match="given back"):
        private.sender.resend(Attempt.objects.get(transaction=other).pk)


def await_a_waiting_lock():
    """Until some session waits for a row that another holds."""
    for _ in range(1_000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.01), count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[1]:
                return
    raise AssertionError("nobody waited")
