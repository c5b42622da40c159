"""The states of everything that is ever sent, and the only moves between them; plain data."""

from enum import StrEnum
from typing import Final

from arbsite.base.errors import Halt


class Status(StrEnum):
    """Where a transaction stands. Its text is what API and pages show."""

    PLANNED = "planned"  # accepted, calldata built, nothing signed
    SIMULATED = "simulated"  # simulation on the pinned state succeeded
    SIGNED = "signed"  # nonce taken, raw bytes and hash stored; the same bytes may be sent again
    SUBMITTED = "submitted"  # an endpoint accepted it
    UNKNOWN = "unknown"  # bytes went out, no clear answer: looked up, never signed anew
    INCLUDED = "included"  # receipt exists, not final yet
    CONFIRMED = "confirmed"  # final, status 1
    REVERTED = "reverted"  # final, status 0; gas lost
    CANCELLED = "cancelled"  # our cancel was mined and is final
    EXPIRED = "expired"  # PROVEN dead: nonce spent otherwise and final, or released
    REJECTED = "rejected"  # dropped before signing; costs nothing


_S = Status
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    _S.PLANNED: frozenset({_S.SIMULATED, _S.REJECTED}),
    _S.SIMULATED: frozenset({_S.SIGNED, _S.REJECTED}),
    _S.SIGNED: frozenset({_S.SUBMITTED, _S.UNKNOWN, _S.INCLUDED, _S.EXPIRED, _S.CANCELLED}),
    _S.SUBMITTED: frozenset({_S.INCLUDED, _S.EXPIRED, _S.CANCELLED}),
    _S.UNKNOWN: frozenset({_S.SUBMITTED, _S.INCLUDED, _S.EXPIRED, _S.CANCELLED}),
    # To submitted: reorganised out; the same bytes are sent again.
    _S.INCLUDED: frozenset({_S.CONFIRMED, _S.REVERTED, _S.SUBMITTED}),
    _S.CONFIRMED: frozenset(),
    _S.REVERTED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.REJECTED: frozenset(),
}
# The one way back from an end: a payload that was given back lands after all (INVARIANTS I51).
LANDED_LATE: Final = (_S.EXPIRED, _S.INCLUDED)
FINAL: Final = frozenset(status for status, following in TRANSITIONS.items() if not following)
HOLDS_NONCE: Final = frozenset({_S.SIGNED, _S.SUBMITTED, _S.UNKNOWN, _S.INCLUDED})
OPEN: Final = frozenset(Status) - FINAL
UNMINED: Final = tuple(status for status in Status if status in OPEN and status != _S.INCLUDED)

# What the kill switch never blocks (INVARIANTS I20); every other kind and every bump it stops.
NEVER_KILLED_KINDS: Final = frozenset({"pause", "revoke", "rescue", "gap_fill"})
NEVER_KILLED_PURPOSES: Final = frozenset({"cancel", "gap_fill"})

# How the name of a relay begins that shows bytes to builders alone, and only as a bundle.
BUNDLE: Final = "bundle:"


def is_bundle(via: str) -> bool:
    """Whether what went this way alone is dead once its last block is past (INVARIANTS I51)."""
    return via.startswith(BUNDLE)


class IllegalTransition(Halt):
    """A move that the table does not have: state and code disagree."""

    def __init__(self, *, old: Status, new: Status) -> None:
        self.old = old
        self.new = new
        super().__init__(f"a transaction cannot go from {old} to {new}")


def check(old: Status, new: Status) -> None:
    """Raises: IllegalTransition unless the table has the move."""
    if new not in TRANSITIONS[old] and (old, new) != LANDED_LATE:
        raise IllegalTransition(old=old, new=new)


def is_stopped_by_kill(*, kind: str, purpose: str = "first") -> bool:
    """Whether an engaged kill switch stops a payload of this kind and purpose."""
    return kind not in NEVER_KILLED_KINDS and purpose not in NEVER_KILLED_PURPOSES
