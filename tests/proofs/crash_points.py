"""Where the send path touches the outside: a tracer that finds every place, and their register.

A boundary is a round trip to PostgreSQL (each statement, BEGIN and COMMIT alike) or a call on a
socket (signer, node). The tracer hooks psycopg's one waiting point and the methods of
`socket.socket`, in a child process that ends there; no code of ours knows of it.
"""

import os
import signal
import socket
import sys
import threading
from collections import Counter

import psycopg

OURS = ("wallets.", "contracts.rpc")

# Every boundary of send, cancel, bump, resend and recover. A new one fails the test that compares,
# and is added here only when its crash is understood.
BOUNDARIES: frozenset[str] = frozenset(
    {
        # connections: dying here leaves nothing behind
        "contracts.rpc.HttpRpc._post: connect",
        "wallets.adapters.connect: SELECT set_config('lock_timeout', %s, false)",
        "wallets.adapters.connect: SELECT set_config('transaction_timeout', %s,",
        "wallets.adapters.connect: _set_isolation_level_gen",
        "wallets.signer_client.SignerClient._connect: connect",
        # node: reads leave nothing; bytes that left are in the record since the COMMIT before
        "contracts.rpc.HttpRpc._post: recv",
        "contracts.rpc.HttpRpc._post: sendall",
        # signer's socket: asked or not, signed_at tells; the same request gives the same bytes
        "wallets.signer_client._exactly: recv",
        "wallets.signer_client.send_message: sendall",
        # inside the signer: signed_at without bytes: a cancel, or the same signature again
        "wallets.signer.Signer._connection: SET synchronous_commit = off",
        "wallets.signer.Signer._count_hour: SELECT extract(epoch FROM now() - a.signed_a",
        "wallets.signer.Signer._mark: UPDATE wallets_attempt SET signed_at = coale",
        'wallets.vetting.vet: SELECT a.nonce, a.purpose, a.released, a."to',
        "wallets.vetting._around: SELECT ARRAY(SELECT d.address FROM contracts",
        # nonce and attempt: before COMMIT none of it, after it both
        "wallets.ledger.account_of: SELECT w.address, s.id IS NOT NULL FROM wall",
        "wallets.ledger.insert_attempt: WITH taken AS (UPDATE wallets_noncesequence",
        "wallets.ledger.locked_transaction: SELECT s.id AS sequence_id, s.next_nonce, s.",
        'wallets.ledger.locked_transaction: SELECT t.id, t.kind, t.status, t."to", t.val',
        "wallets.ledger.next_nonce: SELECT next_nonce FROM wallets_noncesequence",
        "wallets.ledger.payloads_of: SELECT tx_type, max_fee_wei, tip_fee_wei FRO",
        "wallets.ledger.prepare: BEGIN",
        "wallets.ledger.prepare: COMMIT",
        "wallets.ledger.sequence_open: INSERT INTO wallets_noncesequence (chain_id,",
        # the same of what is new, sent without waiting: before COMMIT none of it, after it all
        "wallets.beginning.Beginning.ask: several at once",
        "wallets.beginning.Beginning.ask: BEGIN",
        "wallets.beginning.Beginning.ask: SELECT s.id AS sequence_id, s.next_nonce, s.",
        "wallets.beginning.Beginning.ask: SELECT (SELECT l.epoch FROM wallets_chainlea",
        'wallets.beginning.Beginning.write: WITH s0 AS (INSERT INTO "wallets_transaction',
        "wallets.beginning.Beginning.write: WITH made AS ( INSERT INTO wallets_attempt (",
        "wallets.beginning.Beginning.answers: their answers",
        "wallets.beginning.Beginning.commit: COMMIT",
        "wallets.replacements.bump: BEGIN",
        "wallets.replacements.bump: COMMIT",
        "wallets.replacements.cancel: BEGIN",
        "wallets.replacements.cancel: COMMIT",
        "wallets.replacements.cancel: UPDATE wallets_attempt SET released = true,",
        # one round trip: bytes, hash, history, and the kill lock after their COMMIT. Before it they
        # are asked for again; after it the same bytes go out again, as they may have
        "wallets.ledger.move: INSERT INTO wallets_statuschange (transactio",
        "wallets.ledger.move: UPDATE wallets_transaction SET status = %s,",
        "wallets.handover._guard: several at once",
        "wallets.outcomes.Storing.write: BEGIN",
        "wallets.outcomes.Storing.write: WITH moved AS ( UPDATE wallets_transaction t",
        "wallets.outcomes.Storing.write: COMMIT",
        "wallets.handover._guard: BEGIN",
        "wallets.handover._guard: SELECT set_config('transaction_timeout', '0'",
        "wallets.outcomes.Storing.write: SELECT 1 FROM wallets_transaction t JOIN wal",
        "wallets.ledger.ask_allowed: SELECT t.kind, t.kill_epoch, t.leader_epoch,",
        "wallets.handover._guard: their answers",
        "wallets.handover._guard: COMMIT",
        # handed over again: announced by a row, so looked up, then the same bytes
        "wallets.ledger.check_again: SELECT s.address, s.frozen, a.released FROM",
        "wallets.outcomes.mark_in_flight: UPDATE wallets_attempt SET error = %s, sent_",
        # outcome: without it the attempt is looked up by its hash
        "wallets.jobs._jobs: SELECT a.id AS attempt_id, a.transaction_id,",
        "wallets.outcomes.store_outcome: BEGIN",
        "wallets.outcomes.store_outcome: COMMIT",
        "wallets.outcomes.store_outcome: SELECT status FROM wallets_transaction WHERE",
        "wallets.outcomes.store_outcome: UPDATE wallets_attempt SET error = %s, statu",
        "wallets.outcomes.store_outcome: UPDATE wallets_transaction SET submitted_via",
    }
)


class Tracer:
    """Notes boundaries by name; at the chosen one, by its n-th occurrence, ends the process."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        self.stop_at = stop_at
        self.seen: Counter[str] = Counter()
        self.order: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def install(self) -> None:
        """Hook this process for good: for a child that ends soon."""
        wait = psycopg.Connection.wait
        tracer = self

        def traced_wait(connection, generator, *args, **options):
            tracer.note(_statement(generator))
            return wait(connection, generator, *args, **options)

        psycopg.Connection.wait = traced_wait
        for name in ("connect", "sendall", "recv", "recv_into"):
            setattr(socket.socket, name, self._traced(getattr(socket.socket, name), name))

    def _traced(self, call, name):
        def traced(sock, *args, **options):
            self.note(name)
            return call(sock, *args, **options)

        return traced

    def note(self, what: str) -> None:
        where = _where()
        if where is None:
            return
        name = f"{where}: {what}"
        with self._lock:
            self.seen[name] += 1
            point = (name, self.seen[name])
            self.order.append(point)
        if point == self.stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


def _where() -> str | None:
    """The innermost function of ours on the stack."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(OURS):
            return f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return None


def _statement(generator) -> str:
    kind = generator.gi_code.co_name
    if generator.gi_code.co_qualname.startswith("BasePipeline"):
        return {"_enter_gen": "several at once", "_exit_gen": "their answers"}.get(kind, kind)
    if kind == "_enter_gen":
        return "BEGIN"
    if kind == "_exit_gen":
        return "COMMIT"
    query = (generator.gi_frame.f_locals if generator.gi_frame else {}).get("query")
    if query is None:
        return kind
    words = query.decode() if isinstance(query, bytes) else str(query)
    return " ".join(words.split())[:44].strip()
