"""Database connections of the sender's own: warm, one a caller, never shared between two."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from arbsite.base.errors import Retryable

Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[Any]
_PING_AFTER_S: Final = 30.0  # beyond this a router between may have forgotten the connection


class RecordUnavailable(Retryable):
    """PostgreSQL went away; what was committed stands and is taken up again."""


def roll_back(connection: Connection) -> None:
    """End what is open on a connection after an error, which matters more than this.

    Past psycopg, which prepares every statement anew after a ROLLBACK that it sees, since that may
    have undone a table; no transaction of ours makes one. Planning all of them takes 3 ms.
    """
    if connection.closed or _is_idle(connection):
        return
    with suppress(psycopg.Error):
        connection.pgconn.exec_(b"ROLLBACK")
    if not _is_idle(connection):
        connection.close()  # nobody may be given what is left of it


def _is_idle(connection: Connection) -> bool:
    return connection.info.transaction_status is TransactionStatus.IDLE


class Record:
    """Hands out autocommit connections and takes them back. Thread-safe."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._idle: list[tuple[Connection, float]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """A connection for this block alone. Raises: RecordUnavailable when it breaks."""
        connection = self._take()
        try:
            yield connection
        except (psycopg.OperationalError, psycopg.errors.TransactionTimeout) as error:
            connection.close()
            raise RecordUnavailable(
                f"the record went away ({type(error).__name__}): sending resumes when it is back"
            ) from None
        finally:
            if not connection.closed:
                self._give_back(connection)

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                held = self._idle.pop() if self._idle else None
            if held is None:
                try:
                    return self._connect()
                except psycopg.OperationalError:
                    raise RecordUnavailable("the record cannot be reached: nothing sent") from None
            connection, since = held
            if time.monotonic() - since < _PING_AFTER_S and not _was_told(connection):
                return connection
            with suppress(psycopg.Error):
                connection.execute("SELECT 1")
                return connection
            connection.close()


def _was_told(connection: Connection) -> bool:
    """Whether the server said what nobody asked for: its end, most likely. No round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
