"""Wallets, contracts and requests in the words of the outside contract: for API, pages, sockets."""

from collections.abc import Iterable, Mapping
from typing import Any

from arbsite.base.units import Wei
from arbsite.base.wire import iso, text
from contracts.models import Deployment
from wallets import gas_selectors
from wallets.kernel.funding import Decision
from wallets.models import Assignment, Funding, Request, Transaction


def wallet(row: Any, *, cost_wei: Wei | None = None, transactions: int = 0) -> dict[str, Any]:
    """SPEC's wallet. ``row`` comes from `listing.wallets`, with what it joins and annotates.

    ``cost_wei``: what one execution costs there; ``transactions``: how many of the newest to show.
    """
    executes = row.role == "executor"
    left = gas_selectors.executions_left(
        balance_wei=row.last_wei if executes else None, cost_wei=cost_wei
    )
    shown = {
        "id": row.pk,
        "address": row.address,
        "chain": row.chain_id,
        "role": row.role,
        "label": row.label,
        "derivationPath": row.derivation_path or None,
        "source": row.source,
        "state": row.state,
        "stateReason": row.state_reason or None,
        "balanceWei": text(row.last_wei),
        "balanceUpdatedAt": iso(row.last_at),
        "balanceBlock": row.last_block,
        "thresholdWei": str(int(row.low_under_wei)),
        "low": bool(row.is_low),
        "native": {"symbol": row.chain.native_symbol, "decimals": 18},
        "executionsLeft": left,
        "authorized": sum(each.authorized_at is not None for each in row.assignments.all()),
        "createdAt": iso(row.created_at),
        "lastFundedAt": iso(row.last_funded_at),
        "assignments": [assignment(each) for each in row.assignments.all()],
        "fundings": [funding(each) for each in row.fundings_newest],
    }
    if transactions:
        newest = row.transactions.order_by("-id")[:transactions]
        shown["transactions"] = [sent(each) for each in newest]
    return shown


def assignment(row: Assignment) -> dict[str, Any]:
    """An executor's right on one contract, as the record and the chain have it."""
    return {
        "contract": row.deployment.address,
        "contractId": row.deployment_id,
        "chain": row.deployment.chain_id,
        "authorizedAt": iso(row.authorized_at),
        "txHash": (row.transaction.tx_hash or None) if row.transaction else None,
        "state": assignment_state(row),
        "active": row.deployment.active,
    }


def assignment_state(row: Assignment) -> str:
    """`authorized`, `authorizing`, `revoking` or `revoked`."""
    if row.desired:
        return "authorized" if row.authorized_at else "authorizing"
    return "revoking" if row.authorized_at else "revoked"


def funding(row: Funding) -> dict[str, Any]:
    """One transfer of gas money."""
    one = row.transaction
    return {
        "id": row.pk,
        "wallet": row.wallet.address,
        "amountWei": str(int(row.amount_wei)),
        "from": row.reserve.address,
        "txHash": (one.tx_hash or None) if one else None,
        "status": gas_selectors.funding_state(row),
        "simulated": bool(one and one.simulated_only),
        "reason": row.refused or (one.reason if one else "") or None,
        "by": row.requested_by.get_username() if row.requested_by else "automatic",
        "createdAt": iso(row.created_at),
    }


def decision(one: Decision, *, addresses: Mapping[int, str]) -> dict[str, Any]:
    """What a run of fundings would do for one wallet, and why."""
    return {
        "walletId": one.wallet_id,
        "wallet": addresses.get(one.wallet_id),
        "from": addresses.get(one.reserve_id or 0),
        "amountWei": str(int(one.amount_wei)),
        "funds": one.funds,
        "reason": one.reason.value if one.reason else None,
        "cutBy": one.cut_by.value if one.cut_by else None,
        "detail": one.detail,
    }


def sent(one: Transaction) -> dict[str, Any]:
    """A transaction in short."""
    return {
        "id": one.pk,
        "kind": one.kind,
        "status": one.status,
        "to": one.to or None,
        "valueWei": str(int(one.value_wei)),
        "txHash": one.tx_hash or None,
        "blockNumber": one.block_number,
        "simulated": one.simulated_only,
        "reason": one.reason or None,
        "createdAt": iso(one.created_at),
    }


def request(row: Request, *, transactions: Iterable[Transaction] = ()) -> dict[str, Any]:
    """A person's request: how far it is, and what came of it."""
    if row.problem:
        state = "refused"
    elif row.done_at is not None:
        state = "done"
    else:
        state = "running" if row.taken_at else "queued"
    return {
        "id": row.pk,
        "kind": row.kind,
        "state": state,
        "chain": row.chain_id,
        "walletId": row.wallet_id,
        "wallet": row.wallet.address if row.wallet else None,
        "contractId": row.deployment_id,
        "contract": row.deployment.address if row.deployment else None,
        "args": row.args,
        "result": row.result,
        "problem": row.problem or None,
        "reason": row.reason or None,
        "transactions": [sent(one) for one in transactions],
        "requestedBy": row.requested_by.get_username(),
        "createdAt": iso(row.created_at),
        "takenAt": iso(row.taken_at),
        "doneAt": iso(row.done_at),
        "url": f"/api/wallets/requests/{row.pk}",
    }


def contract(
    row: Deployment, *, expected_code_hash: str, drift: list[dict[str, str]] | None
) -> dict[str, Any]:
    """One of our contracts: what it should be, what was last read of it, and where they differ.

    ``drift`` None: it was never read, so nothing is known.
    """
    seen = {name: value for name, value in row.observed.items() if name != "desired"}
    wanted = row.observed.get("desired", {})
    found = seen.get("codeHash") or (row.code_hash if row.kind == "router" else None)
    return {
        "id": row.pk,
        "chain": row.chain_id,
        "kind": row.get_kind_display(),
        "address": row.address,
        "active": row.active,
        "adopted": row.adopted,
        "txHash": row.tx_hash or None,
        "codeHash": {
            "expected": expected_code_hash,
            "observed": found,
            "matches": None if found is None else found == expected_code_hash,
        },
        "desired": {
            "owner": row.owner or None,
            "treasury": row.treasury or None,
            "minProfit": wanted.get("minProfit", {}),
            "minProfitBps": row.min_profit_bps,
        },
        "observed": seen or None,
        "paused": seen.get("paused"),
        "drift": drift,
        "observedBlock": row.observed_block,
        "observedAt": iso(row.observed_at),
        "createdAt": iso(row.created_at),
    }
