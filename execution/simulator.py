"""Simulates exactly what would be sent, at the state it would meet, through a node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from arbsite.base.errors import Rejected, Retryable
from arbsite.base.units import BlockNumber, Gas, TokenAmount, Wei, mul_div_ceil
from contracts.kernel.abi import decode_uint
from contracts.kernel.events import decode_head
from contracts.kernel.jsonrpc import Json, RpcError, call_object, hex_bytes, hex_int
from execution.blocks import PinnedBlock, RecentBlocks
from execution.kernel.plan import SELECTOR, Plan, decode_execute, encode_execute
from execution.kernel.revert_words import ERRORS
from execution.reverts import Explained, explain_error, explain_refusal, revert_data

GAS_MARGIN_NUM: Final = 5
GAS_MARGIN_DEN: Final = 4
# A pair that never saw a new second writes two fresh slots at its first swap in one; a node that
# cannot be asked about the next block leaves them out of its estimate.
UNSEEN_SLOTS_GAS: Final = Gas(2 * 22_100)
# What is asked with while no limit is known, several times what any plan uses. Without one a node
# takes its own, of up to a whole block, and refuses whom it thinks too poor to pay for that.
AMPLE_GAS: Final = Gas(3_000_000)

_INVALID_PARAMS: Final = -32602
_STATE_GONE: Final = (
    "not found",
    "unknown block",
    "not currently canonical",
    "outofrange",
    "out of range",
    "missing trie node",
    "not available",
    "pruned",
)


class StateGone(Retryable):
    """The node does not have the pinned block, or has it no more on its chain."""

    def __init__(self, block_hash: str, *, why: str) -> None:
        self.block_hash = block_hash
        self.why = why
        super().__init__(
            f"block {block_hash} cannot be simulated on: {why}; decide on a newer block"
        )


class SimulationFailed(Rejected):
    """What would have been sent fails. It is not sent."""

    def __init__(self, explained: Explained) -> None:
        self.explained = explained
        super().__init__(f"simulation failed: {explained} {explained.next_action}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was computed of a plan at its block, for whoever simulates without asking the chain.

    ``profit``: before gas, raw units. ``reserves``: of each pair of the plan, by its address in
    lower case, in the pair's own order.
    """

    profit: TokenAmount
    reserves: Mapping[str, tuple[TokenAmount, TokenAmount]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The outcome on one block.

    ``profit``: what ``execute`` returned, raw units; None for other calls and failures.
    ``gas_estimate``: as the node estimates, 0 where it was not asked or could not.
    ``gas_limit``: what was simulated with and is to be signed, never 0 where ``ok``.
    ``revert``: why not, else None. ``by``: ``node``, or ``evm`` for the one in this process.
    """

    ok: bool
    profit: TokenAmount | None
    gas_estimate: Gas
    gas_limit: Gas
    revert: Explained | None
    block_number: BlockNumber
    block_hash: str
    by: str = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlan:
    """A plan that just succeeded in simulation: the only kind that is handed on to be sent."""

    plan: Plan
    sender: str
    to: str
    data: bytes
    value_wei: Wei
    gas_price_wei: Wei
    profit: TokenAmount
    outcome: Simulated


class Simulates(Protocol):
    """Anything that says what a transaction would do: a node, or an EVM in process.

    ``gas``: the limit it would be signed with; None where it is to be estimated. ``expected``:
    what was computed, where it was.
    Raises: StateGone, RpcUnavailable.
    """

    def simulate(
        self,
        *,
        sender: str,
        to: str,
        data: bytes,
        value_wei: Wei,
        gas_price_wei: Wei,
        block_hash: str,
        gas: Gas | None = None,
        expected: Expected | None = None,
    ) -> Simulated: ...


class Rpc(Protocol):
    """What is asked of a node."""

    def batch(
        self,
        calls: Sequence[tuple[str, Sequence[object]]],
        *,
        timeout_s: float | None = None,
    ) -> list[Json]: ...


class Simulator:
    """Asks a node: ``eth_call`` at the pinned block's hash, in one batch with ``eth_estimateGas``
    where the gas limit is not known yet.

    ``next_block``: simulate as in the block that follows, one second later, so that bounds are
    held against the block that could include it and gas covers the pairs' price slots. False on
    Arbitrum, where a call's block number is the L1's. A node that refuses the two overrides is
    asked without them from then on, and gas limits allow for those slots. Thread-safe.
    """

    def __init__(self, rpc: Rpc, *, next_block: bool = True, timeout_s: float = 2.0) -> None:
        self._rpc = rpc
        self._next_block = next_block
        self._timeout_s = timeout_s
        self.blocks = RecentBlocks()

    def note_block(
        self, *, number: BlockNumber, block_hash: str, timestamp_s: int, parent_hash: str = ""
    ) -> PinnedBlock:
        """Tell of a header that is known anyway, so that the node need not be asked for it."""
        block = PinnedBlock(number=number, hash=block_hash, timestamp_s=timestamp_s)
        self.blocks.note(block, parent_hash=parent_hash)
        return block

    def simulate(
        self,
        *,
        sender: str,
        to: str,
        data: bytes,
        value_wei: Wei,
        gas_price_wei: Wei,
        block_hash: str,
        gas: Gas | None = None,
        expected: Expected | None = None,
    ) -> Simulated:
        """What the transaction would do on that block.

        ``gas``: the limit it would be signed with; one call then tells. None: 1.25 times the
        estimate, rounded up, and the call is simulated once more with that. Of calldata of
        ``execute`` a profit is expected; any other call only has to succeed. ``expected``: not
        looked at, the chain is asked.
        Raises: StateGone where the node does not have the block; RpcUnavailable; RpcError where
            it answers with something that is no answer.
        """
        block = self.block_of(block_hash)
        unlimited = call_object(
            to=to, data=data, sender=sender, value=value_wei, gas_price=gas_price_wei
        )
        estimated: Json = "0x0"
        if gas is None:
            ample = unlimited | {"gas": hex(AMPLE_GAS)}
            called, estimated = self._ask(
                [("eth_call", ample), ("eth_estimateGas", ample)], block=block
            )
        else:
            (called,) = self._ask([("eth_call", unlimited | {"gas": hex(gas)})], block=block)
        estimate = Gas(0 if isinstance(estimated, RpcError) else hex_int(estimated))
        limit = Gas(gas or 0)
        if estimate and not isinstance(called, RpcError):
            limit = self._limit(estimate, data=data)
            (called,) = self._ask([("eth_call", unlimited | {"gas": hex(limit)})], block=block)
        failure = next((each for each in (called, estimated) if isinstance(each, RpcError)), None)
        revert = None if failure is None else explain_error(failure)
        profit = None
        if revert is None and not limit:
            revert = explain_refusal("it gave no gas estimate")
        if revert is None and data[:4] == SELECTOR:
            profit, revert = profit_returned(hex_bytes(called))
        return Simulated(
            ok=revert is None,
            profit=profit,
            gas_estimate=estimate,
            gas_limit=limit,
            revert=revert,
            block_number=block.number,
            block_hash=block.hash,
        )

    def close(self) -> None:
        """Nothing runs beside."""

    def make_way(self) -> None:
        """Nothing runs beside."""

    def go_on(self) -> None:
        """Nothing runs beside."""

    def rehearse(
        self, *, sender: str, to: str, data: bytes, block_hash: str, expected: Expected
    ) -> None:
        """A node has nothing to learn."""

    def block_of(self, block_hash: str) -> PinnedBlock:
        """The block of that hash, asked of the node where nobody told. Raises: StateGone."""
        known = self.blocks.get(block_hash)
        if known is not None:
            return known
        (answer,) = self._rpc.batch(
            [("eth_getBlockByHash", [block_hash, False])], timeout_s=self._timeout_s
        )
        if isinstance(answer, RpcError):
            raise StateGone(block_hash, why=answer.message)
        if answer is None:
            raise StateGone(block_hash, why="the node does not know it")
        head = decode_head(answer)
        return self.note_block(
            number=head.number, block_hash=block_hash, timestamp_s=head.timestamp_s
        )

    def _ask(
        self, calls: Sequence[tuple[str, dict[str, str]]], *, block: PinnedBlock
    ) -> list[Json]:
        """Each call's answer or its RpcError. Raises: StateGone."""
        answers = self._batch(calls, block=block)
        if self._next_block and any(_refuses_overrides(answer) for answer in answers):
            self._next_block = False
            answers = self._batch(calls, block=block)
        for answer in answers:
            if isinstance(answer, RpcError) and _is_state_gone(answer):
                raise StateGone(block.hash, why=answer.message)
        return answers

    def _batch(
        self, calls: Sequence[tuple[str, dict[str, str]]], *, block: PinnedBlock
    ) -> list[Json]:
        tail: list[object] = [{"blockHash": block.hash, "requireCanonical": True}]
        if self._next_block:
            tail += [{}, {"number": hex(block.number + 1), "time": hex(block.timestamp_s + 1)}]
        return self._rpc.batch(
            [(method, [request, *tail]) for method, request in calls], timeout_s=self._timeout_s
        )

    def _limit(self, estimate: Gas, *, data: bytes) -> Gas:
        limit = mul_div_ceil(estimate, GAS_MARGIN_NUM, GAS_MARGIN_DEN)
        if not self._next_block and data[:4] == SELECTOR:
            limit += UNSEEN_SLOTS_GAS * len(decode_execute(data).hops)
        return Gas(limit)


def simulate_plan(
    simulator: Simulates,
    *,
    plan: Plan,
    sender: str,
    receiver: str,
    tip_wei: Wei,
    gas_price_wei: Wei,
    block_hash: str,
    gas: Gas | None = None,
) -> SimulatedPlan:
    """The plan with the proof that it succeeds on that block.

    Raises: SimulationFailed, StateGone, RpcUnavailable.
    """
    data = encode_execute(plan)
    outcome = simulator.simulate(
        sender=sender,
        to=receiver,
        data=data,
        value_wei=tip_wei,
        gas_price_wei=gas_price_wei,
        block_hash=block_hash,
        gas=gas,
    )
    if outcome.revert is not None:
        raise SimulationFailed(outcome.revert)
    if not outcome.ok or outcome.profit is None or not outcome.gas_limit:
        raise SimulationFailed(explain_refusal("the simulation is not complete"))
    if outcome.profit < plan.min_profit:
        words = ERRORS["ProfitTooLow"]
        raise SimulationFailed(
            Explained(
                name="ProfitTooLow",
                values={"got": str(outcome.profit), "wanted": str(plan.min_profit)},
                meaning=words.meaning,
                next_action=words.next_action,
            )
        )
    return SimulatedPlan(
        plan=plan,
        sender=sender,
        to=receiver,
        data=data,
        value_wei=tip_wei,
        gas_price_wei=gas_price_wei,
        profit=outcome.profit,
        outcome=outcome,
    )


def profit_returned(answer: bytes) -> tuple[TokenAmount | None, Explained | None]:
    """What ``execute`` returned, or why that is no profit."""
    if len(answer) != 32:
        words = ERRORS["NoCode"]
        return None, Explained(
            name="no profit returned",
            values={"bytes": str(len(answer))},
            meaning="There is no receiver of ours at this address.",
            next_action=words.next_action,
        )
    return TokenAmount(decode_uint(answer)), None


def _refuses_overrides(answer: Json) -> bool:
    return isinstance(answer, RpcError) and (
        answer.code == _INVALID_PARAMS or "too many arguments" in answer.message.lower()
    )


def _is_state_gone(error: RpcError) -> bool:
    text = error.message.lower()
    return (
        not revert_data(error)
        and "method" not in text
        and any(part in text for part in _STATE_GONE)
    )
