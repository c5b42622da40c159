"""Sequence, then transaction, then attempt: whoever waits for a row holds none that comes after."""

import threading

import psycopg
import pytest
from django.db import connection

from tests.wallets.conftest import FEES
from tests.wallets.test_missed_bundles import await_a_waiting_lock
from wallets import adapters, jobs, outcomes
from wallets.models import Attempt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


class Beside:
    """What another thread does meanwhile, and what became of it."""

    def __init__(self, act):
        self.error = None
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            self._act()
        except psycopg.Error as error:
            self.error = error
        finally:
            connection.close()

    def ended(self):
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.error


@pytest.fixture
def session():
    with adapters.connect(name="test-sender") as made:
        yield made


def locked(session, transaction_id):
    """As whoever keeps the outcome of a hand-over, or records a cancel, begins."""
    session.execute("BEGIN")
    session.execute("SELECT 1 FROM wallets_transaction WHERE id = %s FOR UPDATE", [transaction_id])


def test_settling_waits_for_the_outcome_of_a_hand_over_with_its_attempt_free(bench, session):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine(1)
    locked(session, planned.pk)
    settling = Beside(bench.settle)
    await_a_waiting_lock()
    session.execute("UPDATE wallets_attempt SET error = '' WHERE transaction_id = %s", [planned.pk])
    session.execute("COMMIT")
    assert settling.ended() is None
    assert bench.fresh(planned).status == "included"
    assert Attempt.objects.get().status == "mined"


def test_a_bump_is_stored_after_the_cancel_that_ends_it_and_not_at_all(bench, session):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    first = Attempt.objects.get()
    bump = Attempt.objects.create(
        transaction=planned, sequence=first.sequence, nonce=first.nonce, purpose="bump",
        replaces=first, to=first.to, value_wei=first.value_wei, data=first.data,
        gas_limit=first.gas_limit, tx_type=first.tx_type, max_fee_wei=2 * first.max_fee_wei,
        tip_fee_wei=2 * first.tip_fee_wei, status="prepared",
    )  # fmt: skip
    locked(session, planned.pk)

    def store():
        with adapters.connect(name="test-sender") as other:
            of = jobs.job(other, bump.pk)
            storing = outcomes.Storing(of, raw=b"x", tx_hash="0x" + "77" * 32, via="public")
            storing.write(other)
            with pytest.raises(outcomes.NotStored):
                storing.check()

    storing = Beside(store)
    await_a_waiting_lock()
    session.execute(
        "UPDATE wallets_attempt SET released = true, status = 'dead' WHERE id = %s", [bump.pk]
    )
    session.execute("COMMIT")
    assert storing.ended() is None
    assert bench.fresh(planned).tx_hash == first.hash
