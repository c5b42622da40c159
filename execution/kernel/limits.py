"""The operator's limits of automatic execution: their names, bounds, and which way is looser; pure.

Values are exact: booleans, and integers in the unit that the name ends in (``maxGasGwei`` in wei).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.units import UINT256_MAX, WEI_PER_GWEI

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
# A tip of more would leave next to nothing of whatever passes the least profit.
MOST_TIP_BPS: Final = 9_000
# No arming outlives this where money is real (I21).
LONGEST_MS: Final = 12 * HOUR_MS

Value = bool | int
Values = Mapping[str, Value]


class Looser(StrEnum):
    """Which way a limit lets more happen. `MORE_OR_NONE`: 0 asks nothing, so it is the loosest."""

    MORE = "more"
    LESS = "less"
    MORE_OR_NONE = "more or none"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit. ``column``: of the stored version. ``least`` to ``most``: what is accepted."""

    name: str
    column: str
    looser: Looser
    least: int = 0
    most: int = 1

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off instead of a figure."""
        return self.looser in (Looser.ON, Looser.OFF)

    def loosens(self, before: Value, after: Value) -> bool:
        """Whether the change lets more happen than before."""
        if self.looser is Looser.MORE:
            return after > before
        if self.looser is Looser.LESS:
            return after < before
        if self.looser is Looser.MORE_OR_NONE:
            return (not after and bool(before)) or (bool(before) and after > before)
        return after is not before and after is (self.looser is Looser.ON)


LIMITS: Final[tuple[Limit, ...]] = (
    Limit(name="autoExecute", column="auto_execute", looser=Looser.ON),
    Limit(
        name="minProfitThresholdBps",
        column="min_profit_threshold_bps",
        looser=Looser.LESS,
        least=1,
        most=10_000,
    ),
    Limit(
        name="maxGasGwei",
        column="max_gas_price_wei",
        looser=Looser.MORE,
        least=1,
        most=100_000 * WEI_PER_GWEI,
    ),
    Limit(name="maxSlippageBps", column="max_slippage_bps", looser=Looser.MORE, most=5_000),
    Limit(name="usePrivateMempool", column="use_private_mempool", looser=Looser.OFF),
    Limit(name="tipShareBps", column="tip_share_bps", looser=Looser.MORE, most=MOST_TIP_BPS),
    Limit(name="cooldownMs", column="cooldown_ms", looser=Looser.LESS, most=24 * HOUR_MS),
    Limit(
        name="maxPositionWei",
        column="max_position_wei",
        looser=Looser.MORE_OR_NONE,
        most=UINT256_MAX,
    ),
    Limit(
        name="maxExecutionsPerHour",
        column="max_executions_per_hour",
        looser=Looser.MORE_OR_NONE,
        most=1_000_000,
    ),
    Limit(
        name="maxLossPerHourWei",
        column="max_loss_per_hour_wei",
        looser=Looser.MORE,
        least=1,
        most=UINT256_MAX,
    ),
    Limit(
        name="maxLossPerDayWei",
        column="max_loss_per_day_wei",
        looser=Looser.MORE,
        least=1,
        most=UINT256_MAX,
    ),
    Limit(
        name="maxConsecutiveFailures",
        column="max_consecutive_failures",
        looser=Looser.MORE,
        least=1,
        most=1_000,
    ),
    Limit(name="expiryMs", column="expiry_ms", looser=Looser.MORE_OR_NONE, most=LONGEST_MS),
)
BY_NAME: Final[Mapping[str, Limit]] = {limit.name: limit for limit in LIMITS}


def changed(before: Values, after: Values) -> list[str]:
    """Names of the limits that differ, in the order of `LIMITS`."""
    return [each.name for each in LIMITS if before[each.name] != after[each.name]]


def loosened(before: Values, after: Values) -> list[str]:
    """Names of the limits that let more happen than before, in the order of `LIMITS`."""
    return [each.name for each in LIMITS if each.loosens(before[each.name], after[each.name])]


def expiry_problem(expiry_ms: int, *, is_local: bool) -> str:
    """Why an arming may not last so long, or nothing. 0 is for ever, and for local chains only."""
    if expiry_ms == 0:
        return "" if is_local else "Only on a local chain may arming last for ever (0)."
    if expiry_ms < MINUTE_MS:
        return f"Arming lasts at least one minute: {MINUTE_MS}."
    return ""
