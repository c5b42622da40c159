"""Every 2- and 3-hop cycle of a market by brute force, in exact integers; shares no search code."""

import math
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
BPS = 10_000


@dataclass(frozen=True)
class Cycle:
    token: str
    hops: tuple  # (pool index, input side 0 or 1)


class Book:
    """Reserves read from the chain, and all cycles over them."""

    def __init__(self, live):
        self.live = live
        self.pools = live.market.pools
        self.fees = [live.market.dex(pool.dex).fee_bps for pool in self.pools]
        self.place = {pool.address.lower(): i for i, pool in enumerate(self.pools)}
        self.reserves = [[pool.first_reserve0, pool.first_reserve1] for pool in self.pools]
        self.lent = [live.market.token(symbol).address for symbol in live.market.lent]
        self.cycles = self._all_cycles()
        width = 2 * len(self.pools)
        self.index = np.full((len(self.cycles), 3), width)
        for row, cycle in enumerate(self.cycles):
            for column, (pool, side) in enumerate(cycle.hops):
                self.index[row, column] = 2 * pool + side
        self.log_fees = np.append(np.repeat([math.log1p(-fee / BPS) for fee in self.fees], 2), 0)

    def _all_cycles(self):
        tokens = sorted({side for pool in self.pools for side in (pool.token0, pool.token1)})
        between = {}
        for i, pool in enumerate(self.pools):
            between.setdefault((pool.token0, pool.token1), []).append((i, 0))
            between.setdefault((pool.token1, pool.token0), []).append((i, 1))
        rings = {}
        for count in (2, 3):
            for ring in permutations(tokens, count):
                if ring[0] not in self.lent:
                    continue
                sides = list(zip(ring, ring[1:] + ring[:1], strict=True))
                for hops in product(*(between.get(side, ()) for side in sides)):
                    if len({pool for pool, _ in hops}) == count:
                        rings.setdefault(frozenset(hops), Cycle(ring[0], hops))
        return list(rings.values())

    def follow(self, logs):
        """Apply a block's Sync logs; the pools that moved."""
        moved = set()
        for log in logs:
            if log["topics"][0] == SYNC:
                place = self.place[log["address"].lower()]
                data = log["data"][2:]
                self.reserves[place] = [int(data[:64], 16), int(data[64:], 16)]
                moved.add(place)
        return moved

    def screens(self):
        """Each cycle's log spread, before and after fees."""
        sides = np.array([[math.log(a), math.log(b)] for a, b in self.reserves])
        rate = sides[:, 1] - sides[:, 0]
        rates = np.append(np.stack([rate, -rate], 1).ravel(), 0)
        before = rates[self.index].sum(1)
        return before, before + self.log_fees[self.index].sum(1)

    def walk(self, cycle, amount):
        for pool, side in cycle.hops:
            reserve_in, reserve_out = self.reserves[pool][side], self.reserves[pool][1 - side]
            kept = amount * (BPS - self.fees[pool])
            amount = kept * reserve_out // (reserve_in * BPS + kept)
        return amount

    def best_size(self, cycle):
        """The input with the largest gain: the closed form in integers."""
        out, base, slope = 1, 1, 0
        for pool, side in cycle.hops:
            reserve_in, reserve_out = self.reserves[pool][side], self.reserves[pool][1 - side]
            keep = BPS - self.fees[pool]
            out, base, slope = (
                out * keep * reserve_out,
                base * reserve_in * BPS,
                slope * reserve_in * BPS + out * keep,
            )
        return max(0, (math.isqrt(out * base) - base) // slope)

    def native_rate(self, token):
        """Raw units of ``token`` per wei, as a fraction, in the deepest pool with wrapped coin."""
        wrapped = self.live.market.wrapped_native
        if token == wrapped:
            return 1, 1
        best = (0, 0)
        for pool, (reserve0, reserve1) in zip(self.pools, self.reserves, strict=True):
            if {pool.token0, pool.token1} == {token, wrapped}:
                there = (reserve1, reserve0) if pool.token0 == wrapped else (reserve0, reserve1)
                best = max(best, (there[1], there[0]))
        return best[1], best[0]

    def cents(self, token, amount):
        """US cents, rounded down, by the deepest pools."""
        numerator, denominator = self.native_rate(token)
        dollars, per_wei = self.native_rate(self.live.market.token("USDT").address)
        return amount * denominator * dollars * 100 // (numerator * per_wei * 10**18)
