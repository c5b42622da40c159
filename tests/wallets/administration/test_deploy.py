"""Deploying and setting up, against a real node, a real record and the real signer."""

from dataclasses import replace

import pytest

from arbsite.base.models import AuditEvent
from contracts.kernel.jsonrpc import hex_int
from contracts.models import Chain, Deployment, Dex, Pool, Token
from tests.wallets.administration.conftest import Crash, accept_as, broken_at_every_step, funded
from wallets import kill, services
from wallets.administration import builds
from wallets.administration.authorise import executor_authorise
from wallets.administration.calls import CallRefused, NotEnoughGas
from wallets.administration.deploy import CodeDiffers, OlderBuild, contracts_deploy
from wallets.administration.mending import NotOurOwner, minimums_store
from wallets.administration.observe import deployment_observe
from wallets.administration.office import NoGasReserve
from wallets.ledger import Killed
from wallets.models import Assignment, Attempt, Transaction, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"


def receiver() -> Deployment:
    return Deployment.objects.get(kind="receiver", active=True)


def test_a_deployment_leaves_nothing_to_mend(office, chain, reserve):
    report = contracts_deploy(office)

    seen = deployment_observe(office.rpc, deployment=receiver())
    assert report.drift == []
    assert seen.owner == seen.treasury == reserve.address
    assert seen.router == Deployment.objects.get(kind="router").address
    assert seen.factories == dict.fromkeys(Dex.objects.values_list("factory", flat=True), True)
    assert seen.lenders == {chain.aave_pool: True}
    assert len(seen.pools) == Pool.objects.count() == sum(seen.pools.values())
    assert min(seen.min_profit.values()) > 0
    assert len(seen.min_profit) == Token.objects.filter(lendable=True).count()
    for row in Deployment.objects.all():
        mined = office.rpc.call("eth_getTransactionReceipt", [row.tx_hash])
        attempt = Attempt.objects.get(hash=row.tx_hash)
        assert mined["contractAddress"].lower() == row.address.lower()
        assert row.address == builds.created_address(reserve.address, nonce=attempt.nonce)
        assert row.code_hash == builds.expected_code_hash(row.kind)
    assert AuditEvent.objects.filter(verb="contract.deploy").count() == 2


def test_a_minimum_profit_is_five_cents_of_a_dollar_token(office, deployed):
    minimums = deployment_observe(office.rpc, deployment=deployed).min_profit
    by_symbol = {t.symbol: minimums[t.address] for t in Token.objects.filter(lendable=True)}
    assert by_symbol["USDT"] == 5 * 10**16
    assert by_symbol["USDC"] == 5 * 10**4
    assert 8 * 10**13 < by_symbol["WBNB"] < 9 * 10**13  # five cents at about 600 dollars


def test_another_minimum_on_chain_has_watchers_load_anew_and_the_same_one_does_not(
    office, deployed
):
    """An opportunity below it is none; what was read before the contract said otherwise is past."""
    deployment_observe(office.rpc, deployment=deployed)
    before = Chain.objects.get(key=deployed.chain_id).registry_revision
    deployment_observe(office.rpc, deployment=deployed)
    assert Chain.objects.get(key=deployed.chain_id).registry_revision == before
    token, least = next(iter(deployed.observed["minProfit"].items()))
    deployed.observed["minProfit"][token] = str(int(least) + 1)  # as it was before
    deployed.save()
    deployment_observe(office.rpc, deployment=deployed)
    assert Chain.objects.get(key=deployed.chain_id).registry_revision == before + 1


def test_a_second_run_sends_nothing(office, deployed):
    before = Transaction.objects.count()

    again = contracts_deploy(office)

    assert again.transactions == again.drift == []
    assert Transaction.objects.count() == before


def test_a_run_broken_at_every_step_does_each_step_once(open_office, reserve):
    crashed, report = broken_at_every_step(open_office(), contracts_deploy)

    assert crashed > 20
    assert report.drift == []
    rows = Transaction.objects.order_by("id")
    assert {row.status for row in rows} <= {"included", "confirmed"}
    assert len({bytes(row.data) + row.to.encode() for row in rows}) == len(rows)
    nonces = sorted(Attempt.objects.values_list("nonce", flat=True))
    assert nonces == list(range(nonces[0], nonces[0] + len(rows)))


def test_a_crash_between_mining_and_recording_does_not_deploy_twice(open_office, reserve):
    def lose_the_record(line: str) -> None:
        if "deployed at" in line:
            Deployment.objects.all().delete()
            raise Crash

    with pytest.raises(Crash):
        contracts_deploy(open_office(say=lose_the_record))
    contracts_deploy(open_office())

    assert Transaction.objects.filter(kind="deployment").count() == 2


def test_without_a_gas_reserve_the_command_to_run_is_named(office, executor):
    with pytest.raises(NoGasReserve, match="create_wallet --chain local --role gas_reserve"):
        contracts_deploy(office)


def test_an_empty_reserve_is_told_how_much_is_missing(office, reserve, market):
    market.rpc.call("anvil_setBalance", [reserve.address, hex(10**12)])

    with pytest.raises(NotEnoughGas) as refused:
        contracts_deploy(office)

    assert reserve.address in str(refused.value)
    assert refused.value.missing_wei > 0
    assert not Attempt.objects.exists()


def test_where_nothing_may_be_signed_both_deployments_are_simulated_and_recorded(
    open_office, reserve
):
    office = open_office(may_sign=False)
    before = hex_int(office.rpc.call("eth_getTransactionCount", [reserve.address, "pending"]))

    report = contracts_deploy(office)

    rows = Transaction.objects.all()
    assert [(row.kind, row.status, row.simulated_only) for row in rows] == [
        ("deployment", "simulated", True)
    ] * 2
    assert report.simulated_only
    assert not Attempt.objects.exists()
    assert not Deployment.objects.exists()
    after = hex_int(office.rpc.call("eth_getTransactionCount", [reserve.address, "pending"]))
    assert after == before


def test_while_killed_nothing_is_sent_and_after_the_release_the_run_goes_on(office, reserve):
    kill.kill_engage(reason="test", scope="local")
    with pytest.raises(Killed):
        contracts_deploy(office)
    assert not Attempt.objects.exists()
    kill.kill_release(reason="test", scope="local")

    report = contracts_deploy(office)

    assert report.drift == []
    assert Transaction.objects.filter(status="rejected").count() == 1


def test_another_owner_is_named_and_the_second_step_is_left_to_it(office, deployed, reserve):
    report = contracts_deploy(office, owner=SOMEONE)

    seen = deployment_observe(office.rpc, deployment=receiver())
    assert (seen.owner, seen.pending_owner) == (reserve.address, SOMEONE)
    assert [one.key for one in report.drift] == ["owner"]
    assert "acceptOwnership" in report.drift[0].note


def test_another_gas_reserve_takes_the_contract_over_by_itself(office, deployed, desk, market):
    other = funded(
        services.wallet_create(chain=office.chain, role="gas_reserve", signer=desk), market
    )
    report = contracts_deploy(office, owner=other.address)

    assert report.drift == []
    assert deployment_observe(office.rpc, deployment=receiver()).owner == other.address


def test_settings_of_a_contract_that_others_own_are_left_to_the_owner(office, deployed, market):
    contracts_deploy(office, owner=SOMEONE)
    accept_as(market, SOMEONE, receiver().address)
    token = Token.objects.filter(lendable=True).first()
    minimums_store(receiver(), {token.address: 77})

    with pytest.raises(NotOurOwner, match="setMinProfit"):
        contracts_deploy(office)


def test_a_changed_treasury_is_brought_to_the_chain(open_office, deployed):
    contracts_deploy(open_office(treasury=SOMEONE))

    assert deployment_observe(open_office().rpc, deployment=receiver()).treasury == SOMEONE


def test_the_treasury_is_the_master_wallet_where_there_is_one(office, deployed, chain):
    Wallet.objects.create(chain=chain, role="master", address=SOMEONE, source="watch")

    contracts_deploy(office)

    assert receiver().treasury == SOMEONE


def test_a_disabled_exchange_loses_its_factory(office, deployed):
    dex = Dex.objects.first()
    Dex.objects.filter(pk=dex.pk).update(enabled=False)

    contracts_deploy(office)

    seen = deployment_observe(office.rpc, deployment=receiver())
    assert not seen.factories[dex.factory]


def test_a_local_chain_that_began_anew_gets_its_contracts_and_executors_again(
    office, deployed, executor
):
    executor_authorise(office, wallet=executor)
    old = receiver()
    office.rpc.call("anvil_setCode", [old.address, "0x"])

    report = contracts_deploy(office)

    assert report.drift == []
    assert receiver().address != old.address
    assert Assignment.objects.get(deployment=receiver()).authorized_at is not None
    assert deployment_observe(office.rpc, deployment=receiver()).executors[executor.address]


def test_elsewhere_changed_code_stops_everything(office, deployed, chain):
    office.rpc.call("anvil_setCode", [receiver().address, "0x60006000fd"])
    type(chain).objects.filter(pk=chain.pk).update(is_local=False)
    chain.refresh_from_db()

    with pytest.raises(CodeDiffers):
        contracts_deploy(replace(office, chain=chain))


def test_elsewhere_a_contract_of_another_build_is_not_replaced_unasked(office, deployed, chain):
    code = "0x60006000fd"
    office.rpc.call("anvil_setCode", [receiver().address, code])
    Deployment.objects.filter(kind="receiver").update(
        code_hash=builds.code_hash("receiver", bytes.fromhex(code[2:]))
    )
    type(chain).objects.filter(pk=chain.pk).update(is_local=False)
    chain.refresh_from_db()

    with pytest.raises(OlderBuild, match="another build"):
        contracts_deploy(replace(office, chain=chain))


def test_a_call_that_would_revert_is_refused_with_its_reason(office, deployed):
    token = Token.objects.filter(lendable=True).first()
    office.rpc.call("anvil_setCode", [token.address, "0x"])
    minimums_store(receiver(), {token.address: 77})

    with pytest.raises(CallRefused, match=f"NoCode\\({token.address.lower()}\\)"):
        contracts_deploy(office)

    assert Transaction.objects.get(status="rejected").reason.startswith("simulation: NoCode")
