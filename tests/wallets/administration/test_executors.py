"""Authorising, revoking, pausing, sweeping and drift, against a real node and the real signer."""

import pytest

from arbsite.base.models import AuditEvent
from contracts.kernel import abi
from contracts.models import Token
from tests.wallets.administration.conftest import funded, send_as
from wallets import selectors, services
from wallets.administration.authorise import (
    NotAuthorisable,
    NotDeployed,
    executor_authorise,
    executor_revoke,
)
from wallets.administration.drift import drift_of
from wallets.administration.observe import deployment_observe
from wallets.administration.operate import (
    AlreadySo,
    receiver_pause,
    receiver_sweep,
    receiver_unpause,
)
from wallets.models import Assignment, Attempt, Transaction

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"


def test_an_authorised_executor_stands_on_chain_and_in_the_order(
    office, deployed, executor, desk, market
):
    second = funded(
        services.wallet_create(chain=office.chain, role="executor", signer=desk), market
    )

    first_outcome = executor_authorise(office, wallet=executor)
    executor_authorise(office, wallet=second)

    assert first_outcome.transaction_.kind == "authorisation"
    row = Assignment.objects.get(wallet=executor)
    assert row.transaction == first_outcome.transaction_
    assert row.authorized_at is not None
    assert selectors.executors_in_order(deployment_id=deployed.pk) == [executor, second]
    seen = deployment_observe(office.rpc, deployment=deployed)
    assert seen.executors == {executor.address: True, second.address: True}
    assert drift_of(deployed, seen) == []
    assert AuditEvent.objects.filter(verb="executor.authorise").count() == 2


def test_authorising_twice_sends_once(office, deployed, executor):
    executor_authorise(office, wallet=executor)

    again = executor_authorise(office, wallet=executor)

    assert again.transaction_ is None
    assert Transaction.objects.count() == 1


def test_a_revoked_executor_may_come_back_at_the_end_of_the_order(
    office, deployed, executor, desk, market
):
    second = funded(
        services.wallet_create(chain=office.chain, role="executor", signer=desk), market
    )
    executor_authorise(office, wallet=executor)
    executor_authorise(office, wallet=second)

    revoked = executor_revoke(office, wallet=executor)
    assert revoked.transaction_.kind == "revoke"
    assert selectors.executors_in_order(deployment_id=deployed.pk) == [second]
    assert not deployment_observe(office.rpc, deployment=deployed).executors[executor.address]

    executor_authorise(office, wallet=executor)
    assert selectors.executors_in_order(deployment_id=deployed.pk) == [second, executor]
    assert Transaction.objects.filter(kind="authorisation").count() == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"source": "watch"}, "watch-only"),
        ({"role": "gas_reserve"}, "not executor"),
        ({"state": "retired"}, "retired"),
        ({"state": "frozen", "state_reason": "foreign nonce"}, "foreign nonce"),
    ],
)
def test_a_wallet_that_cannot_execute_is_refused(office, deployed, executor, change, why):
    type(executor).objects.filter(pk=executor.pk).update(**change)
    executor.refresh_from_db()

    with pytest.raises(NotAuthorisable, match=why):
        executor_authorise(office, wallet=executor)

    assert not Assignment.objects.exists()
    assert not Transaction.objects.exists()


def test_a_wallet_of_another_chain_is_refused(office, deployed, executor):
    other = type(office.chain).objects.create(
        key="bsc", name="BSC", eip155_id=56, native_symbol="BNB", block_time_ms=450,
        confirmations=5, fee_model="legacy", min_gas_price_wei=1, wrapped_native=SOMEONE,
    )  # fmt: skip
    type(executor).objects.filter(pk=executor.pk).update(chain=other)
    executor.refresh_from_db()

    with pytest.raises(NotAuthorisable, match="wallet of bsc, the contract is on local"):
        executor_authorise(office, wallet=executor)


def test_without_a_contract_the_command_to_run_is_named(office, reserve, executor):
    with pytest.raises(NotDeployed, match="deploy_contracts --chain local"):
        executor_authorise(office, wallet=executor)


def test_where_nothing_may_be_signed_an_authorisation_is_simulated_and_recorded(
    open_office, deployed, executor
):
    outcome = executor_authorise(open_office(may_sign=False), wallet=executor)

    assert outcome.assignment is None
    assert (outcome.transaction_.status, outcome.transaction_.simulated_only) == ("simulated", True)
    assert not Assignment.objects.exists()
    assert not Attempt.objects.exists()


def test_what_others_do_to_the_contract_shows_as_drift(office, deployed, executor, reserve, market):
    executor_authorise(office, wallet=executor)
    token = Token.objects.filter(lendable=True).order_by("id").first()
    for signature, *args in (
        ("setExecutor(address,bool)", executor.address, False),
        ("setTreasury(address)", SOMEONE),
        ("setMinProfit(address,uint256)", token.address, 1),
    ):
        send_as(market, reserve.address, deployed.address, abi.encode_call(signature, *args))

    seen = deployment_observe(office.rpc, deployment=deployed)

    assert {one.key for one in drift_of(deployed, seen)} == {
        "treasury",
        f"minProfit:{token.address}",
        f"executor:{executor.address}",
    }
    assert Assignment.objects.get(wallet=executor).authorized_at is None
    assert deployed.observed["treasury"] == SOMEONE
    assert deployed.observed_block == seen.block_number


def test_an_executor_pauses_and_the_owner_lets_it_go_on(office, deployed, executor, reserve):
    executor_authorise(office, wallet=executor)

    paused = receiver_pause(office, deployment=deployed)
    assert (paused.kind, paused.wallet) == ("pause", executor)
    assert deployment_observe(office.rpc, deployment=deployed).paused
    with pytest.raises(AlreadySo, match="paused already"):
        receiver_pause(office, deployment=deployed)

    resumed = receiver_unpause(office, deployment=deployed)
    assert resumed.wallet == reserve
    assert not deployment_observe(office.rpc, deployment=deployed).paused
    assert receiver_pause(office, deployment=deployed).pk != paused.pk


def test_a_sweep_pays_the_treasury_everything(office, deployed, executor, reserve, market):
    executor_authorise(office, wallet=executor)
    token = Token.objects.get(symbol="USDT")
    amount = 123 * 10**18
    holder = market.market.dexes[0].traders[0]
    data = abi.encode_call("transfer(address,uint256)", deployed.address, amount)
    send_as(market, holder, token.address, data)
    before = _balance(office, token, reserve.address)

    swept = receiver_sweep(office, deployment=deployed, token=token.address)

    assert (swept.kind, swept.wallet) == ("sweep", executor)
    assert _balance(office, token, reserve.address) - before == amount
    assert _balance(office, token, deployed.address) == 0


def _balance(office, token, owner: str) -> int:
    data = abi.encode_call("balanceOf(address)", owner)
    return abi.decode_uint(office.rpc.eth_call(to=token.address, data=data))
