"""An execution whose sender died is finished by nobody, whatever nonce it took (I10, I51)."""

import pytest

from arbsite.base.units import Gas
from tests.wallets.conftest import FEES
from tests.wallets.test_missed_bundles import bundled, private, settled  # noqa: F401  a fixture
from tests.wallets.test_receipts import _executable
from wallets import jobs, replacements
from wallets.models import Attempt, Transaction
from wallets.signer_client import SignerUnavailable, SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


class SignerThatIsLost:
    """Was asked, and no answer came: with ``signs`` it had signed already."""

    def __init__(self, real, *, signs):
        self.real, self.signs = real, signs

    def sign(self, attempt_id):
        if self.signs:
            self.real.sign(attempt_id)
        raise SignerUnavailable("is lost in the middle of an answer", asked=True)


def abandoned(bench, act, *, signs):
    """What an act leaves whose sender dies while it waits for its signature."""
    bench.sender._signer = SignerThatIsLost(bench.desk.client, signs=signs)
    with pytest.raises(SignerUnavailable):
        act()
    bench.sender._signer = bench.desk.client


def reuse_abandoned(bench, *, signs=False):
    """An execution on a nonce that a missed bundle gave back, left by a sender that died."""
    bundled(bench)
    settled(bench, 3)
    planned = bench.plan(**bench.execution, last_block=bench.head() + 500, private_only=True)
    abandoned(bench, lambda: bench.sender.send(planned.pk, fees=FEES), signs=signs)
    left = Attempt.objects.get(transaction=planned)
    assert (left.purpose, left.nonce, left.status) == ("reuse", 0, "prepared")
    return planned


def ten_percent_above(attempt, fees=FEES):
    dearer = int(attempt.max_fee_wei) * 10 >= fees.max_fee_wei * 11
    return dearer and int(attempt.tip_fee_wei) * 10 >= fees.max_priority_fee_wei * 11


def test_a_reuse_that_was_never_signed_is_given_up_with_its_nonce(private):  # noqa: F811
    planned = reuse_abandoned(private)
    given = len(private.builder.got)

    assert private.sender.recover(older_than_s=0) == 1

    assert private.fresh(planned).status == "rejected"
    assert Attempt.objects.get(transaction=planned).released
    assert private.next_nonce() == 0
    assert len(private.builder.got) == given
    again = bundled(private, blocks=10)
    assert Attempt.objects.get(transaction=again).nonce == 0


def test_a_reuse_whose_signature_was_never_stored_is_cancelled_in_public(private):  # noqa: F811
    planned = reuse_abandoned(private, signs=True)
    given = len(private.builder.got)

    assert private.sender.recover(older_than_s=0) == 1

    cancel = Attempt.objects.get(transaction=planned, purpose="cancel")
    assert (cancel.sent_via, cancel.nonce) == ("public", 0)
    assert ten_percent_above(cancel)
    settled(private, 3)
    assert private.fresh(planned).status == "cancelled"
    assert len(private.builder.got) == given
    assert private.next_nonce() == 1
    assert private.sender.recover(older_than_s=0) == 0


def test_under_a_later_nonce_its_gap_is_filled_above_what_may_land_there(private):  # noqa: F811
    planned = reuse_abandoned(private)
    missed = Attempt.objects.get(transaction_id=planned.pk).replaces
    later = private.sender.send(private.plan().pk, fees=FEES)
    assert later.nonce == 1

    assert private.sender.recover(older_than_s=0) == 1

    assert private.fresh(planned).status == "rejected"
    filler = Attempt.objects.get(purpose="gap_fill")
    assert (filler.nonce, filler.sent_via) == (0, "public")
    assert ten_percent_above(filler)
    settled(private, 3)
    settled(private)
    assert Transaction.objects.get(kind="gap_fill").status == "confirmed"
    assert Attempt.objects.get(pk=later.attempt_id).status == "mined"
    missed.refresh_from_db()
    assert missed.status == "dead"
    assert private.next_nonce() == 2


def test_what_missed_may_land_before_the_filler_of_its_nonce(private):  # noqa: F811
    planned = reuse_abandoned(private)
    missed = Attempt.objects.get(transaction_id=planned.pk).replaces
    private.sender.send(private.plan().pk, fees=FEES)
    private.sender.recover(older_than_s=0)
    filler = Attempt.objects.get(purpose="gap_fill")
    assert filler.replaces == missed
    private.rpc.call("anvil_dropTransaction", [filler.hash])
    private.rpc.send_raw(bytes(missed.raw))

    assert settled(private, 1).frozen == []
    assert private.fresh(missed.transaction).status == "included"

    settled(private, 3)
    assert private.fresh(missed.transaction).status == "confirmed"
    assert private.fresh(filler.transaction).status == "expired"
    assert private.next_nonce() == 2


@pytest.mark.parametrize("signs", [False, True])
def test_a_dearer_payload_of_an_execution_is_not_sent_by_another(bench, signs):
    planned = bench.plan(**_executable(bench), last_block=10_000)
    bench.sender.send(planned.pk, fees=FEES)

    def bump():
        bench.sender.bump(planned.pk, reason="dearer", simulated=(2, "0x" + "cd" * 32))

    abandoned(bench, bump, signs=signs)
    dearer = Attempt.objects.get(transaction=planned, purpose="bump")

    bench.sender.recover(older_than_s=0)

    dearer.refresh_from_db()
    assert dearer.hash is None
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == ("cancelled" if signs else "confirmed")
    assert bench.next_nonce() == 1
    assert bench.sender.recover(older_than_s=0) == 0


def test_the_signer_refuses_a_filler_that_could_not_replace_what_missed(private):  # noqa: F811
    planned = reuse_abandoned(private)
    private.sender.send(private.plan().pk, fees=FEES)
    left = Attempt.objects.get(transaction=planned)

    with private.sender._record.borrow() as session:
        filler = replacements.gap_fill(
            session, jobs.job(session, left.pk), offer=lambda earlier: FEES,
            self_gas=Gas(21_000), reason="a test",
        )  # fmt: skip

    with pytest.raises(SignRefused) as refused:
        private.desk.client.sign(filler.attempt_id)
    assert refused.value.code == "replacement"


def test_a_dearer_payload_left_unsigned_waits_while_the_first_is_mined(bench):
    planned = bench.plan()
    first = bench.sender.send(planned.pk, fees=FEES)
    abandoned(bench, lambda: bench.sender.bump(planned.pk, reason="slow"), signs=False)
    bench.mine()
    bench.settle()

    assert bench.sender.recover(older_than_s=0) == 0

    bench.mine(3)
    bench.settle()
    done = bench.fresh(planned)
    assert (done.status, done.tx_hash) == ("confirmed", first.hash)
    assert Attempt.objects.get(purpose="bump").status == "dead"


@pytest.mark.parametrize("blocks", [1, 3], ids=["included", "final"])
def test_what_is_mined_while_a_dearer_payload_is_signed_keeps_its_hash(bench, blocks):
    class SignerThatIsSlow:
        """Answers when the first payload is mined and booked."""

        def sign(self, attempt_id):
            signed = bench.desk.client.sign(attempt_id)
            bench.mine(blocks)
            bench.settle()
            return signed

    planned = bench.plan()
    first = bench.sender.send(planned.pk, fees=FEES)
    bench.sender._signer = SignerThatIsSlow()
    late = bench.sender.bump(planned.pk, reason="slow")
    bench.sender._signer = bench.desk.client

    assert bench.fresh(planned).tx_hash == first.hash
    assert (late.hash != "") == (blocks == 1)
    bench.mine(3)
    bench.settle()
    done = bench.fresh(planned)
    assert (done.status, done.tx_hash) == ("confirmed", first.hash)
    assert Attempt.objects.get(purpose="bump").status == "dead"
