"""A receiver is replaced: deploy, authorise, switch, drain, revoke; on a real node."""

from dataclasses import replace

import pytest

from arbsite.base.models import AuditEvent
from contracts.kernel import abi
from contracts.models import Deployment, Token
from tests.wallets.administration.conftest import accept_as, broken_at_every_step, funded, send_as
from wallets import kill, services
from wallets.administration import builds
from wallets.administration.authorise import executor_authorise
from wallets.administration.deploy import CodeDiffers, OlderBuild, contracts_deploy
from wallets.administration.mending import NotOurOwner, minimums_store
from wallets.administration.observe import deployment_observe
from wallets.administration.operate import receiver_pause
from wallets.administration.replacing import (
    NotReplaceable,
    StillExecuting,
    contract_replace,
    receiver_named,
)
from wallets.models import Assignment, Request, Transaction, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"
HELD = 5 * 10**18


def in_use() -> Deployment:
    return Deployment.objects.select_related("chain").get(kind="receiver", active=True)


def held(office, *, token, by):
    balance = abi.encode_call("balanceOf(address)", by)
    return abi.decode_uint(office.rpc.eth_call(to=token.address, data=balance))


@pytest.fixture
def backup(chain, desk, market):
    return funded(services.wallet_create(chain=chain, role="executor", signer=desk), market)


@pytest.fixture
def usdt():
    return Token.objects.get(symbol="USDT")


@pytest.fixture
def old(office, deployed, executor, backup, usdt, market):
    """In use by two executors, the backup first, with a least profit of its own and some money."""
    for wallet in (backup, executor):
        executor_authorise(office, wallet=wallet)
    minimums_store(deployed, {usdt.address: 777})
    contracts_deploy(office)
    holder = market.market.dexes[0].traders[0]
    data = abi.encode_call("transfer(address,uint256)", deployed.address, HELD)
    send_as(market, holder, usdt.address, data)
    return in_use()


def test_the_new_one_is_ready_before_the_old_one_is_drained_and_revoked(
    office, old, executor, backup, usdt
):
    treasury_had = held(office, token=usdt, by=old.treasury)
    before = set(Transaction.objects.values_list("pk", flat=True))

    report = contract_replace(office, old=old)

    new = in_use()
    assert new.address != old.address
    assert (new.replaces, report.contracts[-1], report.drift) == (old, new, [])
    seen = deployment_observe(office.rpc, deployment=new)
    assert seen.executors == {executor.address: True, backup.address: True}
    assert seen.min_profit[usdt.address] == 777
    assert (seen.treasury, seen.owner, seen.paused) == (old.treasury, old.owner, False)
    order = Assignment.objects.filter(deployment=new, desired=True).order_by("position")
    assert [row.wallet for row in order] == [backup, executor]

    left = deployment_observe(office.rpc, deployment=old)
    assert not any(left.executors.values())
    assert held(office, token=usdt, by=old.address) == 0
    assert held(office, token=usdt, by=old.treasury) == treasury_had + HELD
    old.refresh_from_db()
    assert not old.active
    assert old.emptied_at is not None

    made = Transaction.objects.exclude(pk__in=before).order_by("pk")
    assert {one.pk for one in made} == {one.pk for one in report.transactions}
    kinds = [one.kind for one in made]
    assert kinds[0] == "deployment"
    assert kinds[-3:] == ["sweep", "revoke", "revoke"]
    assert kinds.index("sweep") > max(i for i, kind in enumerate(kinds) if kind == "authorisation")
    event = AuditEvent.objects.get(verb="contract.replace")
    assert (event.target, event.after["by"]) == (old.address, new.address)


def test_a_run_broken_at_every_step_does_each_step_once(open_office, old, executor, backup):
    before = set(Transaction.objects.values_list("pk", flat=True))

    crashed, _ = broken_at_every_step(
        open_office(),
        lambda office: contract_replace(office, old=receiver_named("local", old.address)),
    )

    assert crashed > 20
    old.refresh_from_db()
    assert old.emptied_at is not None
    assert Deployment.objects.filter(kind="receiver").count() == 2
    rows = Transaction.objects.exclude(pk__in=before)
    assert len({bytes(row.data) + row.to.encode() for row in rows}) == len(rows)
    assert sum(row.kind == "deployment" for row in rows) == 1


def test_elsewhere_a_contract_of_another_build_is_replaced_when_asked(office, old, chain):
    code = office.rpc.call("eth_getCode", [old.address, "latest"]) + "00"  # never reached
    office.rpc.call("anvil_setCode", [old.address, code])
    older = builds.code_hash("receiver", bytes.fromhex(code[2:]))
    Deployment.objects.filter(pk=old.pk).update(code_hash=older)
    chain.is_local = False  # to whoever administers it; the signer goes by the record
    elsewhere = replace(office, chain=chain)
    with pytest.raises(OlderBuild, match="deploy_contracts --replace"):
        contracts_deploy(elsewhere)

    contract_replace(elsewhere, old=receiver_named("local", old.address))

    assert in_use().code_hash == builds.expected_code_hash("receiver") != older
    old.refresh_from_db()
    assert old.emptied_at is not None


def test_changed_code_is_not_replaced_but_told(office, old):
    office.rpc.call("anvil_setCode", [old.address, "0x60006000fd"])

    with pytest.raises(CodeDiffers):
        contract_replace(office, old=old)

    assert in_use() == old


def test_what_somebody_paused_stays_paused(office, old):
    receiver_pause(office, deployment=old)

    contract_replace(office, old=old)

    assert deployment_observe(office.rpc, deployment=in_use()).paused


def test_an_execution_on_its_way_through_the_old_one_is_waited_for(open_office, old, executor):
    office = open_office(patience_s=0)
    sent = services.transaction_plan(
        wallet=executor, kind="execution", to=old.address, data=b"", key="execution:1"
    )

    with pytest.raises(StillExecuting, match="1 executions"):
        contract_replace(replace(office, patience_s=0), old=old)
    assert in_use() != old  # nothing new goes that way
    assert deployment_observe(office.rpc, deployment=old).executors[executor.address]
    services.transaction_rejected(transaction_=sent, reason="its moment is past")

    contract_replace(open_office(), old=receiver_named("local", old.address))

    old.refresh_from_db()
    assert old.emptied_at is not None


def test_an_owner_outside_stays_the_owner_and_is_named(office, old, market):
    contracts_deploy(office, owner=SOMEONE)
    accept_as(market, SOMEONE, old.address)

    with pytest.raises(NotOurOwner, match="setExecutor"):
        contract_replace(office, old=in_use())

    new = in_use()
    assert new.owner == SOMEONE
    assert deployment_observe(office.rpc, deployment=new).pending_owner == SOMEONE
    old.refresh_from_db()
    assert old.emptied_at is None


def test_where_nothing_may_be_signed_the_deployment_is_simulated_and_nothing_else_is_done(
    open_office, old
):
    report = contract_replace(open_office(may_sign=False), old=old)

    assert report.simulated_only
    assert [(one.kind, one.simulated_only) for one in report.transactions] == [("deployment", True)]
    assert in_use() == old


def test_profits_go_where_they_went_unless_that_wallet_is_out_of_use(office, old, chain):
    Deployment.objects.filter(pk=old.pk).update(treasury=SOMEONE)
    contract_replace(office, old=in_use())
    assert deployment_observe(office.rpc, deployment=in_use()).treasury == SOMEONE
    Wallet.objects.create(
        chain=chain, role="master", address=SOMEONE, source="watch", state="retired"
    )

    contract_replace(office, old=in_use())

    assert deployment_observe(office.rpc, deployment=in_use()).treasury == old.treasury


def test_a_second_run_does_nothing_more(office, old):
    contract_replace(office, old=old)
    new = in_use()

    again = contract_replace(office, old=receiver_named("local", old.address))

    assert again.transactions == []
    assert in_use() == new


def test_a_router_or_a_contract_without_a_successor_is_not_replaced(office, old):
    with pytest.raises(NotReplaceable, match="with its receiver"):
        contract_replace(office, old=Deployment.objects.get(kind="router", active=True))
    Deployment.objects.filter(pk=old.pk).update(active=False)
    old.refresh_from_db()
    with pytest.raises(NotReplaceable, match="deploy one first"):
        contract_replace(office, old=old)
    with pytest.raises(NotReplaceable, match="no FlashLoanReceiver that is recorded on local"):
        receiver_named("local", SOMEONE)


def test_it_is_asked_for_by_a_person_and_stopped_by_the_kill_switch(ask, act, old):
    made = ask("replace", deployment=old)
    kill.kill_engage(reason="test", scope="local")
    refused = act(made)
    assert refused.reason == "killed"
    assert in_use() == old
    kill.kill_release(reason="test", scope="local")

    done = act(ask("replace", deployment=old))

    assert done.result["replaced"] == old.address
    assert done.result["contracts"][-1]["address"] == in_use().address
    assert len(done.result["transactions"]) > 5
    assert Request.objects.count() == 2
