"""A transaction with its nonce and attempt in one round trip: all of it once committed, or none."""

import threading
from functools import partial

import pytest

from arbsite.base.rows import Statement
from contracts.kernel.fees import fees_bumped
from tests.wallets.conftest import FEES
from tests.wallets.test_missed_bundles import bundled, private, settled  # noqa: F401  a fixture
from tests.wallets.test_receipts import _executable
from tests.wallets.test_sender import in_threads
from wallets import adapters, kill, ledger
from wallets.beginning import KeyStands
from wallets.freezing import account_freeze
from wallets.models import Attempt, ChainLeader, StatusChange, Transaction
from wallets.record import RecordUnavailable
from wallets.relays.public import PublicRelay
from wallets.sender import Sender
from wallets.signer_client import SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def carried_out(begun):
    begun.answers()
    begun.commit()
    return begun.send()


def committed(begun):
    begun.answers()
    begun.commit()


def sent(bench, planned):
    with bench.begin(planned) as begun:
        return carried_out(begun)


def opened(bench):
    """The account's first use reads the chain: this is not of interest here."""
    bench.sender.send(bench.plan().pk, fees=FEES)
    return bench.next_nonce()


def columns(row, *, but=()):
    unlike = {"id", "created_at", "updated_at", "signed_at", "sent_at", *but}
    return {name: value for name, value in vars(row).items() if name not in {"_state", *unlike}}


def test_what_is_begun_at_once_is_what_planning_and_sending_leave(bench):
    facts = {**_executable(bench), "last_block": 10_000}
    in_steps = bench.plan(**facts)
    bench.sender.send(in_steps.pk, fees=FEES)
    at_once = bench.draft(**facts)
    sent(bench, at_once)

    def left(pk):
        row = Transaction.objects.get(pk=pk)
        attempt = Attempt.objects.get(transaction=row)
        history = StatusChange.objects.filter(transaction=row).order_by("pk")
        return (
            columns(row, but={"idempotency_key", "tx_hash"}),
            columns(attempt, but={"transaction_id", "nonce", "hash", "raw"}),
            list(history.values_list("old", "new", "reason")),
        )

    assert left(at_once.row.pk) == left(in_steps.pk)
    bench.mine(3)
    bench.settle()
    assert bench.fresh(at_once.row).status == bench.fresh(in_steps).status == "confirmed"


def test_nothing_of_it_stands_before_its_commit(bench):
    first = opened(bench)
    planned = bench.draft()
    with bench.begin(planned) as begun:
        with pytest.raises(ValueError, match="before its commit"):
            begun.commit()
        begun.answers()
        assert not Transaction.objects.filter(pk=planned.row.pk).exists()
        assert bench.next_nonce() == first
        begun.commit()
        assert bench.fresh(planned.row).status == "simulated"
        assert bench.next_nonce() == first + 1


def test_what_is_not_committed_never_was(bench):
    first = opened(bench)
    planned = bench.draft()
    with bench.begin(planned):
        pass  # nobody waited for it even
    with bench.begin(planned) as begun:
        begun.answers()
    with pytest.raises(ZeroDivisionError), bench.begin(planned):
        raise ZeroDivisionError
    assert not Transaction.objects.filter(pk=planned.row.pk).exists()
    assert bench.next_nonce() == first
    assert sent(bench, planned).nonce == first


def test_a_key_is_begun_once(bench):
    sent(bench, bench.draft())
    bench.serial -= 1
    with pytest.raises(KeyStands, match="already"), bench.begin(bench.draft()) as begun:
        begun.answers()
    assert bench.next_nonce() == 1


def test_a_row_that_is_taken_already_undoes_all_of_it(bench):
    planned = bench.draft()
    nobody = Statement("UPDATE wallets_transaction SET reason = %s WHERE id = 0", ["taken"])
    with pytest.raises(KeyStands), bench.begin(planned, rows=[nobody]) as begun:
        begun.answers()
    assert not Transaction.objects.exists()
    assert bench.next_nonce() == 0


def test_questions_are_answered_as_things_stood_before_it(bench):
    opened(bench)
    count = Statement("SELECT count(*) FROM wallets_transaction WHERE wallet_id = %(wallet)s",
                      {"wallet": bench.executor.pk})  # fmt: skip
    with bench.begin(bench.draft(), asks=[count, count]) as begun:
        assert begun.answers() == [(1,), (1,)]


def test_what_was_asked_about_one_account_is_not_written_for_another(bench):
    planned = bench.draft()
    others = (bench.reserve.address, {}), (None, {}), (bench.executor.address, {"payer": "0x1"})
    for nonce_of, more in others:
        with bench.sender.begin(nonce_of, fees=FEES, **more) as begun:
            with pytest.raises(ValueError, match="account and payer"):
                begun.write(planned.intent, planned.statements)
            with pytest.raises(ValueError, match="before its commit"):
                begun.commit()
    assert not Transaction.objects.exists()


def test_an_engaged_switch_lets_nothing_begin(bench):
    first = opened(bench)
    planned = bench.draft()
    kill.kill_engage(reason="drill")
    with bench.begin(planned) as begun, pytest.raises(ledger.Killed):
        committed(begun)
    kill.kill_release(reason="over")
    with bench.begin(planned) as begun, pytest.raises(ledger.Killed, match="plan it anew"):
        committed(begun)
    assert not Transaction.objects.filter(pk=planned.row.pk).exists()
    assert bench.next_nonce() == first


def test_another_leader_or_a_frozen_account_lets_nothing_begin(bench):
    first = opened(bench)
    ChainLeader.objects.create(chain=bench.chain, epoch=7, holder="me")
    with bench.begin(bench.draft(leader_epoch=6)) as begun, pytest.raises(ledger.LeaderChanged):
        committed(begun)
    account_freeze(chain_key="local", address=bench.executor.address, why="a stranger")
    with bench.begin(bench.draft(leader_epoch=7)) as begun, pytest.raises(ledger.AccountFrozen):
        committed(begun)
    assert (bench.next_nonce(), Transaction.objects.count()) == (first, 1)


def test_what_is_private_does_not_begin_without_a_private_way(bench):
    planned = bench.draft(private_only=True)
    with bench.begin(planned) as begun, pytest.raises(ledger.NotSendable, match="private"):
        committed(begun)
    assert not Transaction.objects.exists()


def test_what_is_simulated_only_is_kept_and_takes_no_nonce(bench):
    first = opened(bench)
    planned = bench.draft(simulated_only=True)
    with bench.begin(planned) as begun:
        committed(begun)
        with pytest.raises(ValueError, match="no nonce"):
            begun.send()
    assert bench.fresh(planned.row).status == "simulated"
    assert bench.next_nonce() == first
    assert not Attempt.objects.filter(transaction=planned.row).exists()


def test_a_refused_signature_gives_the_nonce_back(bench):
    first = opened(bench)
    planned = bench.draft(to=bench.reserve.address)
    with bench.begin(planned) as begun:
        committed(begun)
        with pytest.raises(SignRefused):
            begun.send()
    assert bench.fresh(planned.row).status == "rejected"
    assert bench.next_nonce() == first


def test_many_that_begin_at_once_take_distinct_nonces_without_gaps(bench):
    first = opened(bench)
    planned = [bench.draft() for _ in range(8)]
    gate = threading.Barrier(8)

    def act(i):
        gate.wait()
        return sent(bench, planned[i])

    outcomes = in_threads(8, act)
    assert sorted(one.nonce for one in outcomes) == list(range(first, first + 8))
    bench.mine(3)
    bench.settle()
    assert {bench.fresh(one.row).status for one in planned} == {"confirmed"}


def test_on_a_nonce_that_a_missed_bundle_gave_back_it_is_a_typed_reuse(private):  # noqa: F811
    bundled(private)
    settled(private, 3)
    facts = {**private.execution, "last_block": 10**6}

    refused = pytest.raises(ledger.NotSendable, match="may still land")
    with private.begin(private.draft(**facts)) as begun, refused:
        committed(begun)  # its profit was weighed with these fees: it does not offer more
    assert private.next_nonce() == 0

    planned = private.draft(**facts)
    with private.begin(planned, fees=fees_bumped(FEES)) as begun:
        committed(begun)
        begun.send()
    reuse = Attempt.objects.get(transaction=planned.row)
    assert (reuse.purpose, reuse.nonce, reuse.replaces.released) == ("reuse", 0, True)
    settled(private, 3)
    assert private.fresh(planned.row).status == "confirmed"


def test_who_stops_in_the_middle_keeps_the_account_no_longer_than_a_transaction_may_take(
    bench,
):
    first = opened(bench)
    made = bench.sender
    stopped = Sender(
        chain=made.chain,
        connect=partial(adapters.connect, name="test-sender", transaction_timeout="300ms"),
        signer=bench.desk.client, rpc=bench.rpc, relay=PublicRelay(bench.rpc),
        notify=lambda pk: None,
    )  # fmt: skip
    planned = bench.draft()

    def another_is_quicker():
        with bench.begin(planned, sender=stopped) as begun:
            assert sent(bench, bench.draft()).nonce == first  # waits for the account, and gets it
            begun.answers()

    with pytest.raises(RecordUnavailable):
        another_is_quicker()

    assert not Transaction.objects.filter(pk=planned.row.pk).exists()
    assert bench.next_nonce() == first + 1
    stopped.close()
