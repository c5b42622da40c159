"""One call as a transaction: waited for, resumed, refused, reverted, asked for with a key."""

import pytest

from contracts.kernel import abi
from tests.wallets.administration.conftest import send_as
from wallets.administration.authorise import executor_authorise
from wallets.administration.calls import CallFailed, ContractCall, StillOpen, call_run, succeeded
from wallets.administration.operate import receiver_pause
from wallets.models import Attempt, Transaction
from wallets.services import KeyReused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"


@pytest.fixture
def new_treasury(deployed, reserve) -> ContractCall:
    return ContractCall(
        what="setTreasury",
        wallet=reserve,
        kind="administration",
        to=deployed.address,
        data=abi.encode_call("setTreasury(address)", SOMEONE),
    )


def test_a_call_that_is_not_mined_in_time_is_taken_up_by_the_next_run(open_office, new_treasury):
    with pytest.raises(StillOpen, match="submitted after 0 s; run the command again"):
        call_run(open_office(settle=lambda: None, patience_s=0), new_treasury)

    one = call_run(open_office(), new_treasury)

    assert succeeded(one)
    assert Transaction.objects.count() == Attempt.objects.count() == 1


def test_a_call_that_is_over_may_be_made_again(office, new_treasury):
    first = call_run(office, new_treasury)

    second = call_run(office, new_treasury)

    assert first.pk != second.pk
    assert second.idempotency_key.endswith("#2")


def test_the_same_key_is_one_transaction_and_another_intent_is_refused(office, new_treasury):
    first = call_run(office, new_treasury, key="asked once")
    again = call_run(office, new_treasury, key="asked once")
    other = ContractCall(
        what="unpause",
        wallet=new_treasury.wallet,
        kind="administration",
        to=new_treasury.to,
        data=abi.encode_call("unpause()"),
    )

    assert first.pk == again.pk
    with pytest.raises(KeyReused):
        call_run(office, other, key="asked once")
    assert Attempt.objects.count() == 1


def test_a_call_that_reverts_when_it_is_mined_is_reported_with_its_hash(
    open_office, office, deployed, executor, reserve, market
):
    executor_authorise(office, wallet=executor)
    overtaken = []

    def settle() -> None:
        if not overtaken:
            overtaken.append(True)
            market.rpc.call("anvil_dropAllTransactions", [])
            send_as(market, reserve.address, deployed.address, abi.encode_call("pause()"))
            raw = Attempt.objects.order_by("-id").first().raw
            market.rpc.call("eth_sendRawTransaction", ["0x" + bytes(raw).hex()])
        office.settle()

    with pytest.raises(CallFailed) as failed:
        receiver_pause(open_office(settle=settle), deployment=deployed)

    mined = Transaction.objects.get(kind="pause")
    assert mined.tx_hash in str(failed.value)
    assert "ended reverted" in str(failed.value)
    assert mined.gas_used > 21_000
