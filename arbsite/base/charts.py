"""Geometry of the pictures on pages, from exact integers: positions are for eyes, not for money."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from arbsite.base.formats import STEPS

WIDTH: Final = 1000


def waterfall_bars(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One floating bar per step on a common scale: where it starts, how wide, which way.

    ``steps`` is SPEC's waterfall. A step that is not computed has no bar. Positions are
    0 to `WIDTH`; ``zero`` is where nothing is won or lost.
    """
    spans = []
    running = 0
    for step in steps:
        amount = None if step["amount"] is None else int(step["amount"])
        if step["step"] in ("gross_spread", "net"):
            start, end = 0, amount or 0
        else:
            start, end = running, running + (amount or 0)
        running = end
        spans.append((step, amount, min(start, end), max(start, end)))
    low = min([0, *(span[2] for span in spans)])
    high = max([1, *(span[3] for span in spans)])
    scale = high - low
    return [
        {
            **step,
            "label": STEPS.get(step["step"], step["step"]),
            "x": WIDTH * (left - low) // scale,
            "width": max(2, WIDTH * (right - left) // scale) if amount else 0,
            "zero": WIDTH * -low // scale,
            "tone": _tone(step["step"], amount),
        }
        for step, amount, left, right in spans
    ]


def _tone(step: str, amount: int | None) -> str:
    if step == "gross_spread":
        return "gross"
    if step == "net":
        return "up" if (amount or 0) > 0 else "down"
    return "cost"
