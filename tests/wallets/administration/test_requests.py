"""What people ask for, done by a worker on a real node: once, however often it is delivered."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from arbsite.base.errors import Retryable
from arbsite.base.models import AuditEvent
from contracts.kernel import abi
from contracts.models import Deployment, Token
from tests.wallets.administration.conftest import later, send_as
from wallets import kill, listing, services, wishes
from wallets.administration.acting import TOO_LATE, Desk, request_act
from wallets.administration.authorise import executor_authorise
from wallets.administration.calls import StillOpen
from wallets.administration.operate import receiver_pause
from wallets.administration.overview import contract_shown
from wallets.models import Assignment, Funding, Request, Transaction, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


def test_a_generated_wallet_is_the_next_of_its_role_and_made_once(ask, act):
    made = ask("generate", args={"role": "executor", "label": "Mine"})

    done = act(made)

    wallet = Wallet.objects.get()
    assert done.result == {
        "walletId": wallet.pk,
        "address": wallet.address,
        "derivationPath": wallet.derivation_path,
    }
    assert (wallet.label, wallet.role, wallet.source) == ("Mine", "executor", "derived")
    assert act(made) is None
    assert Wallet.objects.count() == 1
    by = AuditEvent.objects.get(verb="wallet.create")
    assert (by.actor_name, by.via) == ("ada", "api")


def test_an_overtaken_run_leaves_no_wallet(ask, desk, open_office):
    made = ask("generate", args={"role": "executor", "label": ""})

    class Slow:
        """Meanwhile the claim is another's."""

        def address(self, *, seed, path):
            Request.objects.filter(pk=made.pk).update(runs=7)
            return desk.address(seed=seed, path=path)

    with pytest.raises(wishes.Overtaken):
        request_act(pk=made.pk, desk=Desk(open_office=lambda row: open_office(), signer=Slow()))

    assert not Wallet.objects.exists()
    assert Request.objects.get().done_at is None


def test_a_watched_wallet_needs_no_key(ask, act):
    cold = "0x1111111111111111111111111111111111111111"

    act(ask("generate", args={"role": "master", "label": "Cold", "address": cold}))

    wallet = Wallet.objects.get()
    assert (wallet.address, wallet.source, wallet.role) == (cold, "watch", "master")


def test_an_executor_is_authorised_and_revoked_on_chain(ask, act, deployed, executor):
    done = act(ask("authorize", wallet=executor, deployment=deployed))

    assert done.result["state"] == "authorized"
    assert done.result["contract"] == deployed.address
    one = Transaction.objects.get()
    assert done.result["transaction"]["txHash"] == one.tx_hash
    assert one.idempotency_key == f"request:{done.pk}:authorise"
    assert listing.transactions_of(done) == [one]

    undone = act(ask("revoke", wallet=executor, deployment=deployed))

    assert undone.result["state"] == "revoked"
    assert Assignment.objects.get().authorized_at is None


def test_a_run_after_a_crash_goes_on_with_the_transaction_of_the_first(
    ask, act, deployed, executor
):
    made = ask("authorize", wallet=executor, deployment=deployed)
    with pytest.raises(StillOpen):  # nothing is mined while nobody settles
        act(made, settle=lambda: None, patience_s=0)
    assert act(made) is None  # not at once
    later(wishes.FIRST_WAIT)
    assert wishes.requests_waiting() == [made.pk]

    done = act(made)

    assert done.runs == 2
    assert done.result["state"] == "authorized"
    assert Transaction.objects.count() == 1
    assert Assignment.objects.get().transaction == Transaction.objects.get()


def test_a_dead_workers_request_is_taken_up_and_ends_well(ask, act, office, deployed, executor):
    """It was sent and mined; the worker died before it wrote so."""
    executor_authorise(office, wallet=executor)
    made = ask("pause", deployment=deployed)
    wishes.request_claim(pk=made.pk)
    sent = receiver_pause(office, deployment=deployed, key=f"{made.key}pause")
    assert act(made) is None  # as far as anyone knows its worker lives
    assert wishes.requests_waiting() == []
    Request.objects.update(taken_at=timezone.now() - wishes.STALE * 2)
    assert wishes.requests_waiting() == [made.pk]

    done = act(made)

    assert done.problem == ""
    assert done.result["paused"] is True
    assert done.result["transaction"]["id"] == sent.pk
    assert Transaction.objects.filter(kind="pause").count() == 1


def test_ten_deliveries_at_once_have_one_effect(ask, act, office, desk, deployed, executor):
    executor_authorise(office, wallet=executor)
    made = ask("pause", deployment=deployed)
    outcomes = []

    def deliver():
        outcomes.append(act(made))
        desk.signer.forget_connection()
        connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len([one for one in outcomes if one is not None]) == 1
    assert Transaction.objects.filter(kind="pause").count() == 1
    row = Request.objects.get()
    assert (row.runs, row.problem, row.result["paused"]) == (1, "", True)


def test_a_paused_contract_goes_on_and_cannot_be_paused_twice(ask, act, deployed, reserve):
    assert act(ask("pause", deployment=deployed)).result["paused"]
    again = act(ask("pause", deployment=deployed))
    assert "paused already" in again.problem
    assert again.result is None

    assert act(ask("unpause", deployment=deployed)).result["paused"] is False


def test_what_a_contract_holds_is_swept_to_the_treasury(ask, act, office, deployed, market):
    nothing = act(ask("sweep", deployment=deployed))
    assert "nothing to sweep" in nothing.problem
    token = Token.objects.get(symbol="USDT")
    holder = market.market.dexes[0].traders[0]
    data = abi.encode_call("transfer(address,uint256)", deployed.address, 5 * 10**18)
    send_as(market, holder, token.address, data)

    done = act(ask("sweep", deployment=deployed))

    assert done.result["tokens"] == [token.address]
    assert [one["kind"] for one in done.result["transactions"]] == ["sweep"]
    balance = abi.encode_call("balanceOf(address)", deployed.address)
    assert abi.decode_uint(office.rpc.eth_call(to=token.address, data=balance)) == 0


def test_new_limits_stand_in_the_row_and_on_chain(ask, act, office, deployed):
    token = Token.objects.filter(lendable=True).order_by("id").first()

    done = act(ask("limits", deployment=deployed, args={"minProfit": {token.address: "12345"}}))

    assert done.result["drift"] == []
    assert len(done.result["transactions"]) == 1
    data = abi.encode_call("minProfit(address)", token.address)
    assert abi.decode_uint(office.rpc.eth_call(to=deployed.address, data=data)) == 12345
    event = AuditEvent.objects.get(verb="contract.limits")
    assert event.after["minProfit"] == {token.address: "12345"}
    assert event.before["minProfit"][token.address] != "12345"


def test_a_new_tip_recipient_stands_in_the_row_and_on_chain(ask, act, office, deployed):
    builder = "0x4848489f0b2BEdd788c696e2D79b6b69D7484848"

    done = act(ask("limits", deployment=deployed, args={"tipRecipient": builder}))

    assert done.result["drift"] == []
    assert len(done.result["transactions"]) == 1
    data = abi.encode_call("tipRecipient()")
    assert abi.decode_address(office.rpc.eth_call(to=deployed.address, data=data)) == builder
    deployed.refresh_from_db()
    assert deployed.observed["tipRecipient"] == builder
    event = AuditEvent.objects.get(verb="contract.limits")
    assert (event.before["tipRecipient"], event.after["tipRecipient"]) == ("", builder)
    # What nobody speaks of stays as it is.
    assert act(ask("mend", deployment=deployed)).result["transactions"] == []


def test_drift_is_shown_from_the_last_reading_and_mended(ask, act, deployed, reserve, market):
    someone = "0x1111111111111111111111111111111111111111"
    send_as(
        market, reserve.address, deployed.address, abi.encode_call("setTreasury(address)", someone)
    )
    act(ask("observe"))
    shown = contract_shown(Deployment.objects.get(pk=deployed.pk))
    assert [(one["key"], one["observed"]) for one in shown["drift"]] == [("treasury", someone)]
    assert shown["codeHash"]["matches"]

    done = act(ask("mend", deployment=deployed))

    assert done.result["drift"] == []
    assert contract_shown(Deployment.objects.get(pk=deployed.pk))["drift"] == []
    router = Deployment.objects.get(kind="router", active=True)
    assert contract_shown(router)["codeHash"]["matches"]


def test_contracts_are_deployed_by_asking(ask, act, reserve):
    done = act(ask("deploy"))

    assert [one["kind"] for one in done.result["contracts"]] == [
        "MultiDexRouter",
        "FlashLoanReceiver",
    ]
    assert Deployment.objects.filter(active=True).count() == 2


def test_a_wallet_is_funded_once_for_one_request(ask, act, market, executor, reserve):
    made = ask("fund", wallet=executor, args={"amountWei": str(10**17)})

    done = act(made)

    funding = Funding.objects.get()
    assert done.result["fundingId"] == funding.pk
    assert (done.result["amountWei"], done.result["from"]) == (str(10**17), reserve.address)
    assert done.result["by"] == "ada"
    assert funding.transaction.status == "submitted"
    Request.objects.filter(pk=made.pk).update(done_at=None, result=None, taken_at=None)
    assert act(made).result["fundingId"] == funding.pk
    assert Funding.objects.count() == 1
    market.driver.step()  # nothing stays in the node's pool for the next test


def test_a_funding_above_the_cap_is_refused_with_the_figures(ask, act, executor, reserve):
    done = act(ask("fund", wallet=executor, args={"amountWei": str(10**18)}))

    assert "cap_transfer" in done.problem
    assert not Funding.objects.exists()


def test_whoever_is_low_is_funded_by_asking(ask, act, market, desk, chain, reserve):
    poor = services.wallet_create(chain=chain, role="executor", signer=desk)
    market.rpc.call("anvil_setBalance", [poor.address, "0x0"])

    done = act(ask("auto_fund"))

    assert [one["wallet"] for one in done.result["fundings"]] == [poor.address]
    assert done.result["problems"] == []
    [planned] = done.result["plan"]
    assert (planned["wallet"], planned["funds"]) == (poor.address, True)
    market.driver.step()


def test_balances_are_read_by_asking(ask, act, executor, reserve):
    assert act(ask("balances")).result == {"chain": "local", "wallets": 2}


def test_where_nothing_may_be_signed_the_outcome_says_simulated(ask, act, deployed, executor):
    done = act(ask("authorize", wallet=executor, deployment=deployed), may_sign=False)

    assert done.result["simulated"] is True
    assert not Assignment.objects.exists()


def test_the_kill_switch_stops_what_was_asked_before_it(ask, act, deployed, executor):
    stopped = ask("authorize", wallet=executor, deployment=deployed)
    kill.kill_engage(reason="a drill", scope="local")

    done = act(stopped)

    assert (done.reason, done.result) == ("killed", None)
    assert not Transaction.objects.exists()


def test_pause_and_revoke_pass_an_engaged_kill_switch(ask, act, office, deployed, executor):
    executor_authorise(office, wallet=executor)
    kill.kill_engage(reason="a drill", scope="local")

    assert act(ask("pause", deployment=deployed)).result["paused"]
    done = act(ask("revoke", wallet=executor, deployment=deployed))

    assert (done.problem, done.result["state"]) == ("", "revoked")


def test_a_refusal_is_a_sentence(ask, act, deployed, executor):
    Wallet.objects.filter(pk=executor.pk).update(state="frozen", state_reason="foreign nonce")

    done = act(ask("authorize", wallet=executor, deployment=deployed))

    assert "is frozen (foreign nonce)" in done.problem


def test_a_wish_nobody_could_begin_is_not_carried_out_long_after(ask, desk, chain):
    made = ask("balances")
    away = Desk(open_office=_away, signer=desk)
    with pytest.raises(Retryable):
        request_act(pk=made.pk, desk=away)
    assert Request.objects.get().done_at is None
    Request.objects.update(created_at=timezone.now() - TOO_LATE * 2)
    later(wishes.FIRST_WAIT)

    done = request_act(pk=made.pk, desk=away)

    assert done.reason == "late"
    assert "ask again" in done.problem


def _away(row):
    raise Retryable("the node is away")
