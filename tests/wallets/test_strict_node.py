"""The sender against a node that keeps the rules and a wire that does not: sent once, or not."""

from dataclasses import replace
from itertools import pairwise

import pytest

from arbsite.base.models import Alert
from contracts.kernel.relay_entry import RelayEntry
from contracts.rpc import HttpRpc
from tests.wallets.conftest import CHAIN_ID, FEES, await_no_sessions, make_bench
from tests.wallets.strict_node import (
    DIALECTS,
    NOT_TAKEN,
    TAKEN,
    Refused,
    StrictNode,
    decode,
    strict_node,
)
from tests.wallets.test_receipts import _executable, age
from wallets import handover, ledger
from wallets.freezing import wallet_unfreeze
from wallets.kernel.lifecycle import Status
from wallets.kernel.send_errors import Verdict, classify
from wallets.models import Attempt, NonceSequence, Transaction, Wallet
from wallets.relays.fan_out import FanOut
from wallets.relays.public import PublicRelay
from wallets.sender import Sender

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def node():
    with strict_node(CHAIN_ID) as made:
        made.mine()
        yield made


@pytest.fixture
def strict(transactional_db, node, desk):
    made = make_bench(anvil=node, desk=desk)
    made.node = node
    yield made
    made.sender.close()
    made.rpc.close()
    await_no_sessions("test-sender")


def builder_of(node):
    """A builder's endpoint over the wire, as a private way."""
    return FanOut([OneBuilder(HttpRpc([node.url + "/private"]))])


class OneBuilder:
    """Takes each payload at the strict node's hidden door."""

    name = "strict"
    shows_bundles_only = True
    entry = RelayEntry(kind="bundle", name="strict", url="")

    def __init__(self, rpc):
        self.rpc = rpc

    def send(self, parcel, *, timeout_s):
        return self.rpc.send_raw(parcel.raw, timeout_s=timeout_s)

    def close(self):
        self.rpc.close()


def settled(bench, blocks=0):
    bench.node.mine(blocks)
    age()
    return bench.settle()


def send(bench, **facts):
    planned = bench.plan(**facts)
    return planned, bench.sender.send(planned.pk, fees=FEES)


# What a node says, in the words of each client, and what the record makes of it.

MEANS = {
    "known": Verdict.ALREADY_KNOWN, "low": Verdict.NONCE_TOO_LOW, "far": Verdict.REJECTED,
    "replace": Verdict.REPLACEMENT_UNDERPRICED, "cheap": Verdict.UNDERPRICED,
    "poor": Verdict.INSUFFICIENT, "gas": Verdict.REJECTED,
}  # fmt: skip


@pytest.mark.parametrize("client", sorted(DIALECTS))
@pytest.mark.parametrize("refusal", sorted(MEANS))
def test_a_refusal_has_one_meaning(client, refusal):
    said = StrictNode(chain_id=1, dialect=client).words(Refused(refusal, nonce=3, next=5, gas=9))
    assert classify(said["message"]) is MEANS[refusal], said


@pytest.mark.parametrize("client", sorted(DIALECTS))
def test_every_refusal_of_a_client_is_understood_and_frees_no_nonce(strict, client):
    node, address = strict.node, strict.executor.address
    node.dialect = client
    funds = node.balance(address)
    said = {}

    node.send_faults.append("twice")  # a proxy repeated it: the second answer is what comes back
    _, known = send(strict)
    said[Verdict.ALREADY_KNOWN] = known

    planned, _ = send(strict)
    pooled = node.pool[address][1]
    node.pool[address][1] = replace(pooled, hash="0x" + "5e" * 32, max_fee=10**12, tip=10**12)
    said[Verdict.REPLACEMENT_UNDERPRICED] = strict.sender.resend(planned.attempts.get().pk)
    node.pool[address][1] = pooled

    node.min_tip = 10**15
    _, said[Verdict.UNDERPRICED] = send(strict)
    node.min_tip = 1

    node.blocks[-1].balances[address] = 1
    _, said[Verdict.INSUFFICIENT] = send(strict)
    node.blocks[-1].balances[address] = funds

    small = strict.plan()
    Transaction.objects.filter(pk=small.pk).update(gas_limit=20_000)
    said[Verdict.REJECTED] = strict.sender.send(small.pk, fees=FEES)
    Attempt.objects.filter(transaction=small).update(gas_limit=20_000)

    node.blocks[-1].nonces[address] = 9
    said[Verdict.NONCE_TOO_LOW] = strict.sender.resend(planned.attempts.get().pk)

    stands = {
        Verdict.ALREADY_KNOWN: Status.SUBMITTED,  # looked up, and there
        Verdict.REPLACEMENT_UNDERPRICED: Status.SUBMITTED,  # it had been accepted before
        Verdict.UNDERPRICED: Status.SIGNED,
        Verdict.INSUFFICIENT: Status.SIGNED,
        Verdict.REJECTED: Status.SIGNED,
        Verdict.NONCE_TOO_LOW: Status.SUBMITTED,
    }
    assert {verdict: outcome.status for verdict, outcome in said.items()} == stands
    for verdict, outcome in said.items():
        # What a look-up answers needs no words; the rest is kept with its meaning.
        assert not outcome.detail or outcome.detail.startswith(f"{verdict}: "), outcome.detail
    assert [outcome.nonce for outcome in said.values()] == [0, 1, 2, 3, 4, 1]
    assert strict.next_nonce() == 5
    assert not Attempt.objects.filter(released=True).exists()


@pytest.mark.parametrize("client", sorted(DIALECTS))
def test_a_nonce_too_far_ahead_is_refused_and_taken_later(strict, client):
    strict.node.dialect = client
    _, first = send(strict)
    NonceSequence.objects.update(next_nonce=90)  # the rest waits elsewhere
    _, outcome = send(strict)
    assert outcome.status in (Status.SIGNED, Status.UNKNOWN)
    assert (first.nonce, outcome.nonce) == (0, 90)


@pytest.mark.parametrize("fault", [*TAKEN, *NOT_TAKEN, "delayed"])
def test_whatever_becomes_of_an_answer_it_is_mined_once(strict, fault):
    strict.node.send_faults.append(fault)
    planned, outcome = send(strict)
    assert outcome.status in (Status.SUBMITTED, Status.UNKNOWN)
    strict.node.deliver()
    settled(strict)
    settled(strict, 3)
    settled(strict)
    assert strict.fresh(planned).status == "confirmed"
    assert len(set(strict.node.sent)) == 1
    assert [tx.hash for _, tx in strict.node.mined()] == [outcome.hash]


def test_an_answer_after_the_deadline_is_unknown_and_the_kill_lock_is_free_in_time(strict):
    strict.node.send_faults.append("late")
    planned, outcome = send(strict)
    assert outcome.status == Status.UNKNOWN
    assert outcome.stages_us["submit"] < handover.HANDOVER_S * 1_000_000 + 500_000
    strict.node.deliver()
    settled(strict, 1)
    settled(strict, 2)
    assert strict.fresh(planned).status == "confirmed"


def test_a_pool_that_forgot_it_gets_the_same_bytes(strict):
    planned, _ = send(strict)
    strict.node.forget_pool()
    settled(strict)
    settled(strict, 3)
    assert strict.fresh(planned).status == "confirmed"
    assert len(strict.node.sent) == 2
    assert len(set(strict.node.sent)) == 1


def test_a_hanging_payload_is_replaced_by_the_pools_rule_until_it_is_mined(strict):
    strict.node.price_bump = 110
    planned, first = send(strict)
    for _ in range(4):
        strict.sender.bump(planned.pk, reason="it hangs")
    fees = [int(a.max_fee_wei) for a in Attempt.objects.order_by("id")]
    assert all(later * 10 >= earlier * 11 for earlier, later in pairwise(fees))
    strict.sender.cancel(planned.pk, reason="enough")
    strict.sender.cancel(planned.pk, reason="still there", raise_fee=True)
    assert [tx.nonce for tx in strict.node.pool[strict.executor.address].values()] == [first.nonce]
    settled(strict, 3)
    assert strict.fresh(planned).status == "cancelled"


# What a node shows, and what is believed.


def test_receipts_that_a_node_does_not_show_are_no_proof_of_a_stranger(strict):
    planned, _ = send(strict)
    strict.node.receipts_lost = True
    report = settled(strict, 5)
    assert report.frozen == []
    assert strict.fresh(planned).status == "submitted"
    strict.node.receipts_lost = False
    settled(strict)
    assert strict.fresh(planned).status == "confirmed"


@pytest.fixture
def late(strict):
    """A bundle missed, its nonce was given back, and the node shows no receipts."""
    private = Sender(
        chain=strict.sender.chain, connect=strict.sender._record._connect,
        signer=strict.desk.client, rpc=strict.rpc, relay=PublicRelay(strict.rpc),
        private=builder_of(strict.node), notify=lambda pk: None,
    )  # fmt: skip
    last = strict.head() + 1
    planned = strict.plan(**_executable(strict), last_block=last, private_only=True)
    public, strict.sender = strict.sender, private
    private.send(planned.pk, fees=FEES)
    strict.node.mine(2, private=False)
    settled(strict)
    assert strict.next_nonce() == 0  # given back
    strict.node.receipts_lost = True
    yield strict
    strict.sender = public
    private.close()


def test_a_bundle_that_landed_late_is_no_stranger_where_receipts_are_not_shown(late):
    late.node.leak()
    assert settled(late, 1).frozen == []

    late.node.spend_by_a_stranger(late.executor.address)
    assert settled(late).frozen == [late.executor.address]


def test_who_spent_a_nonce_long_ago_is_a_stranger_where_the_node_cannot_say(late):
    late.node.spend_by_a_stranger(late.executor.address)
    late.node.mine(8)
    late.node.archive = False
    assert settled(late).frozen == [late.executor.address]


def test_a_stranger_is_proven_by_the_block_that_spent_the_nonce(strict):
    planned, _ = send(strict)
    strict.node.spend_by_a_stranger(strict.executor.address)
    settled(strict)
    assert strict.fresh(planned).status == "submitted"
    assert settled(strict, 20).frozen == [strict.executor.address]
    assert strict.fresh(planned).status == "expired"


def test_a_node_without_old_state_proves_nothing_and_says_so(strict):
    planned, _ = send(strict)
    strict.node.spend_by_a_stranger(strict.executor.address)
    strict.node.mine(8)
    strict.node.archive = False
    settled(strict)
    assert strict.fresh(planned).status == "submitted"
    assert "keeps state" in Alert.objects.get(key=f"unsettled:{planned.pk}").detail
    strict.node.archive = True
    settled(strict)
    assert strict.fresh(planned).status == "expired"


def test_a_node_that_lags_far_behind_is_not_a_reorg(strict):
    planned, _ = send(strict)
    settled(strict, 5)
    assert strict.fresh(planned).status == "confirmed"
    strict.chain.is_local = False
    strict.node.lag = 5
    assert settled(strict).frozen == []
    strict.node.lag = 0
    strict.node.reorg(5, keep=False)
    assert settled(strict).frozen == [strict.executor.address]


def test_a_lagging_node_moves_nothing_backwards(strict):
    planned, _ = send(strict)
    settled(strict, 1)
    strict.node.lag = 1
    settled(strict)
    assert strict.fresh(planned).status == "included"
    strict.node.lag = 0
    settled(strict, 2)
    assert strict.fresh(planned).status == "confirmed"


# A record that is older than the chain, and a frozen account.


def test_a_restored_backup_sends_nothing_until_a_human_looked(strict):
    send(strict)
    settled(strict, 3)
    strict.node.spend_by_a_stranger(strict.executor.address)
    strict.sender._compared.clear()  # a fresh process
    planned = strict.plan()
    with pytest.raises(ledger.AccountFrozen, match="older than the chain"):
        strict.sender.send(planned.pk, fees=FEES)
    assert len(strict.node.sent) == 1
    assert settled(strict).frozen == [strict.executor.address]
    wallet_unfreeze(wallet=strict.executor, chain_nonce=2, reason="restored a backup")
    assert strict.sender.send(planned.pk, fees=FEES).nonce == 2


def test_pending_payloads_that_the_record_lost_hold_the_account_back(strict):
    planned, outcome = send(strict)
    # The backup is from before it was sent.
    Attempt.objects.filter(pk=outcome.attempt_id).update(released=True, status="dead")
    Transaction.objects.filter(pk=planned.pk).update(status="rejected")
    NonceSequence.objects.update(next_nonce=0)
    strict.sender._compared.clear()
    with pytest.raises(ledger.AccountFrozen, match="not in the record"):
        send(strict)


def test_a_frozen_account_hands_nothing_over_again(strict):
    planned, outcome = send(strict)
    NonceSequence.objects.update(frozen="someone else")
    strict.node.forget_pool()
    settled(strict)
    assert len(strict.node.sent) == 1
    with pytest.raises(ledger.AccountFrozen):
        strict.sender.resend(outcome.attempt_id)
    wallet_unfreeze(wallet=strict.executor, chain_nonce=0, reason="it was nobody")
    settled(strict)
    settled(strict, 3)
    assert strict.fresh(planned).status == "confirmed"
    assert Wallet.objects.get(pk=strict.executor.pk).state == "active"


# A builder that is late, and one that leaks.


def test_a_bundle_that_leaks_after_its_nonce_was_given_back_is_booked(strict):
    strict.sender._ways.private = builder_of(strict.node)
    facts = _executable(strict)
    planned, _ = send(strict, **facts, last_block=strict.head() + 1, private_only=True)
    strict.node.mine(2, private=False)
    settled(strict)
    assert (strict.fresh(planned).status, strict.next_nonce()) == ("expired", 0)
    strict.node.leak()
    settled(strict, 3)
    settled(strict)
    assert (strict.fresh(planned).status, strict.next_nonce()) == ("confirmed", 1)
    assert strict.fresh(planned).tx_hash == decode(bytes(Attempt.objects.get().raw)).hash
