"""What disarms Fast Mode by itself: its end, a breaker, a readiness check that fails (I21, I22)."""

import logging
from datetime import timedelta
from typing import Final

from django.utils import timezone

from arbsite.base import alerts
from arbsite.base.units import Wei
from contracts.models import Chain
from execution import adapters, fast_mode, limits, readiness, selectors
from execution.kernel.breakers import BreakerInputs, BreakerLimits, first_trip
from execution.kernel.limits import HOUR_MS, MINUTE_MS
from execution.models import FastMode, FastModeConfig

logger = logging.getLogger(__name__)
# Receipts that could not be looked at for so long say nothing any more; a restart is shorter.
INPUTS_MAX_AGE_MS: Final = 300_000


def breaker_limits(config: FastModeConfig, *, is_local: bool) -> BreakerLimits:
    """The limits of a chain's breakers, wei; the operator's, and what follows from them.

    A fall from the highest point may be twice an hour's loss, gas without success one.
    """
    held = limits.limits_of(config, is_local=is_local)
    hour_wei = int(held["maxLossPerHourWei"])
    return BreakerLimits(
        consecutive_reverts=int(held["maxConsecutiveFailures"]),
        loss_per_hour_wei=Wei(hour_wei),
        loss_per_day_wei=Wei(int(held["maxLossPerDayWei"])),
        drawdown_wei=Wei(2 * hour_wei),
        gas_without_success_wei=Wei(hour_wei),
        inputs_max_age_ms=INPUTS_MAX_AGE_MS,
    )


def mode_guard(*, chain: Chain, mode: FastMode, settled_at_ms: int | None) -> FastMode:
    """Disarm where the time is over or a breaker trips; the mode as it then is. Queries: 2.

    ``settled_at_ms``: when receipts were last looked at, Unix time; None for never. A pause does
    not stop the time.
    """
    now = timezone.now()
    if mode.state != "off" and mode.expires_at is not None and now >= mode.expires_at:
        lasted_ms = int((mode.expires_at - mode.counts_from).total_seconds() * 1000)
        return _disarm(chain, reason=f"armed for {_span(lasted_ms)}: arm it again", is_fault=False)
    if mode.state != "armed":
        return mode
    hour_wei, day_wei = selectors.net_of_hour_and_day(chain=chain)
    late = now - timedelta(milliseconds=INPUTS_MAX_AGE_MS)
    missing = selectors.unbooked(chain=chain, since=mode.counts_from, until=late)
    most = mode.config.max_consecutive_failures
    trip = first_trip(
        BreakerInputs(
            outcomes=None
            if missing
            else selectors.outcomes(chain=chain, since=mode.counts_from, most=most),
            hour_net_wei=hour_wei,
            day_net_wei=day_wei,
            read_at_ms=settled_at_ms,
        ),
        limits=breaker_limits(mode.config, is_local=chain.is_local),
        now_ms=int(now.timestamp() * 1000),
    )
    if trip is None:
        return mode
    return _disarm(chain, reason=f"{trip.breaker}: {trip.reason}")


def readiness_guard(*, chain: Chain, mode: FastMode, held: frozenset[str]) -> frozenset[str]:
    """Disarm when a readiness check fails, and say which.

    On a local chain only a check that held before counts, so that a stack may come up armed; and
    once every such check holds again, Fast Mode goes on by itself.

    ``held``: checks that held at an earlier look. Returns: those, and those that hold now.
    """
    if mode.state != "armed" and not mode.returns:
        return held
    checks = readiness.readiness(
        chain=chain, may_sign=adapters.may_sign(chain), signer_up=adapters.signer_up_quickly()
    )
    failing = [c for c in checks if not c.ok and (c.key in held or not chain.is_local)]
    if failing and mode.state == "armed":
        words = "; ".join(f"{check.key} ({check.detail})" for check in failing)
        _disarm(chain, reason=f"not ready: {words}", returns=chain.is_local)
    elif not failing and mode.returns:
        fast_mode.fast_mode_return(chain=chain)
        alerts.alert_resolve(key=_key(chain))
        logger.info("fast mode armed again", extra={"chain": chain.key})
    return held | {check.key for check in checks if check.ok}


def _disarm(chain: Chain, *, reason: str, is_fault: bool = True, returns: bool = False) -> FastMode:
    mode = fast_mode.fast_mode_disarm(chain=chain, reason=reason, returns=returns)
    logger.error("fast mode disarmed", extra={"chain": chain.key, "reason": reason})
    alerts.alert_raise(
        key=_key(chain),
        title=f"Fast Mode of {chain.key} went off by itself",
        detail=reason,
        fix="It goes on by itself when every check holds again."
        if returns
        else "Read why, then arm it again under Fast Mode.",
        severity="critical" if is_fault and not returns else "warning",
    )
    return mode


def _key(chain: Chain) -> str:
    return f"disarmed:{chain.key}"


def _span(ms: int) -> str:
    if ms % HOUR_MS == 0:
        hours = ms // HOUR_MS
        return f"{hours} hour{'s' if hours != 1 else ''}"
    minutes = -(-ms // MINUTE_MS)
    return f"{minutes} minute{'s' if minutes != 1 else ''}"
