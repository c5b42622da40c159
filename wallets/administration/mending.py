"""Making a receiver on chain what its row says: look, call, look again, until nothing is left."""

from collections.abc import Sequence
from typing import Final

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import Halt, Rejected
from contracts.models import Deployment, Token
from wallets import push, selectors
from wallets.administration.calls import ContractCall, calls_run
from wallets.administration.drift import (
    Drift,
    drift_of,
    min_profit_desired,
    tip_recipient_desired,
)
from wallets.administration.minimums import min_profits
from wallets.administration.observe import Observation, deployment_observe
from wallets.administration.office import Office
from wallets.models import Transaction, Wallet

_ROUNDS: Final = 6
# What is put right unasked. Taking an executor's right away is a decision of its own.
_KINDS: Final = frozenset({"administration", "authorisation"})


class NotOurOwner(Rejected):
    """The contract's owner is no wallet that we sign for."""

    def __init__(self, *, address: str, owner: str, what: Sequence[str]) -> None:
        self.address = address
        self.owner = owner
        super().__init__(
            f"{address} is owned by {owner or 'nobody'}, whose key is not here: "
            f"it must itself call {'; '.join(what)}"
        )


class DriftRemains(Halt):
    """Calls succeeded and the contract is still not as it should be."""

    def __init__(self, *, address: str, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(
            f"{address} still differs in {', '.join(keys)} after {_ROUNDS} rounds: "
            "someone else changes it, or the node lags; look at its owner's transactions"
        )


def receiver_mend(office: Office, deployment: Deployment) -> tuple[list[Transaction], list[Drift]]:
    """Make every call that brings the receiver to what its row says.

    Where the chain may not sign, what can be is simulated once. Ownership goes last.

    Returns: the transactions made, and what is left that no call of ours mends.
    Raises: NotOurOwner, DriftRemains; as `calls_run`.
    """
    made: list[Transaction] = []
    keys: list[str] = []
    for _ in range(_ROUNDS):
        seen = deployment_observe(office.rpc, deployment=deployment)
        _minimums_decide(office, deployment, seen)
        left = drift_of(deployment, seen)
        ready = _ready(office, left)
        if not ready:
            return made, left
        made += calls_run(office, [call_of(office, deployment, seen, one) for one in ready])
        if not office.may_sign:
            return made, left
        keys = [one.key for one in ready]
    raise DriftRemains(address=deployment.address, keys=keys)


def call_of(
    office: Office, deployment: Deployment, seen: Observation, drift: Drift
) -> ContractCall:
    """The call that mends a drift, from whoever may make it. Raises: NotOurOwner."""
    what = f"{drift.signature.partition('(')[0]}: {drift.key} to {drift.desired}"
    wallet = wallet_at(office, drift.sender or seen.owner)
    if wallet is None and drift.signature.startswith("registerPools"):
        wallet = next(iter(selectors.executors_in_order(deployment_id=deployment.pk)), None)
    if wallet is None:
        raise NotOurOwner(address=deployment.address, owner=seen.owner, what=[what])
    office.say(what)
    return ContractCall(
        what=what,
        wallet=wallet,
        kind=drift.kind,
        to=deployment.address,
        data=drift.data,
    )


def wallet_at(office: Office, address: str, *, exposed_too: bool = False) -> Wallet | None:
    """The active gas reserve with a key at an address: owners' calls are signed by no other.

    ``exposed_too``: one whose key others may know will do, as for taking rights away.
    """
    key = office.chain.key
    reserves = selectors.wallets_that_send(chain_key=key, role="gas_reserve")
    if exposed_too:
        rows = Wallet.objects.filter(chain_id=key, role="gas_reserve", state="exposed")
        reserves += rows.exclude(source="watch")
    return next((wallet for wallet in reserves if wallet.address == address), None)


def _ready(office: Office, left: Sequence[Drift]) -> list[Drift]:
    callable_ = [
        one
        for one in left
        if one.signature
        and one.kind in _KINDS
        and (not one.sender or wallet_at(office, one.sender) is not None)
    ]
    # Once ownership moves, nothing else may be left to do.
    others = [one for one in callable_ if one.key != "owner"]
    return others or callable_


def _minimums_decide(office: Office, deployment: Deployment, seen: Observation) -> None:
    """Fix the least profit of each lendable token that has none yet, once, in the row.

    What stands on chain above zero is kept; the rest follows from the pools as they are now.
    """
    desired = min_profit_desired(deployment)
    tokens = Token.objects.filter(chain=deployment.chain, lendable=True).order_by("id")
    lacking = [token for token in tokens if token.address not in desired]
    if not lacking:
        return
    found = {
        token.address: seen.min_profit[token.address]
        for token in lacking
        if seen.min_profit.get(token.address)
    }
    unset = [token for token in lacking if token.address not in found]
    if unset:
        found |= min_profits(
            office.rpc, deployment=deployment, tokens=unset, block_hash=seen.block_hash
        )
    if found:
        minimums_store(deployment, found)


def limits_store(
    office: Office,
    deployment: Deployment,
    *,
    minimums: dict[str, int],
    treasury: str = "",
    tip_recipient: str = "",
) -> None:
    """Keep new limits with the deployment, audited; what is empty stays as it is.

    ``minimums``: raw units by token address. Raises: ValueError for a minimum of zero.
    """
    treasury = treasury or deployment.treasury
    with transaction.atomic():
        before = {
            "minProfit": {t: str(raw) for t, raw in min_profit_desired(deployment).items()},
            "treasury": deployment.treasury,
            "tipRecipient": tip_recipient_desired(deployment),
        }
        if minimums:
            minimums_store(deployment, minimums)
        if tip_recipient:
            tip_recipient_store(deployment, tip_recipient)
        Deployment.objects.filter(pk=deployment.pk).update(treasury=treasury)
        audit.record(
            verb="contract.limits",
            target=deployment.address,
            actor=office.by,
            via=office.via,
            before=before,
            after={
                "minProfit": {token: str(raw) for token, raw in minimums.items()},
                "treasury": treasury,
                "tipRecipient": tip_recipient_desired(deployment),
            },
        )
        transaction.on_commit(lambda: push.contract_changed(deployment.pk), robust=True)
    deployment.refresh_from_db()


def minimums_store(deployment: Deployment, raw_by_token: dict[str, int]) -> None:
    """Keep the owner's least profits with the deployment. Raises: ValueError for zero."""
    if min(raw_by_token.values()) < 1:
        raise ValueError("a minimum profit is above zero")
    with transaction.atomic():
        row = Deployment.objects.select_for_update().get(pk=deployment.pk)
        held = row.observed.get("desired", {}).get("minProfit", {})
        said = {token: str(raw) for token, raw in raw_by_token.items()}
        _desire(row, "minProfit", {**held, **said})
    deployment.observed = row.observed


def tip_recipient_store(deployment: Deployment, address: str) -> None:
    """Keep with the deployment whom its contract is to pay tips to."""
    with transaction.atomic():
        row = Deployment.objects.select_for_update().get(pk=deployment.pk)
        _desire(row, "tipRecipient", address)
    deployment.observed = row.observed


def _desire(row: Deployment, name: str, value: object) -> None:
    """Under the row's lock; what was observed stays."""
    desired = {**row.observed.get("desired", {}), name: value}
    row.observed = {**row.observed, "desired": desired}
    row.save(update_fields=["observed"])
