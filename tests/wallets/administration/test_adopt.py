"""Adopting a receiver that stands on chain already."""

import pytest

from contracts.kernel import abi
from contracts.models import Deployment
from tests.wallets.administration.conftest import send_as
from wallets.administration import builds
from wallets.administration.adopt import NotAdoptable, contract_adopt
from wallets.administration.authorise import executor_authorise
from wallets.administration.calls import ContractCall, call_run
from wallets.administration.deploy import deployed_address
from wallets.models import Assignment, Transaction

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"


@pytest.fixture
def unrecorded(office, deployed, executor) -> str:
    """The address of a receiver with an executor, which the record has never heard of."""
    executor_authorise(office, wallet=executor)
    Assignment.objects.all().delete()
    Deployment.objects.all().delete()
    return deployed.address


def test_an_adopted_contract_is_recorded_with_its_router_and_executors(
    office, unrecorded, executor, reserve
):
    before = Transaction.objects.count()

    report = contract_adopt(office, address=unrecorded)

    assert report.drift == []
    assert Transaction.objects.count() == before
    row = Deployment.objects.get(kind="receiver", active=True)
    assert (row.address, row.owner, row.adopted) == (unrecorded, reserve.address, True)
    assert row.code_hash == builds.expected_code_hash("receiver")
    assert Deployment.objects.get(kind="router", active=True).adopted
    assignment = Assignment.objects.get()
    assert assignment.wallet == executor
    assert assignment.authorized_at is not None


def test_adopting_twice_changes_nothing(office, unrecorded):
    contract_adopt(office, address=unrecorded)

    contract_adopt(office, address=unrecorded)

    assert Deployment.objects.count() == 2
    assert Assignment.objects.count() == 1


def test_a_foreign_executor_keeps_a_contract_out(office, unrecorded, reserve, market):
    data = abi.encode_call("setExecutor(address,bool)", SOMEONE, True)
    send_as(market, reserve.address, unrecorded, data)

    with pytest.raises(NotAdoptable, match=f"{SOMEONE} may execute"):
        contract_adopt(office, address=unrecorded)

    assert not Deployment.objects.exists()


def test_another_owner_keeps_a_contract_out_unless_it_is_named(office, unrecorded, reserve):
    type(reserve).objects.filter(pk=reserve.pk).update(role="master")
    owner = reserve.address

    with pytest.raises(NotAdoptable, match=f"its owner {owner} is no gas reserve"):
        contract_adopt(office, address=unrecorded)
    with pytest.raises(NotAdoptable, match=f"its owner is {owner}, not {SOMEONE}"):
        contract_adopt(office, address=unrecorded, owner=SOMEONE)

    assert not Deployment.objects.exists()


def test_other_code_keeps_a_contract_out(office, unrecorded, chain):
    with pytest.raises(NotAdoptable, match="code hash"):
        contract_adopt(office, address=chain.wrapped_native)
    with pytest.raises(NotAdoptable, match="there is no code"):
        contract_adopt(office, address=SOMEONE)

    assert not Deployment.objects.exists()


def test_a_contract_without_a_minimum_profit_is_refused(office, deployed, reserve):
    router = Deployment.objects.get(kind="router").address
    code = builds.creation_code("receiver", reserve.address, reserve.address, router)
    # Another treasury than the fixture's would do as well: only the address must be new.
    call = ContractCall(what="bare", wallet=reserve, kind="deployment", to="", data=code)
    bare = deployed_address(call_run(office, call))

    with pytest.raises(NotAdoptable, match="minimum profit is zero for every token"):
        contract_adopt(office, address=bare)

    assert Deployment.objects.get(kind="receiver", active=True) == deployed
