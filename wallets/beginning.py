"""A new transaction with its nonce and its attempt, in one round trip: what somebody waits for.

The same rows as `services.transaction_plan` and `ledger.prepare` make one after the other, and the
same checks: they are read with the rows, under the account's lock, and judged before the commit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from arbsite.base.errors import Rejected
from arbsite.base.rows import Statement
from arbsite.base.units import Gas, Wei
from contracts.kernel.fees import GasFees
from wallets import ledger
from wallets.jobs import Job, job_taken
from wallets.ledger import NotSendable, Reuse
from wallets.record import Connection, Cursor, roll_back
from wallets.send_facts import SendOutcome

_ACCOUNT: Final = """
SELECT s.id AS sequence_id, s.next_nonce, s.frozen, w.address, w.state,
       set_config('synchronous_commit', 'off', true) AS flush
  FROM wallets_noncesequence s
  JOIN wallets_wallet w ON w.chain_id = s.chain_id AND w.address = s.address
 WHERE s.chain_id = %(chain)s AND s.address = %(account)s FOR UPDATE OF s
"""
# With the account's lock: what the next nonce had and gave back, whom a value pays, what may go.
_MAY: Final = f"""
SELECT {ledger.facts_of("%(chain)s")},
       (SELECT max(a.id) FROM wallets_attempt a JOIN wallets_noncesequence s ON s.id = a.sequence_id
         WHERE s.chain_id = %(chain)s AND s.address = %(account)s AND a.nonce = s.next_nonce
           AND a.released AND a.signed_at IS NOT NULL) AS missed,
       CASE WHEN %(payer)s <> '' THEN coalesce(
            (SELECT d.observed->>'tipRecipient' FROM contracts_deployment d
              WHERE d.chain_id = %(chain)s AND d.address = %(payer)s), '') END AS tip_to
"""  # noqa: S608  a constant
# Nothing where a missed payload had the nonce: that asks for a typed reuse, at fees of its own.
_TAKE: Final = """
WITH made AS (
    INSERT INTO wallets_attempt (transaction_id, sequence_id, nonce, purpose, replaces_id,
           released, "to", value_wei, data, gas_limit, tx_type, max_fee_wei, tip_fee_wei,
           status, sent_via, created_at, error)
    SELECT %(transaction)s, s.id, s.next_nonce, 'first', NULL, false, %(to)s, %(value)s, %(data)s,
           %(gas)s, %(type)s, %(max_fee)s, %(tip)s, 'prepared', '', now(), ''
      FROM wallets_noncesequence s
     WHERE s.chain_id = %(chain)s AND s.address = %(account)s
       AND NOT EXISTS (SELECT 1 FROM wallets_attempt a WHERE a.sequence_id = s.id
                          AND a.nonce = s.next_nonce AND a.released AND a.signed_at IS NOT NULL)
    RETURNING id, sequence_id, nonce
), taken AS (
    UPDATE wallets_noncesequence s SET next_nonce = made.nonce + 1 FROM made
     WHERE s.id = made.sequence_id
)
SELECT id FROM made
"""


class KeyStands(Rejected):
    """What is begun was begun before: its key stands, or its request is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A proven transaction that is new, as plain values; its row is written beside it."""

    transaction_id: int
    chain_key: str
    account: str
    kind: str
    to: str
    value_wei: Wei
    data: bytes
    gas_limit: Gas
    last_block: int | None
    kill_epoch: int
    leader_epoch: int | None
    private_only: bool
    simulated_only: bool

    @property
    def nonce_of(self) -> str | None:
        """The account whose nonce it takes; None where it takes none."""
        return None if self.simulated_only else self.account

    @property
    def payer(self) -> str:
        """The contract that pays a builder with its value; "" where nobody is paid."""
        return self.to if self.kind == "execution" and self.value_wei > 0 else ""


@contextmanager
def _standing_keys() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        if error.diag.table_name == "wallets_attempt":
            raise  # a nonce given out twice is no key
        raise KeyStands("this was acted on already") from None


class Beginning:
    """One database transaction on the sender's connection: `ask`, `write`, `answers`, `commit`,
    `send`.

    Until `commit` nobody else sees any of it; without one nothing of it was. What is asked is
    answered as it was before the rows, under the account's lock. What is simulated only takes no
    nonce.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        chain_key: str,
        nonce_of: str | None,
        payer: str,
        fees: GasFees,
        public: bool,
        hidden: bool,
        reuse: Reuse,
        finish: Callable[[Job], SendOutcome],
    ) -> None:
        """``nonce_of``, ``payer``: as the intent will have them; ``public``, ``hidden``, ``reuse``:
        as `ledger.prepare` takes them; ``finish``: signs what is committed, and hands it over."""
        self._connection = connection
        self._chain_key = chain_key
        self._nonce_of = nonce_of
        self._payer = payer
        self._fees = fees
        self._public = public
        self._hidden = hidden
        self._reuse = reuse
        self._finish = finish
        self._intent: Intent | None = None
        self._job: Job | None = None
        self._pipeline = ExitStack()
        self._answered = False
        self._asked: list[Cursor] = []
        self._written: list[tuple[Cursor, Statement]] = []
        self._account: Cursor | None = None
        self._may: Cursor | None = None
        self._taken: Cursor | None = None

    def ask(self, asks: Sequence[Statement]) -> None:
        """Lock the account and ask, and wait for nothing: the record works beside the caller."""
        who = {"chain": self._chain_key, "account": self._nonce_of, "payer": self._payer}
        self._pipeline.enter_context(self._connection.pipeline())
        self._connection.execute("BEGIN")
        if self._nonce_of is not None:
            self._account = self._dicts().execute(_ACCOUNT, who)
            self._may = self._dicts().execute(_MAY, who)
        for each in asks:
            self._asked.append(self._connection.execute(each.sql, each.values))

    def write(self, intent: Intent, rows: Sequence[Statement]) -> None:
        """Write a transaction's rows, then its nonce and attempt; wait for nothing either.

        Raises: KeyStands, where the record was that quick; ValueError for an intent of another
            account or payer than were asked about.
        """
        if (intent.nonce_of, intent.payer) != (self._nonce_of, self._payer):
            raise ValueError("an intent is of the account and payer that its beginning asked about")
        self._intent = intent
        with _standing_keys():
            for row in rows:
                self._written.append((self._connection.execute(row.sql, row.values), row))
            if self._nonce_of is not None:
                self._taken = self._connection.execute(_TAKE, self._values(intent))

    def answers(self) -> list[Any]:
        """Wait for all of it; the one row that each question has. Raises: KeyStands."""
        with _standing_keys():
            self._pipeline.close()
        if any(cursor.rowcount != row.touches for cursor, row in self._written):
            raise KeyStands("this request was acted on already")
        self._answered = True
        return [cursor.fetchone() for cursor in self._asked]

    def commit(self, *, mends: Sequence[Statement] = ()) -> None:
        """Judge and commit, after `answers`, with what ``mends`` change of the rows.

        Raises: NotSendable, Killed, LeaderChanged, AccountFrozen, and what ``reuse`` raises;
        nothing was written then.
        """
        if self._intent is None or not self._answered:
            raise ValueError("rows and answers come before its commit")
        if self._nonce_of is not None:
            self._job = self._judged(self._intent)
        with self._connection.pipeline() if mends else nullcontext():
            for each in mends:
                self._connection.execute(each.sql, each.values)
            self._connection.execute("COMMIT")

    def send(self) -> SendOutcome:
        """Have what was committed signed, and hand it over. Raises: as `Sender.send`, after a nonce
        is taken."""
        if self._job is None:
            raise ValueError("what takes no nonce, or was not committed, is not sent")
        return self._finish(self._job)

    def drop(self) -> None:
        """Give up what was not committed; nothing after it was."""
        with suppress(psycopg.Error):
            self._pipeline.close()
        roll_back(self._connection)

    def _judged(self, intent: Intent) -> Job:
        assert self._account is not None  # noqa: S101  `ask` and `write` asked all three
        assert self._may is not None  # noqa: S101
        assert self._taken is not None  # noqa: S101
        fees = self._fees
        account, may = self._account.fetchone(), self._may.fetchone()
        if account is None or may is None:
            raise NotSendable(f"{intent.account} has no nonces on {intent.chain_key}")
        ledger.check_account(account)
        if intent.private_only and self._public:
            raise NotSendable("it is private and never falls back to a public way")
        row = {**may, **account, **_columns(intent)}
        ledger.check_facts(row, purpose="first")
        made = self._taken.fetchone()
        if made is not None:
            return job_taken(row, attempt_id=made[0], purpose="first", fees=fees)
        seen = not (intent.private_only and self._hidden)
        fees = ledger.reuse_fees(self._connection, row, fees=fees, seen=seen, reuse=self._reuse)
        attempt_id = ledger.insert_attempt(
            self._connection,
            row,
            nonce=row["next_nonce"],
            purpose="reuse",
            fees=fees,
            replaces=row["missed"],
            takes_nonce=True,
        )
        return job_taken(row, attempt_id=attempt_id, purpose="reuse", fees=fees)

    def _values(self, intent: Intent) -> dict[str, Any]:
        return {
            "chain": intent.chain_key,
            "account": intent.account,
            "transaction": intent.transaction_id,
            "to": intent.to,
            "value": intent.value_wei,
            "data": intent.data,
            "gas": intent.gas_limit,
            "type": ledger.tx_type(self._fees),
            "max_fee": self._fees.max_fee_wei,
            "tip": self._fees.max_priority_fee_wei,
        }

    def _dicts(self) -> Cursor:
        return self._connection.cursor(row_factory=dict_row)


def _columns(intent: Intent) -> dict[str, Any]:
    """The transaction's row, as `ledger.locked_transaction` reads it."""
    return {
        "id": intent.transaction_id,
        "kind": intent.kind,
        "to": intent.to,
        "value_wei": intent.value_wei,
        "data": intent.data,
        "gas_limit": intent.gas_limit,
        "last_block": intent.last_block,
        "kill_epoch": intent.kill_epoch,
        "leader_epoch": intent.leader_epoch,
        "private_only": intent.private_only,
    }
