"""What became of an attempt, committed: its bytes before the hand-over, its answer after it."""

from collections.abc import Sequence
from typing import Final

from wallets.jobs import Job
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import Status
from wallets.ledger import NotSendable, move
from wallets.record import Connection, Cursor
from wallets.relays import answers
from wallets.relays.answers import Answer

IN_FLIGHT: Final = "handing over"


# By what it is for, hash and history of its transaction; then the bytes into the attempt. What was
# mined meanwhile keeps the hash it was mined under.
_STORE: Final = """
WITH moved AS (
    UPDATE wallets_transaction t SET updated_at = now(),
           status = CASE WHEN %(moves)s THEN 'signed' ELSE t.status END,
           tx_hash = CASE WHEN %(named)s THEN %(hash)s ELSE t.tx_hash END
      FROM wallets_attempt a
     WHERE a.id = %(attempt)s AND a.raw IS NULL AND NOT a.released AND a.status <> 'dead'
       AND t.id = a.transaction_id AND (%(moves)s OR %(named)s)
       AND CASE WHEN %(moves)s THEN t.status = 'simulated' ELSE t.status = ANY(%(unmined)s) END
    RETURNING t.id
), stored AS (
    UPDATE wallets_attempt SET raw = %(raw)s, hash = %(hash)s, status = 'signed',
           sent_via = %(via)s, signed_at = coalesce(signed_at, now())
     WHERE id = %(attempt)s AND raw IS NULL AND NOT released AND status <> 'dead'
       AND (NOT %(moves)s OR EXISTS (SELECT 1 FROM moved))
    RETURNING id
), noted AS (
    INSERT INTO wallets_statuschange (transaction_id, old, new, reason, at)
    SELECT id, 'simulated', 'signed', '', clock_timestamp() FROM moved
     WHERE %(moves)s AND EXISTS (SELECT 1 FROM stored)
)
SELECT count(*) FROM stored
"""

_LOCK: Final = (
    "SELECT 1 FROM wallets_transaction t JOIN wallets_attempt a ON a.transaction_id = t.id"
    " WHERE a.id = %s FOR UPDATE OF t"
)


class NotStored(Exception):
    """Another stored an attempt's bytes, or its nonce was spent before."""


class Storing:
    """Commits bytes, hash and the way they will go, before the first byte goes out (I8).

    The way is kept now: after a crash the record still says whether the public may have them.
    """

    def __init__(self, of: Job, *, raw: bytes, tx_hash: str, via: str) -> None:
        self._asked = {
            "raw": raw,
            "hash": tx_hash,
            "via": via,
            "attempt": of.attempt_id,
            "moves": of.transaction_status is Status.SIMULATED,
            "named": of.purpose not in lifecycle.NEVER_KILLED_PURPOSES or of.kind == "gap_fill",
            "unmined": [status.value for status in lifecycle.UNMINED],
        }
        self._cursor: Cursor | None = None

    def write(self, connection: Connection) -> None:
        """Send its statements: on a pipeline, whose end waits for them."""
        connection.execute("BEGIN")
        if not self._asked["moves"]:  # `stored` would be done before `moved`: the wrong order
            connection.execute(_LOCK, (self._asked["attempt"],))
        self._cursor = connection.execute(_STORE, self._asked)
        connection.execute("COMMIT")

    def check(self) -> None:
        """After the pipeline. Raises: NotStored."""
        row = self._cursor.fetchone() if self._cursor else None
        if not row or not row[0]:
            raise NotStored


def mark_in_flight(connection: Connection, attempt_id: int, *, via: str) -> None:
    """Commit that a hand-over begins, and its way; its outcome clears the mark.

    Once the public may have the bytes, no later bundle makes them private again. Raises:
    NotSendable when the nonce was given back meanwhile.
    """
    marked = connection.execute(
        "UPDATE wallets_attempt SET error = %s, sent_via ="
        " CASE WHEN sent_via = '' OR starts_with(sent_via, %s) THEN %s ELSE sent_via END"
        " WHERE id = %s AND NOT released",
        (IN_FLIGHT, lifecycle.BUNDLE, via, attempt_id),
    )
    if not marked.rowcount:
        raise NotSendable(f"the nonce of attempt {attempt_id} was given back")


def store_outcome(
    connection: Connection,
    of: Job,
    *,
    attempt_status: str,
    via: str,
    detail: str,
    told: Sequence[Answer] = (),
) -> Status:
    """Commit what became of a hand-over; returns the transaction's status after it.

    A cancel's acceptance moves nothing: only its receipt ends the transaction. Without ``via``
    not one byte left. ``told``: each relay's answer, kept for the account of relays.
    """
    new = {"accepted": Status.SUBMITTED, "unknown": Status.UNKNOWN}.get(attempt_status)
    with connection.transaction():
        row = connection.execute(
            "SELECT status FROM wallets_transaction WHERE id = %s FOR UPDATE", (of.transaction_id,)
        ).fetchone()
        connection.execute(
            "UPDATE wallets_attempt SET error = %s,"
            " status = CASE WHEN status IN ('mined', 'dead') THEN status"
            " WHEN status = 'accepted' AND %s <> 'refused' THEN status ELSE %s END,"
            " sent_at = CASE WHEN %s = '' THEN sent_at ELSE now() END WHERE id = %s",
            (detail[:300], attempt_status, attempt_status, via, of.attempt_id),
        )
        _store_answers(connection, of.attempt_id, told)
        assert row is not None  # noqa: S101  its attempt refers to it
        now = Status(row[0])
        waits = now in (Status.SIGNED, Status.UNKNOWN)  # a receipt may have come first
        if of.purpose == "cancel" or not via or new is None or new is now or not waits:
            return now
        move(connection, of.transaction_id, old=now, new=new, reason=detail)
        connection.execute(
            "UPDATE wallets_transaction SET submitted_via = %s WHERE id = %s",
            (via, of.transaction_id),
        )
    return new


def _store_answers(connection: Connection, attempt_id: int, told: Sequence[Answer]) -> None:
    for answer in told:
        connection.execute(
            "INSERT INTO wallets_submission (attempt_id, relay, asked, accepted, outcome, detail,"
            " took_us, first_at, last_at) VALUES (%s, %s, 1, %s, %s, %s, %s, now(), now())"
            " ON CONFLICT (attempt_id, relay) DO UPDATE SET asked = wallets_submission.asked + 1,"
            " accepted = wallets_submission.accepted OR excluded.accepted,"
            " outcome = excluded.outcome, detail = excluded.detail, last_at = now()",
            (
                attempt_id,
                answer.relay,
                answer.outcome == answers.ACCEPTED,
                answer.outcome,
                answer.detail[:200],
                answer.took_us,
            ),
        )
