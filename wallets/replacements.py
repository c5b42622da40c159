"""Second payloads on a nonce, and only so: cancel, bump, gap fill (INVARIANTS I1); SQL alone."""

from typing import Final

from arbsite.base.units import Gas
from wallets import jobs, ledger
from wallets.jobs import Job
from wallets.kernel.lifecycle import Status
from wallets.ledger import NotSendable, Offer
from wallets.record import Connection

_REPLACEABLE: Final = frozenset({Status.SIGNED, Status.SUBMITTED, Status.UNKNOWN})


def open_cancel(connection: Connection, transaction_id: int) -> Job | None:
    """The cancel that stands for a transaction, the newest if its fee was raised."""
    cancels = [
        of
        for of in jobs.jobs_of(connection, transaction_id)
        if of.purpose == "cancel" and of.attempt_status != "dead"
    ]
    return cancels[-1] if cancels else None


def cancel(
    connection: Connection, transaction_id: int, *, offer: Offer, self_gas: Gas, raise_fee: bool
) -> Job:
    """Record a payload that sends 0 to the account itself on the transaction's nonce.

    The cancel that another process recorded first is given back instead, unless ``raise_fee``.
    Raises: NotSendable when nothing signed holds a nonce; AccountFrozen; what ``offer`` raises.
    """
    with connection.transaction():
        row = ledger.locked_transaction(connection, transaction_id)
        ledger.check_account(row)
        standing = open_cancel(connection, transaction_id)
        if standing is not None and (not raise_fee or not standing.raw):
            return standing
        held = _held(connection, row["status"], transaction_id)
        # Signed after the cancel, it would be a cheaper payload that comes later.
        connection.execute(
            "UPDATE wallets_attempt SET released = true, status = 'dead', error = %s"
            " WHERE transaction_id = %s AND purpose = 'bump' AND signed_at IS NULL AND raw IS NULL",
            ("cancelled before it was signed", transaction_id),
        )
        attempt_id = ledger.insert_attempt(
            connection,
            row,
            nonce=held.nonce,
            purpose="cancel",
            fees=offer(ledger.payloads_of(connection, row["sequence_id"], held.nonce)),
            replaces=held.attempt_id,
            self_gas=self_gas,
        )
        return jobs.job(connection, attempt_id)


def bump(
    connection: Connection,
    transaction_id: int,
    *,
    offer: Offer,
    simulated: tuple[int, str] | None,
) -> Job:
    """Record the same payload at higher fees.

    Raises: NotSendable: it is not open, is being cancelled, or is an execution without a newer
        simulation; Killed; AccountFrozen; what ``offer`` raises.
    """
    with connection.transaction():
        row = ledger.locked_transaction(connection, transaction_id)
        ledger.check_account(row)
        ledger.check_allowed(connection, transaction_id, purpose="bump")
        held = _held(connection, row["status"], transaction_id)
        if held.purpose == "cancel":
            raise NotSendable(f"transaction {transaction_id} is being cancelled")
        if row["kind"] == "execution":
            if simulated is None or simulated[0] <= row["simulated_block"]:
                raise NotSendable("an execution is bumped after a new simulation, else cancelled")
            connection.execute(
                "UPDATE wallets_transaction SET simulated_block = %s, simulated_block_hash = %s"
                " WHERE id = %s",
                (*simulated, transaction_id),
            )
        attempt_id = ledger.insert_attempt(
            connection,
            row,
            nonce=held.nonce,
            purpose="bump",
            fees=offer(ledger.payloads_of(connection, row["sequence_id"], held.nonce)),
            replaces=held.attempt_id,
        )
        return jobs.job(connection, attempt_id)


def gap_fill(
    connection: Connection, of: Job, *, offer: Offer, self_gas: Gas, reason: str
) -> Job | None:
    """Give the nonce of a never-signed attempt to a transaction that does nothing, in one commit.

    Later nonces are in use, so this one must be mined by something, in public. ``offer`` is given
    the fees of what missed on it before and may land still, none for most. None: it was signed
    after all. Raises: AccountFrozen; what ``offer`` raises.
    """
    with connection.transaction():
        row = ledger.locked_transaction(connection, of.transaction_id)
        ledger.check_account(row)
        freed = connection.execute(
            "UPDATE wallets_attempt SET released = true, status = 'dead', error = %s"
            " WHERE id = %s AND signed_at IS NULL AND raw IS NULL AND NOT released",
            (reason[:300], of.attempt_id),
        )
        if not freed.rowcount:
            return None
        ledger.move(
            connection,
            of.transaction_id,
            old=Status.SIMULATED,
            new=Status.REJECTED,
            reason=reason,
        )
        filler = connection.execute(
            "INSERT INTO wallets_transaction (chain_id, wallet_id, kind, idempotency_key,"
            ' "to", value_wei, data, gas_limit, kill_epoch, private_only, simulated_only,'
            " simulated_block, simulated_block_hash, status, reason, submitted_via, tx_hash,"
            " block_hash, created_at, updated_at)"
            " SELECT t.chain_id, t.wallet_id, 'gap_fill', 'gap:' || %s, w.address, 0, '', %s, 0,"
            " false, false, coalesce(t.simulated_block, 0), '', 'simulated', %s, '', '', '',"
            " now(), now()"
            "  FROM wallets_transaction t JOIN wallets_wallet w ON w.id = t.wallet_id"
            " WHERE t.id = %s RETURNING id",
            (of.attempt_id, self_gas, reason[:200], of.transaction_id),
        ).fetchone()
        assert filler is not None  # noqa: S101  the row it selects from is locked above
        connection.execute(
            "INSERT INTO wallets_statuschange (transaction_id, old, new, reason, at)"
            " VALUES (%s, '', 'simulated', %s, clock_timestamp())",
            (filler[0], reason[:200]),
        )
        attempt_id = ledger.insert_attempt(
            connection,
            {**row, "id": filler[0]},
            nonce=of.nonce,
            purpose="gap_fill",
            fees=offer(ledger.payloads_of(connection, row["sequence_id"], of.nonce)),
            replaces=_missed(connection, row["sequence_id"], of.nonce),
            self_gas=self_gas,
        )
        return jobs.job(connection, attempt_id)


def _missed(connection: Connection, sequence_id: int, nonce: int) -> int | None:
    """The last payload that a nonce had and gave back, and that may land on it still."""
    row = connection.execute(
        "SELECT max(id) FROM wallets_attempt WHERE sequence_id = %s AND nonce = %s"
        " AND released AND signed_at IS NOT NULL",
        (sequence_id, nonce),
    ).fetchone()
    return row[0] if row else None


def _held(connection: Connection, status: str, transaction_id: int) -> Job:
    """The newest payload that holds the nonce. Raises: NotSendable."""
    signed = [of for of in jobs.jobs_of(connection, transaction_id) if of.signed]
    now = Status(status)
    if not signed or (now not in _REPLACEABLE and now is not Status.SIMULATED):
        raise NotSendable(f"transaction {transaction_id} is {now}: no signed payload to replace")
    return signed[-1]
