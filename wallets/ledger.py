"""The sender's record: nonces, attempts and outcomes as SQL on its own connection; no I/O else.

Row order everywhere: sequence, then transaction, then attempt. Every function is one database
transaction, or says that it joins the caller's.
"""

from collections.abc import Callable
from typing import Any, Final

from psycopg.rows import dict_row

from arbsite.base.errors import Halt, Rejected
from arbsite.base.units import Wei
from contracts.kernel.fees import FeeModel, GasFees
from wallets.jobs import TIP_TO, Job, RecordTorn, job, job_taken
from wallets.kernel import bumps, lifecycle
from wallets.kernel.lifecycle import Status
from wallets.kernel.payload import EIP1559, LEGACY
from wallets.record import Connection, Cursor

Offer = Callable[[list[GasFees]], GasFees]
Reuse = Callable[[list[GasFees], bool], GasFees]

KILL_LOCK: Final = 0x4B494C4C  # advisory lock of the kill switch: senders share it, a kill owns it
RELANDING: Final = "relanding"


class NotSendable(Rejected):
    """The transaction is not in a state to be sent."""


class Killed(Rejected):
    """The kill switch is engaged, or was since this was planned."""


class LeaderChanged(Rejected):
    """Another engine leads the chain."""


class AccountFrozen(Halt):
    """The account sends nothing until a human looked."""


def facts_of(chain: str) -> str:
    """Kill switch and leader of a chain, as columns; ``chain``: SQL that names it."""
    return f"""
       (SELECT l.epoch FROM wallets_chainleader l WHERE l.chain_id = {chain}) AS leader_now,
       (SELECT count(*) FROM wallets_killstate k
         WHERE k.scope IN ('*', {chain}) AND NOT k.engaged) AS kills_clear,
       (SELECT sum(k.epoch) FROM wallets_killstate k
         WHERE k.scope IN ('*', {chain})) AS kill_epoch_now
"""  # noqa: S608  constants


_FACTS: Final = facts_of("t.chain_id")
# A transaction under its lock: its attempt, the last payload that its account's next nonce had and
# gave back, whom its value pays, and whether it may go.
_LOCKED: Final = f"""
SELECT t.id, t.kind, t.status, t."to", t.value_wei, t.data, t.gas_limit, t.last_block, t.kill_epoch,
       t.leader_epoch, t.private_only, t.simulated_only, t.simulated_block, {_FACTS},
       (SELECT min(a.id) FROM wallets_attempt a
         WHERE a.transaction_id = t.id AND NOT a.released) AS attempt_id,
       (SELECT max(a.id) FROM wallets_attempt a WHERE a.sequence_id = %s AND a.nonce = %s
           AND a.released AND a.signed_at IS NOT NULL) AS missed,
       CASE WHEN t.kind = 'execution' AND t.value_wei > 0 THEN coalesce({TIP_TO}, '') END AS tip_to
  FROM wallets_transaction t WHERE t.id = %s FOR UPDATE OF t
"""  # noqa: S608  a constant


def account_of(connection: Connection, transaction_id: int) -> tuple[str, bool]:
    """(sender's address, whether its nonce sequence exists). Raises: NotSendable."""
    row = connection.execute(
        "SELECT w.address, s.id IS NOT NULL FROM wallets_transaction t"
        " JOIN wallets_wallet w ON w.id = t.wallet_id"
        " LEFT JOIN wallets_noncesequence s ON s.chain_id = t.chain_id AND s.address = w.address"
        " WHERE t.id = %s",
        (transaction_id,),
    ).fetchone()
    if row is None:
        raise NotSendable(f"there is no transaction {transaction_id}")
    return str(row[0]), bool(row[1])


def next_nonce(connection: Connection, *, chain_key: str, address: str) -> int | None:
    """The next nonce of an account; None before its sequence is begun."""
    row = connection.execute(
        "SELECT next_nonce FROM wallets_noncesequence WHERE chain_id = %s AND address = %s",
        (chain_key, address),
    ).fetchone()
    return int(row[0]) if row else None


def sequence_open(connection: Connection, *, chain_key: str, address: str, nonce: int) -> None:
    """Begin a nonce sequence at the chain's nonce, unless another process just did."""
    connection.execute(
        "INSERT INTO wallets_noncesequence (chain_id, address, next_nonce, leader_epoch, frozen)"
        " VALUES (%s, %s, %s, 0, '') ON CONFLICT DO NOTHING",
        (chain_key, address, nonce),
    )


def prepare(
    connection: Connection,
    transaction_id: int,
    *,
    fees: GasFees,
    public: bool,
    hidden: bool = True,
    reuse: Reuse | None = None,
) -> Job:
    """Take the next nonce for a transaction and record its first attempt, in one commit.

    ``public``: there is no private way; ``hidden``: the private one shows bundles alone.
    A transaction that has an attempt keeps it: the job comes back with ``existed``. On a nonce
    that missed bundles gave back it is a typed reuse, at the fees that ``reuse`` makes of theirs
    and of whether the public may see it (I51).

    Raises: NotSendable, Killed, LeaderChanged, AccountFrozen, and what ``reuse`` raises; no nonce
        is then consumed.
    """
    with connection.transaction():
        # The bytes' own commit waits for the disk and covers this one: what is lost was never sent.
        row = locked_transaction(connection, transaction_id, waits_for_disk=False)
        if row["attempt_id"] is not None:
            return job(connection, row["attempt_id"], existed=True)
        _check_sendable(row, public=public)
        check_facts(row, purpose="first")
        if row["missed"]:
            seen = not row["private_only"] or not hidden
            fees = reuse_fees(connection, row, fees=fees, seen=seen, reuse=reuse)
        purpose = "reuse" if row["missed"] else "first"
        attempt_id = insert_attempt(
            connection,
            row,
            nonce=row["next_nonce"],
            purpose=purpose,
            fees=fees,
            replaces=row["missed"],
            takes_nonce=True,
        )
        # Under this lock every round trip keeps the account waiting.
        return job_taken(row, attempt_id=attempt_id, purpose=purpose, fees=fees)


def reuse_fees(
    connection: Connection,
    row: dict[str, Any],
    *,
    fees: GasFees,
    seen: bool,
    reuse: Reuse | None,
) -> GasFees:
    """What a payload offers on a nonce that missed bundles gave back. Joins.

    ``seen``: whether the public may see it. Raises: NotSendable.
    """
    earlier = payloads_of(connection, row["sequence_id"], row["next_nonce"])
    decided = row["kind"] == "execution" and seen  # its profit was weighed with these very fees
    if reuse is None or (
        decided and not all(bumps.replaces(earlier=e, later=fees) for e in earlier)
    ):
        raise NotSendable(
            f"nonce {row['next_nonce']} was in a bundle that may still land: a public execution "
            f"offers 10 % more than its {max(e.max_fee_wei for e in earlier)} wei per gas, or goes "
            "a private way"
        )
    return fees if decided else reuse(earlier, seen)


def payloads_of(connection: Connection, sequence_id: int, nonce: int) -> list[GasFees]:
    """Fees of every payload that a nonce has or had; one never signed is none. Joins."""
    rows = connection.execute(
        "SELECT tx_type, max_fee_wei, tip_fee_wei FROM wallets_attempt"
        " WHERE sequence_id = %s AND nonce = %s"
        "   AND (NOT released OR signed_at IS NOT NULL) ORDER BY id",
        (sequence_id, nonce),
    ).fetchall()
    return [
        GasFees(
            model=FeeModel.EIP1559 if row[0] == EIP1559 else FeeModel.LEGACY,
            max_fee_wei=Wei(int(row[1])),
            max_priority_fee_wei=Wei(int(row[2])),
        )
        for row in rows
    ]


def locked_transaction(
    connection: Connection, transaction_id: int, *, waits_for_disk: bool = True
) -> dict[str, Any]:
    """Lock sequence and transaction, in that order. Joins the caller's transaction.

    Without ``waits_for_disk`` its commit may be lost with the machine, and all that came after it.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        sequence = cursor.execute(
            "SELECT s.id AS sequence_id, s.next_nonce, s.frozen, w.address, w.state,"
            " CASE WHEN %s THEN '' ELSE set_config('synchronous_commit', 'off', true) END AS flush"
            "  FROM wallets_transaction t JOIN wallets_wallet w ON w.id = t.wallet_id"
            "  JOIN wallets_noncesequence s"
            "    ON s.chain_id = t.chain_id AND s.address = w.address"
            " WHERE t.id = %s FOR UPDATE OF s",
            (waits_for_disk, transaction_id),
        ).fetchone()
        # Begun after the sequence's lock was ours: it sees every attempt made under that lock.
        args = (sequence["sequence_id"], sequence["next_nonce"], transaction_id) if sequence else ()
        row = cursor.execute(_LOCKED, args).fetchone() if sequence else None
    if sequence is None or row is None:
        raise NotSendable(f"there is no transaction {transaction_id} with an account")
    return {**row, **sequence}


def check_again(connection: Connection, attempt_id: int) -> None:
    """Whether an attempt's bytes may go out again. Raises: AccountFrozen, NotSendable."""
    row = connection.execute(
        "SELECT s.address, s.frozen, a.released FROM wallets_attempt a"
        " JOIN wallets_noncesequence s ON s.id = a.sequence_id WHERE a.id = %s",
        (attempt_id,),
    ).fetchone()
    if row is not None and row[1]:
        check_account({"address": row[0], "frozen": row[1], "state": ""})
    if row is not None and row[2]:
        raise NotSendable(f"the nonce of attempt {attempt_id} was given back")


def check_account(row: dict[str, Any]) -> None:
    """Raises: AccountFrozen."""
    if row["frozen"] or row["state"] == "frozen":
        raise AccountFrozen(
            f"{row['address']} is frozen ({row['frozen'] or 'by its state'}): run `unfreeze`"
        )


def _check_sendable(row: dict[str, Any], *, public: bool) -> None:
    check_account(row)
    if row["status"] != Status.SIMULATED:
        raise NotSendable(f"transaction {row['id']} is {row['status']}, not simulated")
    if row["simulated_only"] or row["simulated_block"] is None or not row["gas_limit"]:
        raise NotSendable(f"transaction {row['id']} has no simulation that allows sending")
    if row["private_only"] and public:
        raise NotSendable(
            f"transaction {row['id']} is private and never falls back to a public way"
        )


_ALLOWED: Final = f"""
SELECT t.kind, t.kill_epoch, t.leader_epoch, {_FACTS} FROM wallets_transaction t WHERE t.id = %s
"""  # noqa: S608  a constant


def check_allowed(connection: Connection, transaction_id: int, *, purpose: str) -> None:
    """Read kill switch and leader, in a statement of its own. Joins the caller's transaction.

    Raises: Killed for anything unreadable, missing or engaged; LeaderChanged.
    """
    judge_allowed(ask_allowed(connection, transaction_id), purpose=purpose)


def ask_allowed(connection: Connection, transaction_id: int) -> Cursor:
    """What `judge_allowed` reads: on a pipeline, when that has ended."""
    return connection.cursor(row_factory=dict_row).execute(_ALLOWED, (transaction_id,))


def judge_allowed(answer: Cursor, *, purpose: str) -> None:
    """Raises: as `check_allowed`."""
    row = answer.fetchone()
    if row is None:
        raise Killed("the transaction cannot be read: nothing is sent")
    check_facts(row, purpose=purpose)


def check_facts(row: dict[str, Any], *, purpose: str) -> None:
    """Judge a transaction read with `_FACTS`. Raises: Killed, LeaderChanged."""
    if lifecycle.is_stopped_by_kill(kind=row["kind"], purpose=purpose):
        if row["kills_clear"] != 2:
            raise Killed("the kill switch is engaged: release it with a reason first")
        if int(row["kill_epoch_now"]) != row["kill_epoch"] and purpose != RELANDING:
            raise Killed("this was planned before the kill switch was last used: plan it anew")
    any_leader = purpose in lifecycle.NEVER_KILLED_PURPOSES or purpose == RELANDING
    led_by, leads = row["leader_epoch"], row["leader_now"]
    if not any_leader and led_by is not None and led_by != leads:
        raise LeaderChanged("another engine leads this chain now")


def insert_attempt(
    connection: Connection,
    row: dict[str, Any],
    *,
    nonce: int,
    purpose: str,
    fees: GasFees,
    replaces: int | None = None,
    self_gas: int | None = None,
    takes_nonce: bool = False,
) -> int:
    """Insert an attempt; with ``self_gas`` it sends 0 to the account itself. Joins.

    ``takes_nonce``: the account's next nonce rises in the same statement.
    """
    own = self_gas is not None
    inserted = connection.execute(
        "WITH taken AS (UPDATE wallets_noncesequence SET next_nonce = next_nonce + 1"
        "  WHERE id = %s AND %s)"
        " INSERT INTO wallets_attempt (transaction_id, sequence_id, nonce, purpose, replaces_id,"
        ' released, "to", value_wei, data, gas_limit, tx_type, max_fee_wei, tip_fee_wei,'
        " status, sent_via, created_at, error)"
        " VALUES (%s, %s, %s, %s, %s, false, %s, %s, %s, %s, %s, %s, %s, 'prepared', '', now(), '')"
        " RETURNING id",
        (
            row["sequence_id"],
            takes_nonce,
            row["id"],
            row["sequence_id"],
            nonce,
            purpose,
            replaces,
            row["address"] if own else row["to"],
            0 if own else row["value_wei"],
            b"" if own else bytes(row["data"]),
            self_gas if own else row["gas_limit"],
            tx_type(fees),
            fees.max_fee_wei,
            fees.max_priority_fee_wei,
        ),
    ).fetchone()
    assert inserted is not None  # noqa: S101  RETURNING of one inserted row
    return int(inserted[0])


def tx_type(fees: GasFees) -> int:
    """The EIP-2718 type of a payload that offers these."""
    return EIP1559 if fees.model is FeeModel.EIP1559 else LEGACY


def move(
    connection: Connection, transaction_id: int, *, old: Status, new: Status, reason: str = ""
) -> None:
    """Compare-and-set of a status with its history. Joins the caller's transaction.

    Raises: IllegalTransition, RecordTorn when the row is no longer ``old``.
    """
    lifecycle.check(old, new)
    moved = connection.execute(
        "UPDATE wallets_transaction SET status = %s, updated_at = now(),"
        " reason = CASE WHEN %s = '' THEN reason ELSE %s END WHERE id = %s AND status = %s",
        (new.value, reason[:200], reason[:200], transaction_id, old.value),
    )
    if not moved.rowcount:
        raise RecordTorn(f"transaction {transaction_id} is no longer {old}")
    connection.execute(
        "INSERT INTO wallets_statuschange (transaction_id, old, new, reason, at)"
        " VALUES (%s, %s, %s, %s, clock_timestamp())",
        (transaction_id, old.value, new.value, reason[:200]),
    )
