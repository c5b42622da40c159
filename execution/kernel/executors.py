"""Whose turn it is to execute: the first in order that is well, anew at every decision; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.units import BlockNumber, Wei

# An execution is good for some blocks and is then cancelled: one still open after these is stuck.
STUCK_BLOCKS: Final = 8


class Unwell(StrEnum):
    """Why an authorised executor is passed over."""

    FROZEN = "frozen"
    LOW = "low"  # it cannot pay the gas of one execution
    STUCK = "stuck"  # something of it has been open for too many blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An executor in its place in the order. ``balance_wei``: None where it was not read.

    ``open_since``: the block that its oldest open transaction was proven on.
    """

    wallet_id: int
    frozen: bool = False
    balance_wei: Wei | None = None
    open_since: BlockNumber | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Who executes, and who comes before him with what ails each."""

    wallet_id: int
    passed: tuple[tuple[int, Unwell], ...] = ()


def unwell(candidate: Candidate, *, gas_wei: Wei, head: BlockNumber | None) -> Unwell | None:
    """What keeps an executor from executing now; ``gas_wei``: what one execution may cost.

    What is not known is held against nobody.
    """
    if candidate.frozen:
        return Unwell.FROZEN
    if candidate.balance_wei is not None and candidate.balance_wei < gas_wei:
        return Unwell.LOW
    since = candidate.open_since
    if since is not None and head is not None and head - since > STUCK_BLOCKS:
        return Unwell.STUCK
    return None


def choose(
    candidates: Sequence[Candidate], *, gas_wei: Wei, head: BlockNumber | None
) -> Turn | None:
    """The first that is well; None without any.

    Where none is, the first that is not frozen (and else the first) has the turn, so that what is
    wrong with it is what is recorded.
    """
    passed: list[tuple[int, Unwell]] = []
    for candidate in candidates:
        ail = unwell(candidate, gas_wei=gas_wei, head=head)
        if ail is None:
            return Turn(candidate.wallet_id, tuple(passed))
        passed.append((candidate.wallet_id, ail))
    left = [pk for pk, ail in passed if ail is not Unwell.FROZEN] or [pk for pk, _ in passed]
    return Turn(left[0]) if left else None
