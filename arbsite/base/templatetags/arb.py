"""Filters and tags of the console: one way to show each kind of number, icon and cell."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.functional import LazyObject
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from arbsite.base import charts, formats

register = template.Library()
GWEI_DECIMALS = 9
NATIVE_DECIMALS = 18


@register.filter
def wei(value: Any, unit: str = "ether") -> str:
    """Wei in gwei or in whole coins: ``{{ x|wei:"gwei" }}``."""
    if unit == "gwei":
        return formats.shown(value, fmt="gwei").text
    return units(value, NATIVE_DECIMALS)


@register.filter
def units(value: Any, decimals: int) -> str:
    """Raw units of a token with so many decimals."""
    try:
        return formats.short_units(int(value), int(decimals))
    except (TypeError, ValueError):
        return formats.UNKNOWN


def _simple(name: str) -> Any:
    def show(value: Any) -> str:
        return formats.shown(value, fmt=name).text

    return show


for _filter, _format in {
    "bps": "bps",
    "signed_bps": "bps+",
    "usd": "usd",
    "price": "price",
    "ms": "ms",
    "whole": "int",
    "clock": "time",
    "short": "hex",
}.items():
    register.filter(_filter, _simple(_format))


@register.filter
def age(value: Any) -> str:
    """How long ago: of a time, an ISO text, or milliseconds."""
    if isinstance(value, str) and value:
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return formats.UNKNOWN
    if isinstance(value, datetime):
        value = (timezone.now() - value).total_seconds() * 1000
    return formats.UNKNOWN if value is None or value == "" else formats.age_text(int(value))


@register.filter
def reason_words(value: str) -> str:
    """What a reason code means."""
    return formats.REASONS.get(value, value)


@register.filter
def why(row: Mapping[str, Any]) -> str:
    """What a row's reason means, by the rest of the row."""
    return formats.reason_words(row)


@register.filter
def l1_fee_unknown(row: Mapping[str, Any]) -> bool:
    """Whether nobody computed the row's L1 fee."""
    return formats.l1_fee_unknown(row)


@register.filter
def loan_words(kind: Any) -> str:
    """Where a loan comes from."""
    return {
        "first_pool": "the path's first pool",
        "aave_v3": "Aave V3",
        "pair": "another pair",
    }.get(kind, formats.UNKNOWN)


@register.filter
def fine_ms(value: Any) -> str:
    """Milliseconds of a measurement: ``0.42 ms``, ``12.3 ms``, ``1.25 s``."""
    if value is None:
        return formats.UNKNOWN
    if value >= 100:
        return formats.ms_text(int(value))
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"


@register.filter
def unlocalised(value: Any) -> str:
    """A number as machines read it."""
    return str(value)


@register.filter
def dashed(pair: str) -> str:
    """``CAKE/USDT`` as an address part."""
    return str(pair or "").replace("/", "-")


@register.filter
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@register.filter
def lookup(mapping: Mapping[str, Any], key: str) -> Any:
    """``mapping[key]``, or nothing."""
    return mapping.get(key, "") if isinstance(mapping, Mapping) else ""


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of the sprite; with a label it speaks, without it is decoration."""
    href = f"{static('vendor/lucide/sprite.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', href)


@register.simple_tag(takes_context=True)
def value(
    context: Any, row: Mapping[str, Any], field: str, fmt: str = "text", asset: str = ""
) -> SafeString:
    """One field as a live span: the browser patches it by ``data-f`` and ``data-fmt``."""
    said = formats.shown(row.get(field), fmt=fmt, row=row, facts=context.get("facts"), asset=asset)
    return format_html(
        '<span class="v {}" data-f="{}" data-fmt="{}" data-token="{}" title="{}">{}</span>',
        said.tone and f"t-{said.tone}",
        field,
        fmt,
        asset,
        said.title,
        said.text,
    )


@register.simple_tag(takes_context=True)
def badge(context: Any, row: Mapping[str, Any], field: str, fmt: str) -> SafeString:
    """One field as a badge, its tone from the format."""
    said = formats.shown(row.get(field), fmt=fmt, row=row, facts=context.get("facts"))
    if said is formats.NOT_KNOWN:
        said = formats.Shown("")  # an empty badge is not drawn
    return format_html(
        '<span class="badge v {}" data-f="{}" data-fmt="{}" data-token="" title="{}">{}</span>',
        said.tone and f"t-{said.tone}",
        field,
        fmt,
        said.title,
        said.text,
    )


@register.simple_tag
def bars(steps: Any) -> list[dict[str, Any]]:
    """Geometry of a waterfall's bars."""
    return charts.waterfall_bars(steps or [])


@register.simple_tag(takes_context=True)
def step_amount(context: Any, step: Mapping[str, Any], row: Mapping[str, Any]) -> SafeString:
    """A waterfall step's amount in the borrow token, all digits on hover."""
    said = formats.shown(
        step["amount"], fmt="amount+", row=row, facts=context.get("facts"), asset="borrowToken"
    )
    return format_html(
        '<span class="{}" title="{}">{}</span>',
        said.tone and f"t-{said.tone}",
        said.title,
        said.text,
    )


@register.filter
def gas_fill(row: Mapping[str, Any]) -> int:
    """How full a wallet's bar is, 0 to 1000: half is the threshold, full is twice it."""
    balance, threshold = row.get("balanceWei"), int(row.get("thresholdWei") or 0)
    if balance is None or not threshold:
        return 0
    return min(1000, 500 * int(balance) // threshold)


@register.simple_tag
def data(name: str, payload: Any) -> SafeString:
    """A block of JSON for scripts; never run, so the content policy lets it be."""
    return json_script(_plain(payload), name)


def _plain(payload: Any) -> Any:
    if isinstance(payload, Mapping | LazyObject):
        return {key: payload[key] for key in payload}
    return payload


@register.simple_tag(takes_context=True)
def coins(context: Any, wei_amount: Any) -> SafeString:
    """Signed wei in the chain's coin, all digits on hover."""
    said = formats.shown(wei_amount, fmt="native+", facts=context.get("facts"))
    return format_html(
        '<span class="{}" title="{}">{}</span>',
        said.tone and f"t-{said.tone}",
        said.title,
        said.text,
    )


@register.simple_tag(takes_context=True)
def address(
    context: Any,
    value: str | None,
    kind: str = "address",
    label: str = "",
    explorer: str | None = None,
    alike: bool = False,
) -> SafeString:
    """An address or hash: short, whole on hover, with a copy button and the explorer's link.

    ``label``: whose it is, for who hears the page. ``explorer``: of its chain where that is not
    the page's. ``alike``: another known address has the same beginning and end.
    """
    if not value:
        return format_html('<span aria-label="unknown">{}</span>', formats.UNKNOWN)
    if explorer is None:
        explorer = str((context.get("facts") or {}).get("explorer", ""))
    link = SafeString("")
    if explorer.startswith("https://"):
        link = format_html(
            '<a href="{}/{}/{}" rel="noopener noreferrer" target="_blank">{}</a>',
            explorer.rstrip("/"),
            kind,
            value,
            icon("external-link", "Show in the explorer"),
        )
    face = format_html('<img class="face" alt="" data-face="{}">', value) if kind != "tx" else ""
    named = label or formats.short_hex(value)
    warning = SafeString("")
    if alike:
        warning = format_html(
            ' <span class="badge t-warn" title="{}">look-alike</span>',
            "Another known address begins and ends the same: compare every digit",
        )
    return format_html(
        '<span class="address">{}<code title="{}">{}</code>'
        '<button type="button" class="copy" data-copy="{}" aria-label="Copy {}">{}</button>'
        "{}</span>",
        face,
        value,
        formats.short_hex(value),
        value,
        "transaction hash"
        if kind == "tx"
        else (f"address of {named}" if label else f"address {named}"),
        icon("copy"),
        link + warning,
    )


@register.simple_tag(takes_context=True)
def query(context: Any, **changes: Any) -> str:
    """This page's query with some values changed."""
    asked = context["request"].GET.copy()
    for name, wanted in changes.items():
        asked[name] = str(wanted)
    return str(asked.urlencode())
