"""The versions of a chain's limits: made, compared, gone back to; a version is never edited."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError

from arbsite.base import audit
from arbsite.base.models import User
from arbsite.base.problems import Conflict
from arbsite.base.units import Wei, gwei
from contracts.models import Chain
from execution import push
from execution.executors import GAS_OF_ONE
from execution.kernel import limits
from execution.kernel.limits import LIMITS, LONGEST_MS, Value, Values
from execution.models import FastMode, FastModeConfig
from prices.render import iso

LOCAL_MIN_PROFIT_BPS: Final = 5
MIN_PROFIT_BPS: Final = 50
MAX_FAILURES: Final = 5
# A rival takes some races on the local market: a lost one must not end the demonstration.
LOCAL_MAX_FAILURES: Final = 20
# A first ceiling: this many times the chain's own floor, and no less than the second, since a
# base fee comes on top of floors that are next to nothing. The operator sets his.
GAS_CEILING: Final = 20
LEAST_CEILING_WEI: Final = gwei(1)
# A first limit on losses is what so many failed executions burn at the gas ceiling.
LOSSES_PER_HOUR: Final = 20
LOCAL_LOSSES_PER_HOUR: Final = 500  # its coins are free, and races are lost
HOURS_OF_LOSS_A_DAY: Final = 3


def first_limits(chain: Chain) -> dict[str, Any]:
    """The columns of a chain's first version."""
    ceiling_wei = max(chain.min_gas_price_wei * GAS_CEILING, LEAST_CEILING_WEI)
    hour_wei = loss_per_hour_wei(ceiling_wei, is_local=chain.is_local)
    return {
        "auto_execute": chain.is_local,
        "min_profit_threshold_bps": LOCAL_MIN_PROFIT_BPS if chain.is_local else MIN_PROFIT_BPS,
        "max_gas_price_wei": ceiling_wei,
        "max_consecutive_failures": LOCAL_MAX_FAILURES if chain.is_local else MAX_FAILURES,
        "max_loss_per_hour_wei": hour_wei,
        "max_loss_per_day_wei": HOURS_OF_LOSS_A_DAY * hour_wei,
        "expiry_ms": 0 if chain.is_local else LONGEST_MS,
    }


def loss_per_hour_wei(ceiling_wei: int, *, is_local: bool) -> Wei:
    """What may be lost within an hour where nobody said: so many failures at the gas ceiling."""
    losses = LOCAL_LOSSES_PER_HOUR if is_local else LOSSES_PER_HOUR
    return Wei(losses * GAS_OF_ONE * int(ceiling_wei))


def limits_of(config: FastModeConfig, *, is_local: bool) -> dict[str, Value]:
    """Every limit by its name, as it holds: what an old version does not say is derived."""
    found = {each.name: getattr(config, each.column) for each in LIMITS}
    if found["maxLossPerHourWei"] is None:
        found["maxLossPerHourWei"] = loss_per_hour_wei(config.max_gas_price_wei, is_local=is_local)
    if found["maxLossPerDayWei"] is None:
        found["maxLossPerDayWei"] = HOURS_OF_LOSS_A_DAY * found["maxLossPerHourWei"]
    if found["expiryMs"] is None:
        found["expiryMs"] = 0 if is_local else LONGEST_MS
    return {name: value if isinstance(value, bool) else int(value) for name, value in found.items()}


def private_endpoints(chain: Chain) -> list[str]:
    """Names of the chain's endpoints that keep what they are given to themselves."""
    return [str(relay.get("name") or relay.get("kind")) for relay in chain.relays]


def limits_check(chain: Chain, values: Values) -> None:
    """Raises: ValidationError naming each limit that cannot hold on this chain."""
    wrong: dict[str, list[str]] = {}
    for each in LIMITS:
        value = values[each.name]
        if not each.is_switch and not each.least <= value <= each.most:
            wrong[each.name] = [f"Must be from {each.least} to {each.most}."]
    if problem := limits.expiry_problem(int(values["expiryMs"]), is_local=chain.is_local):
        wrong["expiryMs"] = [problem]
    if values["usePrivateMempool"] and not private_endpoints(chain):
        wrong["usePrivateMempool"] = [
            f"{chain.name} has no private endpoint: add one under `relays` in its market file."
        ]
    if wrong:
        raise ValidationError(wrong)


def limits_change(
    *,
    mode: FastMode,
    changes: Values,
    by: User | None = None,
    request: HttpRequest | None = None,
    base_version: int | None = None,
) -> FastModeConfig:
    """A new version with these limits changed; the present one where nothing differs.

    ``base_version``: the version that whoever changes it looked at.
    Raises: Conflict when another version holds by now; ValidationError.
    """
    with transaction.atomic():
        held = _held(mode.chain, base_version=base_version)
        before = limits_of(held.config, is_local=mode.chain.is_local)
        after = {**before, **changes}
        limits_check(mode.chain, after)
        if before == after:
            return held.config
        return _hold(held, before=before, after=after, verb="fast_mode_limits", by=by, via=request)


def limits_rollback(
    *,
    mode: FastMode,
    version: int,
    by: User | None = None,
    request: HttpRequest | None = None,
) -> FastModeConfig:
    """A new version that repeats an old one's limits. Raises: NotFound, ValidationError."""
    with transaction.atomic():
        held = _held(mode.chain)
        old = version_of(mode.chain, version)
        before = limits_of(held.config, is_local=mode.chain.is_local)
        after = limits_of(old, is_local=mode.chain.is_local)
        limits_check(mode.chain, after)
        if before == after:
            return held.config
        return _hold(
            held,
            before=before,
            after=after,
            verb="fast_mode_rollback",
            by=by,
            via=request,
            repeats=version,
        )


def version_of(chain: Chain, version: int) -> FastModeConfig:
    """One version. Raises: NotFound."""
    found = FastModeConfig.objects.filter(chain=chain, version=version).first()
    if found is None:
        raise NotFound(f"{chain.name} has no version {version} of its limits.")
    return found


def _held(chain: Chain, *, base_version: int | None = None) -> FastMode:
    held = (
        FastMode.objects.select_for_update(of=("self",))
        .select_related("config", "chain")
        .get(chain=chain)
    )
    if base_version is not None and base_version != held.config.version:
        raise Conflict(
            f"Version {held.config.version} holds by now, saved by {held.config.created_by}: "
            "load the page again and look at it first.",
            version=held.config.version,
        )
    return held


def _hold(
    held: FastMode,
    *,
    before: Mapping[str, Value],
    after: Mapping[str, Value],
    verb: str,
    by: User | None,
    via: HttpRequest | None,
    repeats: int | None = None,
) -> FastModeConfig:
    """Store the next version and let it hold, with what follows for the end of an arming."""
    newest = FastModeConfig.objects.filter(chain=held.chain).order_by("-version").first()
    config = FastModeConfig.objects.create(
        chain=held.chain,
        version=(newest.version if newest else 0) + 1,
        repeats=repeats,
        created_by=by.get_username() if by else "system",
        **{each.column: after[each.name] for each in LIMITS},
    )
    FastMode.objects.filter(pk=held.pk).update(
        config=config,
        expires_at=expires_at(held.armed_at, expiry_ms=int(after["expiryMs"]))
        if held.state in ("armed", "paused")
        else None,
    )
    names = limits.changed(before, after)
    audit.record(
        verb=verb,
        target=held.chain_id,
        actor=by,
        via="api" if via else "system",
        request=via,
        before={"version": held.config.version, **{n: shown(n, before[n]) for n in names}},
        after={"version": config.version, **{n: shown(n, after[n]) for n in names}},
    )
    transaction.on_commit(lambda: push.mode_changed(held.chain_id), robust=True)
    return config


def expires_at(armed_at: datetime | None, *, expiry_ms: int) -> datetime | None:
    """When an arming ends; None for never."""
    if not expiry_ms:
        return None
    return (armed_at or timezone.now()) + timedelta(milliseconds=expiry_ms)


def shown(name: str, value: Value) -> Any:
    """A limit as it travels: wei and gwei as text, the rest as it is."""
    if name == "maxGasGwei":
        return gwei_text(int(value))
    return str(value) if name.endswith("Wei") else value


def gwei_text(wei: int) -> str:
    """Gwei with all digits and no trailing zeros."""
    whole, rest = divmod(wei, 10**9)
    fraction = f"{rest:09}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def differences(
    before: Mapping[str, Value], after: Mapping[str, Value]
) -> dict[str, dict[str, Any]]:
    """What differs, by name: ``{"before", "after"}`` as they travel."""
    return {
        name: {"before": shown(name, before[name]), "after": shown(name, after[name])}
        for name in limits.changed(before, after)
    }


def versions_shown(chain: Chain, page: Sequence[FastModeConfig]) -> list[dict[str, Any]]:
    """Versions in the contract's words, each with what it changed. Two queries."""
    held = FastMode.objects.filter(chain=chain).values_list("config__version", flat=True).first()
    below = FastModeConfig.objects.filter(
        chain=chain, version__in=[row.version - 1 for row in page]
    )
    earlier = {row.version: row for row in below}

    def values(row: FastModeConfig) -> dict[str, Value]:
        return limits_of(row, is_local=chain.is_local)

    return [
        {
            "id": row.pk,
            "version": row.version,
            "holds": row.version == held,
            "config": {name: shown(name, value) for name, value in values(row).items()},
            "changes": differences(values(earlier[row.version - 1]), values(row))
            if row.version - 1 in earlier
            else {},
            "repeats": row.repeats,
            "by": row.created_by,
            "createdAt": iso(row.created_at),
        }
        for row in page
    ]
