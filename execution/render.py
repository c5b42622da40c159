"""Executions in the words of the outside contract: one dict for API, WebSocket and pages."""

from typing import Any

from contracts.kernel.jsonrpc import hex_int
from execution.models import Execution
from prices.render import iso, text
from wallets.models import Transaction

# Stages in the order they happen; the contract names them all, null where one did not happen.
STAGES = (
    "eventToState", "search", "simulate", "sign", "persist", "submit", "total", "inclusion",
)  # fmt: skip


def status_of(row: Execution) -> str:
    """The transaction's status once there is one; before, planned or rejected."""
    if row.transaction is not None:
        return row.transaction.status
    return "rejected" if row.refused else "planned"


def execution(row: Execution) -> dict[str, Any]:
    """SPEC's execution. ``row`` comes from `selectors.executions`, with what it joins."""
    sent = row.transaction
    attempt = next((a for a in sent.attempts.all() if not a.released), None) if sent else None
    token = row.borrow_token
    simulated = bool(sent and sent.simulated_only)
    revert = sent.revert if sent else None
    return {
        "id": row.pk,
        "chain": row.chain_id,
        "kind": row.kind,
        "opportunityId": row.opportunity_id,
        "status": status_of(row),
        "simulated": simulated,
        "succeeded": _succeeded(sent),
        "wallet": row.wallet.address if row.wallet else None,
        "contract": row.deployment.address if row.deployment else None,
        "nonce": attempt.nonce if attempt and not simulated else None,
        "txHash": (sent.tx_hash or (attempt.hash if attempt else None)) if sent else None,
        "submittedVia": (sent.submitted_via or None) if sent else None,
        "blockNumber": sent.block_number if sent else None,
        "gasUsed": sent.gas_used if sent else None,
        "gasPriceWei": text(sent.gas_price_wei) if sent else None,
        "gasCostWei": _gas_cost(row),
        "path": row.path,
        "borrowToken": token.address if token else None,
        "borrowSymbol": token.symbol if token else None,
        "borrowDecimals": token.decimals if token else None,
        "borrowAmount": text(row.borrow_amount),
        "lender": {"kind": row.lender_kind, "address": row.lender_address or None}
        if row.lender_kind
        else None,
        "nativeRate": {"num": text(row.native_rate_num), "den": text(row.native_rate_den)}
        if row.native_rate_num
        else None,
        "waterfall": row.waterfall,
        "tipWei": text(row.tip_wei),
        "l1FeeWei": text(row.l1_fee_wei),
        "lastBlock": row.last_block,
        "expectedProfit": text(row.expected_profit),
        "realizedProfit": text(row.realized_profit),
        "netProfitWei": text(row.net_profit_wei),
        "error": revert or ({"name": row.refused, "meaning": row.error} if row.refused else None),
        "reason": row.refused or (sent.reason if sent else "") or None,
        "statusChanges": [
            {"from": c.old or None, "to": c.new, "reason": c.reason or None, "at": iso(c.at)}
            for c in (sent.status_changes.all() if sent else ())
        ],
        "latency": {
            stage: row.latency_us[stage] / 1000 if stage in row.latency_us else None
            for stage in STAGES
        },
        "automatic": row.automatic,
        "requestedBy": row.requested_by.get_username() if row.requested_by else None,
        "configVersion": row.config.version if row.config else None,
        "opportunityBlockNumber": row.block_number,
        "createdAt": iso(row.created_at),
    }


def _succeeded(sent: Transaction | None) -> bool | None:
    """What its receipt says of its call, final or not; None before there is one."""
    status = (sent.receipt or {}).get("status") if sent else None
    return None if status is None else hex_int(status) == 1


def _gas_cost(row: Execution) -> str | None:
    """gasUsed x price, less the L1 part that is booked on its own."""
    sent = row.transaction
    if sent is None or sent.gas_used is None or sent.gas_price_wei is None:
        return None
    cost = sent.gas_used * sent.gas_price_wei
    if row.chain.l1_fee == "arbitrum":
        cost -= row.l1_fee_wei
    return str(cost)
