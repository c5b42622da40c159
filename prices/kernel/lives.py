"""Lives of cycles: from the evaluations of each block to the records worth writing.

One record stream per cycle, rotation ignored: a birth, a change whenever verdict or reason change,
an end. What only moves in size writes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from prices.kernel.book import BlockRef
from prices.kernel.opportunity import Evaluation
from prices.kernel.waterfall import Verdict


class LifeEvent(StrEnum):
    BIRTH = "birth"
    CHANGE = "change"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeRecord:
    """One thing to write of a life.

    ``life`` numbers the lives of this process from 1. ``evaluation``: the new one at a birth or
    change, the last one at an end. ``block``: where it happened. ``orphaned``: it ended because
    the block of its birth left the chain.
    """

    event: LifeEvent
    life: int
    identity: str
    block: BlockRef
    born: BlockRef
    evaluation: Evaluation
    orphaned: bool = False


@dataclass(slots=True)
class _Life:
    serial: int
    born: BlockRef
    recorded: BlockRef
    current: Evaluation
    rewrite: bool = False  # what was recorded stood on a block that left the chain


class LifeTracker:
    """The cycles that are alive, each with its latest evaluation."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}
        self._executable: set[str] = set()
        self._serial = 0

    def __len__(self) -> int:
        return len(self._lives)

    def __contains__(self, identity: str) -> bool:
        return identity in self._lives

    def executable(self, identity: str) -> bool:
        """Whether a living cycle could be executed when it was decided last."""
        return identity in self._executable

    def executables(self) -> list[Evaluation]:
        """The latest evaluation of every cycle that could be executed then."""
        return [self._lives[identity].current for identity in self._executable]

    def current(self) -> Mapping[str, Evaluation]:
        """The latest evaluation of every living cycle, by identity."""
        return {identity: life.current for identity, life in self._lives.items()}

    def observe(
        self, block: BlockRef, *, alive: Iterable[str], evaluations: Iterable[Evaluation]
    ) -> list[LifeRecord]:
        """Take one block: every identity over the minimum spread, and what was evaluated anew.

        A living cycle that was not evaluated goes on unchanged; one that is neither in ``alive``
        nor evaluated ends. Evaluated cycles count as alive.
        """
        records: list[LifeRecord] = []
        seen = set(alive)
        for evaluation in evaluations:
            seen.add(evaluation.identity)
            record = self._take(block, evaluation)
            if record is not None:
                records.append(record)
        for identity in [each for each in self._lives if each not in seen]:
            records.append(self._end(identity, block))
        return records

    def rollback(self, block: BlockRef) -> list[LifeRecord]:
        """Undo to a common ancestor: lives born above it end as orphans, the rest are rewritten.

        A life that ended above it stays ended; if it still stands, the next block bears it anew.
        """
        records = []
        for identity, life in list(self._lives.items()):
            if life.born.number > block.number:
                records.append(self._end(identity, block, orphaned=True))
            elif life.recorded.number > block.number:
                life.rewrite = True
        return records

    def end_all(self, block: BlockRef) -> list[LifeRecord]:
        """End every life, as when monitoring stops or the registry changes."""
        return [self._end(identity, block) for identity in list(self._lives)]

    def _take(self, block: BlockRef, evaluation: Evaluation) -> LifeRecord | None:
        life = self._lives.get(evaluation.identity)
        if life is None:
            self._serial += 1
            life = _Life(self._serial, born=block, recorded=block, current=evaluation)
            self._lives[evaluation.identity] = life
            self._hold(evaluation)
            return self._record(LifeEvent.BIRTH, block, life)
        before = life.current
        life.current = evaluation
        self._hold(evaluation)
        same = (before.verdict, before.reason) == (evaluation.verdict, evaluation.reason)
        if same and not life.rewrite:
            return None
        life.rewrite = False
        life.recorded = block
        return self._record(LifeEvent.CHANGE, block, life)

    def _end(self, identity: str, block: BlockRef, *, orphaned: bool = False) -> LifeRecord:
        self._executable.discard(identity)
        return self._record(LifeEvent.END, block, self._lives.pop(identity), orphaned=orphaned)

    def _hold(self, evaluation: Evaluation) -> None:
        if evaluation.verdict is Verdict.EXECUTABLE:
            self._executable.add(evaluation.identity)
        else:
            self._executable.discard(evaluation.identity)

    @staticmethod
    def _record(
        event: LifeEvent, block: BlockRef, life: _Life, *, orphaned: bool = False
    ) -> LifeRecord:
        return LifeRecord(
            event=event,
            life=life.serial,
            identity=life.current.identity,
            block=block,
            born=life.born,
            evaluation=life.current,
            orphaned=orphaned,
        )
