"""Waits for conditions with a deadline, and says what was missing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from arbsite.base.errors import Retryable

_POLL_S: Final = 0.05


class NotReady(Retryable):
    """Something did not become ready: it ended, or its deadline passed."""


def wait_until(
    lacking: Callable[[], str | None],
    *,
    what: str,
    deadline_s: float,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Ask ``lacking`` until it answers None; it says in words what is missing.

    Raises:
        NotReady: ``alive`` turned false, or ``deadline_s`` seconds passed.
    """
    end = time.monotonic() + deadline_s
    while True:
        reason = lacking()
        if reason is None:
            return
        if not alive():
            raise NotReady(f"{what} ended before it was ready: {reason}")
        if time.monotonic() >= end:
            raise NotReady(f"{what} was not ready within {deadline_s:g} s: {reason}")
        time.sleep(_POLL_S)


def last_words(log: Path) -> str:
    """The line of a log that says why its process ended, as well as can be told."""
    if not log.is_file():
        return "none"
    lines = log.read_text(errors="replace").strip().splitlines()[-20:]
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or ["none"])[-1]
