"""One thing to act on, taken from the book as values, and what became of it."""

from dataclasses import dataclass, replace
from typing import Any, Final

from arbsite.base.units import Bps, Gas, TokenAmount, Wei
from contracts.kernel.fees import base_fee_to_cost
from contracts.models import Chain
from execution.kernel import gate
from execution.kernel.latency import Timeline
from execution.kernel.plan import Plan, plan_to_simulate, validity_for
from execution.models import FastModeConfig
from prices.kernel.costs import NO_TIP, TipTerms
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Reason, tipped
from prices.watcher import Watcher

VALID_BLOCKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One thing to act on. ``plan`` is made where the book is, so that it fits its block.

    ``base_fee_wei``: of the next block, 0 where the chain has none. ``threshold``: the least net
    profit, raw units of the borrow token. ``config_pk``: the version of the limits that it was
    planned by.
    """

    evaluation: Evaluation
    plan: Plan
    candidate: gate.Candidate
    opportunity_pk: int | None
    path: list[dict[str, Any]]
    timeline: Timeline
    token_pk: int
    base_fee_wei: Wei
    threshold: TokenAmount
    config_pk: int
    request_pk: int | None = None

    @property
    def pools(self) -> list[str]:
        """Its pools' addresses, as the registry has them."""
        return [hop["pool"] for hop in self.path]

    def repriced(self, gas_price_wei: Wei, *, tips: TipTerms = NO_TIP, least: int = 1) -> "Wanted":
        """The same with what would be paid now: the gas price, where it is higher than was costed,
        and the tip that is offered of what the rest leaves.

        Net profit and on-chain minimum take the difference, rounded against us; a net that is
        gone names ``gas``. ``least``: the net profit that the limits ask for by now, raw units.
        """
        each, rate = self.evaluation, self.evaluation.native_rate
        if rate is None or not each.waterfall.complete:
            return self
        price_wei = max(gas_price_wei, each.gas_price_wei)
        paid = tipped(
            each.waterfall.expected_profit,
            gas=-rate.tokens_ceil((each.gas_estimate or Gas(0)) * price_wei),
            l1_data_fee=each.waterfall.l1_data_fee or 0,
            tips=tips,
            rate=rate,
            least=max(self.threshold, least),
        )
        if (price_wei, paid.tip_wei) == (each.gas_price_wei, each.tip_wei):
            return self
        fall = each.waterfall._replace(gas=paid.gas, relay_tip=paid.relay_tip)
        floor = fall.expected_profit - fall.net + max(self.threshold, least)
        return replace(
            self,
            evaluation=each._replace(
                waterfall=fall,
                gas_price_wei=price_wei,
                tip_wei=paid.tip_wei,
                net_wei=rate.wei_floor(fall.net),
            ),
            plan=replace(self.plan, min_profit=TokenAmount(max(self.plan.min_profit, floor))),
            candidate=replace(
                self.candidate,
                economic=self.candidate.economic or (Reason.GAS if fall.net <= 0 else None),
                net_profit=fall.net,
                gas_price_wei=price_wei,
            ),
        )


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of it: nothing against it, or the reason; ``detail`` says it in words.

    ``distrust``: why the path's pools are not to be trusted any more, "" for the usual case.
    ``stops_all``: what stood in its way stands in the way of any other at this head.
    """

    reason: str = ""
    detail: str = ""
    execution_pk: int | None = None
    distrust: str = ""
    stops_all: bool = False

    @property
    def verdict(self) -> str:
        """What the opportunity's row says: reasons that are ours leave it executable."""
        ours = not self.reason or self.reason in gate.LEAVES_EXECUTABLE
        return "executable" if ours else "rejected"

    @property
    def passes(self) -> bool:
        """Whether a person's request may wait for this to pass instead of being refused."""
        return self.execution_pk is None and self.reason in (
            gate.GateReason.IN_FLIGHT,
            gate.GateReason.SUPERSEDED,
        )


def wanted_from(
    watcher: Watcher,
    evaluation: Evaluation,
    *,
    chain: Chain,
    timeline: Timeline,
    opportunity_pk: int | None,
    config: FastModeConfig,
    request_pk: int | None = None,
) -> Wanted:
    """Everything the desk needs, taken from the book while it stands at the evaluation's block.

    ``config``: the limits of the watcher's policy, as its caller took both.
    """
    book, registry, head = watcher.book, watcher.registry, watcher.head
    assert head is not None  # noqa: S101  nothing is evaluated before the first load
    plan = plan_to_simulate(
        evaluation,
        book=book,
        policy=watcher.policy,
        max_slippage_bps=Bps(config.max_slippage_bps),
        validity=validity_for(block_time_ms=chain.block_time_ms, blocks=VALID_BLOCKS),
        block_timestamp_s=head.timestamp_s,
    )
    base_fee = Wei(0)
    if head.base_fee_wei is not None:
        base_fee = base_fee_to_cost(
            base_fee_wei=head.base_fee_wei, gas_used=head.gas_used, gas_limit=head.gas_limit
        )
    return Wanted(
        evaluation=evaluation,
        plan=plan,
        candidate=gate.candidate_from(
            evaluation, book=book, chain_key=chain.key, manual=request_pk is not None
        ),
        opportunity_pk=opportunity_pk,
        path=_path(watcher, evaluation),
        timeline=timeline,
        token_pk=registry.tokens[evaluation.borrow_token].pk,
        base_fee_wei=base_fee,
        threshold=watcher.policy.threshold(evaluation.borrow_amount),
        config_pk=config.pk,
        request_pk=request_pk,
    )


def _path(watcher: Watcher, evaluation: Evaluation) -> list[dict[str, Any]]:
    pools, tokens = watcher.registry.pools, watcher.registry.tokens
    return [
        {
            "dex": pools[hop.pool].dex,
            "pool": pools[hop.pool].address,
            "tokenIn": tokens[hop.token_in].address,
            "tokenOut": tokens[hop.token_out].address,
            "symbolIn": tokens[hop.token_in].symbol,
            "symbolOut": tokens[hop.token_out].symbol,
            "feeBps": hop.fee_bps,
            "amountIn": str(hop.amount_in),
            "amountOut": str(hop.amount_out),
        }
        for hop in evaluation.hops
    ]


WORDS: Final = {
    "killed": "The kill switch is engaged.",
    "not_armed": "Fast Mode is not armed.",
    "paused": "Fast Mode is paused.",
    "limit": "A limit on executions, failures or the size of a loan is reached.",
    "cooldown": "The cooldown after the last execution is not over.",
    "in_flight": "The executor or one of the pools is in an execution that is not settled.",
    "simulation_failed": "The simulation did not succeed.",
    "superseded": "A newer block or a better opportunity came first.",
    "fees": "The pools' fees eat the spread.",
    "price_impact": "The price moves more than the spread.",
    "premium": "The loan's premium eats the profit.",
    "gas": "Gas costs more than the profit, or is not known.",
    "min_profit": "The net profit is below the minimum.",
    "max_gas": "The gas price is above the ceiling.",
    "thin_pool": "A pool in the path is too thin.",
    "stale_pool": "A pool's state is not trusted now.",
    "token_risk": "A token or pool in the path is not proven.",
    "implausible": "The profit is too high to be true.",
}
