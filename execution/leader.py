"""Who leads a chain: one session-level advisory lock, and an epoch that rises with each leader."""

from typing import Any, Final

import psycopg
from django.db import connection, transaction
from django.utils import timezone

from arbsite.base.errors import Halt, Retryable
from contracts.models import Chain
from wallets import adapters as wallet_adapters
from wallets.models import ChainLeader

_LOCK: Final = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"

_HELD: Final = """
SELECT EXISTS (
  SELECT FROM pg_locks
   WHERE locktype = 'advisory' AND granted AND objsubid = 1
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0))
"""


class LeadLost(Halt):
    """Another engine leads, or the session that held the lead ended."""


class RecordAway(Retryable):
    """PostgreSQL cannot be reached."""


def is_led(chain_key: str) -> bool:
    """Whether an engine holds the lead of a chain now, in whatever process. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, (_name(chain_key),))
        return bool(cursor.fetchone()[0])


def _name(chain_key: str) -> str:
    return f"engine:{chain_key}"


class Leadership:
    """One process's claim to a chain. Used from one thread."""

    def __init__(self, chain_key: str) -> None:
        self.chain_key = chain_key
        self.epoch: int | None = None
        self._session: psycopg.Connection[Any] | None = None

    def acquire(self) -> int | None:
        """Take the lead and raise the epoch, or None while another process holds it. Database.

        Raises: RecordAway.
        """
        try:
            if self._session is None or self._session.closed:
                self._session = wallet_adapters.connect(name=f"arb-engine:{self.chain_key}")
            row = self._session.execute(_LOCK, (_name(self.chain_key),)).fetchone()
        except psycopg.Error as error:
            self.release()
            raise RecordAway(f"no lead without the record: {error}") from None
        if row is None or not row[0]:
            return None
        with transaction.atomic():
            chain = Chain.objects.get(key=self.chain_key)
            ChainLeader.objects.get_or_create(chain=chain)
            leader = ChainLeader.objects.select_for_update().get(chain=chain)
            leader.epoch += 1
            leader.holder = f"pid {self._session.info.backend_pid}"
            leader.since = timezone.now()
            leader.save(update_fields=["epoch", "holder", "since"])
        self.epoch = leader.epoch
        return leader.epoch

    def check(self) -> None:
        """Raises: LeadLost when the lock's session ended or a higher epoch stands. Database."""
        session = self._session
        if session is None:
            raise LeadLost("this engine never led")
        try:
            session.execute("SELECT 1")
        except psycopg.Error:
            raise LeadLost("the session that held the lead ended: it is stood for again") from None
        found = ChainLeader.objects.filter(chain_id=self.chain_key).first()
        if found is None or found.epoch != self.epoch:
            raise LeadLost(f"another engine leads {self.chain_key} now")

    def release(self) -> None:
        """Let another engine lead."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
