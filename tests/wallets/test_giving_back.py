"""Nonces that are given back, and replacements that never were: nothing jams behind them."""

import pytest
from django.db import connection

from tests.wallets.conftest import FEES
from tests.wallets.test_receipts import _executable
from tests.wallets.test_sender import in_threads
from wallets import ledger, releases, services
from wallets.models import Attempt, NonceSequence, Transaction
from wallets.signer_client import SignerUnavailable, SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


class Away:
    """No signer behind the socket: not one byte was asked."""

    def sign(self, attempt_id):
        raise SignerUnavailable("is not there", asked=False)


def prepare(bench, planned):
    """An attempt whose sender dies before it asks for a signature."""
    with bench.sender._record.borrow() as session:
        bench.sender._open_account(session, planned.wallet.address)
        return ledger.prepare(session, planned.pk, fees=FEES, public=True)


@pytest.mark.parametrize("replacement", ["cancel", "bump"])
def test_a_replacement_without_a_signer_does_not_give_the_nonce_of_the_first_back(
    bench, replacement
):
    planned = bench.plan()
    first = bench.sender.send(planned.pk, fees=FEES)
    bench.sender._signer = Away()
    with pytest.raises(SignerUnavailable):
        getattr(bench.sender, replacement)(planned.pk, reason="the signer is away")
    assert bench.next_nonce() == first.nonce + 1
    bench.sender._signer = bench.desk.client
    assert bench.sender.send(bench.plan().pk, fees=FEES).nonce == first.nonce + 1
    bench.sender.recover(older_than_s=0)
    bench.mine(3)
    bench.settle()
    ended = {"cancel": "cancelled", "bump": "confirmed"}
    assert bench.fresh(planned).status == ended[replacement]


def test_a_bump_that_was_never_signed_is_dropped_by_the_cancel(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.sender._signer = Away()
    with pytest.raises(SignerUnavailable):
        bench.sender.bump(planned.pk, reason="the signer is away")
    bench.sender._signer = bench.desk.client
    bench.sender.cancel(planned.pk, reason="enough")
    assert bench.sender.recover(older_than_s=0) == 0
    assert list(Attempt.objects.filter(hash=None).values_list("released", "status")) == [
        (True, "dead")
    ]


def test_a_gap_under_a_frozen_account_waits_for_the_human_and_is_filled_then(bench):
    execution = bench.plan(**_executable(bench), last_block=10_000)
    prepare(bench, execution)
    later = bench.sender.send(bench.plan().pk, fees=FEES)
    rows = NonceSequence.objects.filter(address=bench.executor.address)
    rows.update(frozen="someone else uses its key")
    for _ in range(2):
        assert bench.sender.recover(older_than_s=0) == 1
    assert not Transaction.objects.filter(kind="gap_fill").exists()
    assert bench.fresh(execution).status == "simulated"
    rows.update(frozen="")
    bench.sender.recover(older_than_s=0)
    bench.mine(3)
    bench.settle()
    assert bench.fresh(execution).status == "rejected"
    assert Transaction.objects.get(kind="gap_fill").status == "confirmed"
    assert Attempt.objects.get(pk=later.attempt_id).status == "mined"


def test_a_filler_that_is_refused_a_signature_is_asked_for_again_not_filled_in_turn(bench):
    prepare(bench, bench.plan(to=bench.reserve.address))  # a test sends to itself only
    bench.sender.send(bench.plan().pk, fees=FEES)
    real = bench.desk.client.sign

    class RefusesFillers:
        def sign(self, attempt_id):
            if Attempt.objects.get(pk=attempt_id).purpose == "gap_fill":
                raise SignRefused("policy", "not today")
            return real(attempt_id)

    bench.sender._signer = RefusesFillers()
    bench.sender.recover(older_than_s=0)
    bench.sender.recover(older_than_s=0)
    filler = Transaction.objects.get(kind="gap_fill")
    bench.sender._signer = bench.desk.client
    bench.sender.recover(older_than_s=0)
    bench.mine(3)
    bench.settle()
    assert bench.fresh(filler).status == "confirmed"


def test_a_signature_that_was_never_stored_is_not_taken_up_for_ever(bench):
    execution = bench.plan(**_executable(bench), last_block=10_000)
    of = prepare(bench, execution)
    bench.desk.client.sign(of.attempt_id)  # and its sender dies here
    assert bench.sender.recover(older_than_s=0) == 1
    bench.mine(3)
    bench.settle()
    assert bench.fresh(execution).status == "cancelled"
    assert Attempt.objects.get(pk=of.attempt_id).status == "dead"
    assert bench.sender.recover(older_than_s=0) == 0


def test_a_refused_transaction_ends_with_its_nonce_in_one_commit(bench):
    planned = bench.plan(to=bench.reserve.address)
    of = prepare(bench, planned)
    with bench.sender._record.borrow() as session:
        assert releases.release(session, of.attempt_id, reason="refused", rejects=True)
        assert bench.fresh(planned).status == "rejected"
        with pytest.raises(ledger.NotSendable):
            ledger.prepare(session, planned.pk, fees=FEES, public=True)
    assert bench.next_nonce() == 0


def test_dropped_and_sent_at_once_a_transaction_is_one_of_the_two(bench):
    bench.sender.send(bench.plan().pk, fees=FEES)
    for _ in range(10):
        planned = bench.plan()

        def act(i, planned=planned):
            if i:
                return bench.sender.send(planned.pk, fees=FEES)
            try:
                twin = Transaction.objects.get(pk=planned.pk)
                return services.transaction_rejected(transaction_=twin, reason="dropped")
            finally:
                connection.close()

        dropped, sent = in_threads(2, act)
        held = Attempt.objects.filter(transaction=planned, released=False).exists()
        assert (bench.fresh(planned).status == "rejected") is not held
        assert isinstance(sent, Exception) or isinstance(dropped, services.StaleStatus)
