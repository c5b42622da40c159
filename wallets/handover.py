"""The hand-over itself: the kill guard around it, the way it takes, and what the answer means."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from arbsite.base.errors import Halt
from contracts.kernel.jsonrpc import RpcError
from contracts.rpc import HttpRpc, RpcUnavailable
from wallets import ledger
from wallets.jobs import Job
from wallets.kernel import lifecycle, send_errors
from wallets.kernel.bundles import Parcel
from wallets.ledger import NotSendable
from wallets.outcomes import Storing
from wallets.ports import PrivateWay, Relay
from wallets.record import Connection, RecordUnavailable, roll_back
from wallets.relays import answers
from wallets.relays.answers import Answer

HANDOVER_S: Final = 2.0  # after taking the kill lock nothing is written later than this
_LOOK: Final = "look"  # an answer that proves nothing: the node is asked for the hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of one hand-over. ``left``: bytes may have gone out; ``told``: by whom."""

    status: str  # the attempt's
    detail: str = ""
    left: bool
    told: Sequence[Answer] = ()
    entered_ns: int = 0  # when the guard let it through, by the performance counter


class Ways:
    """A public way, and where there is one a private way; what is private takes no other."""

    def __init__(self, *, public: Relay, private: PrivateWay | None, rpc: HttpRpc) -> None:
        self.public = public
        self.private = private
        self._rpc = rpc

    @property
    def hides(self) -> bool:
        """Whether the private way shows bundles alone: a private RPC counts as public."""
        return self.private is not None and self.private.shows_bundles_only

    def carries(self, *, private_only: bool) -> bool:
        """Whether a payload may go out here: a private one never goes a public way."""
        return not private_only or self.private is not None

    def via(self, of: Job) -> str:
        """The name of the way a payload goes. Raises: NotSendable for a private one without any.

        What ends a nonce is public always: that is how a live bundle is ended.
        """
        if not self._is_private(of):
            return self.public.name
        if self.private is None:
            raise NotSendable(f"transaction {of.transaction_id} is private: no public way for it")
        return self.private.name

    def guarded(self, connection: Connection, of: Job, *, storing: Storing | None = None) -> Handed:
        """Hand over under the kill guard (I18), then look up what the answer left open.

        ``storing``: the payload's bytes, committed first.

        Raises: Killed, LeaderChanged, NotSendable, NotStored, RecordUnavailable; then nothing was
            sent.
        """
        found: Handed | None = None
        try:
            with _guard(connection, of, storing=storing) as remaining_s:
                entered_ns = time.perf_counter_ns()
                found = replace(self._submit(of, timeout_s=remaining_s), entered_ns=entered_ns)
        except psycopg.OperationalError:
            if found is None:
                raise
        return self._look_up(of, found) if found.status == _LOOK else found

    def take_back(self, of: Job, *, timeout_s: float = HANDOVER_S) -> list[Answer]:
        """Ask builders to forget a payload: a courtesy, no proof. Never raises."""
        if not of.raw or self.private is None or not lifecycle.is_bundle(of.via):
            return []
        return self.private.cancel(_parcel(of), timeout_s=timeout_s)

    def _is_private(self, of: Job) -> bool:
        return of.private_only and of.purpose not in lifecycle.NEVER_KILLED_PURPOSES

    def _submit(self, of: Job, *, timeout_s: float) -> Handed:
        if self._is_private(of):
            return self._submit_privately(of, timeout_s=timeout_s)
        try:
            answer = self.public.send(of.raw, timeout_s=timeout_s)
        except RpcUnavailable as error:
            if error.sent:
                return Handed(status=_LOOK, detail=str(error), left=True)
            return Handed(status=_kept(of), detail=str(error), left=False)
        except RpcError as error:
            verdict = send_errors.classify(error.message)
            status = "refused" if verdict in send_errors.NOT_TAKEN else _LOOK
            return Handed(status=status, detail=f"{verdict}: {error.message}", left=True)
        except Halt as error:  # another chain answered: not one byte of it went out
            return Handed(status=of.attempt_status, detail=str(error), left=False)
        if answer.lower() == of.hash:
            return Handed(status="accepted", left=True)
        return Handed(status=_LOOK, detail="the endpoint answered without our hash", left=True)

    def _submit_privately(self, of: Job, *, timeout_s: float) -> Handed:
        """No node is asked what became of it: a payload that nobody saw is nowhere to be found."""
        assert self.private is not None  # noqa: S101  `via` looked
        told = self.private.hand_over(_parcel(of), timeout_s=timeout_s)
        said = answers.best(told)
        detail = "" if said.outcome == answers.ACCEPTED else f"{said.relay}: {said.detail}"
        if said.outcome == answers.NOT_SENT:
            return Handed(status=_kept(of), detail=detail, left=False, told=told)
        return Handed(status=said.outcome, detail=detail, left=True, told=told)

    def _look_up(self, of: Job, found: Handed) -> Handed:
        """Whether the node knows these bytes after an answer that proves nothing (I9)."""
        try:
            known = self._rpc.call("eth_getTransactionByHash", [of.hash])
        except (RpcError, RpcUnavailable):
            known = None
        if known:
            return replace(found, status="accepted", detail="")
        return replace(found, status="unknown")


@contextmanager
def _guard(connection: Connection, of: Job, *, storing: Storing | None) -> Iterator[float]:
    """Holds the kill lock while a payload is handed over; yields the seconds left for it.

    Entered in one round trip, that of ``storing`` as well: two transactions one after the other.
    """
    began = time.monotonic()  # before the lock is ours: earlier than it has to be
    try:
        with connection.pipeline():
            if storing is not None:
                storing.write(connection)
            connection.execute("BEGIN")
            connection.execute(_lock_of(connection), (ledger.KILL_LOCK,))
            # A statement of its own: the lock's would see the rows as they were before it.
            allowed = ledger.ask_allowed(connection, of.transaction_id)
        if storing is not None:
            storing.check()
        ledger.judge_allowed(allowed, purpose=of.purpose)
        remaining_s = HANDOVER_S - (time.monotonic() - began)
        if remaining_s <= 0:
            raise RecordUnavailable("the record answered too slowly to hand over safely")
        yield remaining_s
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def _lock_of(connection: Connection) -> str:
    """The kill lock, kept for as long as its process lives, stopped or not: this transaction locks
    no row, and a kill that cannot have the lock says so. Its timeout would let go of it."""
    if connection.info.server_version < 170_000:
        return "SELECT pg_advisory_xact_lock_shared(%s)"
    return "SELECT set_config('transaction_timeout', '0', true), pg_advisory_xact_lock_shared(%s)"


def _kept(of: Job) -> str:
    return of.attempt_status if of.attempt_status != "prepared" else "signed"


def _parcel(of: Job) -> Parcel:
    return Parcel(
        raw=of.raw,
        hash=of.hash,
        last_block=of.last_block,
        gas_price_wei=of.tip_fee_wei,
        tip_to=of.tip_to,
    )
