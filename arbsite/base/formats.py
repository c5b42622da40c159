"""How numbers are shown: exact integers in, short honest text out; no float, no Django.

`static/js/format.js` says the same in the browser, and one file of examples holds both to it.
What is cut off is cut against us: profits are rounded down, losses up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any, Final

UNKNOWN: Final = "–"  # noqa: RUF001  the sign for "not known"
MINUS: Final = "−"  # noqa: RUF001
_SUBSCRIPT: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

REASONS: Final[Mapping[str, str]] = {
    "fees": "swap fees eat it",
    "price_impact": "price impact eats it",
    "premium": "loan premium eats it",
    "gas": "gas eats it",
    "min_profit": "below minimum profit",
    "max_gas": "gas price above limit",
    "thin_pool": "pool too thin",
    "stale_pool": "pool state stale",
    "token_risk": "token not proven",
    "simulation_failed": "simulation failed",
    "paused": "paused",
    "cooldown": "cooling down",
    "not_armed": "not armed",
    "killed": "kill switch on",
    "in_flight": "already in flight",
    "limit": "limit reached",
    "superseded": "superseded",
    "implausible": "implausible",
}
L1_FEE_UNKNOWN: Final = "the L1 data fee is not computed here"
STEPS: Final[Mapping[str, str]] = {
    "gross_spread": "Gross spread",
    "swap_fees": "Swap fees",
    "price_impact": "Price impact",
    "flash_loan_premium": "Loan premium",
    "gas": "Gas",
    "relay_tip": "Relay tip",
    "l1_data_fee": "L1 data fee",
    "net": "Net",
}
STATUS_TONES: Final[Mapping[str, str]] = {
    "confirmed": "good",
    "included": "good",
    "reverted": "bad",
    "rejected": "bad",
    "unknown": "warn",
    "submitted": "live",
    "signed": "live",
    "simulated": "note",
    "planned": "note",
    "cancelled": "mute",
    "expired": "mute",
}
WALLET_TONES: Final[Mapping[str, str]] = {
    "active": "good",
    "frozen": "bad",
    "exposed": "bad",
    "retired": "mute",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a cell says, what it says on hover, and its tone."""

    text: str
    title: str = ""
    tone: str = ""


NOT_KNOWN: Final = Shown(UNKNOWN, "unknown")


def grouped(whole: int) -> str:
    """``1,234,567``; the sign is U+2212."""
    return f"{whole:,}".replace("-", MINUS)


def decimal_text(raw: int, decimals: int) -> str:
    """All digits of ``raw`` units, trailing zeros left out."""
    sign = MINUS if raw < 0 else ""
    whole, part = divmod(abs(raw), 10**decimals)
    tail = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole:,}" + (f".{tail}" if tail else "")


def short_units(raw: int, decimals: int, *, signed: bool = False) -> str:
    """``0.1664``: four decimals, two from a thousand on; never ``0.0000`` for what is not zero."""
    if raw == 0:
        return "0"
    places = 2 if abs(raw) >= 1000 * 10**decimals else 4
    places = min(places, decimals)
    scaled = raw // 10 ** (decimals - places)  # floor: against us on either side of zero
    if scaled == 0:
        return f"< 0.{'0' * (places - 1)}1"
    sign = MINUS if scaled < 0 else ("+" if signed else "")
    whole, part = divmod(abs(scaled), 10**places)
    return f"{sign}{whole:,}" + (f".{part:0{places}d}" if places else "")


def price_text(value: str) -> str:
    """Six significant digits; many zeros after the point are counted: ``0.0₅1234``."""
    number = Decimal(value)
    if number == 0:
        return "0"
    exponent = number.adjusted()
    if exponent >= 5:
        return grouped(int(number))
    digits = 5 - exponent
    text = f"{number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_DOWN):f}"
    whole, _, part = text.partition(".")
    zeros = len(part) - len(part.lstrip("0"))
    if whole.lstrip("-") == "0" and zeros >= 4:
        return f"0.0{str(zeros).translate(_SUBSCRIPT)}{part.lstrip('0')[:4]}"
    return f"{int(whole):,}.{part}".replace("-", MINUS)


def ms_text(ms: int) -> str:
    """``850 ms`` below a second, ``1.25 s`` below a minute, then minutes, hours, days."""
    if ms < 1000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms // 1000}.{ms % 1000 // 10:02d} s"
    return age_text(ms)


def age_text(ms: int) -> str:
    """``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    seconds = max(ms, 0) // 1000
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word}"
    return f"{seconds} s"


def short_hex(text: str) -> str:
    """``0x5901DC…7B5fF0``."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-6:]}"


def token_of(facts: Mapping[str, Any], name: Any) -> Mapping[str, Any]:
    """Symbol and decimals of a token given by address, by symbol, or already as an object."""
    if isinstance(name, Mapping):
        return name
    tokens = facts.get("tokens", {})
    if name in tokens:
        found: Mapping[str, Any] = tokens[name]
        return found
    return next((t for t in tokens.values() if t["symbol"] == name), {})


Format = Callable[[Any, Mapping[str, Any], Mapping[str, Any], str], Shown]


def _text(value: Any, *_: object) -> Shown:
    return Shown(str(value))


def _whole(value: Any, *_: object) -> Shown:
    return Shown(grouped(int(value)))


def _about(value: Any, *_: object) -> Shown:
    return Shown(f"≈ {grouped(int(value))}", "rounded down")


def _amount(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], token: str) -> Shown:
    found = token_of(facts, row.get(token, token))
    if "decimals" not in found:
        return Shown(grouped(int(value)), "raw units")
    decimals, symbol = int(found["decimals"]), found.get("symbol", "")
    return Shown(
        f"{short_units(int(value), decimals)} {symbol}",
        f"{decimal_text(int(value), decimals)} {symbol}",
    )


def _signed_amount(
    value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], token: str
) -> Shown:
    plain = _amount(value, row, facts, token)
    plus = "+" if int(value) > 0 and not plain.text.startswith("<") else ""
    return Shown(plus + plain.text, plain.title, _tone(int(value)))


def _native(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], _: str) -> Shown:
    return _amount(value, row, facts, "native")


def _signed_native(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], _: str) -> Shown:
    return _signed_amount(value, row, facts, "native")


def _bps(value: Any, *_: object) -> Shown:
    return Shown(grouped(int(value)), f"{grouped(int(value))} bps = {_percent(int(value))}")


def _signed_bps(value: Any, *_: object) -> Shown:
    bps = int(value)
    plus = "+" if bps > 0 else ""
    return Shown(plus + grouped(bps), f"{grouped(bps)} bps = {_percent(bps)}", _tone(bps))


def _percent(bps: int) -> str:
    return f"{MINUS if bps < 0 else ''}{abs(bps) // 100}.{abs(bps) % 100:02d} %"


def _price(value: Any, *_: object) -> Shown:
    return Shown(price_text(str(value)), str(value))


def _usd(value: Any, *_: object) -> Shown:
    cents = Decimal(str(value)).quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
    sign = MINUS if cents < 0 else ""
    return Shown(f"≈ {sign}${abs(cents):,}", "display only", _tone(int(cents * 100)))


def _ms(value: Any, *_: object) -> Shown:
    return Shown(ms_text(int(Decimal(str(value)))), f"{value} ms")


def _gwei(value: Any, *_: object) -> Shown:
    wei = int(value)
    text = decimal_text(wei // 10**6, 3) if wei >= 10**6 else decimal_text(wei, 9)
    return Shown(f"{text} gwei", f"{grouped(wei)} wei")


def _time(value: Any, *_: object) -> Shown:
    at = datetime.fromisoformat(str(value).replace("Z", "+00:00")).astimezone(UTC)
    ms = at.microsecond // 1000
    return Shown(f"{at:%H:%M:%S}.{ms:03d}", f"{at:%Y-%m-%d %H:%M:%S}.{ms:03d} UTC")


def _hex(value: Any, *_: object) -> Shown:
    return Shown(short_hex(str(value)), str(value))


def _venue(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], _: str) -> Shown:
    return Shown(facts.get("dexes", {}).get(value, str(value)))


def _route(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], _: str) -> Shown:
    """``WBNB → CAKE → WBNB``."""
    hops = list(value)
    names = [hops[0].get("tokenIn"), *(hop.get("tokenOut") for hop in hops)] if hops else []
    return Shown(" → ".join(str(token_of(facts, n).get("symbol", n)) for n in names) or UNKNOWN)


def _venues(value: Any, row: Mapping[str, Any], facts: Mapping[str, Any], _: str) -> Shown:
    """``MDEX → BabySwap``."""
    names = [facts.get("dexes", {}).get(hop.get("dex"), hop.get("dex")) for hop in value]
    return Shown(" → ".join(str(name) for name in names) or UNKNOWN)


def reason_words(row: Mapping[str, Any]) -> str:
    """What a row's reason means; ``gas`` is also the reason where the L1 fee is not known."""
    reason = str(row.get("reason") or "")
    if reason == "gas" and l1_fee_unknown(row):
        return L1_FEE_UNKNOWN
    return REASONS.get(reason, reason)


def l1_fee_unknown(row: Mapping[str, Any]) -> bool:
    """Whether nobody computed the row's L1 fee; a row without the field says nothing of it."""
    return row.get("l1FeeWei", "") is None


def _verdict(value: Any, row: Mapping[str, Any], *_: object) -> Shown:
    reason = str(row.get("reason") or "")
    if value == "executable":
        if not reason:
            return Shown("executable", "passes every gate", "good")
        return Shown(reason, f"executable, not sent: {reason_words(row)}", "live")
    return Shown(reason or str(value), reason_words(row), "mute")


def _why(value: Any, row: Mapping[str, Any], *_: object) -> Shown:
    return Shown(reason_words(row) if row.get("reason") else "passes every gate")


def _status(value: Any, row: Mapping[str, Any], *_: object) -> Shown:
    if row.get("simulated"):
        return Shown("simulated only", "nothing was signed or sent on this chain", "sim")
    if value == "included" and row.get("succeeded") is False:
        return Shown("included, reverted", "its block has it and it failed; not final yet", "bad")
    return Shown(str(value), "", STATUS_TONES.get(str(value), "note"))


_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def _date(value: Any, *_: object) -> Shown:
    at = datetime.fromisoformat(str(value).replace("Z", "+00:00")).astimezone(UTC)
    return Shown(f"{at.day} {_MONTHS[at.month - 1]} {at:%H:%M}", f"{at:%Y-%m-%d %H:%M:%S} UTC")


def _wallet_state(value: Any, row: Mapping[str, Any], *_: object) -> Shown:
    why = str(row.get("stateReason") or "")
    if value == "active" and row.get("source") == "watch":
        return Shown("watch-only", "its key is elsewhere: nothing is signed for it here", "note")
    return Shown(str(value), why, WALLET_TONES.get(str(value), "note"))


def _tone(value: int) -> str:
    return "up" if value > 0 else "down" if value < 0 else ""


FORMATS: Final[Mapping[str, Format]] = {
    "text": _text,
    "int": _whole,
    "about": _about,
    "amount": _amount,
    "amount+": _signed_amount,
    "native": _native,
    "native+": _signed_native,
    "bps": _bps,
    "bps+": _signed_bps,
    "price": _price,
    "usd": _usd,
    "ms": _ms,
    "gwei": _gwei,
    "time": _time,
    "hex": _hex,
    "venue": _venue,
    "route": _route,
    "venues": _venues,
    "verdict": _verdict,
    "why": _why,
    "status": _status,
    "date": _date,
    "wallet_state": _wallet_state,
}


def shown(
    value: Any,
    *,
    fmt: str,
    row: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    asset: str = "",
) -> Shown:
    """``value`` in format ``fmt``; what is missing or cannot be read is unknown, never zero."""
    if value is None or value == "":
        return NOT_KNOWN
    try:
        return FORMATS[fmt](value, row or {}, facts or {}, asset)
    except (ValueError, TypeError, InvalidOperation, AttributeError):
        return NOT_KNOWN
