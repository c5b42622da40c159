"""What became of everything sent: depth, reorgs, strangers, last blocks, lost bytes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base.models import Alert
from tests.wallets.conftest import FEES
from wallets import kill, receipts, services, settled
from wallets.freezing import wallet_unfreeze
from wallets.kernel.lifecycle import Status
from wallets.models import Assignment, Attempt, NonceSequence, StatusChange, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def reorg(bench, depth):
    bench.rpc.call("anvil_reorg", [depth, []])


def age():
    then = timezone.now() - timedelta(seconds=30)
    Attempt.objects.filter(sent_at__isnull=False).update(sent_at=then)
    Attempt.objects.update(signed_at=then)


def news(transaction_):
    rows = StatusChange.objects.filter(transaction=transaction_)
    return list(rows.values_list("new", flat=True))


def test_a_receipt_is_final_only_at_the_chains_depth(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    for expected in ("included", "included", "confirmed"):
        bench.mine()
        bench.settle()
        assert bench.fresh(planned).status == expected


def test_settling_twice_changes_nothing(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine(3)
    first, second = bench.settle(), bench.settle()
    assert [move.new for move in first.moves] == [Status.INCLUDED, Status.CONFIRMED]
    assert second.moves == []


def test_a_second_watcher_cannot_apply_the_same_move(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    twin = bench.fresh(planned)
    bench.mine(3)
    bench.settle()
    with pytest.raises(services.StaleStatus):
        services.transaction_settled(transaction_=twin, new=Status.INCLUDED, facts={})


def test_a_receipts_gas_price_and_logs_are_kept(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    done = bench.fresh(planned)
    assert (done.gas_used, done.gas_price_wei, done.l1_fee_wei) == (21_000, 10**9, 0)
    assert done.receipt["status"] == "0x1"
    assert done.receipt["logs"] == []


def test_after_a_reorg_the_same_bytes_are_sent_again(bench):
    planned = bench.plan()
    outcome = bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    reorg(bench, 1)
    age()
    bench.settle()
    assert bench.fresh(planned).status == "submitted"
    assert bench.fresh(planned).gas_used is None
    bench.mine(3)
    bench.settle()
    done = bench.fresh(planned)
    assert (done.status, done.tx_hash) == ("confirmed", outcome.hash)
    assert Attempt.objects.count() == 1
    assert news(planned)[-4:] == ["included", "submitted", "included", "confirmed"]


def test_a_reorg_that_mined_it_elsewhere_is_booked_anew(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    old = bench.fresh(planned).block_hash
    raw = Attempt.objects.get().raw
    reorg(bench, 1)
    bench.rpc.send_raw(bytes(raw))
    bench.mine()
    report = bench.settle()
    assert [move.new for move in report.moves][:2] == [Status.SUBMITTED, Status.INCLUDED]
    assert bench.fresh(planned).block_hash != old


def _executable(bench):
    """An execution that the signer's policy lets through."""
    from contracts.models import Deployment
    from wallets.kernel.policy import EXECUTE

    receiver = Deployment.objects.create(
        chain=bench.chain, kind="receiver", address="0x" + "66" * 20,
        owner=bench.reserve.address, code_hash="0x" + "00" * 32,
    )  # fmt: skip
    Assignment.objects.create(wallet=bench.executor, deployment=receiver)
    return {"kind": "execution", "to": receiver.address, "data": EXECUTE + b"\0" * 32}


def test_an_execution_past_its_last_block_is_cancelled_not_sent_again(bench):
    planned = bench.plan(**_executable(bench), last_block=bench.head() + 1)
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    assert bench.fresh(planned).status == "included"
    reorg(bench, 1)
    age()
    bench.settle()
    assert list(Attempt.objects.values_list("purpose", flat=True)) == ["first", "cancel"]
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_after_a_reorg_while_killed_an_execution_is_cancelled(bench):
    planned = bench.plan(**_executable(bench), last_block=bench.head() + 1000)
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    kill.kill_engage(reason="drill")
    reorg(bench, 1)
    age()
    bench.settle()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_a_pending_execution_is_cancelled_when_its_time_is_over(bench):
    planned = bench.plan(**_executable(bench), last_block=bench.head() - 1)
    bench.sender.send(planned.pk, fees=FEES)
    bench.settle()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"


def test_a_reverted_transaction_is_reverted_and_pays_its_gas(bench):
    facts = _executable(bench)
    bench.rpc.call("anvil_setCode", [facts["to"], "0x60006000fd"])
    planned = bench.plan(**facts, last_block=bench.head() + 1000)
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine(3)
    bench.settle()
    done = bench.fresh(planned)
    assert done.status == "reverted"
    assert done.gas_used > 21_000
    bench.rpc.call("anvil_setCode", [facts["to"], "0x"])


def test_a_chain_nonce_ahead_of_ours_freezes_the_account_until_a_human_looked(bench):
    bench.sender.send(bench.plan().pk, fees=FEES)
    bench.mine()
    address = bench.executor.address
    bench.rpc.call("anvil_setNonce", [address, hex(5)])
    report = bench.settle()
    assert report.frozen == [address]
    assert Wallet.objects.get(address=address).state == "frozen"
    assert Alert.objects.get().severity == "critical"
    with pytest.raises(Exception, match="frozen"):
        bench.sender.send(bench.plan().pk, fees=FEES)
    wallet_unfreeze(wallet=bench.executor, chain_nonce=5, reason="it was me")
    assert bench.sender.send(bench.plan().pk, fees=FEES).nonce == 5


def test_a_nonce_spent_by_a_stranger_expires_by_proof_not_by_time(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.rpc.call("anvil_dropAllTransactions", [])
    bench.rpc.call("anvil_setNonce", [bench.executor.address, hex(1)])
    bench.mine()
    bench.settle()
    assert bench.fresh(planned).status == "submitted"  # spent, but not at the final depth
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "expired"
    assert NonceSequence.objects.get(address=bench.executor.address).frozen


def test_bytes_a_pool_dropped_are_sent_again_unchanged(bench):
    planned = bench.plan()
    outcome = bench.sender.send(planned.pk, fees=FEES)
    bench.rpc.call("anvil_dropAllTransactions", [])
    bench.settle()
    age()
    bench.settle()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).tx_hash == outcome.hash
    assert bench.fresh(planned).status == "confirmed"


def test_a_transaction_that_hangs_is_made_dearer_and_an_execution_is_cancelled(bench):
    test = bench.plan()
    bench.sender.send(test.pk, fees=FEES)
    execution = bench.plan(**_executable(bench), last_block=bench.head() + 1000)
    bench.sender.send(execution.pk, fees=FEES)
    long_ago = timezone.now() - timedelta(seconds=100)
    Attempt.objects.update(sent_at=long_ago, signed_at=long_ago)
    bench.settle()
    purposes = dict(Attempt.objects.values_list("transaction_id", "purpose"))
    assert purposes == {test.pk: "bump", execution.pk: "cancel"}
    bench.mine(3)
    bench.settle()
    assert (bench.fresh(test).status, bench.fresh(execution).status) == ("confirmed", "cancelled")


def test_a_local_chain_that_lost_final_blocks_gets_the_same_bytes_again(bench):
    done = [bench.plan() for _ in range(3)]
    for one in done:
        bench.sender.send(one.pk, fees=FEES)
        bench.mine()
    bench.mine(3)
    bench.settle()
    bench.settle()
    assert {bench.fresh(one).status for one in done} == {"confirmed"}
    kill.kill_engage(reason="an epoch passes")
    kill.kill_release(reason="on we go")
    reorg(bench, 6)
    later = bench.plan()
    bench.sender.send(later.pk, fees=FEES)
    bench.settle()
    bench.mine(3)
    bench.settle()
    assert bench.fresh(later).status == "confirmed"
    assert {bench.fresh(one).status for one in done} == {"confirmed"}
    assert Attempt.objects.count() == 4


def test_elsewhere_a_reorg_deeper_than_the_depth_freezes_the_account(bench):
    bench.sender.send(bench.plan().pk, fees=FEES)
    bench.mine(3)
    bench.settle()
    bench.chain.is_local = False
    reorg(bench, 3)
    assert bench.settle().frozen == [bench.executor.address]
    assert "vanished" in Alert.objects.get().detail


def test_without_a_sender_it_books_and_sends_nothing(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    receipts.settle(chain=bench.chain, rpc=bench.rpc)
    assert bench.fresh(planned).status == "included"


def test_fees_of_layer_two_receipts_are_taken_apart():
    receipt = {
        "effectiveGasPrice": "0xa", "blockNumber": "0x1", "blockHash": "0x2", "gasUsed": "0x64",
        "status": "0x1", "logs": [], "l1Fee": "0x7", "operatorFee": "0x1", "gasUsedForL1": "0x14",
    }  # fmt: skip
    assert settled.receipt_facts(receipt, l1_fee="none")["l1_fee_wei"] == 0
    assert settled.receipt_facts(receipt, l1_fee="op_stack")["l1_fee_wei"] == 8
    assert settled.receipt_facts(receipt, l1_fee="arbitrum")["l1_fee_wei"] == 200
