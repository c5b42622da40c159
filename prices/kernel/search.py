"""Which cycles are worth exact arithmetic, in markets of any size. It finds; integers decide.

The best rate of every directed pair of tokens is kept; rings over pairs are multiplied, and only
where their product passes are the pools of those pairs looked at. A ring below its break-even rate
cannot pay at any size, so almost all of them cost one multiplication.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from arbsite.base.units import BPS_ONE, Bps, Gas
from prices.kernel import compiled
from prices.kernel.book import Floats, PoolBook
from prices.kernel.costs import Costs, Policy
from prices.kernel.graph import Graph, Words, build
from prices.kernel.lenders import Lender

# A product of a few float64 ratios is off by parts in 1e15; the search errs toward keeping.
_ROUNDING: Final = 1e-12
# A pool moves its pair alone where few did; beyond this share all pairs are looked at at once.
_FEW: Final = 16
MOST_CANDIDATES: Final = 8_192
_FIRST: Final = 2  # found first: to know the best as such, the bound of the next is enough
_NO_GAS: Final = Gas(2**63)
_KINDER: Final = 1.25  # costs may move so far either way before break-even rates are made anew

Ranked = tuple[float, tuple[int, ...]]
Lenders = Mapping[int, Sequence[Lender]]


class Found(NamedTuple):
    """Paths of pools as edges from their smallest token on, best first, and how many did not fit.

    Each comes with its rank: the most it can net in wei (`Search.paying`), or its rate after fees
    (`Search.over`).
    """

    paths: list[Ranked]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Prices:
    """The costs that break-even rates were made for."""

    min_profit: float
    cost_wei: tuple[float, ...]
    owed: Floats
    wei_per_unit: Floats


class Search:
    """The pairs and rings of one book, kept at its state by following what moves.

    Everything is compiled, or taken from the cache on disk, before the constructor returns.
    Raises: TooManyCycles.
    """

    def __init__(
        self, book: PoolBook, *, lendable: Collection[int], max_hops: int = 3, most: int
    ) -> None:
        self.book = book
        self.graph: Graph = build(
            book.pools, tokens=len(book.tokens), lendable=lendable, max_hops=max_hops
        )
        self.most = most
        self._table = self.graph.table
        self._levels: Floats = np.zeros(self.graph.levels_size)
        at = compiled.LEVELS + 8 * self.graph.pairs
        self._bounds = self._levels[at : at + self.graph.rings]
        self._terms = self._levels[at + self.graph.rings :].reshape(-1, 2)
        self._rings: Words = np.zeros(self.graph.rings + 1, dtype=np.uint32)
        self._few: npt.NDArray[np.int64] = np.zeros(_FEW, dtype=np.int64)
        self._candidates = _Answer(MOST_CANDIDATES)
        self._first = _Answer(_FIRST)
        self._over = _Answer(most)
        self._tokens = sorted(lendable)
        self._lendable = np.array(self._tokens, dtype=np.int64)
        self._lenders: Lenders | None = None
        self._owed: Floats = np.zeros(0)
        self._moved = book.follow()
        self._stale = True  # the pairs have to be looked at all
        self._given: tuple[Lenders, Costs, Policy] | None = None
        self._prices: _Prices | None = None
        self._levels[compiled.COST_WEI : compiled.COST_WEI + 3] = np.inf
        self._bounds[:] = np.inf
        self._compile()

    @property
    def buffers(self) -> tuple[Words, Floats, Words]:
        """(table, levels, room for ring ids): what `prices.kernel.compiled` works on."""
        return self._table, self._levels, self._rings

    @property
    def pairs_best(self) -> Floats:
        """Best rate after fees of every directed pair, as last looked at."""
        return self._levels[compiled.LEVELS : compiled.LEVELS + 2 * self.graph.pairs]

    @property
    def break_even(self) -> Floats:
        """By ring: the rate after fees that none of its cycles pays below, whatever their size."""
        return self._bounds

    def price(self, *, lenders: Lenders, costs: Costs, policy: Policy) -> None:
        """Take what cycles are held against; break-even rates follow where they may not hold."""
        given = (lenders, costs, policy)
        if self._given is not None and all(map(is_, given, self._given)):
            return
        self._given = given
        prices = self._priced(lenders, costs, policy)
        levels = self._levels
        levels[compiled.MIN_PROFIT] = prices.min_profit
        levels[compiled.COST_WEI : compiled.COST_WEI + 3] = prices.cost_wei
        self._terms[self._lendable, 0] = prices.owed
        self._terms[self._lendable, 1] = prices.wei_per_unit
        if self._prices is None or not _hold(self._prices, prices):
            self._follow()
            compiled.break_even(self._table, levels)
            self._prices = prices

    def paying(self, touched: Collection[int] | None = None) -> Found:
        """Paths that may net something and meet the least profit by size, at the terms given last.

        An upper bound ranks them: no path with a better outcome is missing, however it ranks.
        ``touched``: only paths through one of these pools (default: all paths).
        """
        ranked, left_out = self._paying(touched, self._candidates)
        return Found(list(ranked), left_out)

    def likeliest(self, touched: Collection[int]) -> Iterator[Ranked]:
        """`paying` by and by: whoever stops at the first does not wait for the rest.

        It ends where the book or the terms move on.
        """
        if len(touched) > _FEW:
            return self._paying(touched, self._candidates)[0]
        found, left_out = self._paying(touched, self._first)
        return self._then(found, touched) if left_out else found

    def _then(self, found: Iterator[Ranked], touched: Collection[int]) -> Iterator[Ranked]:
        """The few that were found, then the many others that there are."""
        at = (self.book.version, self._given)
        first = list(found)
        yield from first
        if (self.book.version, self._given) == at:
            given = set(first)
            rest = self._paying(touched, self._candidates)[0]
            yield from (each for each in rest if each not in given)

    def _paying(
        self, touched: Collection[int] | None, answer: "_Answer"
    ) -> tuple[Iterator[Ranked], int]:
        rates, table, levels, rings = self.book.rates, self._table, self._levels, self._rings
        if touched is not None and len(touched) <= _FEW:
            if self._stale or not self._moved.issubset(touched):
                self._follow()
            self._moved.clear()  # these are looked at now
            pools = self._few[: len(touched)]
            pools[:] = tuple(touched)
            kept = compiled.react(rates, table, levels, pools, rings, answer.ranks, answer.paths)
        else:
            self._follow()
            if touched is None:
                count = compiled.passing(table, levels, rings)
            else:
                pools = np.fromiter(touched, dtype=np.int64, count=len(touched))
                count = compiled.through(table, levels, pools, rings)
            kept = compiled.expand(
                rates,
                table,
                levels,
                rings[:count],
                touched is not None,
                -1,
                answer.ranks,
                answer.paths,
            )
        return answer.best_first(kept), int(levels[compiled.DROPPED])

    def over(self, min_spread_bps: Bps) -> Found:
        """Paths whose marginal rates multiply to at least 1 + the minimum spread.

        One just below the bound by rounding may be among them, one above it is missing only where
        there are more than ``most``: then those with the lowest rates after fees are.
        """
        self._follow()
        bound = 1.0 + min_spread_bps / BPS_ONE - _ROUNDING
        answer = self._over
        kept = compiled.over(
            self.book.rates, self._table, self._levels, bound, answer.ranks, answer.paths
        )
        return Found(list(answer.best_first(kept)), int(self._levels[compiled.DROPPED]))

    def _follow(self) -> None:
        """Bring the pairs to the book's state."""
        moved = self._moved
        rates, table, levels = self.book.rates, self._table, self._levels
        if self._stale or len(moved) > max(self.graph.pairs // _FEW, _FEW):
            self._stale = False
            compiled.order(rates, table)
            compiled.refresh(rates, table, levels)
            compiled.refresh_marginal(rates, table, levels)
            if self._prices is not None:  # depths moved: bounds stand on them
                compiled.break_even(table, levels)
        else:
            for pool in moved:
                compiled.touch(rates, table, levels, pool)
        moved.clear()

    def _priced(self, lenders: Lenders, costs: Costs, policy: Policy) -> _Prices:
        """The kindest of what each token's lenders ask, and of what they cost, as floats."""
        kinds = {lender.kind for sources in lenders.values() for lender in sources}
        # A tip is a share of what is left: no bound on what a cycle nets at most counts it.
        fixed = costs.l1_fee_wei
        cost_wei = []
        for hops in (2, 3, 4):
            gas = min((costs.gas.get((kind, hops), _NO_GAS) for kind in kinds), default=_NO_GAS)
            known = fixed is not None and gas != _NO_GAS
            cost_wei.append(float(gas * costs.gas_price_wei + (fixed or 0)) if known else np.inf)
        if lenders is not self._lenders:
            self._lenders = lenders
            self._owed = np.array([_least_owed(lenders.get(t, ())) for t in self._tokens])
        rates = [costs.native_rates.get(token) for token in self._tokens]
        wei_per_unit = np.array([rate.den / rate.num if rate else 0.0 for rate in rates])
        wei_per_unit[self._owed == np.inf] = 0.0
        least = policy.min_profit_threshold_bps / BPS_ONE
        return _Prices(least, tuple(cost_wei), self._owed, wei_per_unit)

    def _compile(self) -> None:
        """Call everything once, on no pools at all where it would change something."""
        rates, table, levels = self.book.rates, self._table, self._levels
        compiled.order(rates, table)
        compiled.refresh(rates, table, levels)
        compiled.refresh_marginal(rates, table, levels)
        compiled.break_even(table, levels)
        compiled.passing(table, levels, self._rings)
        compiled.through(table, levels, np.empty(0, dtype=np.int64), self._rings)
        for answer in (self._candidates, self._over):
            compiled.expand(
                rates, table, levels, self._rings[:0], False, -1, answer.ranks, answer.paths
            )
        compiled.over(rates, table, levels, np.inf, self._over.ranks, self._over.paths)
        compiled.best_output(np.ones((2, 3)), 1.0, 1.0, np.inf, 0)  # `sizing` calls it
        if self.book.pools:
            compiled.touch(rates, table, levels, 0)
            answer = self._candidates
            few = self._few[:1]
            compiled.react(rates, table, levels, few, self._rings, answer.ranks, answer.paths)


class _Answer:
    """Room for what the compiled search answers, used again by each search."""

    def __init__(self, most: int) -> None:
        self.ranks: Floats = np.zeros(most)
        self.paths: npt.NDArray[np.int32] = np.zeros((most, 4), dtype=np.int32)

    def best_first(self, kept: int) -> Iterator[Ranked]:
        """The first so many, falling; what the next search writes is not among them."""
        if not kept:
            return iter(())
        return _falling(self.ranks[:kept].copy(), self.paths[:kept].copy())


def _falling(ranks: Floats, paths: npt.NDArray[np.int32]) -> Iterator[Ranked]:
    best = int(ranks.argmax())  # the first of equals, as the sort has it
    yield float(ranks[best]), _edges(paths[best].tolist())
    for at in np.argsort(-ranks, kind="stable")[1:].tolist():
        yield float(ranks[at]), _edges(paths[at].tolist())


def _edges(row: list[int]) -> tuple[int, ...]:
    """A path without what stands behind its last edge."""
    return tuple(row) if row[3] >= 0 else tuple(row[:3] if row[2] >= 0 else row[:2])


def _least_owed(sources: Sequence[Lender]) -> float:
    """The least that any of them asks per unit borrowed; inf where there is none."""
    return min((num / den for num, den in (each.owed_rate for each in sources)), default=np.inf)


def _hold(made: _Prices, now: _Prices) -> bool:
    """Whether break-even rates made for other costs still hold, and are still sharp."""
    if made.min_profit != now.min_profit or not np.array_equal(made.owed, now.owed):
        return False
    for before, after in zip(made.cost_wei, now.cost_wei, strict=True):
        if before != after and not before / _KINDER <= after <= before * _KINDER:
            return False
    low, high = made.wei_per_unit / _KINDER, made.wei_per_unit * _KINDER
    return bool(np.all((now.wei_per_unit >= low) & (now.wei_per_unit <= high)))
