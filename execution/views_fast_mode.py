"""The Fast Mode page: state, readiness, limits and their versions, latency, what was executed."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from contracts.models import Chain
from execution import latency, limits, mode_status, readiness, selectors
from execution import render as words
from execution.kernel.limits import BY_NAME, MINUTE_MS, Looser, Value
from execution.models import FastMode, FastModeConfig
from prices import selectors as price_selectors
from wallets import listing

VERSIONS_SHOWN: Final = 20
LOG_SHOWN: Final = 100
OFFERS_SHOWN: Final = 20
# name -> words, unit, what it means. The order of the form.
FIELDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "autoExecute": (
        "Execute by itself", "",
        "Off: each opportunity that passes is offered with Confirm while its quote lives.",
    ),
    "minProfitThresholdBps": (
        "Least profit", "bps", "Net of all costs, as a share of the loan. Takes 50 or 0.5%.",
    ),
    "maxGasGwei": ("Gas price ceiling", "gwei", "Nothing is sent above it. Up to 9 decimals."),
    "maxSlippageBps": (
        "Slippage", "bps", "The contract reverts below the expected profit less this share.",
    ),
    "usePrivateMempool": (
        "Private endpoints only", "", "Never falls back to a public endpoint.",
    ),
    "tipShareBps": (
        "Tip to builders", "bps",
        "Of the net profit after all other costs; bundles to the listed recipient alone. 0: none.",
    ),
    "cooldownMs": ("Cool-down", "ms", "Waited after an execution before the next."),
    "maxPositionWei": ("Largest loan", "coin", "What one loan may be worth. 0: no limit."),
    "maxExecutionsPerHour": ("Executions an hour", "", "Of those without a person. 0: no limit."),
    "maxLossPerHourWei": (
        "Loss an hour", "coin", "Net loss of the last hour, without a person, that disarms it.",
    ),
    "maxLossPerDayWei": (
        "Loss a day", "coin", "Net loss of the last 24 hours, without a person, that disarms it.",
    ),
    "maxConsecutiveFailures": (
        "Failures in a row", "",
        "So many reverted, cancelled or missed one after another, without a person, disarm it.",
    ),
    "expiryMs": ("Armed for", "min", "Then it disarms. At most 720 where money is real."),
}  # fmt: skip


def fast_mode_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """The whole page."""
    found = Chain.objects.filter(key=chain).first()
    facts: dict[str, Any] = {"page": "fast_mode", "chain_row": found}
    if found is not None:
        facts |= _live_facts(found)
        facts |= {
            "fields": _fields(facts["mode"]["config"]),
            "versions": _versions(found),
            "log": _log(found),
            "windows": ((300, "5 min"), (900, "15 min"), (3600, "60 min")),
            "measured": latency.latency_shown(chain=found, window_s=latency.WINDOW_S),
        }
    return render(request, "execution/fast_mode.html", facts)


def fast_mode_live(request: HttpRequest, *, chain: str) -> HttpResponse:
    """The part that is asked for again when something happened."""
    found = Chain.objects.filter(key=chain).first()
    facts = _live_facts(found) if found else {}
    return render(request, "execution/fast_mode_live.html", {"chain_row": found, **facts})


def _live_facts(chain: Chain) -> dict[str, Any]:
    mode = mode_status.mode_status(chain)
    offered: list[dict[str, Any]] = []
    if mode["offering"]:
        offered = price_selectors.opportunities_current(
            chain=chain.key, executable=True, limit=OFFERS_SHOWN
        )
    stats = mode["stats"]
    return {
        "mode": mode,
        "checks": [{**c, "title": readiness.TITLES[c["key"]]} for c in mode["readiness"]],
        "failing": [readiness.TITLES[c["key"]] for c in mode["readiness"] if not c["ok"]],
        "offers": offered,
        "rejected": _by_count(stats["rejectedByReason"]),
        "refused": _by_count(stats["requestsRefused"]),
        "refused_count": sum(stats["requestsRefused"].values()),
        "drill": listing.drill_last(chain_key=chain.key),
        "expiry_min": mode["config"]["expiryMs"] // MINUTE_MS,
    }


def _by_count(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda one: -one[1])


def _fields(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The form: each limit with its value as a person types it."""
    return [
        {
            "name": name,
            "title": title,
            "unit": unit,
            "hint": hint,
            "switch": BY_NAME[name].is_switch,
            "none": BY_NAME[name].looser is Looser.MORE_OR_NONE,
            "raw": config[name],
            "shown": typed(name, config[name]),
        }
        for name, (title, unit, hint) in FIELDS.items()
    ]


def typed(name: str, value: Any) -> Any:
    """A limit as the form has it: coins instead of wei, minutes instead of milliseconds."""
    if name.endswith("Wei"):
        whole, rest = divmod(int(value), 10**18)
        part = f"{rest:018}".rstrip("0")
        return f"{whole}.{part}" if part else str(whole)
    if name == "expiryMs":
        minutes, rest = divmod(int(value), MINUTE_MS)
        return f"{int(value) / MINUTE_MS:g}" if rest else str(minutes)
    return value


def _versions(chain: Chain) -> list[dict[str, Any]]:
    page = list(FastModeConfig.objects.filter(chain=chain)[:VERSIONS_SHOWN])
    shown = limits.versions_shown(chain, page)
    held = FastMode.objects.select_related("config").get(chain=chain).config
    holds = limits.limits_of(held, is_local=chain.is_local)
    for row, config in zip(shown, page, strict=True):
        values = limits.limits_of(config, is_local=chain.is_local)
        row["changed"] = _changes(row["changes"])
        row["back"] = _changes(limits.differences(holds, values))
        row["loosens"] = _any_looser(holds, values)
    return shown


def _any_looser(before: Mapping[str, Value], after: Mapping[str, Value]) -> bool:
    return any(each.loosens(before[each.name], after[each.name]) for each in BY_NAME.values())


def _changes(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Differences in the form's words."""
    return [
        {
            "title": FIELDS[name][0],
            "unit": FIELDS[name][1],
            "before": spoken(name, one["before"]),
            "after": spoken(name, one["after"]),
        }
        for name, one in found.items()
    ]


def spoken(name: str, value: Any) -> Any:
    """A limit as a sentence has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if BY_NAME[name].looser is Looser.MORE_OR_NONE and int(value) == 0:
        return "no limit"
    return typed(name, value)


def _log(chain: Chain) -> list[dict[str, Any]]:
    rows = selectors.executions().filter(chain=chain, kind="arbitrage")[:LOG_SHOWN]
    return [words.execution(row) for row in rows]
