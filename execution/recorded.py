"""What an execution keeps of the opportunity that it acts on, and of the time that it took."""

import time
from typing import Any

from execution.kernel.latency import Stage, Timeline
from execution.standing import Standing
from execution.wanted import Wanted
from prices.render import waterfall as waterfall_rows
from wallets.sender import SendOutcome


def facts_of(wanted: Wanted, standing: Standing) -> dict[str, Any]:
    """What an execution keeps of its opportunity. The tip that it paid is its receipt's to say."""
    each = wanted.evaluation
    rate = each.native_rate
    steps = [row.amount for row in each.waterfall.rows()]
    return {
        "kind": "arbitrage",
        "opportunity_id": wanted.opportunity_pk,
        "automatic": wanted.request_pk is None,
        "wallet": standing.wallet,
        "deployment": standing.deployment,
        "config": standing.mode.config,
        "block_number": each.block.number,
        "block_hash": each.block.hash,
        "path": wanted.path,
        "waterfall": waterfall_rows(steps, amount=each.borrow_amount),
        "borrow_token_id": wanted.token_pk,
        "borrow_amount": each.borrow_amount,
        "lender_kind": each.lender.kind.value,
        "lender_address": each.lender_address,
        "expected_profit": each.waterfall.expected_profit,
        "native_rate_num": rate.num if rate else None,
        "native_rate_den": rate.den if rate else None,
        "last_block": wanted.plan.last_block,
    }


def spans_note(
    timeline: Timeline, outcome: SendOutcome, *, started_ns: int, recorded_ns: int
) -> None:
    """``persist`` is the plan's commit and that of the signed bytes, together."""
    taken = {name: took * 1_000 for name, took in outcome.stages_us.items()}
    ended = time.perf_counter_ns()
    if "sign" in taken:
        timeline.span(Stage.SIGN, started_ns=recorded_ns, ended_ns=recorded_ns + taken["sign"])
    persisted = recorded_ns + taken.get("persist", 0)
    timeline.span(Stage.PERSIST, started_ns=started_ns, ended_ns=persisted)
    if "submit" in taken:
        timeline.span(Stage.SUBMIT, started_ns=ended - taken["submit"], ended_ns=ended)
