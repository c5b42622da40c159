"""What became of a payload at one relay, and of all that were asked at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"  # it answered with an error
UNKNOWN: Final = "unknown"  # bytes went out, no clear answer
NOT_SENT: Final = "not_sent"  # not one byte can have left


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One relay's. ``detail`` is its own words, or why nothing was sent; microseconds it took."""

    relay: str
    outcome: str
    detail: str = ""
    took_us: int = 0


def best(answers: Sequence[Answer]) -> Answer:
    """The answer that says most about whether the payload may land. Units: as the parts."""
    order = (ACCEPTED, UNKNOWN, REFUSED, NOT_SENT)
    return min(answers, key=lambda each: order.index(each.outcome))
