"""Giving nonces back, and only so (INVARIANTS I51): never signed, or missed by every bundle.

SQL alone, on the sender's connections. Rows are locked in the ledger's order.
"""

from wallets.jobs import jobs_of
from wallets.kernel import lifecycle
from wallets.kernel.lifecycle import Status
from wallets.ledger import locked_transaction, move
from wallets.record import Connection


def release(connection: Connection, attempt_id: int, *, reason: str, rejects: bool = False) -> bool:
    """Give back a nonce that was never signed for, if it is the account's highest (I51 a).

    ``rejects``: its transaction ends in the same commit, so that nobody prepares it anew in
    between. A bump or cancel has no nonce to give back: it shares that of what it replaces.
    """
    with connection.transaction():
        connection.execute(
            "SELECT 1 FROM wallets_noncesequence s JOIN wallets_attempt a ON a.sequence_id = s.id"
            " WHERE a.id = %s FOR UPDATE OF s",
            (attempt_id,),
        )
        released = connection.execute(
            "UPDATE wallets_attempt a SET released = true, status = 'dead', error = %s"
            " FROM wallets_noncesequence s WHERE a.id = %s AND s.id = a.sequence_id"
            " AND a.signed_at IS NULL AND a.raw IS NULL AND NOT a.released"
            " AND a.purpose IN ('first', 'gap_fill', 'reuse')"
            " AND a.nonce = s.next_nonce - 1 RETURNING s.id, a.nonce, a.transaction_id",
            (reason[:300], attempt_id),
        ).fetchone()
        if released is None:
            return False
        _give_back(connection, sequence_id=released[0], nonce=released[1])
        if rejects:
            move(connection, released[2], old=Status.SIMULATED, new=Status.REJECTED, reason=reason)
    return True


def abandon(connection: Connection, attempt_id: int, *, reason: str) -> None:
    """Drop a replacement that was never signed; the nonce stays with what it would replace."""
    connection.execute(
        "UPDATE wallets_attempt SET released = true, status = 'dead', error = %s"
        " WHERE id = %s AND purpose IN ('bump', 'cancel')"
        " AND signed_at IS NULL AND raw IS NULL",
        (reason[:300], attempt_id),
    )


def release_missed(connection: Connection, transaction_id: int, *, head: int) -> bool:
    """Give back the nonce of a transaction that bundles alone carried, past its last block (I51 b).

    The caller has seen, at ``head``, that the account's nonce on chain has not passed it. Its
    payloads stay watched by hash: what lands after all is booked. False where a payload went
    another way or may have, the last block is not past, or later nonces are in use.
    """
    with connection.transaction():
        row = locked_transaction(connection, transaction_id)
        # Whoever hands one over another way marks it first: one of the two waits for the other.
        connection.execute(
            "SELECT 1 FROM wallets_attempt WHERE transaction_id = %s AND NOT released"
            " ORDER BY id FOR UPDATE",
            (transaction_id,),
        )
        held = jobs_of(connection, transaction_id)
        if not held or row["last_block"] is None or head <= row["last_block"]:
            return False
        if not all(of.raw and lifecycle.is_bundle(of.via) for of in held):
            return False
        nonce = held[0].nonce
        shared = connection.execute(
            "SELECT 1 FROM wallets_attempt WHERE sequence_id = %s AND nonce = %s"
            " AND NOT released AND transaction_id <> %s",
            (row["sequence_id"], nonce, transaction_id),
        ).fetchone()
        if shared is None and nonce != row["next_nonce"] - 1:
            return False
        connection.execute(
            "UPDATE wallets_attempt SET released = true WHERE transaction_id = %s AND NOT released",
            (transaction_id,),
        )
        if shared is None:
            _give_back(connection, sequence_id=row["sequence_id"], nonce=nonce)
        move(
            connection,
            transaction_id,
            old=Status(row["status"]),
            new=Status.EXPIRED,
            reason=f"no bundle carried it by block {row['last_block']}: nonce {nonce} is free",
        )
    return True


def _give_back(connection: Connection, *, sequence_id: int, nonce: int) -> None:
    connection.execute(
        "UPDATE wallets_noncesequence SET next_nonce = %s WHERE id = %s", (nonce, sequence_id)
    )
