"""A restored record: held until its accounts were compared with the chain."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from arbsite.base.models import Alert, AuditEvent
from tests.wallets.conftest import FEES
from wallets import kill, recovery
from wallets.ledger import AccountFrozen
from wallets.models import Attempt, KillState, NonceSequence, Wallet
from wallets.signer_client import SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
WHEN = "2026-05-01T12:00:00+00:00"


def frozen(bench):
    return NonceSequence.objects.get(address=bench.executor.address).frozen


def sent(bench):
    """One mined and settled transaction of the executor."""
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine()
    bench.settle()
    return planned


def test_a_restore_stops_everything_and_holds_every_account(bench):
    sent(bench)

    held = recovery.recovery_begin(made_at=WHEN)

    assert held == 1
    state = KillState.objects.get(scope="*")
    assert (state.engaged, state.reason) == (True, f"restored from a backup of {WHEN}")
    assert frozen(bench) == state.reason
    assert Alert.objects.get(key="restored").severity == "critical"
    assert AuditEvent.objects.filter(verb="restore").exists()


def test_even_what_the_switch_lets_through_is_not_signed_before_the_chain_was_compared(bench):
    sent(bench)
    rescue = bench.plan(kind="rescue", to=bench.reserve.address, value=5)
    recovery.recovery_begin(made_at=WHEN)
    with pytest.raises(AccountFrozen):
        bench.sender.send(rescue.pk, fees=FEES)

    # Not even past the sender: the signer looks for itself.
    NonceSequence.objects.update(frozen="")
    job = bench.sender.send(rescue.pk, fees=FEES)
    NonceSequence.objects.update(frozen=f"restored from a backup of {WHEN}")
    with pytest.raises(SignRefused, match="frozen"):
        bench.desk.client.sign(job.attempt_id)


def test_an_account_that_stands_where_the_chain_does_is_free_at_the_first_settlement(bench):
    sent(bench)
    recovery.recovery_begin(made_at=WHEN)
    bench.settle()
    assert frozen(bench) == ""
    assert KillState.objects.get(scope="*").engaged  # only a human releases it
    kill.kill_release(reason="looked")
    assert Alert.objects.get(key="restored").resolved_at is not None


def test_an_account_behind_the_chain_waits_for_a_human_with_the_mend(bench):
    sent(bench)
    sent(bench)
    NonceSequence.objects.update(next_nonce=1)
    recovery.recovery_begin(made_at=WHEN)

    for _ in range(2):
        bench.settle()
        kill.kill_release(reason="too soon")

    assert "the chain's nonce is 2, the restored record's 1" in frozen(bench)
    assert Wallet.objects.get(pk=bench.executor.pk).state == "frozen"
    alert = Alert.objects.get(key=f"frozen:local:{bench.executor.address}")
    assert "unfreeze --chain local" in alert.fix
    with pytest.raises(AccountFrozen):
        bench.sender.send(bench.plan().pk, fees=FEES)

    call_command("unfreeze", "looked", chain="local", wallet=bench.executor.address)
    assert (frozen(bench), bench.next_nonce()) == ("", 2)


def test_what_pends_on_the_chain_without_our_knowing_freezes_too_and_is_waited_for(bench):
    sent(bench)
    bench.rpc.call("evm_setAutomine", [False])
    try:
        bench.sender.send(bench.plan().pk, fees=FEES)
        Attempt.objects.filter(nonce=1).delete()
        NonceSequence.objects.update(next_nonce=1)
        recovery.recovery_begin(made_at=WHEN)

        bench.settle()

        assert "1 (2 with what is pending)" in frozen(bench)
        with pytest.raises(CommandError, match="1 transactions pending"):
            call_command("unfreeze", "looked", chain="local", wallet=bench.executor.address)
        assert frozen(bench) != ""
        bench.mine()
        call_command("unfreeze", "looked", chain="local", wallet=bench.executor.address)
        assert bench.next_nonce() == 2
    finally:
        bench.rpc.call("evm_setAutomine", [True])


def test_ours_that_are_out_and_not_mined_wait_for_the_release(bench):
    sent(bench)
    bench.rpc.call("evm_setAutomine", [False])
    try:
        planned = bench.plan()
        bench.sender.send(planned.pk, fees=FEES)
        bench.rpc.call("anvil_dropAllTransactions", [])
        recovery.recovery_begin(made_at=WHEN)
        before = Attempt.objects.count()

        bench.settle()
        assert frozen(bench).startswith(recovery.HELD)
        assert Attempt.objects.count() == before  # no cancel was signed

        kill.kill_release(reason="looked")
        bench.settle()
        assert frozen(bench) == ""
    finally:
        bench.rpc.call("evm_setAutomine", [True])


def test_attempts_that_the_backup_caught_unsigned_are_left_alone_while_held(bench):
    sent(bench)
    job = bench.sender.send(bench.plan().pk, fees=FEES)
    Attempt.objects.filter(pk=job.attempt_id).update(
        raw=None, hash=None, status="prepared", signed_at=None, created_at="2026-01-01T00:00:00Z"
    )
    recovery.recovery_begin(made_at=WHEN)
    NonceSequence.objects.update(next_nonce=3)  # ours ahead: it waits for the release

    bench.settle()

    attempt = Attempt.objects.get(pk=job.attempt_id)
    assert (attempt.status, attempt.released, attempt.signed_at) == ("prepared", False, None)


def test_an_account_that_is_not_held_costs_a_settlement_no_call(bench):
    sent(bench)
    assert recovery.accounts_compare(chain=bench.chain, rpc=None) is False
