"""Recorded blocks searched once more by brute force: what paid, how long, and who ended it.

Exact integers over every cycle of two and three pools; shares no code with the product's search.
An opportunity counts only where it pays beyond doubt: whichever lent token of its ring is
borrowed, at the dearest gas that any execution of that length used.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from tests.contracts.localchain.brute import BPS, Book, Cycle


@dataclass(frozen=True)
class Terms:
    """The configured minimum, and what a trade costs: ``gas`` by hops, ``least`` by token."""

    min_bps: int
    price_wei: int
    gas: dict
    least: dict


@dataclass
class Life:
    """A cycle that pays, from block to block; ``took`` and ``tx`` say how it ended."""

    cycle: int
    first: int
    blocks: list = field(default_factory=list)
    cents: int = 0
    took: str = "nobody yet"
    tx: str = ""


class Search:
    """Follows blocks, and keeps every life of a cycle that pays.

    ``names``: who is behind an address, lower case; anybody else is the market.
    """

    def __init__(self, live, *, terms: Terms, names: dict) -> None:
        self.book = Book(live)
        self.terms = terms
        self.names = names
        self.lives: list[Life] = []
        self._alive: dict[int, Life] = {}
        self._turned = [list(self._rotations(cycle)) for cycle in self.book.cycles]

    def _rotations(self, cycle):
        for at in range(len(cycle.hops)):
            hops = cycle.hops[at:] + cycle.hops[:at]
            pool, side = hops[0]
            token = (self.book.pools[pool].token0, self.book.pools[pool].token1)[side]
            if token in self.book.lent:
                yield Cycle(token, hops)

    def take(self, block) -> None:
        """One more block, transaction by transaction."""
        for sent in block.sent:
            moved = self.book.follow([log for log in sent.syncs if self._is_ours(log)])
            for number in [n for n in self._alive if moved & self._pools(n)]:
                if self.pays(number) is None:
                    who = self.names.get(sent.sender, "the market moved")
                    self._end(number, took=who, tx=sent.tx_hash)
        paying = self.paying()
        for number in [n for n in self._alive if n not in paying]:
            self._end(number, took="its costs moved", tx="")
        for number, cents in paying.items():
            if number not in self._alive:
                self._alive[number] = Life(cycle=number, first=block.number)
                self.lives.append(self._alive[number])
            life = self._alive[number]
            life.blocks.append(block.number)
            life.cents = max(life.cents, cents)

    def _is_ours(self, log):
        return log["address"].lower() in self.book.place

    def _end(self, number, *, took, tx):
        life = self._alive.pop(number)
        life.took, life.tx = took, tx

    def _pools(self, number):
        return {pool for pool, _ in self.book.cycles[number].hops}

    def paying(self):
        """Every cycle that pays now, with its net in cents."""
        _, after = self.book.screens()
        found = {int(n): self.pays(int(n)) for n in (after > 0).nonzero()[0]}
        return {number: cents for number, cents in found.items() if cents is not None}

    def pays(self, number):
        """The net in cents, the least of all ways to borrow; None where one way does not pay."""
        cents = []
        for cycle in self._turned[number]:
            net = self._net(cycle)
            if net is None:
                return None
            cents.append(self.book.cents(cycle.token, net))
        return min(cents)

    def _net(self, cycle):
        size = self.book.best_size(cycle)
        num, den = self.book.native_rate(cycle.token)
        if not size or not den:
            return None
        gain = self.book.walk(cycle, size) - size
        cost_wei = self.terms.gas[len(cycle.hops)] * self.terms.price_wei
        net = gain - -(-cost_wei * num // den)
        enough = net > 0 and net * BPS >= size * self.terms.min_bps
        return net if enough and gain >= self.terms.least[cycle.token] else None


def missed(lives, *, busy):
    """(life, block) where it stood after the block and after the next, and nothing was in flight.

    ``busy``: the blocks after which an execution of ours was on its way.
    """
    return [
        (life, number)
        for life in lives
        for number, after in pairwise(life.blocks)
        if after == number + 1 and number not in busy
    ]
