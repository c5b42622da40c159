"""When automatic execution stops by itself: losses, reverts, burnt gas, or not knowing; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.units import Wei


class Breaker(StrEnum):
    """In the order in which they are looked at."""

    INPUTS = "inputs"
    CONSECUTIVE_REVERTS = "consecutive_reverts"
    LOSS_PER_HOUR = "loss_per_hour"
    LOSS_PER_DAY = "loss_per_day"
    DRAWDOWN = "drawdown"
    GAS_WITHOUT_SUCCESS = "gas_without_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One of automation's own executions that has ended; never one that a person ordered. Wei;
    ``net_profit_wei`` may be negative, and is 0 of what was never mined. ``failed``: reverted,
    cancelled or never mined."""

    at_ms: int
    failed: bool
    net_profit_wei: Wei
    gas_cost_wei: Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerLimits:
    """0 switches a breaker off, but for the age of what they look at, which always counts.

    ``gas_without_success_wei``: burnt by what failed since the last execution that succeeded.
    ``drawdown_wei``: fall of the running total from its highest point.
    """

    consecutive_reverts: int
    loss_per_hour_wei: Wei
    loss_per_day_wei: Wei
    drawdown_wei: Wei
    gas_without_success_wei: Wei
    inputs_max_age_ms: int

    def __post_init__(self) -> None:
        figures = (
            self.consecutive_reverts,
            self.loss_per_hour_wei,
            self.loss_per_day_wei,
            self.drawdown_wei,
            self.gas_without_success_wei,
        )
        if min(figures) < 0 or self.inputs_max_age_ms < 1:
            raise ValueError(
                "the limits of breakers must not be negative, nor their age below 1 ms"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerInputs:
    """What the breakers look at: outcomes since arming, oldest first, and when they were read.

    ``hour_net_wei``, ``day_net_wei``: what it brought in the last hour and day, whenever it was
    armed: arming anew forgives no loss. None stands for what could not be read. Times in
    milliseconds of one clock.
    """

    outcomes: Sequence[Outcome] | None
    hour_net_wei: Wei | None
    day_net_wei: Wei | None
    read_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """Why a breaker stops automatic execution; ``figure`` reached ``limit`` (wei or a count)."""

    breaker: Breaker
    figure: int
    limit: int
    reason: str


def first_trip(inputs: BreakerInputs, *, limits: BreakerLimits, now_ms: int) -> Trip | None:
    """The first breaker that trips, or None. A breaker that cannot see trips."""
    outcomes, read_at_ms = inputs.outcomes, inputs.read_at_ms
    hour_net_wei, day_net_wei = inputs.hour_net_wei, inputs.day_net_wei
    if outcomes is None or read_at_ms is None or hour_net_wei is None or day_net_wei is None:
        return Trip(
            breaker=Breaker.INPUTS,
            figure=0,
            limit=limits.inputs_max_age_ms,
            reason="the outcomes of executions could not be read or booked: "
            "look at the alerts, then arm",
        )
    age_ms = now_ms - read_at_ms
    if not 0 <= age_ms <= limits.inputs_max_age_ms:
        return Trip(
            breaker=Breaker.INPUTS,
            figure=age_ms,
            limit=limits.inputs_max_age_ms,
            reason=f"the outcomes of executions are {age_ms} ms old, "
            f"more than {limits.inputs_max_age_ms}: look at receipts and clock, then arm",
        )
    for breaker, limit, figure, words in (
        (Breaker.CONSECUTIVE_REVERTS, limits.consecutive_reverts, _reverts(outcomes), _REVERTS),
        (Breaker.LOSS_PER_HOUR, limits.loss_per_hour_wei, -hour_net_wei, _HOUR),
        (Breaker.LOSS_PER_DAY, limits.loss_per_day_wei, -day_net_wei, _DAY),
        (Breaker.DRAWDOWN, limits.drawdown_wei, _drawdown(outcomes), _DRAWDOWN),
        (Breaker.GAS_WITHOUT_SUCCESS, limits.gas_without_success_wei, _burnt(outcomes), _BURNT),
    ):
        if limit and figure >= limit:
            reason = words.format(figure=figure, limit=limit)
            return Trip(breaker=breaker, figure=figure, limit=limit, reason=reason)
    return None


_REVERTS: Final = "{figure} executions in a row failed, the limit is {limit}: read why, then arm"
_HOUR: Final = "{figure} wei lost within an hour, the limit is {limit}: read why, then arm"
_DAY: Final = "{figure} wei lost within a day, the limit is {limit}: read why, then arm"
_DRAWDOWN: Final = "{figure} wei below the highest point, the limit is {limit}: read why, then arm"
_BURNT: Final = "{figure} wei of gas without a success, the limit is {limit}: read why, then arm"


def _reverts(outcomes: Sequence[Outcome]) -> int:
    count = 0
    for outcome in reversed(outcomes):
        if not outcome.failed:
            break
        count += 1
    return count


def _drawdown(outcomes: Sequence[Outcome]) -> int:
    total = highest = deepest = 0
    for outcome in outcomes:
        total += outcome.net_profit_wei
        highest = max(highest, total)
        deepest = max(deepest, highest - total)
    return deepest


def _burnt(outcomes: Sequence[Outcome]) -> int:
    burnt = 0
    for outcome in reversed(outcomes):
        if not outcome.failed:
            break
        burnt += outcome.gas_cost_wei
    return burnt
