"""One block's work: find cycles, decide exactly what may have changed, keep lives."""

from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from prices.kernel.book import BlockRef, PoolBook
from prices.kernel.costs import Costs, Policy
from prices.kernel.cycles import Cycles
from prices.kernel.lives import LifeRecord, LifeTracker
from prices.kernel.opportunity import Evaluation, Lenders, evaluate
from prices.kernel.waterfall import Verdict

# A page shows hundreds; where more cycles show a spread, those that lose least are kept.
MOST_LIVES: Final = 10_000
_PAYS: Final = 1.0 - 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What a cycle is held against besides the book: sources of loans, costs, policy."""

    lenders: Lenders
    costs: Costs
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """``executable``: best net first. ``evaluated``: all that was decided anew at this block.

    ``left_out``: whether, and roughly how many, cycles over the minimum spread have no life since
    there are too many; those that would lose most to their fees.
    """

    block: BlockRef
    alive: int
    left_out: int
    evaluated: tuple[Evaluation, ...]
    executable: tuple[Evaluation, ...]
    records: tuple[LifeRecord, ...]


class Scanner:
    """A book, the search over it and the lives it finds. Feed and poller alike call `scan` after
    each block.

    `hot` first where time is money: it decides only what can be executed because of this block.
    """

    def __init__(
        self,
        book: PoolBook,
        *,
        lendable: Collection[int],
        max_hops: int = 3,
        most_lives: int = MOST_LIVES,
    ) -> None:
        # Not at the top: numba costs each process 70 MB, and most search nothing.
        from prices.kernel.search import Search

        self.book = book
        self.search = Search(book, lendable=lendable, max_hops=max_hops, most=most_lives)
        self.cycles = Cycles(book.pools)
        self.lives = LifeTracker()
        self._settled: tuple[Policy, Lenders] | None = None
        self._costs: Costs | None = None
        self._hot: tuple[int, Market] | None = None
        self._decided: dict[int, Evaluation | None] = {}

    def hot(self, *, market: Market, touched: Collection[int]) -> Iterator[Evaluation]:
        """Executable opportunities through a touched pool, the best net first.

        Searched at once, decided exactly only as far as needed to say which is the next best: one
        block may open dozens, and the first is what is waited for. Ends where the book moves on.
        Keeps no lives; what it decided is not decided again by the `scan` of the same state.
        """
        search = self.search
        search.price(lenders=market.lenders, costs=market.costs, policy=market.policy)
        self._hot = (self.book.version, market)
        self._decided = {}
        return self._next_best(search.likeliest(touched), market)

    def _next_best(
        self, ranked: Iterable[tuple[float, tuple[int, ...]]], market: Market
    ) -> Iterator[Evaluation]:
        """``ranked``: paths with the most each can net in wei, falling."""
        version = self.book.version
        decided: list[tuple[int, int, Evaluation]] = []  # a heap, the best net first
        for at, (most_wei, path) in enumerate(ranked):
            while decided and -decided[0][0] >= most_wei:  # what is left nets no more
                yield heappop(decided)[2]
                if self.book.version != version:
                    return
            cycle = self.cycles.number(path)
            evaluation = self._decided[cycle] = self._evaluate(cycle, market)
            if (
                evaluation is not None
                and evaluation.verdict is Verdict.EXECUTABLE
                and evaluation.spread_bps >= market.policy.min_spread_bps
            ):
                heappush(decided, (-(evaluation.net_wei or 0), at, evaluation))
        while decided and self.book.version == version:
            yield heappop(decided)[2]

    def scan(self, *, market: Market, touched: Collection[int]) -> ScanResult | None:
        """Bring every life to the book's head.

        Decided anew: cycles through a touched pool, cycles seen for the first time, those that
        could be executed, every cycle that pays its pools' fees where gas or the native rate of
        one of its tokens moved, and all of them when the policy or the lenders differ from before,
        or after a rollback.

        ``touched``: pools whose reserves or flags changed since the last scan.
        Returns: None before the first load of the book.
        """
        head = self.book.head
        if head is None:
            return None
        if self._hot is None or self._hot != (self.book.version, market):
            self._decided = {}
        least = market.policy.min_spread_bps
        found = self.search.over(least)
        all_anew, revalued = self._all_anew(market), self._revalued(market.costs)
        moved = frozenset(touched)
        evaluated, alive, seen = [], [], set()
        for rate, path in found.paths:
            cycle = self.cycles.number(path)
            seen.add(cycle)
            if not (
                all_anew
                or any(edge >> 1 in moved for edge in path)
                or (rate > _PAYS and any(self.book.edge_tokens(e)[0] in revalued for e in path))
            ):
                identity = self.cycles.identity(cycle)
                if identity in self.lives and not self.lives.executable(identity):
                    alive.append(identity)
                    continue
            evaluation = self._evaluate(cycle, market)
            if evaluation is not None and evaluation.spread_bps >= least:
                evaluated.append(evaluation)
        self._hot, self._decided = None, {}
        self.cycles.keep(seen)
        records = self.lives.observe(head, alive=alive, evaluations=evaluated)
        return ScanResult(
            block=head,
            alive=len(self.lives),
            left_out=found.left_out,
            evaluated=tuple(evaluated),
            executable=tuple(
                best_first(each for each in evaluated if each.verdict is Verdict.EXECUTABLE)
            ),
            records=tuple(records),
        )

    def rollback(self, block: BlockRef) -> tuple[LifeRecord, ...]:
        """Follow the book's `rollback_to` to a common ancestor; the next scan decides all anew."""
        self._settled = None
        return tuple(self.lives.rollback(block))

    def _evaluate(self, cycle: int, market: Market) -> Evaluation | None:
        if cycle in self._decided:
            return self._decided[cycle]
        return evaluate(
            self.book,
            cycles=self.cycles,
            cycle=cycle,
            lenders=market.lenders,
            costs=market.costs,
            policy=market.policy,
        )

    def _revalued(self, costs: Costs) -> Container[int]:
        """Tokens in which the costs are not what they were at the last scan."""
        before, self._costs = self._costs, costs
        if before is None or replace(before, native_rates=costs.native_rates) != costs:
            return range(len(self.book.tokens))
        old, new = before.native_rates, costs.native_rates
        return {token for token in old.keys() | new.keys() if old.get(token) != new.get(token)}

    def _all_anew(self, market: Market) -> bool:
        """Whether the last decision of no cycle may hold any more."""
        # Caps on a loan move with the rates, and count for what pays alone, as costs do.
        settled = (replace(market.policy, max_position={}), market.lenders)
        unchanged = self._settled == settled
        self._settled = settled
        return not unchanged or self.book.untrusted is not None


def best_first(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """By net in the native coin, falling; those without a value in it last."""
    return sorted(evaluations, key=lambda each: (each.net_wei is None, -(each.net_wei or 0)))
