"""Polling mode: the market read over HTTP at an interval, with the same code from the book on."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from django.db import InterfaceError, OperationalError, connection

from arbsite.base.errors import ArbError
from contracts.rpc import HttpRpc
from prices import services
from prices.chain_state import quote_disagreements, read_market
from prices.models import Monitor
from prices.recorder import NumbersSpent
from prices.session import Limits, PriceSession
from prices.state_check import CheckResult

logger = logging.getLogger(__name__)
# The next run follows at once; lives go on in their rows. Short, so that a worker stops in time.
RUN_S: Final = 55.0
LOOK_S: Final = 0.25


@contextmanager
def sole_poller(chain_key: str) -> Iterator[bool]:
    """Whether this process may poll the chain now: one session-level advisory lock each."""
    name = f"poll:{chain_key}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        (mine,) = cursor.fetchone()
    try:
        yield bool(mine)
    finally:
        if mine:
            # With the session gone the lock is gone too.
            with suppress(OperationalError, InterfaceError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def poll(
    chain_key: str,
    *,
    rpc: Callable[[], HttpRpc],
    run_s: float = RUN_S,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Poll a chain while its monitor asks for it, at most ``run_s``. Returns how many polls.

    Interval, spread, stop and ``stopping`` take effect within a quarter of a second. A node that
    is away is noted and asked again at the next interval.
    """
    with sole_poller(chain_key) as mine:
        if not mine:
            return 0
        until = time.monotonic() + run_s
        return _run(chain_key, rpc=rpc, over=lambda: stopping() or time.monotonic() >= until)


def _run(chain_key: str, *, rpc: Callable[[], HttpRpc], over: Callable[[], bool]) -> int:
    polls = 0
    session: PriceSession | None = None
    while not over():
        monitor = _wanted(chain_key)
        if monitor is None:
            break
        if session is None or session.revision != monitor.revision:
            session = PriceSession(monitor, mode="poll", limits=Limits(), idle_reason="not_armed")
            session.begin()
        started = time.monotonic()
        try:
            _once(session, rpc())
            polls += 1
        except ArbError as error:
            logger.warning("poll failed", extra={"chain": chain_key, "why": str(error)})
            services.monitor_report(chain_key=chain_key, problem=str(error)[:200])
            if isinstance(error, NumbersSpent):
                session = None
        _wait(monitor, due=started + monitor.poll_interval_ms / 1000, over=over)
    if session is not None and _wanted(chain_key) is None:
        session.end()
    return polls


def _once(session: PriceSession, rpc: HttpRpc) -> None:
    """One poll: read all, compare quotes, decide, write."""
    read = read_market(rpc, session.watcher.registry)
    touched = session.take_read(read)
    known = session.watcher.book.quarantined
    wrong = {
        i: why
        for i, why in quote_disagreements(read, session.watcher.registry).items()
        if i not in known
    }
    if wrong:
        result = CheckResult(read=read, wrong=wrong)
        session.take_check(result)
        session.write_quarantines(result)
    session.scan(touched)
    session.write(session.take_batch())


def _wanted(chain_key: str) -> Monitor | None:
    return (
        Monitor.objects.select_related("chain")
        .filter(chain_id=chain_key, wanted=True, mode="poll")
        .first()
    )


def _wait(monitor: Monitor, *, due: float, over: Callable[[], bool]) -> None:
    """Until the next poll is due, the run is over, or the operator changed something."""
    while (left := due - time.monotonic()) > 0 and not over():
        time.sleep(min(left, LOOK_S))
        now = _wanted(monitor.chain_id)
        if now is None or now.revision != monitor.revision:
            return
