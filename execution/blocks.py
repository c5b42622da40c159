"""The headers that a chain showed of late, which whoever simulates stands on; no I/O."""

import threading
from dataclasses import dataclass
from typing import Final

from arbsite.base.units import BlockNumber

KNOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedBlock:
    """The block whose state a simulation stands on. ``timestamp_s``: Unix time of its header."""

    number: BlockNumber
    hash: str
    timestamp_s: int


class RecentBlocks:
    """The newest `KNOWN` headers by their hash, and what each followed. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[PinnedBlock, str]] = {}
        self._lock = threading.Lock()

    def note(self, block: PinnedBlock, *, parent_hash: str = "") -> None:
        """Keep a header; the oldest makes room. ``parent_hash``: "" where nobody told."""
        with self._lock:
            self._known[block.hash.lower()] = block, parent_hash.lower()
            while len(self._known) > KNOWN:
                del self._known[next(iter(self._known))]

    def get(self, block_hash: str) -> PinnedBlock | None:
        """The block of that hash, if it is known."""
        known = self._known.get(block_hash.lower())
        return None if known is None else known[0]

    def follows(self, block: PinnedBlock, ancestor: PinnedBlock, *, within: int) -> bool:
        """Whether it is that block, or is known to follow it by no more than ``within``."""
        at, wanted = block.hash.lower(), ancestor.hash.lower()
        for _ in range(within + 1):
            if at == wanted:
                return True
            known = self._known.get(at)
            at = "" if known is None else known[1]
        return False
