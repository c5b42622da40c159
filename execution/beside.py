"""A thread for what nobody waits for: it lets whoever is waited for go first."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from arbsite.base.errors import ArbError

logger = logging.getLogger(__name__)
AT_MOST_S: Final = 0.25  # nobody is let go first for longer: what is beside would never be done


class Beside:
    """Jobs one after the other; the next begins once nobody is ahead, or ``at_most_s`` seconds
    after it could have. Thread-safe.

    The interpreter, the cores and the node are one's own for the few milliseconds that count.
    """

    def __init__(self, name: str, *, at_most_s: float = AT_MOST_S) -> None:
        self._jobs = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._at_most_s = at_most_s
        self._clear = threading.Event()
        self._clear.set()
        self._closed = False

    def make_way(self) -> None:
        """Somebody is ahead from now on; the job in hand goes on."""
        self._clear.clear()

    def go_on(self) -> None:
        """Nobody is ahead any more."""
        self._clear.set()

    def do(self, job: Callable[..., None], *about: object) -> None:
        """Have it done in turn; what it cannot do is said, and no more."""

        def in_turn() -> None:
            self._clear.wait(self._at_most_s)
            job(*about)

        try:
            begun = self._jobs.submit(in_turn)
        except RuntimeError:
            if not self._closed:
                raise
            return
        begun.add_done_callback(_say_why_not)

    def catch_up(self) -> None:
        """Wait until everything that was asked so far is done."""
        self._jobs.submit(lambda: None).result()

    def close(self) -> None:
        """End the thread after the job in hand; what waits is dropped."""
        self._closed = True
        self._clear.set()
        self._jobs.shutdown(wait=False, cancel_futures=True)


def _say_why_not(done: "Future[None]") -> None:
    """What a job could not do. A bug costs time alone: nobody waited for it."""
    error = None if done.cancelled() else done.exception()
    if isinstance(error, ArbError):
        logger.warning("not done beside", extra={"why": str(error)})
    elif error is not None:
        logger.error("a bug in what is done beside", exc_info=error)
