"""The send path on a real node: one nonce, one hash, nothing lost, nothing doubled."""

import threading

import pytest

from arbsite.base.units import Wei
from contracts.kernel.fees import FeeAboveCap, FeeModel, GasFees
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import RpcUnavailable
from tests.wallets.conftest import FEES, make_bench
from wallets import kill, ledger, services
from wallets.kernel.lifecycle import Status
from wallets.models import Attempt, NonceSequence, StatusChange, Transaction
from wallets.signer_client import SignerUnavailable, SignRefused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def in_threads(count, act):
    """Run ``act(i)`` in that many threads at once; their results, exceptions included."""
    results = [None] * count
    gate = threading.Barrier(count)

    def run(i):
        gate.wait()
        try:
            results[i] = act(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


class FakeRelay:
    """An endpoint that does what a test says, at the wire's place."""

    name = "fake"

    def __init__(self, act):
        self.act = act
        self.got = []

    def send(self, raw, *, timeout_s):
        self.got.append(raw)
        return self.act(raw, timeout_s)


@pytest.fixture
def faked(transactional_db, anvil, desk):
    made = []

    def make(act):
        made.append(make_bench(anvil=anvil, desk=desk, relay=FakeRelay(act)))
        return made[-1]

    yield make
    for one in made:
        one.sender.close()


def test_a_transaction_is_sent_mined_and_confirmed(bench):
    planned = bench.plan()
    outcome = bench.sender.send(planned.pk, fees=FEES)
    assert outcome.status == Status.SUBMITTED
    assert set(outcome.stages_us) == {"sign", "persist", "submit"}
    bench.mine()
    bench.settle()
    assert bench.fresh(planned).status == "included"
    bench.mine(2)
    bench.settle()
    done = bench.fresh(planned)
    assert (done.status, done.tx_hash, done.gas_used) == ("confirmed", outcome.hash, 21_000)
    assert done.submitted_via == "public"
    history = list(StatusChange.objects.filter(transaction=planned).values_list("new", flat=True))
    assert history == ["planned", "simulated", "signed", "submitted", "included", "confirmed"]
    assert planned.pk in bench.notified


def test_eight_threads_sending_one_transaction_give_one_nonce_and_one_hash(bench):
    planned = bench.plan()
    outcomes = in_threads(8, lambda _: bench.sender.send(planned.pk, fees=FEES))
    assert {outcome.nonce for outcome in outcomes} == {0}
    assert len({outcome.attempt_id for outcome in outcomes}) == 1
    assert Attempt.objects.count() == 1
    assert bench.next_nonce() == 1


def test_nonces_of_parallel_transactions_are_distinct_and_gapless(bench):
    planned = [bench.plan() for _ in range(24)]
    outcomes = in_threads(
        8, lambda i: [bench.sender.send(one.pk, fees=FEES) for one in planned[i::8]]
    )
    nonces = sorted(outcome.nonce for batch in outcomes for outcome in batch)
    assert nonces == list(range(24))
    bench.mine()
    bench.settle()
    assert {bench.fresh(one).status for one in planned} == {"included"}


def test_a_transaction_without_simulation_takes_no_nonce(bench):
    planned = services.transaction_plan(
        wallet=bench.executor, kind="test", to=bench.executor.address, data=b"", key="bare"
    )
    with pytest.raises(ledger.NotSendable):
        bench.sender.send(planned.pk, fees=FEES)
    assert bench.next_nonce() == 0


def test_a_fee_above_the_cap_takes_no_nonce(bench):
    dear = GasFees(
        model=FeeModel.EIP1559, max_fee_wei=Wei(501 * 10**9), max_priority_fee_wei=Wei(1)
    )
    with pytest.raises(FeeAboveCap):
        bench.sender.send(bench.plan().pk, fees=dear)
    assert not Attempt.objects.exists()


def test_a_refused_signature_gives_the_nonce_back(bench):
    planned = bench.plan(to=bench.reserve.address)  # a test sends to itself only
    with pytest.raises(SignRefused, match="to the wallet itself"):
        bench.sender.send(planned.pk, fees=FEES)
    assert bench.fresh(planned).status == "rejected"
    assert bench.next_nonce() == 0
    assert bench.sender.send(bench.plan().pk, fees=FEES).nonce == 0


def test_a_refusal_under_a_later_nonce_is_filled(bench):
    bad, good = bench.plan(to=bench.reserve.address), bench.plan()
    real = bench.desk.client.sign

    class Slow:
        """Refuses only after another transaction took the next nonce."""

        def sign(self, attempt_id):
            if Attempt.objects.get(pk=attempt_id).transaction_id == bad.pk:
                bench.sender._signer = bench.desk.client
                assert bench.sender.send(good.pk, fees=FEES).nonce == 1
            return real(attempt_id)

    bench.sender._signer = Slow()
    with pytest.raises(SignRefused):
        bench.sender.send(bad.pk, fees=FEES)
    filler = Transaction.objects.get(kind="gap_fill")
    assert filler.attempts.get().nonce == 0
    bench.mine(4)
    bench.settle()
    assert bench.fresh(bad).status == "rejected"
    assert bench.fresh(good).status == "confirmed"
    assert bench.fresh(filler).status == "confirmed"


def test_a_signer_that_is_away_costs_no_nonce(bench):
    class Away:
        def sign(self, attempt_id):
            raise SignerUnavailable("is not there", asked=False)

    planned, real = bench.plan(), bench.desk.client
    bench.sender._signer = Away()
    with pytest.raises(SignerUnavailable):
        bench.sender.send(planned.pk, fees=FEES)
    bench.sender._signer = real
    assert bench.sender.send(planned.pk, fees=FEES).nonce == 0


def test_bytes_and_hash_are_committed_before_a_byte_goes_out(faked):
    seen = []

    def act(raw, _):
        row = Attempt.objects.get()
        seen.append((bytes(row.raw), row.status, row.transaction.status))
        return row.hash

    one = faked(act)
    one.sender.send(one.plan().pk, fees=FEES)
    assert seen == [(one.sender._ways.public.got[0], "signed", "signed")]


def test_a_lost_answer_is_unknown_and_found_again_by_its_hash(faked):
    one = faked(lambda raw, t: _unavailable(sent=True))
    outcome = one.sender.send(one.plan().pk, fees=FEES)
    assert outcome.status == Status.UNKNOWN
    one.rpc.send_raw(one.sender._ways.public.got[0])  # it had arrived after all
    one.settle()
    assert Transaction.objects.get().status == "submitted"


def test_bytes_that_arrived_although_the_answer_was_lost_are_submitted(faked):
    one = faked(None)

    def act(raw, _):
        one.rpc.send_raw(raw)
        _unavailable(sent=True)

    one.sender._ways.public.act = act
    assert one.sender.send(one.plan().pk, fees=FEES).status == Status.SUBMITTED


def test_a_refused_connection_leaves_it_signed_and_the_same_bytes_go_out_later(faked):
    one = faked(lambda raw, t: _unavailable(sent=False))
    planned = one.plan()
    outcome = one.sender.send(planned.pk, fees=FEES)
    assert outcome.status == Status.SIGNED
    one.sender._ways.public.act = lambda raw, t: one.rpc.send_raw(raw)
    _age(Attempt.objects.get())
    one.settle()
    assert one.fresh(planned).status == "submitted"
    assert len(set(one.sender._ways.public.got)) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("already known", "unknown"),
        ("nonce too low", "unknown"),
        ("replacement transaction underpriced", "unknown"),
        ("internal error", "unknown"),
        ("insufficient funds for gas * price + value", "signed"),
        ("transaction underpriced", "signed"),
        ("exceeds block gas limit", "signed"),
    ],
)
def test_a_refusal_never_frees_the_nonce(faked, words, status):
    one = faked(lambda raw, t: _refuse(words))
    outcome = one.sender.send(one.plan().pk, fees=FEES)
    assert outcome.status == status
    assert one.next_nonce() == 1
    assert not Attempt.objects.get().released


def test_already_known_with_the_node_knowing_it_is_submitted(faked):
    one = faked(None)

    def act(raw, _):
        one.rpc.send_raw(raw)
        _refuse("already known")

    one.sender._ways.public.act = act
    assert one.sender.send(one.plan().pk, fees=FEES).status == Status.SUBMITTED


def test_an_endpoint_that_answers_null_is_looked_up(faked):
    one = faked(lambda raw, t: "null")
    assert one.sender.send(one.plan().pk, fees=FEES).status == Status.UNKNOWN


def test_the_deadline_handed_to_the_relay_is_within_two_seconds(faked):
    asked = []
    one = faked(lambda raw, t: asked.append(t) or "0x")
    one.sender.send(one.plan().pk, fees=FEES)
    assert 0 < asked[0] <= 2.0


def test_a_private_transaction_never_goes_a_public_way(bench):
    planned = bench.plan(private_only=True)
    with pytest.raises(ledger.NotSendable, match="never falls back"):
        bench.sender.send(planned.pk, fees=FEES)


def test_a_cancel_ends_the_nonce_and_what_was_mined_decides(bench):
    planned = bench.plan()
    first = bench.sender.send(planned.pk, fees=FEES)
    second = bench.sender.cancel(planned.pk, reason="changed our mind")
    assert second.nonce == first.nonce
    again = bench.sender.cancel(planned.pk, reason="asked twice")
    assert again.attempt_id == second.attempt_id
    bench.mine(3)
    bench.settle()
    assert bench.fresh(planned).status == "cancelled"
    assert Attempt.objects.get(pk=first.attempt_id).status == "dead"


def test_a_cancel_that_loses_the_race_is_an_execution(bench):
    planned = bench.plan()
    bench.sender.send(planned.pk, fees=FEES)
    bench.mine(3)
    bench.sender.cancel(planned.pk, reason="too late")
    bench.settle()
    assert bench.fresh(planned).status == "confirmed"


def test_a_bump_replaces_with_ten_percent_more(bench):
    planned = bench.plan()
    first = bench.sender.send(planned.pk, fees=FEES)
    second = bench.sender.bump(planned.pk, reason="slow")
    assert second.nonce == first.nonce
    rows = {a.pk: a for a in Attempt.objects.all()}
    bumped = rows[second.attempt_id]
    assert bumped.purpose == "bump"
    assert bumped.replaces_id == first.attempt_id
    assert bumped.max_fee_wei * 10 >= FEES.max_fee_wei * 11
    bench.mine(3)
    bench.settle()
    assert (bench.fresh(planned).status, bench.fresh(planned).tx_hash) == ("confirmed", second.hash)


def test_a_new_account_with_foreign_pending_transactions_is_not_begun(bench):
    address = bench.reserve.address
    bench.rpc.call("anvil_impersonateAccount", [address])
    bench.rpc.call("eth_sendTransaction", [{"from": address, "to": address, "gas": "0x5208"}])
    planned = bench.plan(wallet=bench.reserve)
    with pytest.raises(ledger.AccountFrozen, match="not in the record"):
        bench.sender.send(planned.pk, fees=FEES)
    assert not NonceSequence.objects.filter(address=address).exists()
    bench.mine()


def test_a_paused_leader_that_wakes_sends_nothing(bench):
    from wallets.models import ChainLeader

    ChainLeader.objects.create(chain=bench.chain, epoch=7, holder="me")
    late, planned = bench.plan(leader_epoch=6), bench.plan(leader_epoch=7)
    with pytest.raises(ledger.LeaderChanged):
        bench.sender.send(late.pk, fees=FEES)
    assert bench.sender.send(planned.pk, fees=FEES).status == Status.SUBMITTED


def test_an_abandoned_attempt_is_given_up_for_an_execution_and_finished_for_the_rest(bench):
    test = bench.plan()
    with bench.sender._record.borrow() as connection:
        bench.sender._open_account(connection, test.wallet.address)
        ledger.prepare(connection, test.pk, fees=FEES, public=True)
    assert bench.sender.recover(older_than_s=60) == 0
    assert bench.sender.recover(older_than_s=0) == 1
    assert bench.fresh(test).status == "submitted"
    execution = bench.plan(kind="execution", last_block=10_000)
    with bench.sender._record.borrow() as connection:
        ledger.prepare(connection, execution.pk, fees=FEES, public=True)
    assert bench.next_nonce() == 2
    assert bench.sender.recover(older_than_s=0) == 1
    assert bench.fresh(execution).status == "rejected"
    assert bench.next_nonce() == 1


def test_what_was_planned_before_a_kill_is_never_sent_after_its_release(bench):
    planned = bench.plan()
    kill.kill_engage(reason="drill")
    kill.kill_release(reason="over")
    with pytest.raises(ledger.Killed, match="plan it anew"):
        bench.sender.send(planned.pk, fees=FEES)
    assert bench.sender.send(bench.plan().pk, fees=FEES).status == Status.SUBMITTED


def _unavailable(*, sent):
    raise RpcUnavailable("no answer in time", endpoint="http://fake", sent=sent)


def _refuse(words):
    raise RpcError(-32000, words)


def _age(attempt):
    from datetime import timedelta

    from django.utils import timezone

    then = timezone.now() - timedelta(seconds=30)
    Attempt.objects.filter(pk=attempt.pk).update(signed_at=then, sent_at=None)
