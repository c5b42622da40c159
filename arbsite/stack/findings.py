"""What `doctor` finds: one sentence a finding, and the patient it looks at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from arbsite.base.conf import ArbConfig
from arbsite.stack import paths
from arbsite.stack.lock import is_held


class Level(StrEnum):
    """How a finding counts."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what mends it where something is to be mended."""

    level: Level
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at."""

    arb: ArbConfig
    root: Path
    chain: str | None = None

    @property
    def stack_runs(self) -> bool:
        """Whether `up` runs on this data folder."""
        return is_held(paths.Layout(self.arb.data_dir).run / "up.lock")


Check = Callable[[Patient], Iterator[Finding]]
