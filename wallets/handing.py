"""A hand-over and its account: announced by a row, made under the guard, its outcome committed."""

import logging
import time
from collections.abc import Callable

from wallets import outcomes
from wallets.handover import Handed, Ways
from wallets.jobs import Job
from wallets.ledger import Killed, LeaderChanged
from wallets.outcomes import Storing
from wallets.record import Connection, Record
from wallets.send_facts import SendOutcome, outcome_of

logger = logging.getLogger(__name__)


class Handing:
    """One sender's. Thread-safe."""

    def __init__(
        self, *, chain_key: str, record: Record, ways: Ways, notify: Callable[[int], None]
    ) -> None:
        self._chain_key = chain_key
        self._record = record
        self._ways = ways
        self._notify = notify

    def hand_over(
        self,
        connection: Connection,
        of: Job,
        stages: dict[str, int],
        *,
        storing: Storing | None = None,
    ) -> SendOutcome:
        """Hand a signed payload over and commit what became of it; ``stages`` are added to.

        Raises: Killed, LeaderChanged, which are in the record then; NotStored, NotSendable.
        """
        via = self._ways.via(of)
        if of.attempt_status != "signed" or of.via != via:
            outcomes.mark_in_flight(connection, of.attempt_id, via=via)
        started = time.perf_counter_ns()
        try:
            handed = self._ways.guarded(connection, of, storing=storing)
        except (Killed, LeaderChanged) as error:
            kept = "refused" if of.attempt_status == "signed" else of.attempt_status
            outcomes.store_outcome(connection, of, attempt_status=kept, via="", detail=str(error))
            self._notify(of.transaction_id)
            raise
        if storing is not None:
            stages["persist"] = (handed.entered_ns - started) // 1_000
        stages["submit"] = us_since(handed.entered_ns)
        if connection.closed or connection.broken:
            with self._record.borrow() as other:
                return self._stored(other, of, handed, stages)
        return self._stored(connection, of, handed, stages)

    def _stored(
        self, connection: Connection, of: Job, handed: Handed, stages: dict[str, int]
    ) -> SendOutcome:
        status = outcomes.store_outcome(
            connection,
            of,
            attempt_status=handed.status,
            via=self._ways.via(of) if handed.left else "",
            detail=handed.detail,
            told=handed.told,
        )
        self._notify(of.transaction_id)
        logger.info(
            "handed over",
            extra={
                "chain": self._chain_key,
                "transaction": of.transaction_id,
                "purpose": of.purpose,
                "nonce": of.nonce,
                "tx_hash": of.hash,
                "outcome": handed.status,
                "detail": handed.detail,
                **{f"{stage}_us": value for stage, value in stages.items()},
            },
        )
        return outcome_of(of, status, handed.detail, stages)


def us_since(started_ns: int) -> int:
    """Microseconds since a reading of the performance counter."""
    return (time.perf_counter_ns() - started_ns) // 1_000
