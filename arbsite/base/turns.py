"""Whose turn the processor is: whoever is asked does not push aside whoever asks."""

import os
from contextlib import suppress


def take_turns() -> None:
    """Have this thread, and what it starts, wake without interrupting what runs (SCHED_BATCH).

    Its share stays the same. An engine that asks PostgreSQL and has more to do goes on with it, and
    is answered by another core or once it waits. Where the system refuses nothing changes.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
