"""Simulating a recorded opportunity on the chain as it is now; nothing is signed or sent."""

from typing import Any

from rest_framework.exceptions import NotFound

from arbsite.base.problems import Conflict
from arbsite.base.units import BlockNumber, Bps, TokenAmount, Wei
from contracts import adapters as contracts_adapters
from contracts.models import Deployment
from execution import adapters
from execution.kernel.plan import LENDER_CODES, Plan, PlanHop, encode_execute, validity_for
from execution.wanted import VALID_BLOCKS
from prices.chain_state import read_head
from prices.kernel.lenders import LenderKind
from prices.models import Opportunity
from prices.selectors import pools_with_names
from wallets import selectors as wallet_selectors


def opportunity_simulate(*, pk: int) -> dict[str, Any]:
    """What the recorded trade would do now, from the first executor through our contract.

    Raises: NotFound; Conflict without a contract or executor; RpcUnavailable.
    """
    row = Opportunity.objects.select_related("chain", "borrow_token").filter(pk=pk).first()
    if row is None:
        raise NotFound("There is no such opportunity; old ones are pruned.")
    receiver = Deployment.objects.filter(chain=row.chain, kind="receiver", active=True).first()
    executors = wallet_selectors.executors_in_order(deployment_id=receiver.pk) if receiver else []
    if receiver is None or not executors:
        raise Conflict(
            "There is no contract with an authorised executor on this chain: deploy and authorise."
        )
    rpc = contracts_adapters.rpc(row.chain)
    head = read_head(rpc)
    outcome = adapters.simulator(row.chain).simulate(
        sender=executors[0].address,
        to=receiver.address,
        data=encode_execute(_plan(row, head.number, head.timestamp_s)),
        value_wei=Wei(int(row.tip_wei)),
        gas_price_wei=Wei(int(row.gas_price_wei)),
        block_hash=head.hash,
    )
    return {
        "ok": outcome.ok,
        "simulated": True,
        "profit": None if outcome.profit is None else str(outcome.profit),
        "expectedProfit": str(sum(step or 0 for step in row.steps[:4])),
        "borrowSymbol": row.borrow_token.symbol,
        "borrowDecimals": row.borrow_token.decimals,
        "gasEstimate": outcome.gas_estimate,
        "revert": outcome.revert.as_json() if outcome.revert else None,
        "blockNumber": outcome.block_number,
        "blockHash": outcome.block_hash,
    }


def _plan(row: Opportunity, number: int, timestamp_s: int) -> Plan:
    pools = pools_with_names(row.pools)
    validity = validity_for(block_time_ms=row.chain.block_time_ms, blocks=VALID_BLOCKS)
    return Plan(
        lender_kind=LENDER_CODES[LenderKind(row.lender_kind)],
        lender=row.lender_address,
        token=row.borrow_token.address,
        amount=TokenAmount(int(row.borrow_amount)),
        # The smallest profit the contract may be asked for: its own minimum still holds.
        min_profit=TokenAmount(max(1, sum(int(step or 0) for step in row.steps[:4]))),
        deadline_s=timestamp_s + validity.seconds,
        last_block=BlockNumber(number + validity.blocks),
        hops=tuple(
            PlanHop(
                pair=pools[pk].address, fee_bps=Bps(pools[pk].fee_bps), zero_for_one=zero_for_one
            )
            for pk, zero_for_one in zip(row.pools, row.zero_for_one, strict=True)
        ),
    )
