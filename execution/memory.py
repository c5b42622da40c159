"""What a desk remembers of what it did, for the gate: keys, pools of this head, the last time."""

from typing import Final

from contracts.models import Chain
from execution import selectors
from execution.kernel.gate import Candidate
from execution.models import Execution

REMEMBERED: Final = 1_000  # the record refuses older keys


class Memory:
    """Of one lead. The record holds the same; this answers without a query.

    ``last_execution_ms``: Unix time of the last automatic execution, whoever led then.
    """

    def __init__(self) -> None:
        self.last_execution_ms: int | None = None
        self._acted_on: dict[str, None] = {}
        self._taken_at = ""
        self._taken: frozenset[str] = frozenset()

    def read(self, chain: Chain) -> None:
        """Begin where whoever led before has ended. One query."""
        last = selectors.last_automatic_at(chain=chain)
        self.last_execution_ms = None if last is None else int(last.timestamp() * 1000)

    def keep(self, candidate: Candidate, row: Execution) -> None:
        """This was acted on, at its block."""
        self._acted_on[candidate.key] = None
        while len(self._acted_on) > REMEMBERED:
            self._acted_on.pop(next(iter(self._acted_on)))
        self._taken = candidate.pools | self.pools_taken(candidate.block_hash)
        self._taken_at = candidate.block_hash.lower()
        if row.automatic:
            self.last_execution_ms = int(row.created_at.timestamp() * 1000)

    @property
    def acted_on(self) -> frozenset[str]:
        """Keys of what was acted on."""
        return frozenset(self._acted_on)

    def pools_taken(self, head_hash: str) -> frozenset[str]:
        """Pools of what was acted on at this head: their state there is used up."""
        return self._taken if head_hash.lower() == self._taken_at else frozenset()
