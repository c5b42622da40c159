"""What a trade offers for its gas, and its simulation: all between the gates and the send."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from arbsite.base.units import BlockNumber, Gas, TokenAmount, Wei
from contracts.kernel.fees import FeeModel, GasFees
from contracts.models import Chain
from execution.executors import GAS_OF_ONE
from execution.kernel.gate import GateState
from execution.kernel.latency import Stage, Timeline
from execution.kernel.plan import LenderCode, Plan, encode_execute
from execution.kernel.revert_words import CANNOT_PAY
from execution.simulator import Expected, Simulated, Simulates, StateGone
from execution.standing import Standing
from execution.wanted import Wanted
from prices import services as price_services
from prices.kernel.opportunity import Evaluation
from wallets.models import Wallet
from wallets.simulation import Proof


class SimulatesHeads(Simulates, Protocol):
    """A simulator that is told of blocks which are known anyway."""

    def close(self) -> None:
        """End what runs beside."""

    def make_way(self) -> None:
        """Let what runs beside wait: somebody acts, or is about to."""

    def go_on(self) -> None:
        """Let it go on."""

    def note_block(
        self, *, number: BlockNumber, block_hash: str, timestamp_s: int, parent_hash: str = ""
    ) -> object:
        """See `execution.simulator.Simulator.note_block`."""

    def rehearse(
        self, *, sender: str, to: str, data: bytes, block_hash: str, expected: Expected
    ) -> None:
        """See `execution.path_simulator.PathSimulator.rehearse`."""


class Trial:
    """One chain's. ``fees_now``: what a payload without urgency offers now."""

    def __init__(
        self, *, chain: Chain, simulator: SimulatesHeads, fees_now: Callable[[], GasFees]
    ) -> None:
        self.chain = chain
        self.simulator = simulator
        self._fees_now = fees_now
        self._by = "evm"  # who answered last

    def gas_of_one(self, wanted: Wanted, standing: Standing) -> Wei:
        """What it may cost; a node asks for all that an EIP-1559 payload offers, about twice."""
        limit = standing.gas_limits.get(_kind(wanted), GAS_OF_ONE)
        doubled = FeeModel(self.chain.fee_model) is FeeModel.EIP1559
        return Wei(limit * wanted.evaluation.gas_price_wei * (2 if doubled else 1))

    def fees(self, wanted: Wanted, state: GateState) -> GasFees:
        """Legacy: what the evaluation was costed with. EIP-1559: as the chain asks now, and never
        more than the ceiling, so that no base fee of a later block passes it."""
        costed = wanted.evaluation.gas_price_wei
        if FeeModel(self.chain.fee_model) is FeeModel.LEGACY:
            return GasFees(model=FeeModel.LEGACY, max_fee_wei=costed, max_priority_fee_wei=costed)
        fees = self._fees_now()
        ceiling = state.config.max_gas_price_wei
        price = fees.price_at(base_fee_wei=wanted.base_fee_wei)
        if ceiling is None or price > ceiling:
            return fees  # no ceiling, or above it: the gate says so
        return replace(
            fees,
            max_fee_wei=Wei(min(fees.max_fee_wei, ceiling)),
            max_priority_fee_wei=Wei(min(fees.max_priority_fee_wei, ceiling)),
        )

    def assumed(self, wanted: Wanted, standing: Standing) -> Simulated:
        """How its simulation ends if it ends as most do: what is written while it runs."""
        each = wanted.evaluation
        return Simulated(
            ok=True,
            profit=TokenAmount(each.waterfall.expected_profit),
            gas_estimate=Gas(0),
            gas_limit=standing.gas_limits.get(_kind(wanted), Gas(GAS_OF_ONE)),
            revert=None,
            block_number=each.block.number,
            block_hash=each.block.hash,
            by=self._by,
        )

    def simulate(self, wanted: Wanted, standing: Standing, fees: GasFees) -> Simulated:
        """With the limit that receipts gave; where that fails, once more with an estimate."""
        each = wanted.evaluation
        limit = standing.gas_limits.get(_kind(wanted))
        started = time.perf_counter_ns()
        simulated = self._simulate_once(wanted, standing, fees, gas=limit)
        if not simulated.ok and limit is not None:
            simulated = self._simulate_once(wanted, standing, fees, gas=None)
        if simulated.ok and simulated.profit != each.waterfall.expected_profit:
            # A node may answer for its newest state while it mines: only what it says twice counts.
            again = self._simulate_once(wanted, standing, fees, gas=simulated.gas_limit)
            if again.profit not in (simulated.profit, each.waterfall.expected_profit):
                raise StateGone(each.block.hash, why="it was simulated with two results")
            simulated = again
        self._by = simulated.by
        wanted.timeline.span(Stage.SIMULATE, started_ns=started, ended_ns=time.perf_counter_ns())
        return simulated

    def keep_estimate(self, wanted: Wanted, simulated: Simulated) -> None:
        """Keep an estimate as this kind's cost until there is a receipt. Database."""
        if simulated.ok and simulated.gas_estimate:
            lender_kind, hops = _kind(wanted)
            price_services.gas_measured(
                chain=self.chain,
                lender_kind=lender_kind,
                hops=hops,
                gas_used=simulated.gas_estimate,
                source="estimate",
            )

    def _simulate_once(
        self, wanted: Wanted, standing: Standing, fees: GasFees, *, gas: Gas | None
    ) -> Simulated:
        assert standing.wallet is not None  # noqa: S101  the caller looked
        assert standing.deployment is not None  # noqa: S101  the caller looked
        return self.simulator.simulate(
            sender=standing.wallet.address,
            to=standing.deployment.address,
            data=encode_execute(wanted.plan),
            value_wei=wanted.evaluation.tip_wei,
            gas_price_wei=fees.max_fee_wei,
            block_hash=wanted.evaluation.block.hash,
            gas=gas,
            expected=expected_of(wanted.evaluation, wanted.plan),
        )

    def rehearse(self, wanted: Wanted, standing: Standing) -> None:
        """Have the simulator learn what the plan reads, while nobody waits for it."""
        expected = expected_of(wanted.evaluation, wanted.plan)
        if standing.wallet is None or standing.deployment is None or expected is None:
            return
        self.simulator.rehearse(
            sender=standing.wallet.address,
            to=standing.deployment.address,
            data=encode_execute(wanted.plan),
            block_hash=wanted.evaluation.block.hash,
            expected=expected,
        )

    def simulate_nothing(
        self, wallet: Wallet, fees: GasFees, *, block_hash: str, timeline: Timeline
    ) -> Simulated:
        """The wallet sends 0 to itself."""
        started = time.perf_counter_ns()
        simulated = self.simulator.simulate(
            sender=wallet.address,
            to=wallet.address,
            data=b"",
            value_wei=Wei(0),
            gas_price_wei=fees.max_fee_wei,
            block_hash=block_hash,
        )
        timeline.span(Stage.SIMULATE, started_ns=started, ended_ns=time.perf_counter_ns())
        return simulated


def _kind(wanted: Wanted) -> tuple[str, int]:
    each = wanted.evaluation
    return each.lender.kind.value, len(each.hops)


def expected_of(each: Evaluation, plan: Plan) -> Expected | None:
    """What was computed; None where a pair lends whose reserves the evaluation does not hold."""
    if plan.lender_kind is LenderCode.PAIR:
        return None
    return Expected(
        profit=TokenAmount(each.waterfall.expected_profit),
        reserves={
            at.pair: (hop.reserve_in, hop.reserve_out)
            if at.zero_for_one
            else (hop.reserve_out, hop.reserve_in)
            for at, hop in zip(plan.hops, each.hops, strict=True)
        },
    )


def disagreement(wanted: Wanted, simulated: Simulated) -> str:
    """Why the path's pools are distrusted: the same state gave another profit (I36)."""
    expected = wanted.evaluation.waterfall.expected_profit
    if not simulated.ok or simulated.profit == expected:
        return ""
    return (
        f"changed storage or fee: at block {wanted.evaluation.block.number} the path was "
        f"computed to earn {expected}, simulation says {simulated.profit}"
    )


def revert_words(simulated: Simulated) -> str:
    """Why it failed, for whoever asked; "" where it did not."""
    if simulated.ok or simulated.revert is None:
        return ""
    return f"{simulated.revert.name}: {simulated.revert.meaning}"


def proof_of(simulated: Simulated) -> Proof:
    """What a transaction keeps of its simulation."""
    return Proof(
        block_number=simulated.block_number,
        block_hash=simulated.block_hash,
        gas_limit=simulated.gas_limit,
    )


def cannot_pay(simulated: Simulated) -> bool:
    """Whether the executor's own coin was too little: then it is so for any other trade too."""
    return simulated.revert is not None and simulated.revert.meaning == CANNOT_PAY.meaning


def simulated_facts(simulated: Simulated) -> dict[str, Any]:
    """What an execution keeps of its simulation."""
    return {"simulated_profit": simulated.profit, "simulated_by": simulated.by}
