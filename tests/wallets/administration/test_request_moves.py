"""Exposed wallets over a worker: noted and moved away from once, however often it is delivered."""

import pytest
from django.utils import timezone

from arbsite.base.errors import Retryable
from arbsite.base.models import AuditEvent
from contracts.kernel.jsonrpc import hex_int
from tests.wallets.administration.conftest import later
from wallets import exposure, kill, listing, services, wishes
from wallets.administration.acting import TOO_LATE, Desk, request_act
from wallets.administration.authorise import executor_authorise
from wallets.administration.calls import StillOpen
from wallets.models import Assignment, Request, Transaction, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def balance(office, wallet):
    return hex_int(office.rpc.call("eth_getBalance", [wallet.address, "latest"]))


def redeliver(made):
    """As if its worker had died after everything was mined and before it wrote the outcome."""
    Request.objects.filter(pk=made.pk).update(done_at=None, result=None, taken_at=None)


@pytest.fixture
def exposed(executor, reserve, desk):
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)
    return executor


def test_a_wallet_is_exposed_by_asking_and_its_key_noted(ask, act, desk, executor):
    kill.kill_engage(reason="a drill", scope="local")
    made = ask("expose", wallet=executor, args={"reason": "pasted into a chat"})

    done = act(made)

    wallet = Wallet.objects.get()
    assert (wallet.state, wallet.state_reason) == ("exposed", "pasted into a chat")
    assert done.result == {
        "walletId": wallet.pk,
        "wallet": wallet.address,
        "state": "exposed",
        "outOfUse": [{"id": wallet.pk, "chain": "local"}],
    }
    assert f"seed:local {wallet.derivation_path}" in desk.exposed()
    event = AuditEvent.objects.get(verb="wallet.expose")
    assert (event.actor_name, event.via) == ("ada", "api")
    assert act(made) is None


def test_an_overtaken_exposure_is_told_once_by_whoever_overtook_it(
    ask, act, desk, open_office, executor
):
    made = ask("expose", wallet=executor, args={"reason": "pasted"})

    class Slow:
        """Meanwhile the claim is another's."""

        def expose(self, name, *, path=""):
            Request.objects.filter(pk=made.pk).update(runs=7)
            desk.expose(name, path=path)

    with pytest.raises(wishes.Overtaken):
        request_act(pk=made.pk, desk=Desk(open_office=lambda row: open_office(), signer=Slow()))
    assert Wallet.objects.get().state == "active"
    Request.objects.update(taken_at=None)

    assert act(made).result["state"] == "exposed"
    assert AuditEvent.objects.filter(verb="wallet.expose").count() == 1


def test_a_move_while_killed_leaves_nothing_and_tells_the_same_when_delivered_again(
    ask, act, office, deployed, executor, reserve, desk
):
    executor_authorise(office, wallet=executor)
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)
    kill.kill_engage(reason="a drill")
    held = balance(office, executor)
    made = ask("move_away", wallet=executor)

    done = act(made)

    assert balance(office, executor) == 0
    assert not Assignment.objects.get(wallet=executor).desired
    coin = Transaction.objects.get(kind="rescue")
    paid = coin.gas_used * int(coin.gas_price_wei)
    assert (done.result["to"], done.result["valueWei"]) == (reserve.address, str(held - paid))
    assert [one["kind"] for one in done.result["transactions"]] == ["rescue", "revoke"]
    assert coin.idempotency_key.startswith(done.key)
    assert len(listing.transactions_of(done)) == 2

    redeliver(made)
    again = act(made)

    def told(row):
        return [one["id"] for one in row.result["transactions"]], row.result["valueWei"]

    assert told(again) == told(done)
    assert Transaction.objects.filter(kind__in=["rescue", "revoke"]).count() == 2


def test_a_move_that_is_still_out_is_gone_on_with_and_not_sent_twice(
    ask, act, office, reserve, exposed
):
    made = ask("move_away", wallet=exposed)
    with pytest.raises(StillOpen):
        act(made, settle=lambda: None, patience_s=0)
    later(wishes.FIRST_WAIT)

    done = act(made)

    assert (done.runs, done.problem) == (2, "")
    assert Transaction.objects.filter(kind="rescue").count() == 1
    assert balance(office, exposed) == 0


def test_a_right_that_is_still_being_taken_away_is_waited_for_by_the_next_run(
    ask, act, office, deployed, executor, reserve, desk
):
    executor_authorise(office, wallet=executor)
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)
    made = ask("move_away", wallet=executor)

    def settle():
        if not Transaction.objects.filter(kind="revoke").exists():
            office.settle()

    with pytest.raises(StillOpen):
        act(made, settle=settle, patience_s=0)
    later(wishes.FIRST_WAIT)

    done = act(made)

    coin, revoked = Transaction.objects.get(kind="rescue"), Transaction.objects.get(kind="revoke")
    assert [one["id"] for one in done.result["transactions"]] == [coin.pk, revoked.pk]
    assert done.result["valueWei"] == str(int(coin.value_wei))
    assert Assignment.objects.get(wallet=executor).authorized_at is None


def test_without_a_haven_nothing_is_sent_and_the_sentence_says_what_is_missing(
    ask, act, office, exposed, reserve, desk
):
    exposure.wallet_expose(wallet=reserve, reason="drill", signer=desk)
    held = balance(office, exposed)

    done = act(ask("move_away", wallet=exposed))

    assert "set ARB_TREASURY_LOCAL" in done.problem
    assert balance(office, exposed) == held
    assert not Transaction.objects.exists()


def test_a_right_that_stays_is_a_problem_that_says_where_the_coin_went(
    ask, act, office, chain, deployed, executor, reserve, desk
):
    executor_authorise(office, wallet=executor)
    other = services.wallet_create(chain=chain, role="gas_reserve", signer=desk)
    Wallet.objects.filter(pk=reserve.pk).update(source="watch")  # the owner's key is elsewhere
    exposure.wallet_expose(wallet=executor, reason="drill", signer=desk)

    done = act(ask("move_away", wallet=executor))

    assert done.result is None
    assert f"not revoked on {deployed.address}" in done.problem
    assert f"wei went to {other.address}" in done.problem
    assert balance(office, executor) == 0


def test_a_wallet_in_use_is_not_moved_by_asking(ask, act, executor, reserve):
    assert "mark it first" in act(ask("move_away", wallet=executor)).problem


@pytest.mark.parametrize("kind", ["expose", "move_away"])
def test_what_is_asked_for_an_exposed_key_is_never_too_late(ask, desk, executor, kind):
    made = ask(kind, wallet=executor, args={"reason": "pasted"})
    Request.objects.update(created_at=timezone.now() - TOO_LATE * 2)

    class Away:
        """Neither a node nor a signer answers."""

        def expose(self, name, *, path=""):
            raise Retryable("the signer is away")

    def no_office(row):
        raise Retryable("the node is away")

    with pytest.raises(Retryable):
        request_act(pk=made.pk, desk=Desk(open_office=no_office, signer=Away()))

    assert Request.objects.get().done_at is None
