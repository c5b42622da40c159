"""Putting our two contracts on a chain and setting them up; every step asks the chain first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import Halt, Rejected
from contracts.kernel.abi import artifact
from contracts.kernel.jsonrpc import hex_bytes, hex_int
from contracts.models import Deployment
from wallets.administration import builds
from wallets.administration.calls import ContractCall, call_run, latest_of, succeeded
from wallets.administration.drift import Drift
from wallets.administration.mending import receiver_mend
from wallets.administration.office import Office, reserve_of, treasury_of
from wallets.models import Assignment, Transaction, Wallet

NO_CODE: Final = b""


class CodeDiffers(Halt):
    """What stands at an address is not what was deployed there."""

    def __init__(self, *, kind: str, address: str, expected: str, found: str) -> None:
        self.address = address
        self.expected = expected
        self.found = found
        super().__init__(
            f"the code at {address} has hash {found}, not {expected} of {builds.NAMES[kind]}: "
            "check the RPC endpoint, then the deployment"
        )


class OlderBuild(Rejected):
    """The recorded contract is ours, of another build."""

    def __init__(self, *, kind: str, address: str) -> None:
        self.address = address
        super().__init__(
            f"{builds.NAMES[kind]} {address} is of another build than this program: "
            f"replace it (`deploy_contracts --replace {address}`, or Replace on the Contracts "
            "page), or run the program it belongs to"
        )


@dataclass(slots=True, kw_only=True)
class DeployReport:
    """What stands after a run. ``drift``: what is left that no call of ours mends."""

    chain: str
    simulated_only: bool
    contracts: list[Deployment] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)


def contracts_deploy(office: Office, *, owner: str = "") -> DeployReport:
    """Deploy router and receiver where they are not yet, and set the receiver up.

    Signed and paid by the chain's first gas reserve, which owns the receiver until ``owner``
    takes it over. Run again after a break, it goes on where it stopped.

    Raises: NoGasReserve, CodeDiffers, OlderBuild, NotOurOwner; as `calls_run`.
    """
    reserve = reserve_of(office)
    report = DeployReport(chain=office.chain.key, simulated_only=not office.may_sign)
    router_at, assumed = router_ensure(office, reserve, report=report)
    receiver = _contract(
        office,
        reserve,
        kind="receiver",
        args=(reserve.address, treasury_of(office), router_at),
        owner=owner or reserve.address,
        report=report,
        overrides=assumed,
    )
    if receiver is None:
        office.say("simulated only: factories, lenders, minimums and pools follow a deployment")
        return report
    _wishes_update(office, receiver, owner=owner)
    made, report.drift = receiver_mend(office, receiver)
    report.transactions += made
    return report


def router_ensure(
    office: Office, reserve: Wallet, *, report: DeployReport, older_too: bool = False
) -> tuple[str, Mapping[str, object]]:
    """The router's address, deployed where it is not yet; where nothing is signed, the address that
    it would have and the state that simulating what follows must assume.

    ``older_too``: one of another build is replaced. It holds nothing, so nothing else follows.
    Raises: CodeDiffers, OlderBuild; as `call_run`.
    """
    router = _contract(
        office,
        reserve,
        kind="router",
        args=(),
        owner="",
        report=report,
        overrides={},
        older_too=older_too,
    )
    return (router.address, {}) if router else _assumed_router(office, reserve)


def _contract(
    office: Office,
    reserve: Wallet,
    *,
    kind: str,
    args: tuple[object, ...],
    owner: str,
    report: DeployReport,
    overrides: Mapping[str, object],
    older_too: bool = False,
) -> Deployment | None:
    """The active contract of a kind; deployed where there is none. None: simulated only."""
    standing = Deployment.objects.filter(chain=office.chain, kind=kind, active=True).first()
    if standing is not None and _stands(office, standing, older_too=older_too):
        office.say(f"{builds.NAMES[kind]} stands at {standing.address}")
        report.contracts.append(standing)
        return standing
    one, address = contract_create(office, reserve, kind=kind, args=args, overrides=overrides)
    report.transactions.append(one)
    if not address:
        return None
    row = contract_record(
        office, kind=kind, address=address, owner=owner, one=one, replaced=standing
    )
    report.contracts.append(row)
    return row


def contract_create(
    office: Office,
    reserve: Wallet,
    *,
    kind: str,
    args: tuple[object, ...],
    overrides: Mapping[str, object],
) -> tuple[Transaction, str]:
    """Create a contract, or take up a creation that was mined and never recorded.

    Returns: its transaction and its address, "" where it is simulated only.
    Raises: CodeDiffers; as `call_run`.
    """
    call = ContractCall(
        what=f"deploy {builds.NAMES[kind]}",
        wallet=reserve,
        kind="deployment",
        to="",
        data=builds.creation_code(kind, *args),
        overrides=overrides,
    )
    office.say(call.what)
    one = _deployed_before(call) or call_run(office, call)
    if not succeeded(one):
        return one, ""
    address = deployed_address(one)
    check_code(office, kind=kind, address=address)
    office.say(f"{builds.NAMES[kind]} deployed at {address}, transaction {one.tx_hash}")
    return one, address


def _stands(office: Office, standing: Deployment, *, older_too: bool) -> bool:
    """Whether the recorded contract is there and of this build.

    False only on a local chain, which may have begun anew, and with ``older_too`` for another
    build of ours. Raises: CodeDiffers, OlderBuild.
    """
    kind, address = str(standing.kind), str(standing.address)
    code = read_code(office, address)
    found, expected = builds.code_hash(kind, code), builds.expected_code_hash(kind)
    if found == expected:
        return True
    if office.chain.is_local:
        why = "is of another build" if code else "is gone, the local chain began anew"
        office.say(f"{builds.NAMES[kind]} {address} {why}")
        return False
    if found == standing.code_hash and older_too:
        return False
    if found == standing.code_hash:
        raise OlderBuild(kind=kind, address=address)
    raise CodeDiffers(kind=kind, address=address, expected=expected, found=found)


def _deployed_before(call: ContractCall) -> Transaction | None:
    """A creation that succeeded and was never recorded: the run broke in between."""
    one = latest_of(call)
    if one is None or not succeeded(one):
        return None
    address = deployed_address(one)
    known = Deployment.objects.filter(chain_id=one.chain_id, address=address).exists()
    return None if known else one


def deployed_address(one: Transaction) -> str:
    """Where a mined creation put its contract, predicted from its nonce and told by its receipt.

    Raises: Halt when the two differ.
    """
    attempt = one.attempts.filter(released=False).order_by("id").first()
    assert attempt is not None  # noqa: S101  it was mined
    predicted = builds.created_address(one.wallet.address, nonce=attempt.nonce)
    told = str((one.receipt or {}).get("contractAddress") or "")
    if told.lower() != predicted.lower():
        raise Halt(
            f"transaction {one.tx_hash} should have created {predicted}, its receipt says "
            f"{told or 'nothing'}: check the RPC endpoint"
        )
    return predicted


def check_code(office: Office, *, kind: str, address: str) -> None:
    """Compare the code on chain with the build, immutables masked. Raises: CodeDiffers."""
    expected = builds.expected_code_hash(kind)
    found = builds.code_hash(kind, read_code(office, address))
    if found != expected:
        raise CodeDiffers(kind=kind, address=address, expected=expected, found=found)


def read_code(office: Office, address: str) -> bytes:
    """The runtime code at an address, empty where there is none."""
    return hex_bytes(office.rpc.call("eth_getCode", [address, "latest"]))


def contract_record(
    office: Office,
    *,
    kind: str,
    address: str,
    owner: str,
    one: Transaction,
    replaced: Deployment | None,
    active: bool = True,
    treasury: str = "",
) -> Deployment:
    """Keep a created contract, audited; executors of the one that it replaces are wanted on it.

    ``active``: it is used from now on, and the other no more; else it waits to be set up.
    ``treasury``: a receiver's, by default `treasury_of`.
    """
    with transaction.atomic():
        if replaced is not None and active:  # it is gone, or has nothing to be fetched
            gone = {"active": False, "emptied_at": timezone.now()}
            Deployment.objects.filter(pk=replaced.pk).update(**gone)
        kept = replaced.observed.get("desired") if replaced is not None and not active else None
        row = Deployment.objects.create(
            chain=office.chain,
            kind=kind,
            address=address,
            owner=owner,
            treasury=(treasury or treasury_of(office)) if kind == "receiver" else "",
            code_hash=builds.expected_code_hash(kind),
            tx_hash=one.tx_hash,
            active=active,
            replaces=replaced,
            observed={"desired": kept} if kept else {},
        )
        if replaced is not None:
            _assignments_carry(old=replaced, new=row)
        audit.record(
            verb="contract.deploy",
            target=address,
            actor=office.by,
            via=office.via,
            after={
                "chain": office.chain.key,
                "kind": kind,
                "txHash": one.tx_hash,
                "owner": owner,
                "replaces": replaced.address if replaced else None,
            },
        )
    return row


def _assignments_carry(*, old: Deployment, new: Deployment) -> None:
    """Executors of a replaced contract are wanted on the new one, in the same order."""
    for row in Assignment.objects.filter(deployment=old, desired=True):
        Assignment.objects.create(wallet_id=row.wallet_id, deployment=new, position=row.position)


def _wishes_update(office: Office, receiver: Deployment, *, owner: str) -> None:
    """Take a new owner or treasury into the row; mending brings them to the chain."""
    before = {"owner": receiver.owner, "treasury": receiver.treasury}
    after = {"owner": owner or receiver.owner, "treasury": treasury_of(office)}
    if before == after:
        return
    with transaction.atomic():
        Deployment.objects.filter(pk=receiver.pk).update(**after)
        audit.record(
            verb="contract.wish",
            target=receiver.address,
            actor=office.by,
            via=office.via,
            before=before,
            after=after,
        )
    receiver.refresh_from_db()


def _assumed_router(office: Office, reserve: Wallet) -> tuple[str, dict[str, object]]:
    """Where nothing is signed: the router's address to be, and the state after its creation."""
    nonce = hex_int(office.rpc.call("eth_getTransactionCount", [reserve.address, "latest"]))
    address = builds.created_address(reserve.address, nonce=nonce)
    code = str(artifact(builds.NAMES["router"])["deployedBytecode"])
    return address, {address: {"code": code}, reserve.address: {"nonce": hex(nonce + 1)}}
