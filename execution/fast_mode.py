"""Arming, pausing and disarming automatic execution: one row a chain, each move with its reason."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.models import User
from arbsite.base.problems import Conflict
from arbsite.base.units import Bps, Wei
from contracts.models import Chain
from execution import limits, push
from execution.kernel.gate import GateConfig
from execution.kernel.limits import LIMITS
from execution.models import FastMode, FastModeConfig

REASON_MAX: Final = 200
BACK: Final = "every check holds again"


def _is_on(mode: FastMode) -> bool:
    return mode.state != "off"


def _waits_to_return(mode: FastMode) -> bool:
    return mode.returns


def fast_mode_ensure(*, chain: Chain) -> FastMode:
    """The chain's mode; made at the first start: armed on a local chain, off elsewhere."""
    found = FastMode.objects.select_related("config", "chain").filter(chain=chain).first()
    if found is not None:
        return found
    with transaction.atomic():
        config = FastModeConfig.objects.create(
            chain=chain, version=1, created_by="system", **limits.first_limits(chain)
        )
        mode = FastMode.objects.create(
            chain=chain,
            state="armed" if chain.is_local else "off",
            config=config,
            reason="first start on a local chain" if chain.is_local else "not armed yet",
            changed_by="system",
            armed_at=timezone.now() if chain.is_local else None,
        )
        audit.record(verb="fast_mode_first", target=chain.key, after={"state": mode.state})
    return mode


def fast_mode_at_start(*, chain: Chain) -> FastMode:
    """What an engine finds when it starts: off on every chain that is not local (I21)."""
    mode = fast_mode_ensure(chain=chain)
    if not chain.is_local and mode.state != "off":
        _change(chain=chain, state="off", reason="the engine started", by=None, request=None)
        mode.refresh_from_db()
    return mode


def fast_mode_set(
    *,
    chain: Chain,
    state: str,
    reason: str,
    by: User | None = None,
    request: HttpRequest | None = None,
    failing: list[dict[str, Any]] | None = None,
) -> FastMode:
    """Move to ``off``, ``armed`` or ``paused``. Arming needs every readiness check to hold.

    Raises: Conflict with the failing checks.
    """
    if state == "armed":
        _refuse_unready(failing)
    fast_mode_ensure(chain=chain)
    return _change(chain=chain, state=state, reason=reason, by=by, request=request)


def fast_mode_pause(
    *, chain: Chain, reason: str, by: User | None = None, request: HttpRequest | None = None
) -> FastMode:
    """No new automatic executions; the arming stands, and its end comes no later.

    Raises: Conflict where it is off.
    """
    mode = fast_mode_ensure(chain=chain)
    if mode.state == "paused":
        return mode
    if mode.state != "armed" and not mode.returns:
        raise Conflict("Fast Mode is off: there is nothing to pause.")
    return _change(chain=chain, state="paused", reason=reason, by=by, request=request)


def fast_mode_resume(
    *,
    chain: Chain,
    by: User | None = None,
    request: HttpRequest | None = None,
    failing: list[dict[str, Any]] | None = None,
) -> FastMode:
    """Go on with the arming that was paused: its end and its counts are the same.

    Raises: Conflict where it is off, where its end has come, and with the failing checks.
    """
    mode = fast_mode_ensure(chain=chain)
    if mode.state == "armed":
        return mode
    if mode.state != "paused":
        raise Conflict("Fast Mode is off: arm it instead.")
    if mode.expires_at is not None and timezone.now() >= mode.expires_at:
        raise Conflict("The arming that was paused has ended meanwhile: arm it anew.")
    _refuse_unready(failing)
    return _change(
        chain=chain, state="armed", reason="resumed by hand", by=by, request=request, anew=False
    )


def fast_mode_disarm(*, chain: Chain, reason: str, returns: bool = False) -> FastMode:
    """Off, by itself, unless somebody switched it off before.

    ``returns``: it goes on with the same arming when what failed holds again.
    """
    return _change(
        chain=chain, state="off", reason=reason, by=None, request=None, returns=returns, was=_is_on
    )


def fast_mode_return(*, chain: Chain) -> FastMode:
    """Go on with the arming that a check ended on a local chain, unless somebody had his say."""
    return _change(
        chain=chain,
        state="armed",
        reason=BACK,
        by=None,
        request=None,
        anew=False,
        was=_waits_to_return,
    )


def _refuse_unready(failing: list[dict[str, Any]] | None) -> None:
    if failing:
        named = ", ".join(check["key"] for check in failing)
        raise Conflict(f"Fast Mode is not ready: {named}.", checks=failing)


def _change(
    *,
    chain: Chain,
    state: str,
    reason: str,
    by: User | None,
    request: HttpRequest | None,
    anew: bool = True,
    returns: bool = False,
    was: Callable[[FastMode], bool] | None = None,
) -> FastMode:
    """``anew``: an arming begins now, and is not the one that was interrupted.

    ``was``: nothing is done where the locked row is not so any more.
    """
    with transaction.atomic():
        mode = (
            FastMode.objects.select_for_update(of=("self",))
            .select_related("config")
            .get(chain=chain)
        )
        if was is not None and not was(mode):
            return mode
        before = {"state": mode.state, "reason": mode.reason}
        now = timezone.now()
        armed_at = now if state == "armed" and anew else mode.armed_at
        FastMode.objects.filter(pk=mode.pk).update(
            state=state,
            reason=reason[:REASON_MAX],
            since=now,
            changed_by=by.get_username() if by else "system",
            armed_at=armed_at,
            expires_at=_end(mode, armed_at, is_local=chain.is_local)
            if state in ("armed", "paused")
            else None,
            returns=returns,
        )
        audit.record(
            verb=f"fast_mode_{state}",
            target=chain.key,
            actor=by,
            via="api" if request else "system",
            request=request,
            before=before,
            after={"state": state, "reason": reason},
        )
        transaction.on_commit(lambda: push.mode_changed(chain.key), robust=True)
    return FastMode.objects.select_related("config", "chain").get(pk=mode.pk)


def _end(mode: FastMode, armed_at: datetime | None, *, is_local: bool) -> datetime | None:
    held = limits.limits_of(mode.config, is_local=is_local)
    return limits.expires_at(armed_at, expiry_ms=int(held["expiryMs"]))


def gate_config(config: FastModeConfig) -> GateConfig:
    """The limits as the gate takes them."""
    return GateConfig(
        auto_execute=config.auto_execute,
        min_profit_threshold_bps=Bps(config.min_profit_threshold_bps),
        max_gas_price_wei=Wei(config.max_gas_price_wei),
        cooldown_ms=config.cooldown_ms,
        max_position_wei=Wei(config.max_position_wei),
        max_executions_per_hour=config.max_executions_per_hour,
        max_consecutive_failures=config.max_consecutive_failures,
    )


def config_shown(config: FastModeConfig, *, state: str, is_local: bool) -> dict[str, Any]:
    """The limits in the contract's words."""
    held = limits.limits_of(config, is_local=is_local)
    return {
        "enabled": state == "armed",
        **{each.name: limits.shown(each.name, held[each.name]) for each in LIMITS},
        "version": config.version,
    }
