"""Putting a new receiver in the place of an old one: the new one is ready before the old one ends.

Deploy, set up, authorise, switch; then drain the old one and take every right on it away. Each step
looks at record and chain first, so a run that broke goes on where it stopped.
"""

import time
from contextlib import suppress
from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import Halt, Rejected, Retryable
from contracts.models import Deployment
from wallets import push
from wallets.administration import builds
from wallets.administration.authorise import executor_revoke
from wallets.administration.deploy import (
    CodeDiffers,
    DeployReport,
    contract_create,
    contract_record,
    read_code,
    router_ensure,
)
from wallets.administration.mending import receiver_mend
from wallets.administration.observe import deployment_observe
from wallets.administration.office import Office, reserve_of, treasury_of
from wallets.administration.operate import receiver_pause, receiver_sweep, sweepable
from wallets.kernel.lifecycle import UNMINED
from wallets.models import Transaction, Wallet

# An engine reads anew which contract it uses within this; what it planned before is waited for.
SWITCHED_S: Final = 2.0
_LOOK_S: Final = 0.1


class NotReplaceable(Rejected):
    """Nothing of ours takes that contract's place."""

    def __init__(self, address: str, why: str) -> None:
        self.address = address
        super().__init__(f"{address} is not replaced: {why}")


class StillExecuting(Retryable):
    """What was sent to the old contract has not ended yet."""

    def __init__(self, *, address: str, count: int) -> None:
        self.address = address
        super().__init__(
            f"{count} executions through {address} are still on their way: it is drained when they "
            "have ended"
        )


class RightsRemain(Halt):
    """Rights were taken away and the chain still has them."""

    def __init__(self, *, address: str, executors: list[str]) -> None:
        self.address = address
        super().__init__(
            f"{', '.join(executors)} may still execute on {address}: someone else gave the right "
            "back, look at its owner's transactions"
        )


def receiver_named(chain_key: str, address: str) -> Deployment:
    """A receiver that is or was ours, by its address. Raises: NotReplaceable."""
    rows = Deployment.objects.select_related("chain").filter(chain_id=chain_key)
    found = rows.filter(kind="receiver", address=address).first()
    if found is None:
        raise NotReplaceable(address, f"it is no FlashLoanReceiver that is recorded on {chain_key}")
    return found


def contract_replace(office: Office, *, old: Deployment) -> DeployReport:
    """Replace a receiver by one of this build. A replaced one is drained and revoked alone.

    The new one takes over treasury, least profits, executors in their order, and a pause.
    Where the chain may not sign, the deployment is simulated and recorded.

    Raises: NotReplaceable, CodeDiffers, StillExecuting, RightsRemain; as `contracts_deploy`,
        `executor_revoke`, `receiver_sweep`.
    """
    report = DeployReport(chain=office.chain.key, simulated_only=not office.may_sign)
    _check(office, old)
    if old.active:
        new = _successor(office, old, report=report)
        if new is None:
            office.say("simulated only: the rest follows a deployment")
            return report
        made, report.drift = receiver_mend(office, new)
        report.transactions += made
        _pause_too(office, old, new, report=report)
        _switch(office, old=old, new=new)
    if office.may_sign:
        _empty(office, old, report=report)
    return report


def _check(office: Office, old: Deployment) -> None:
    if old.kind != "receiver":
        raise NotReplaceable(old.address, "a MultiDexRouter is replaced with its receiver")
    used = Deployment.objects.filter(chain=old.chain, kind="receiver", active=True)
    if not used.exists():
        raise NotReplaceable(old.address, "no receiver is used instead: deploy one first")
    found = builds.code_hash("receiver", read_code(office, old.address))
    if found != old.code_hash:
        raise CodeDiffers(kind="receiver", address=old.address, expected=old.code_hash, found=found)


def _successor(office: Office, old: Deployment, *, report: DeployReport) -> Deployment | None:
    """The contract that will take over, waiting; created where there is none yet."""
    reserve = reserve_of(office)
    router_at, assumed = router_ensure(office, reserve, report=report, older_too=True)
    waiting = Deployment.objects.filter(replaces=old).order_by("-pk").first()
    if waiting is not None:
        report.contracts.append(waiting)
        return waiting
    one, address = contract_create(
        office,
        reserve,
        kind="receiver",
        args=(reserve.address, treasury_of(office), router_at),
        overrides=assumed,
    )
    report.transactions.append(one)
    if not address:
        return None
    row = contract_record(
        office,
        kind="receiver",
        address=address,
        owner=_owner(office, old, reserve),
        one=one,
        replaced=old,
        active=False,
        treasury=_treasury(office, old),
    )
    report.contracts.append(row)
    return row


def _owner(office: Office, old: Deployment, reserve: Wallet) -> str:
    """An owner outside stays the owner; of our reserves the first one that may pay is."""
    ours = Wallet.objects.filter(chain=office.chain, role="gas_reserve").exclude(source="watch")
    if not old.owner or ours.filter(address=old.owner).exists():
        return str(reserve.address)
    return str(old.owner)


def _treasury(office: Office, old: Deployment) -> str:
    """Profits go where they went, unless that is a wallet of ours which is out of use."""
    ours = Wallet.objects.filter(chain=office.chain, address=old.treasury)
    return "" if ours.exclude(state="active").exists() else str(old.treasury)


def _pause_too(office: Office, old: Deployment, new: Deployment, *, report: DeployReport) -> None:
    """What somebody stopped does not go on because it was replaced."""
    stopped = deployment_observe(office.rpc, deployment=old).paused
    if stopped and not deployment_observe(office.rpc, deployment=new).paused:
        report.transactions.append(receiver_pause(office, deployment=new))
        deployment_observe(office.rpc, deployment=new)


def _switch(office: Office, *, old: Deployment, new: Deployment) -> None:
    with transaction.atomic():
        Deployment.objects.filter(pk=old.pk).update(active=False)
        Deployment.objects.filter(pk=new.pk).update(active=True)
        audit.record(
            verb="contract.replace",
            target=old.address,
            actor=office.by,
            via=office.via,
            after={"chain": office.chain.key, "by": new.address},
        )
        for row in (old, new):
            transaction.on_commit(partial(push.contract_changed, row.pk), robust=True)
    old.refresh_from_db()
    new.refresh_from_db()
    office.say(f"{new.address} is used from now on")


def _empty(office: Office, old: Deployment, *, report: DeployReport) -> None:
    """Bring home what it holds and take every right on it away; twice what may come in between."""
    _executions_end(office, old)
    report.transactions += _drain(office, old)
    seen = deployment_observe(office.rpc, deployment=old)
    allowed = [address for address, holds in seen.executors.items() if holds]
    for wallet in Wallet.objects.filter(chain=office.chain, address__in=allowed).order_by("pk"):
        revoked = executor_revoke(office, wallet=wallet, deployment=old)
        if revoked.transaction_ is not None:
            report.transactions.append(revoked.transaction_)
    report.transactions += _drain(office, old)
    seen = deployment_observe(office.rpc, deployment=old)
    if left := [address for address, holds in seen.executors.items() if holds]:
        raise RightsRemain(address=old.address, executors=left)
    Deployment.objects.filter(pk=old.pk).update(emptied_at=timezone.now())
    old.refresh_from_db()
    office.say(f"{old.address} holds nothing, and nobody may execute on it")


def _drain(office: Office, old: Deployment) -> list[Transaction]:
    return [
        receiver_sweep(office, deployment=old, token=token)
        for token in sweepable(office, deployment=old)
    ]


def _executions_end(office: Office, old: Deployment) -> None:
    """Wait for what an engine still planned with the old one. Raises: StillExecuting."""
    began = time.monotonic()
    rows = Transaction.objects.filter(
        chain=office.chain,
        kind="execution",
        to=old.address,
        simulated_only=False,
        status__in=UNMINED,
    )
    while (waited := time.monotonic() - began) < SWITCHED_S or rows.exists():
        if waited > office.patience_s:
            raise StillExecuting(address=old.address, count=rows.count())
        with suppress(Retryable):  # a node that is away for a moment ends nothing
            office.settle()
        time.sleep(_LOOK_S)
