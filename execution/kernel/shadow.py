"""What became of an opportunity that nobody of ours took: looked at one and two blocks later; pure.

Decided from the Sync events of its own pools alone, so nothing is asked of a state that a node may
have forgotten.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

from arbsite.base.units import BPS_ONE, BlockNumber, Bps, mul_div_ceil
from prices.kernel.lenders import Lender
from prices.kernel.sizing import Hop, best_size

LOOKS: Final = 2  # one and two blocks later


class Fate(StrEnum):
    """``there``: it could still be executed. ``taken``: one transaction crossed at least two of
    its pools in its own direction. ``gone``: its prices moved away otherwise."""

    THERE = "there"
    TAKEN = "taken"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """An opportunity as it was decided after ``block``.

    ``pools``: lower-case addresses in the order of the path; ``zero_for_one``: each hop's
    direction; ``hops``: their reserves at that block. ``costs``: gas, tip and L1 fee, raw units of
    the borrow token, not positive; they are taken as they were then.
    """

    block: BlockNumber
    pools: tuple[str, ...]
    zero_for_one: tuple[bool, ...]
    hops: tuple[Hop, ...]
    lender: Lender
    costs: int
    min_profit_bps: Bps

    def net(self, hops: Sequence[Hop]) -> int | None:
        """The best size's net at these reserves, raw units; None below the minimum."""
        size = best_size(hops, lender=self.lender)
        if size is None:
            return None
        net = size.profit + self.costs
        least = max(mul_div_ceil(size.amounts[0], self.min_profit_bps, BPS_ONE), 1)
        return net if net >= least else None


class Moved(NamedTuple):
    """A pool's reserves after a transaction touched it, in the pool's own order."""

    block: BlockNumber
    tx_hash: str
    pool: str
    reserve0: int
    reserve1: int


@dataclass(frozen=True, slots=True)
class Look:
    """``net``: raw units of the borrow token while it is there, else None."""

    fate: Fate
    net: int | None


@dataclass(frozen=True, slots=True)
class Looked:
    """A look per block, and the transaction that ended it: "" while it is there."""

    looks: tuple[Look, ...]
    ended_in: BlockNumber | None = None
    ended_by: str = ""


def look_again(sight: Sight, moves: Sequence[Moved]) -> Looked:
    """Follow the pools through the next `LOOKS` blocks.

    ``moves``: every change of its pools in those blocks, in the order of the chain. Once ended it
    stays ended: what stands there afterwards is another opportunity.
    """
    hops = list(sight.hops)
    looks: list[Look] = []
    ended: Looked | None = None
    for block in range(sight.block + 1, sight.block + 1 + LOOKS):
        for tx_hash, of_tx in groupby(
            (move for move in moves if move.block == block), key=lambda move: move.tx_hash
        ):
            before = list(hops)
            _apply(hops, sight, of_tx)
            if ended is None and hops != before and sight.net(hops) is None:
                ended = Looked((Look(_fate(before, hops), None),), BlockNumber(block), tx_hash)
        looks.append(ended.looks[0] if ended else Look(Fate.THERE, sight.net(hops)))
    return Looked(tuple(looks), ended.ended_in if ended else None, ended.ended_by if ended else "")


def _apply(hops: list[Hop], sight: Sight, moves: Iterable[Moved]) -> None:
    for move in moves:
        at = sight.pools.index(move.pool)
        sides = (move.reserve0, move.reserve1)
        reserve_in, reserve_out = sides if sight.zero_for_one[at] else sides[::-1]
        hops[at] = Hop(reserve_in, reserve_out, hops[at].fee_bps)


def _fate(before: Sequence[Hop], after: Sequence[Hop]) -> Fate:
    crossed = sum(
        new.reserve_in > old.reserve_in and new.reserve_out < old.reserve_out
        for old, new in zip(before, after, strict=True)
    )
    return Fate.TAKEN if crossed >= 2 else Fate.GONE
