"""Routes to the native coin, kept by token, so that a block costs only what it moved."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from prices.kernel.book import PoolBook
from prices.kernel.costs import NativeRate

_Side = tuple[int, int]  # (pool, the token at its other side)
_Direct = tuple[int, bool]  # (pool, whether the native coin is its second token)
_NONE: frozenset[int] = frozenset()
_Best = tuple[int, NativeRate]  # (how deep the route is in the native coin, its rate)


class NativeRoutes:
    """`prices.kernel.costs.native_rates` of a few tokens of one book, kept at its state.

    The same rule: the pool with the largest wrapped-native reserve; where none is direct, two
    pools, the shallower as deep as possible. Empty and quarantined pools do not count.
    """

    def __init__(self, book: PoolBook, *, native: int, tokens: Collection[int]) -> None:
        self.book = book
        self.native = native
        self._tokens = frozenset(tokens)
        self._direct: dict[int, list[_Direct]] = defaultdict(list)
        others: dict[int, list[_Side]] = defaultdict(list)
        for index, pool in enumerate(book.pools):
            for token, other in ((pool.token0, pool.token1), (pool.token1, pool.token0)):
                if other == native:
                    self._direct[token].append((index, pool.token1 == native))
                elif token in self._tokens:
                    others[token].append((index, other))
        # Only what has a route in two steps at all.
        self._through = {
            token: [side for side in sides if side[1] in self._direct]
            for token, sides in others.items()
        }
        self._of_pool: dict[int, frozenset[int]] = {}  # tokens with a direct route
        for token in self._tokens & self._direct.keys():
            for index, _ in self._direct[token]:
                self._of_pool[index] = self._of_pool.get(index, _NONE) | {token}
        self._moved = book.follow()
        self._quarantined: frozenset[int] | None = None
        self._roundabout = self._tokens  # their routes hang on more than their own pools
        self._rates: dict[int, NativeRate] = {}

    def rates(self) -> Mapping[int, NativeRate]:
        """Units of each token per wei at the book's state; no entry where there is no route.

        The same object as before while no rate differs.
        """
        stale = self._roundabout
        if self._quarantined != self.book.quarantined.keys():
            self._quarantined = frozenset(self.book.quarantined)
            stale = self._tokens
        elif self._moved:
            for pool in self._moved:
                stale = stale | self._of_pool.get(pool, _NONE)
        elif self._rates:
            return self._rates
        self._moved.clear()
        if stale:
            self._take(stale)
        return self._rates

    def _take(self, stale: Iterable[int]) -> None:
        known: dict[int, _Best | None] = {}
        changed: dict[int, NativeRate] = {}
        lost: list[int] = []
        turned: set[int] = set()
        for token in stale:
            best: _Best | None = None
            if token == self.native:
                best = (0, NativeRate(1, 1))
            else:
                best = self._best_direct(token, known)
            if (best is None) != (token in self._roundabout):
                turned.add(token)
            best = best or self._best_through(token, known)
            if best is None:
                lost.append(token)
            elif best[1] != self._rates.get(token):
                changed[token] = best[1]
        if turned:
            self._roundabout ^= turned
        if changed or any(token in self._rates for token in lost):
            kept = {token: rate for token, rate in self._rates.items() if token not in lost}
            self._rates = kept | changed

    def _reserves(self, pool: int, token: int) -> tuple[int, int] | None:
        """(of the token, of the other) where the pool counts."""
        book = self.book
        reserve0, reserve1 = book.reserve0[pool], book.reserve1[pool]
        if not reserve0 or not reserve1 or pool in book.quarantined:
            return None
        return (reserve0, reserve1) if book.pools[pool].token0 == token else (reserve1, reserve0)

    def _best_direct(self, token: int, known: dict[int, _Best | None]) -> _Best | None:
        """The deepest pool with the native coin."""
        if token in known:
            return known[token]
        book = self.book
        deepest, deepest_pool, reserve = 0, -1, 0
        for pool, native_last in self._direct.get(token, ()):
            own, native = book.reserve0[pool], book.reserve1[pool]
            if not native_last:
                own, native = native, own
            if native > deepest and own and pool not in book.quarantined:
                deepest, deepest_pool, reserve = native, pool, own
        best = None
        if deepest:
            best = (deepest, NativeRate(reserve, deepest, (deepest_pool,)))
        known[token] = best
        return best

    def _best_through(self, token: int, known: dict[int, _Best | None]) -> _Best | None:
        best: _Best | None = None
        for pool, other in self._through.get(token, ()):
            reserves = self._reserves(pool, token)
            onward = self._best_direct(other, known) if reserves is not None else None
            if reserves is None or onward is None:
                continue
            native_reserve, rate = onward
            depth = min(native_reserve, int(rate.wei_floor(reserves[1])))
            if best is None or depth > best[0]:
                joined = NativeRate(
                    reserves[0] * rate.num, reserves[1] * rate.den, (pool, *rate.pools)
                )
                best = (depth, joined)
        return best
