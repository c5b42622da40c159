"""What a worker does with a person's request: claim it, act, write what came of it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol

from django.db.models import Q
from django.utils import timezone

from arbsite.base.errors import ArbError, Halt, Rejected, Retryable
from arbsite.base.units import Wei
from contracts.models import Deployment
from wallets import exposure, funding, listing, monitoring, render, services, wishes
from wallets.administration import rescuing
from wallets.administration.authorise import Authorised, executor_authorise, executor_revoke
from wallets.administration.calls import CALL_KEYS
from wallets.administration.deploy import DeployReport, contracts_deploy
from wallets.administration.mending import limits_store, receiver_mend
from wallets.administration.observe import deployment_observe
from wallets.administration.office import Office
from wallets.administration.operate import (
    receiver_pause,
    receiver_sweep,
    receiver_unpause,
    sweepable,
)
from wallets.administration.overview import contracts_observe, drift_shown
from wallets.administration.replacing import contract_replace
from wallets.drill import NotDrilled, kill_drill
from wallets.ledger import Killed
from wallets.models import Attempt, Request, Transaction, Wallet
from wallets.services import AddressSource

logger = logging.getLogger(__name__)
PATIENCE_S: Final = 45.0
# A wish that nothing was begun for is not carried out long after it was made.
TOO_LATE: Final = timedelta(minutes=10)
# Others may know that key now as then: these are gone on with until they end.
_NEVER_LATE: Final = frozenset({"expose", "move_away"})


class NothingToSweep(Rejected):
    """The contract holds none of what could be swept."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} holds no lendable token and no native coin: nothing to sweep")


class DrilledTooLate(Retryable):
    """Whoever asked to stop a chain for a moment is not there to see it."""


class DeskSigner(AddressSource, exposure.Noting, Protocol):
    """The signer, as far as requests need it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker acts with: an office of any chain; the signer for new addresses and notes."""

    open_office: Callable[[Request], Office]
    signer: DeskSigner


def request_act(*, pk: int, desk: Desk) -> Request | None:
    """Act on one request, or go on with it; None where it is done or somebody living has it.

    Safe to run any number of times, at once and hours late. What is transient gives the request
    back and is raised, so that it is taken up again. Raises: Retryable.
    """
    row = wishes.request_claim(pk=pk)
    if row is None:
        return None
    try:
        wishes.refuse_if_killed(kind=row.kind, chain=row.chain)
        result = _ACTS[row.kind](desk, row)
        if result is not None:  # else it was written together with what was made
            wishes.request_done(row, result=result)
    except wishes.Overtaken:
        raise
    except (Rejected, Halt) as error:
        wishes.request_failed(row, problem=str(error), reason=_reason_of(error))
    except Retryable as error:
        if not _is_too_late(row):
            wishes.request_release(row)
            raise
        why = f"{error}; it was asked for long ago and nothing was sent: ask again"
        wishes.request_failed(row, problem=why, reason="late")
    except Exception:
        # A defect. What it may have sent is settled by its own record; the wish must not run on.
        wishes.request_failed(
            row, problem="It failed in a way that nobody foresaw: the log has it.", reason="defect"
        )
        raise
    logger.info("request acted on", extra={"request": row.pk, "kind": row.kind})
    row.refresh_from_db()
    return row


def _reason_of(error: ArbError) -> str:
    if isinstance(error, Killed):
        return "killed"
    extra: Mapping[str, Any] = getattr(error, "extra", {})
    return str(extra.get("reason") or ("halt" if isinstance(error, Halt) else "refused"))


def _is_too_late(row: Request) -> bool:
    if row.kind in _NEVER_LATE:
        return False
    own = Q(transaction__idempotency_key__startswith=row.key)
    # Administration's calls have keys of their own: a later run of any request goes on with them.
    calls = Q(
        transaction__idempotency_key__startswith=CALL_KEYS,
        transaction__chain=row.chain,
        transaction__created_at__gte=row.created_at,
    )
    began = Attempt.objects.filter(own | calls).exists()
    return not began and row.created_at < timezone.now() - TOO_LATE


def _office(desk: Desk, row: Request) -> Office:
    """The chain's office; each look at the chain says that this run lives."""
    office = desk.open_office(row)
    settle = office.settle

    def alive() -> object:
        wishes.request_alive(row)
        return settle()

    return replace(
        office,
        settle=alive,
        say=partial(_say, row),
        by=row.requested_by,
        via="api",
        patience_s=min(office.patience_s, PATIENCE_S),
    )


def _say(row: Request, line: str) -> None:
    wishes.request_alive(row)
    logger.info("request", extra={"request": row.pk, "step": line})


def _generate(desk: Desk, row: Request) -> None:
    """The wallet and the outcome are one commit: a second run makes no second wallet."""

    def end(wallet: Wallet) -> None:
        wishes.request_done(
            row,
            result={
                "walletId": wallet.pk,
                "address": wallet.address,
                "derivationPath": wallet.derivation_path or None,
            },
        )

    args = row.args
    if args.get("address"):
        services.wallet_watch(
            chain=row.chain,
            role=args["role"],
            address=args["address"],
            label=args["label"],
            by=row.requested_by,
            via="api",
            within=end,
        )
    else:
        services.wallet_create(
            chain=row.chain,
            role=args["role"],
            signer=desk.signer,
            label=args["label"],
            by=row.requested_by,
            via="api",
            within=end,
        )


def _authorize(desk: Desk, row: Request) -> dict[str, Any]:
    wallet, deployment = _wallet(row), _deployment(row)
    return _authorised(
        executor_authorise(
            _office(desk, row), wallet=wallet, deployment=deployment, key=f"{row.key}authorise"
        ),
        wallet,
    )


def _revoke(desk: Desk, row: Request) -> dict[str, Any]:
    wallet, deployment = _wallet(row), _deployment(row)
    return _authorised(
        executor_revoke(
            _office(desk, row), wallet=wallet, deployment=deployment, key=f"{row.key}revoke"
        ),
        wallet,
    )


def _authorised(outcome: Authorised, wallet: Wallet) -> dict[str, Any]:
    shown = (
        render.assignment(outcome.assignment)
        if outcome.assignment is not None
        else {"contract": outcome.deployment.address, "chain": wallet.chain_id}
    )
    one = outcome.transaction_
    return {
        "wallet": wallet.address,
        **shown,
        "simulated": bool(one and one.simulated_only),
        "transaction": render.sent(one) if one else None,
    }


def _pause(desk: Desk, row: Request) -> dict[str, Any]:
    office, deployment = _office(desk, row), _deployment(row)
    one = receiver_pause(office, deployment=deployment, key=f"{row.key}pause")
    return _operated(office, deployment, one)


def _unpause(desk: Desk, row: Request) -> dict[str, Any]:
    office, deployment = _office(desk, row), _deployment(row)
    one = receiver_unpause(office, deployment=deployment, key=f"{row.key}unpause")
    return _operated(office, deployment, one)


def _sweep(desk: Desk, row: Request) -> dict[str, Any]:
    """One token, or everything that is there; what an earlier run began is gone on with."""
    office, deployment = _office(desk, row), _deployment(row)
    key = f"{row.key}sweep:"
    begun = Transaction.objects.filter(idempotency_key__startswith=key).order_by("pk")
    tokens = [one.idempotency_key.removeprefix(key) for one in begun]
    wanted = row.args.get("token")
    tokens += [wanted] if wanted else sweepable(office, deployment=deployment)
    made = [
        receiver_sweep(office, deployment=deployment, token=token, key=f"{key}{token}")
        for token in dict.fromkeys(tokens)
    ]
    if not made:
        raise NothingToSweep(deployment.address)
    return {
        "contract": deployment.address,
        "chain": deployment.chain_id,
        "treasury": deployment.treasury,
        "tokens": list(dict.fromkeys(tokens)),
        "simulated": not office.may_sign,
        "transactions": [render.sent(one) for one in made],
    }


def _operated(office: Office, deployment: Deployment, one: Transaction) -> dict[str, Any]:
    deployment_observe(office.rpc, deployment=deployment)
    return {
        "contract": deployment.address,
        "chain": deployment.chain_id,
        "paused": bool(deployment.observed.get("paused")),
        "simulated": one.simulated_only,
        "transaction": render.sent(one),
    }


def _limits(desk: Desk, row: Request) -> dict[str, Any]:
    """New limits into the row, then onto the chain by the same way as any drift."""
    office, deployment = _office(desk, row), _deployment(row)
    limits_store(
        office,
        deployment,
        minimums={token: int(raw) for token, raw in row.args.get("minProfit", {}).items()},
        treasury=row.args.get("treasury", ""),
        tip_recipient=row.args.get("tipRecipient", ""),
    )
    return _mended(office, deployment)


def _mend(desk: Desk, row: Request) -> dict[str, Any]:
    return _mended(_office(desk, row), _deployment(row))


def _mended(office: Office, deployment: Deployment) -> dict[str, Any]:
    made, left = receiver_mend(office, deployment)
    return {
        "contract": deployment.address,
        "chain": deployment.chain_id,
        "simulated": not office.may_sign,
        "transactions": [render.sent(one) for one in made],
        "drift": [one.as_json() for one in left],
    }


def _deploy(desk: Desk, row: Request) -> dict[str, Any]:
    return _reported(contracts_deploy(_office(desk, row)))


def _replace(desk: Desk, row: Request) -> dict[str, Any]:
    old = _deployment(row)
    return {
        "replaced": old.address,
        **_reported(contract_replace(_office(desk, row), old=old)),
    }


def _reported(report: DeployReport) -> dict[str, Any]:
    return {
        "chain": report.chain,
        "simulated": report.simulated_only,
        "contracts": [
            {"id": one.pk, "kind": one.get_kind_display(), "address": one.address}
            for one in report.contracts
        ],
        "transactions": [render.sent(one) for one in report.transactions],
        "drift": [one.as_json() for one in report.drift],
    }


def _observe(desk: Desk, row: Request) -> dict[str, Any]:
    rows = contracts_observe(_office(desk, row).rpc, chain=row.chain)
    drift = {one.address: len(drift_shown(one) or ()) for one in rows}
    return {"chain": row.chain_id, "drift": drift}


def _balances(desk: Desk, row: Request) -> dict[str, Any]:
    office = _office(desk, row)
    return {"chain": row.chain_id, "wallets": monitoring.sweep(chain=row.chain, rpc=office.rpc)}


def _fund(desk: Desk, row: Request) -> dict[str, Any]:
    """Ends when the money is handed over: what becomes of it is the funding's own status."""
    made = funding.funding_manual(
        _office(desk, row),
        wallet=_wallet(row),
        amount_wei=Wei(int(row.args["amountWei"])),
        key=f"{row.key}fund",
    )
    return {"fundingId": made.pk, **render.funding(listing.fundings().get(pk=made.pk))}


def _auto_fund(desk: Desk, row: Request) -> dict[str, Any]:
    report = funding.funding_run(_office(desk, row))
    made = listing.fundings().filter(pk__in=[one.pk for one in report.fundings])
    return {
        "chain": row.chain_id,
        "dryRun": False,
        "plan": listing.plan_shown(report.decisions, chain_key=row.chain_id),
        "fundings": [render.funding(one) for one in made],
        "problems": report.problems,
    }


def _expose(desk: Desk, row: Request) -> None:
    rescuing.request_expose(row, wallet=_wallet(row), signer=desk.signer)


def _move_away(desk: Desk, row: Request) -> dict[str, Any]:
    return rescuing.request_move_away(_office(desk, row), row, wallet=_wallet(row))


def _drill(desk: Desk, row: Request) -> dict[str, Any]:
    """A run that died in between left the switch engaged: the next one is refused for that."""
    if _is_too_late(row):
        raise DrilledTooLate("no worker took the drill")
    office = _office(desk, row)
    if not office.may_sign:
        raise NotDrilled(f"nothing is signed on {row.chain_id}: there is nothing to drill")
    held = kill_drill(
        chain=office.chain, rpc=office.rpc, sender=office.sender, by=office.by, via=office.via
    )
    return held.as_json()


def _wallet(row: Request) -> Wallet:
    assert row.wallet is not None  # noqa: S101  the API makes none of these kinds without
    return row.wallet


def _deployment(row: Request) -> Deployment:
    assert row.deployment is not None  # noqa: S101  as above
    return Deployment.objects.select_related("chain").get(pk=row.deployment.pk)


_ACTS: Final[Mapping[str, Callable[[Desk, Request], dict[str, Any] | None]]] = {
    "generate": _generate,
    "authorize": _authorize,
    "revoke": _revoke,
    "pause": _pause,
    "unpause": _unpause,
    "sweep": _sweep,
    "limits": _limits,
    "mend": _mend,
    "deploy": _deploy,
    "replace": _replace,
    "observe": _observe,
    "balances": _balances,
    "fund": _fund,
    "auto_fund": _auto_fund,
    "expose": _expose,
    "move_away": _move_away,
    "drill": _drill,
}
