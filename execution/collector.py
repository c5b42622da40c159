"""The garbage collector kept out of the hot path: it works between blocks, never inside one.

Whatever stands for a whole session (registry, book, cycles) is frozen: no collection looks at it.
"""

import gc
import time
from types import TracebackType
from typing import Final, Self

FULL_EVERY_S: Final = 60.0


class Collector:
    """While entered, nothing is collected but by `rest`. Of the whole process: enter it once."""

    def __init__(self) -> None:
        self._was_enabled = False
        self._full_at = 0.0

    def __enter__(self) -> Self:
        self._was_enabled = gc.isenabled()
        gc.disable()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.session_ended()
        if self._was_enabled:
            gc.enable()

    def session_began(self) -> None:
        """What stands now stands until the session ends."""
        gc.collect()
        gc.freeze()
        self._full_at = time.monotonic()

    def session_ended(self) -> None:
        """Let what stood for the session be collected as well."""
        gc.unfreeze()
        gc.collect()

    def rest(self) -> None:
        """Nothing is urgent: collect what is young, and once a minute everything not frozen."""
        if time.monotonic() - self._full_at < FULL_EVERY_S:
            gc.collect(1)
            return
        gc.collect()
        self._full_at = time.monotonic()
