"""Giving an executor the right to trade through our receiver, and taking it away."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import Rejected
from contracts.kernel import abi
from contracts.models import Deployment
from wallets import push
from wallets.administration.calls import ContractCall, call_resume, call_run, succeeded
from wallets.administration.mending import NotOurOwner, wallet_at
from wallets.administration.observe import Observation, observe, questions_of
from wallets.administration.office import Office
from wallets.models import Assignment, Transaction, Wallet


class NotAuthorisable(Rejected):
    """That wallet is not to execute there."""

    def __init__(self, wallet: Wallet, why: str) -> None:
        self.address = wallet.address
        self.why = why
        super().__init__(f"{wallet.address} is not authorised: {why}")


class NotDeployed(Rejected):
    """The chain has no receiver of ours."""

    def __init__(self, chain_key: str) -> None:
        super().__init__(
            f"no FlashLoanReceiver is recorded on {chain_key}: run "
            f"`deploy_contracts --chain {chain_key}`"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """The outcome. ``transaction_`` None: the chain said so already; ``assignment`` None:
    simulated only."""

    deployment: Deployment
    assignment: Assignment | None
    transaction_: Transaction | None


def receiver_of(chain_key: str) -> Deployment:
    """The chain's active receiver. Raises: NotDeployed."""
    rows = Deployment.objects.select_related("chain")
    found = rows.filter(chain_id=chain_key, kind="receiver", active=True).first()
    if found is None:
        raise NotDeployed(chain_key)
    return found


def executor_authorise(
    office: Office, *, wallet: Wallet, deployment: Deployment | None = None, key: str = ""
) -> Authorised:
    """Let a wallet execute on the receiver; at the end of the order where it is new.

    The wish is recorded first, so a broken run is finished by the next one or by mending.
    Raises: NotAuthorisable, NotDeployed, NotOurOwner; as `calls_run`.
    """
    receiver = deployment or receiver_of(office.chain.key)
    _check_wallet(office, wallet, receiver)
    seen = _look(office, receiver)
    if not office.may_sign:
        return _simulated(office, receiver, wallet, seen, allowed=True, key=key)
    assignment = _assignment_wish(office, receiver, wallet)
    one = call_resume(office, key=key, what=f"authorise {wallet.address}")
    if one is None and not seen.executors.get(wallet.address):
        call = _set_executor(office, receiver, wallet, seen, allowed=True)
        one = call_run(office, call, key=key)
    _assignment_settle(assignment, allowed=True, one=one)
    return Authorised(deployment=receiver, assignment=assignment, transaction_=one)


def executor_revoke(
    office: Office, *, wallet: Wallet, deployment: Deployment | None = None, key: str = ""
) -> Authorised:
    """Take the right away. The record stops using the wallet at once, the chain when it is mined.

    Raises: NotDeployed, NotOurOwner; as `calls_run`.
    """
    receiver = deployment or receiver_of(office.chain.key)
    seen = _look(office, receiver)
    if not office.may_sign:
        return _simulated(office, receiver, wallet, seen, allowed=False, key=key)
    with transaction.atomic():
        assignment = (
            Assignment.objects.select_for_update()
            .filter(wallet=wallet, deployment=receiver)
            .first()
        )
        if assignment is not None:
            assignment.desired = False
            assignment.save(update_fields=["desired"])
        _audit(office, receiver, wallet, verb="executor.revoke")
        transaction.on_commit(lambda: push.wallet_changed(wallet.pk), robust=True)
    one = call_resume(office, key=key, what=f"revoke {wallet.address}")
    if one is None and seen.executors.get(wallet.address):
        one = call_run(
            office, _set_executor(office, receiver, wallet, seen, allowed=False), key=key
        )
    if assignment is not None:
        _assignment_settle(assignment, allowed=False, one=one)
    return Authorised(deployment=receiver, assignment=assignment, transaction_=one)


def _check_wallet(office: Office, wallet: Wallet, receiver: Deployment) -> None:
    if wallet.chain_id != office.chain.key or receiver.chain_id != office.chain.key:
        raise NotAuthorisable(
            wallet, f"it is a wallet of {wallet.chain_id}, the contract is on {receiver.chain_id}"
        )
    if wallet.source == "watch":
        raise NotAuthorisable(wallet, "it is watch-only: there is no key to execute with")
    if wallet.role != "executor":
        raise NotAuthorisable(wallet, f"its role is {wallet.role}, not executor")
    if wallet.state != "active":
        raise NotAuthorisable(
            wallet, f"it is {wallet.state} ({wallet.state_reason or 'no reason'})"
        )


def _look(office: Office, receiver: Deployment) -> Observation:
    asked = questions_of(office.chain)
    return observe(office.rpc, chain=office.chain, address=receiver.address, asked=asked)


def _set_executor(
    office: Office, receiver: Deployment, wallet: Wallet, seen: Observation, *, allowed: bool
) -> ContractCall:
    what = f"setExecutor({wallet.address}, {str(allowed).lower()})"
    owner = wallet_at(office, seen.owner, exposed_too=not allowed)
    if owner is None:
        raise NotOurOwner(address=receiver.address, owner=seen.owner, what=[what])
    office.say(f"{what} on {receiver.address}")
    return ContractCall(
        what=what,
        wallet=owner,
        kind="authorisation" if allowed else "revoke",
        to=receiver.address,
        data=abi.encode_call("setExecutor(address,bool)", wallet.address, allowed),
    )


def _simulated(
    office: Office,
    receiver: Deployment,
    wallet: Wallet,
    seen: Observation,
    *,
    allowed: bool,
    key: str,
) -> Authorised:
    call = _set_executor(office, receiver, wallet, seen, allowed=allowed)
    one = call_run(office, call, key=key)
    return Authorised(deployment=receiver, assignment=None, transaction_=one)


def _assignment_wish(office: Office, receiver: Deployment, wallet: Wallet) -> Assignment:
    with transaction.atomic():
        # The row's lock keeps two new executors from the same place in the order.
        Deployment.objects.select_for_update().get(pk=receiver.pk)
        row = Assignment.objects.filter(wallet=wallet, deployment=receiver).first()
        if row is not None and row.desired:
            return row
        rows = Assignment.objects.filter(deployment=receiver)
        last = rows.aggregate(last=Max("position"))["last"]
        row = row or Assignment(wallet=wallet, deployment=receiver)
        row.desired, row.position = True, 0 if last is None else last + 1
        row.save()
        _audit(office, receiver, wallet, verb="executor.authorise")
        transaction.on_commit(lambda: push.wallet_changed(wallet.pk), robust=True)
    return row


def _assignment_settle(assignment: Assignment, *, allowed: bool, one: Transaction | None) -> None:
    if one is not None and not succeeded(one):
        return
    facts: dict[str, object] = {}
    if allowed != (assignment.authorized_at is not None):
        facts["authorized_at"] = timezone.now() if allowed else None
    if one is not None:
        facts["transaction"] = one
    if facts:
        Assignment.objects.filter(pk=assignment.pk).update(**facts)
        assignment.refresh_from_db()
        push.wallet_changed(assignment.wallet_id)


def _audit(office: Office, receiver: Deployment, wallet: Wallet, *, verb: str) -> None:
    audit.record(
        verb=verb,
        target=wallet.address,
        actor=office.by,
        via=office.via,
        after={"chain": office.chain.key, "contract": receiver.address},
    )
