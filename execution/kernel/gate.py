"""Every reason not to act on an opportunity, in order, the first one wins; no clock, no I/O."""

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from arbsite.base.units import BPS_ONE, Bps, TokenAmount, Wei, mul_div_ceil
from prices.kernel.book import PoolBook
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Reason as EconomicReason


class GateReason(StrEnum):
    """The reasons that come after the economic ones, in order. ``paused`` stands beside
    ``not_armed``: one mode, one place in the order."""

    KILLED = "killed"
    NOT_ARMED = "not_armed"
    PAUSED = "paused"
    LIMIT = "limit"
    COOLDOWN = "cooldown"
    IN_FLIGHT = "in_flight"
    SIMULATION_FAILED = "simulation_failed"
    SUPERSEDED = "superseded"


Reason = EconomicReason | GateReason
_NO_WEI: Final = Wei(0)

# Say why nothing was sent, and leave the opportunity's verdict executable.
LEAVES_EXECUTABLE: Final = frozenset(GateReason) - {GateReason.SIMULATION_FAILED}


# Stand against whatever else might be acted on at that moment, not against one opportunity.
_AGAINST_ALL: Final = frozenset(
    {
        GateReason.KILLED,
        GateReason.NOT_ARMED,
        GateReason.PAUSED,
        GateReason.LIMIT,
        GateReason.COOLDOWN,
    }
)


class Mode(StrEnum):
    """What the operator last asked of automatic execution."""

    OFF = "off"
    ARMED = "armed"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """The operator's limits. ``max_position_wei``, ``max_executions_per_hour`` and
    ``max_consecutive_failures``: 0 asks nothing. Raises: ValueError for a minimum profit of zero or
    a negative figure."""

    auto_execute: bool
    min_profit_threshold_bps: Bps
    max_gas_price_wei: Wei | None
    cooldown_ms: int = 0
    max_position_wei: Wei = _NO_WEI
    max_executions_per_hour: int = 0
    max_consecutive_failures: int = 0

    def __post_init__(self) -> None:
        if self.min_profit_threshold_bps < 1:
            raise ValueError("minProfitThresholdBps is at least 1: a minimum of zero is refused")
        figures = (
            self.cooldown_ms,
            self.max_position_wei,
            self.max_executions_per_hour,
            self.max_consecutive_failures,
        )
        if min(figures) < 0:
            raise ValueError("cooldownMs and the limits must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """What stands between an opportunity and a transaction, at one moment.

    ``killed``: None where the switch could not be read, which counts as engaged. ``mode``
    likewise counts as off. Times in milliseconds of one clock, ``now_ms`` among them.
    ``pools_in_flight``: lower-case addresses of pools in unsettled executions; ``pools_taken``: in
    what was acted on at this same head, settled or not: no pool is used twice at one state.
    ``acted_on``: keys of opportunities acted on.
    ``head_hash``: the newest block; what was decided on another is superseded. ``denied``: the
    operator denied a token or pair of the path, which the evaluation may not know yet.
    """

    killed: bool | None
    mode: Mode | None
    config: GateConfig
    now_ms: int
    head_hash: str
    armed_until_ms: int | None = None
    executions_last_hour: int = 0
    consecutive_failures: int = 0
    last_execution_ms: int | None = None
    wallet_busy: bool = False
    pools_in_flight: Set[str] = field(default_factory=frozenset)
    pools_taken: Set[str] = field(default_factory=frozenset)
    acted_on: Set[str] = field(default_factory=frozenset)
    denied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An opportunity that is about to be acted on.

    ``key`` names chain, block, path and state: one key is acted on at most once. ``economic``: the
    reason that its own evaluation gave. ``net_profit``, ``borrow_amount``: raw units of the
    borrow token. ``position_wei``: what the loan is worth, rounded up, None without a route to the
    native coin. ``simulated``: None before a simulation, else whether it succeeded.
    """

    key: str
    economic: EconomicReason | None
    net_profit: int
    borrow_amount: TokenAmount
    gas_price_wei: Wei
    pools: frozenset[str]
    block_hash: str
    position_wei: Wei | None = None
    manual: bool = False
    simulated: bool | None = None


def candidate_key(*, chain_key: str, block_hash: str, identity: str) -> str:
    """What of an opportunity is acted on at most once: chain, block (so its state) and path."""
    return f"{chain_key}:{block_hash.lower()}:{identity}"


def candidate_from(
    evaluation: Evaluation,
    *,
    book: PoolBook,
    chain_key: str,
    manual: bool = False,
    simulated: bool | None = None,
) -> Candidate:
    """What the gates look at of an evaluation."""
    return Candidate(
        key=candidate_key(
            chain_key=chain_key, block_hash=evaluation.block.hash, identity=evaluation.identity
        ),
        economic=evaluation.reason,
        net_profit=evaluation.net_profit,
        borrow_amount=evaluation.borrow_amount,
        gas_price_wei=evaluation.gas_price_wei,
        pools=frozenset(book.pools[hop.pool].address for hop in evaluation.hops),
        block_hash=evaluation.block.hash,
        position_wei=_position_wei(evaluation),
        manual=manual,
        simulated=simulated,
    )


def _position_wei(evaluation: Evaluation) -> Wei | None:
    rate = evaluation.native_rate
    if rate is None:
        return None
    return Wei(mul_div_ceil(evaluation.borrow_amount, rate.den, rate.num))


def least_net(config: GateConfig, amount: TokenAmount) -> TokenAmount:
    """The least net profit for a loan under these limits, raw units, rounded up; at least one."""
    return TokenAmount(max(mul_div_ceil(amount, config.min_profit_threshold_bps, BPS_ONE), 1))


Gate = Callable[[GateState, Candidate], Reason | None]


def economics(_: GateState, candidate: Candidate) -> Reason | None:
    """The first economic reason, as it was evaluated."""
    return candidate.economic


def denied(state: GateState, _: Candidate) -> Reason | None:
    """A token or pair of the path was denied since the evaluation."""
    return EconomicReason.TOKEN_RISK if state.denied else None


def min_profit(state: GateState, candidate: Candidate) -> Reason | None:
    """Again: the minimum may have been raised since the evaluation."""
    least = least_net(state.config, candidate.borrow_amount)
    return EconomicReason.MIN_PROFIT if candidate.net_profit < least else None


def max_gas(state: GateState, candidate: Candidate) -> Reason | None:
    """Again: the ceiling may have been lowered since the evaluation."""
    ceiling = state.config.max_gas_price_wei
    passes = ceiling is not None and candidate.gas_price_wei > ceiling
    return EconomicReason.MAX_GAS if passes else None


def killed(state: GateState, _: Candidate) -> Reason | None:
    return None if state.killed is False else GateReason.KILLED


def armed(state: GateState, candidate: Candidate) -> Reason | None:
    """Automatic execution only while armed, not past its end, and asked to execute by itself."""
    if candidate.manual:
        return None
    if state.mode is Mode.PAUSED:
        return GateReason.PAUSED
    ended = state.armed_until_ms is not None and state.now_ms >= state.armed_until_ms
    if state.mode is not Mode.ARMED or ended or not state.config.auto_execute:
        return GateReason.NOT_ARMED
    return None


def limit(state: GateState, candidate: Candidate) -> Reason | None:
    """The size of the loan; and, of automatic execution, how many an hour and failures in a row."""
    most_wei = state.config.max_position_wei
    if most_wei and (candidate.position_wei is None or candidate.position_wei > most_wei):
        return GateReason.LIMIT
    if candidate.manual:
        return None
    for count, most in (
        (state.executions_last_hour, state.config.max_executions_per_hour),
        (state.consecutive_failures, state.config.max_consecutive_failures),
    ):
        if most and count >= most:
            return GateReason.LIMIT
    return None


def cooldown(state: GateState, candidate: Candidate) -> Reason | None:
    if candidate.manual or state.last_execution_ms is None:
        return None
    waited_ms = state.now_ms - state.last_execution_ms
    return GateReason.COOLDOWN if waited_ms < state.config.cooldown_ms else None


def in_flight(state: GateState, candidate: Candidate) -> Reason | None:
    """The executor is busy, a pool is in an unsettled execution, or this was acted on already."""
    busy = (
        state.wallet_busy
        or candidate.key in state.acted_on
        or not candidate.pools.isdisjoint(state.pools_in_flight)
    )
    return GateReason.IN_FLIGHT if busy else None


def simulation(_: GateState, candidate: Candidate) -> Reason | None:
    return GateReason.SIMULATION_FAILED if candidate.simulated is False else None


def superseded(state: GateState, candidate: Candidate) -> Reason | None:
    """A newer block, or a better opportunity through one of its pools at this one."""
    taken = not candidate.pools.isdisjoint(state.pools_taken)
    return GateReason.SUPERSEDED if taken or _is_of_the_past(state, candidate) else None


def _is_of_the_past(state: GateState, candidate: Candidate) -> bool:
    return candidate.block_hash.lower() != state.head_hash.lower()


GATES: Final[tuple[Gate, ...]] = (
    economics,
    denied,
    min_profit,
    max_gas,
    killed,
    armed,
    limit,
    cooldown,
    in_flight,
    simulation,
    superseded,
)


def first_reason(state: GateState, candidate: Candidate) -> Reason | None:
    """The first reason not to go on, or None. Before a simulation: whether to simulate.

    Manual executions skip ``not_armed``, ``paused``, ``cooldown`` and of ``limit`` the counts,
    nothing else.
    """
    for gate in GATES:
        if reason := gate(state, candidate):
            return reason
    return None


def stops_all(state: GateState, candidate: Candidate, reason: Reason) -> bool:
    """Whether a reason against one stands against every other opportunity of its block, too.

    Whoever goes on to a lesser one all the same may find the executor just free, and take it in
    the place of the best.
    """
    return (
        reason in _AGAINST_ALL
        or (reason is GateReason.IN_FLIGHT and state.wallet_busy)
        or (reason is GateReason.SUPERSEDED and _is_of_the_past(state, candidate))
    )


def reason_not_to_send(state: GateState, candidate: Candidate) -> Reason | None:
    """`first_reason` at the last moment: a missing simulation stands against it as a failed one."""
    reason = first_reason(state, candidate)
    unproven = candidate.simulated is None and reason in (None, GateReason.SUPERSEDED)
    return GateReason.SIMULATION_FAILED if unproven else reason
