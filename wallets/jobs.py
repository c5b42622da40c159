"""Attempts as the sender works on them: one row of the record, read with its transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from psycopg.rows import dict_row

from arbsite.base.errors import Halt
from arbsite.base.rows import literals
from contracts.kernel.fees import GasFees
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import Status
from wallets.record import Connection


class RecordTorn(Halt):
    """A row is not as the code left it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt with what is needed to sign and send it. ``tip_fee_wei``: per gas. ``tip_to``:
    whom an execution's value goes to, as last read of its contract; None where it has none."""

    attempt_id: int
    transaction_id: int
    nonce: int
    purpose: str
    kind: str
    attempt_status: str
    transaction_status: Status
    hash: str
    raw: bytes
    last_block: int | None
    signed: bool
    via: str
    private_only: bool
    tip_fee_wei: int
    tip_to: str | None
    existed: bool = False


# Whom the value of an execution goes to, beside a transaction t: a contract's tip recipient.
TIP_TO: Final = """(SELECT coalesce(d.observed->>'tipRecipient', '') FROM contracts_deployment d
                     WHERE d.chain_id = t.chain_id AND d.address = t."to")"""
_JOB: Final = f"""
SELECT a.id AS attempt_id, a.transaction_id, a.nonce, a.purpose, t.kind,
       a.status AS attempt_status, t.status AS transaction_status, coalesce(a.hash, '') AS hash,
       coalesce(a.raw, ''::bytea) AS raw, t.last_block, a.signed_at IS NOT NULL AS signed,
       a.sent_via AS via, t.private_only, a.tip_fee_wei,
       CASE WHEN t.kind = 'execution' AND a.value_wei > 0 THEN coalesce({TIP_TO}, '') END AS tip_to
  FROM wallets_attempt a JOIN wallets_transaction t ON t.id = a.transaction_id
"""  # noqa: S608  a constant


def job(connection: Connection, attempt_id: int, *, existed: bool = False) -> Job:
    """Read one attempt. Joins the caller's transaction."""
    rows = _jobs(connection, _JOB + " WHERE a.id = %s", (attempt_id,), existed=existed)
    if not rows:
        raise RecordTorn(f"attempt {attempt_id} is gone")
    return rows[0]


def job_taken(row: Mapping[str, Any], *, attempt_id: int, purpose: str, fees: GasFees) -> Job:
    """An attempt just made, of its transaction's row and its account's: nothing is read again."""
    return Job(
        attempt_id=attempt_id,
        transaction_id=row["id"],
        nonce=row["next_nonce"],
        purpose=purpose,
        kind=row["kind"],
        attempt_status="prepared",
        transaction_status=Status.SIMULATED,
        hash="",
        raw=b"",
        last_block=row["last_block"],
        signed=False,
        via="",
        private_only=row["private_only"],
        tip_fee_wei=fees.max_priority_fee_wei,
        tip_to=row["tip_to"],
    )


def job_signed(of: Job, *, raw: bytes, tx_hash: str, via: str) -> Job:
    """An attempt as it stands once its bytes were stored by `outcomes.Storing`."""
    begun = of.transaction_status is Status.SIMULATED
    return replace(
        of,
        raw=raw,
        hash=tx_hash,
        via=via,
        signed=True,
        attempt_status="signed",
        transaction_status=Status.SIGNED if begun else of.transaction_status,
    )


def jobs_of(connection: Connection, transaction_id: int) -> list[Job]:
    """Every attempt of a transaction whose nonce was not given back, oldest first."""
    where = " WHERE a.transaction_id = %s AND NOT a.released ORDER BY a.id"
    return _jobs(connection, _JOB + where, (transaction_id,), existed=True)


def jobs_unfinished(connection: Connection, *, chain_key: str, older_than_s: float) -> list[Job]:
    """Attempts that took a nonce and were never stored signed, by a sender that is gone.

    A replacement waits while what it replaces is mined: only a reorg makes it needed again.
    """
    where = (
        " WHERE t.chain_id = %s AND a.status = 'prepared' AND NOT a.released"
        f" AND t.status IN {literals(lifecycle.UNMINED)}"
        " AND a.created_at < now() - make_interval(secs => %s)"
        " ORDER BY a.sequence_id, a.nonce DESC, a.id"
    )
    return _jobs(connection, _JOB + where, (chain_key, older_than_s), existed=True)


def _jobs(connection: Connection, sql: str, args: tuple[Any, ...], *, existed: bool) -> list[Job]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql, args).fetchall()
    return [
        Job(
            **{
                **row,
                "raw": bytes(row["raw"]),
                "tip_fee_wei": int(row["tip_fee_wei"]),
                "transaction_status": Status(row["transaction_status"]),
            },
            existed=existed,
        )
        for row in rows
    ]
