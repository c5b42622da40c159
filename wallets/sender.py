"""The send path: nonce and attempt, signature, stored bytes, guarded hand-over, outcome.

Thread-safe, on database connections of its own: Django's ORM is not used here. Order of commits:
the attempt, then bytes and hash, then the hand-over, then its outcome. A crash between any two is
mended by `Sender.recover` and `receipts.settle` with the same bytes or a typed cancel.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final

from arbsite.base.errors import ArbError, Halt
from arbsite.base.rows import Statement
from arbsite.base.units import Gas
from contracts.kernel.fees import GasFees, check_cap
from contracts.kernel.jsonrpc import RpcError, call_object, hex_int
from contracts.rpc import HttpRpc
from wallets import jobs, ledger, releases, replacements
from wallets.beginning import Beginning
from wallets.gas_offers import fees_asked
from wallets.handing import Handing, us_since
from wallets.handover import Ways
from wallets.jobs import Job, RecordTorn
from wallets.kernel import bumps
from wallets.kernel.payload import transaction_hash
from wallets.ledger import Killed, LeaderChanged, NotSendable
from wallets.outcomes import NotStored, Storing
from wallets.ports import PrivateWay, Relay, SigningDesk
from wallets.record import Connection, Record
from wallets.relays.answers import Answer
from wallets.send_facts import ChainFacts, Rehearsal, SendOutcome, outcome_of
from wallets.signer_client import SignerHalted, SignerUnavailable, SignRefused

logger = logging.getLogger(__name__)
__all__ = ["ChainFacts", "SendOutcome", "Sender"]
ABANDONED_S: Final = 10.0  # a prepared attempt older than this has no sender any more


class Sender:
    """Sends the transactions of one chain. Every method may be called from any thread."""

    def __init__(
        self,
        *,
        chain: ChainFacts,
        connect: Callable[[], Connection],
        signer: SigningDesk,
        rpc: HttpRpc,
        relay: Relay,
        notify: Callable[[int], None],
        private: PrivateWay | None = None,
    ) -> None:
        """``private``: the only way of what is private; without one that waits for a process."""
        self.chain = chain
        self._record = Record(connect)
        self._signer = signer
        self._rpc = rpc
        self._ways = Ways(public=relay, private=private, rpc=rpc)
        self._handing = Handing(
            chain_key=chain.key, record=self._record, ways=self._ways, notify=notify
        )
        self._notify = notify
        self._self_gas: Gas | None = None
        self._compared: set[str] = set()  # accounts whose nonce was held against the chain's

    def send(self, transaction_id: int, *, fees: GasFees) -> SendOutcome:
        """Send a simulated transaction, once: a second call reports where the first one stands.

        Raises: NotSendable, Killed, LeaderChanged, AccountFrozen, FeeAboveCap before a nonce is
            taken; SignRefused, after which nonce and transaction are given up; SignerUnavailable,
            RecordUnavailable, RpcUnavailable where `recover` takes it up.
        """
        self._check_fees(fees)
        with self._record.borrow() as connection:
            self._open_account_of(connection, transaction_id)
            of = ledger.prepare(
                connection,
                transaction_id,
                fees=fees,
                public=self._ways.private is None,
                hidden=self._ways.hides,
                reuse=partial(self._reuse, wanted=fees),
            )
            if of.existed:
                return outcome_of(of, of.transaction_status, "in hand already", {})
            return self._finish(connection, of)

    @contextmanager
    def begin(
        self,
        nonce_of: str | None,
        *,
        payer: str = "",
        asks: Sequence[Statement] = (),
        fees: GasFees,
    ) -> Iterator[Beginning]:
        """Begin a new transaction: `Beginning.write` writes its rows, nonce and attempt, and none
        of it stands before `Beginning.commit`. One round trip, which is not waited for before
        `Beginning.answers`.

        ``nonce_of``: the account that sends, None for what is simulated only; ``payer``: the
        contract that pays a builder of the transaction's value; ``asks``: questions of one row
        each, answered before the rows. Raises: as `send` before a nonce is taken.
        """
        self._check_fees(fees)
        with self._record.borrow() as connection:
            if nonce_of is not None:
                self._open_account(connection, nonce_of)
            beginning = Beginning(
                connection,
                chain_key=self.chain.key,
                nonce_of=nonce_of,
                payer=payer,
                fees=fees,
                public=self._ways.private is None,
                hidden=self._ways.hides,
                reuse=partial(self._reuse, wanted=fees),
                finish=partial(self._finish, connection),
            )
            try:
                beginning.ask(asks)
                yield beginning
            except NotSendable:
                self._compared.discard(nonce_of or "")  # it may have no nonces any more
                raise
            finally:
                beginning.drop()

    def wake(self) -> None:
        """Something will be sent in a moment: have the signer ready for it. Waits for nothing."""
        self._signer.wake()

    def cancel(self, transaction_id: int, *, reason: str, raise_fee: bool = False) -> SendOutcome:
        """End a transaction's nonce by a typed replacement that sends 0 to the account itself.

        One cancel stands at a time: asked again, its bytes are handed over again; ``raise_fee``
        replaces it by a dearer one. Raises: NotSendable when there is nothing to end;
        FeeAboveCap; AccountFrozen.
        """
        offer = partial(self._replacement, fresh=self.fees_now())
        gas = self.self_send_gas()
        with self._record.borrow() as connection:
            of = replacements.cancel(
                connection, transaction_id, offer=offer, self_gas=gas, raise_fee=raise_fee
            )
            logger.info("cancel", extra={"transaction": transaction_id, "reason": reason})
            if of.raw:
                return self._handing.hand_over(connection, of, {})
            return self._finish(connection, of)

    def bump(
        self, transaction_id: int, *, reason: str, simulated: tuple[int, str] | None = None
    ) -> SendOutcome:
        """Replace an unmined payload by the same one at higher fees.

        ``simulated`` is (block number, block hash) of a new simulation, which an execution needs.
        Raises: NotSendable, Killed, FeeAboveCap.
        """
        offer = partial(self._replacement, fresh=self.fees_now())
        with self._record.borrow() as connection:
            of = replacements.bump(connection, transaction_id, offer=offer, simulated=simulated)
            logger.info("bump", extra={"transaction": transaction_id, "reason": reason})
            return self._finish(connection, of)

    def resend(self, attempt_id: int, *, relanding: bool = False) -> SendOutcome:
        """Hand the same bytes over once more.

        Raises: Killed, LeaderChanged, AccountFrozen, NotSendable; sends nothing then.

        ``relanding``: it was mined and final, and a restarted local chain lost it; its own leader
        and epoch are long gone, only an engaged switch stops it.
        """
        with self._record.borrow() as connection:
            of = jobs.job(connection, attempt_id)
            ledger.check_again(connection, attempt_id)
            if relanding:
                of = replace(of, purpose=ledger.RELANDING)
            return self._handing.hand_over(connection, of, {})

    def release_missed(self, transaction_id: int, *, head: int) -> bool:
        """Give back a nonce that every bundle missed; see `releases.release_missed`."""
        with self._record.borrow() as connection:
            released = releases.release_missed(connection, transaction_id, head=head)
        if released:
            self._notify(transaction_id)
        return released

    def recover(self, *, older_than_s: float = ABANDONED_S) -> int:
        """Take up attempts whose sender died before bytes were stored. Returns how many.

        An execution is given up whatever nonce it took, its moment is past; its cancel and anything
        else is finished. Never raises for one of them what would keep the others waiting.
        """
        with self._record.borrow() as connection:
            chain = self.chain.key
            left = jobs.jobs_unfinished(connection, chain_key=chain, older_than_s=older_than_s)
            for of in left:
                try:
                    self._take_up(connection, of)
                except ArbError as error:
                    logger.warning(
                        "attempt not taken up",
                        extra={"attempt": of.attempt_id, "error": str(error)},
                    )
        return len(left)

    def fees_now(self) -> GasFees:
        """What a payload without urgency offers now. Raises: RpcError, RpcUnavailable."""
        return fees_asked(self._rpc, chain=self.chain)

    def self_send_gas(self) -> Gas:
        """Gas of sending 0 to oneself: 21,000 on most chains, more on Arbitrum. Asked once."""
        if self._self_gas is None:
            nobody = "0x" + "11" * 20
            request = call_object(to=nobody, sender=nobody)
            estimate = hex_int(self._rpc.call("eth_estimateGas", [request]))
            self._self_gas = Gas(estimate if estimate == 21_000 else estimate * 5 // 4)
        return self._self_gas

    def carries(self, *, private_only: bool) -> bool:
        """Whether a payload may go its way: a private one never goes a public one."""
        return self._ways.carries(private_only=private_only)

    @property
    def tip_recipients(self) -> Set[str]:
        """Whom the builders of its private way favour for being paid; nobody without such a way."""
        private = self._ways.private
        return private.tip_recipients if private is not None else frozenset()

    def serves(self, *, rpc: HttpRpc, relay: Relay, private: PrivateWay | None) -> bool:
        """Whether this sender reads and submits through these."""
        ways = self._ways
        return self._rpc is rpc and ways.public == relay and ways.private is private

    def rehearse_stop(
        self, transaction_id: int, *, fees: GasFees, stop: Callable[[], None]
    ) -> Rehearsal:
        """Take a nonce, let ``stop`` stop everything, and see who refuses; the nonce goes back.

        No byte is handed over, whatever the two answer. Raises: as `send` before a nonce is taken;
            whatever a signer says that refuses for another reason, or says nothing.
        """
        with self._record.borrow() as connection:
            self._open_account_of(connection, transaction_id)
            of = ledger.prepare(
                connection,
                transaction_id,
                fees=fees,
                public=True,
                reuse=partial(self._reuse, wanted=fees),
            )
            signer = hand_over = ""
            try:
                stop()
                try:
                    self._signer.sign(of.attempt_id)
                except SignRefused as error:
                    if error.code != "killed":
                        raise
                    signer = str(error)
                try:
                    ledger.check_allowed(connection, transaction_id, purpose=of.purpose)
                except Killed as error:
                    hand_over = str(error)
            finally:
                self._give_up(connection, of, reason="only a drill")
        return Rehearsal(signer=signer, hand_over=hand_over)

    def take_back(self, transaction_id: int) -> list[Answer]:
        """Ask builders to forget what they hold of a transaction: a courtesy, no proof.

        Raises: RecordUnavailable.
        """
        with self._record.borrow() as connection:
            held = jobs.jobs_of(connection, transaction_id)
        return [answer for of in held for answer in self._ways.take_back(of)]

    def close(self) -> None:
        """Close its database connections, those in use when what uses them ends."""
        self._record.close()

    def _check_fees(self, fees: GasFees) -> None:
        if fees.model is not self.chain.fee_model:
            raise ValueError(
                f"{self.chain.key} takes {self.chain.fee_model} fees, not {fees.model}"
            )
        check_cap(fees, cap_wei=self.chain.fee_cap_wei)

    def _reuse(self, earlier: list[GasFees], seen: bool, *, wanted: GasFees) -> GasFees:
        if seen:
            return self._replacement(earlier, fresh=wanted)
        return bumps.distinct_fees(earlier, wanted=wanted, cap_wei=self.chain.fee_cap_wei)

    def _replacement(self, earlier: list[GasFees], *, fresh: GasFees) -> GasFees:
        return bumps.replacement_fees(earlier, fresh=fresh, cap_wei=self.chain.fee_cap_wei)

    def _filling(self, earlier: list[GasFees], *, fresh: GasFees) -> GasFees:
        return self._replacement(earlier, fresh=fresh) if earlier else fresh

    def _open_account_of(self, connection: Connection, transaction_id: int) -> None:
        address, known = ledger.account_of(connection, transaction_id)
        if not known:
            self._compared.discard(address)  # the record is another than it was
        self._open_account(connection, address)

    def _open_account(self, connection: Connection, address: str) -> None:
        if address in self._compared:
            return
        mined, pending = self._rpc.batch(
            [("eth_getTransactionCount", [address, tag]) for tag in ("latest", "pending")]
        )
        for answer in (mined, pending):
            if isinstance(answer, RpcError):
                raise answer
        # Read after the chain: a nonce that another process takes meanwhile only makes it larger.
        key = self.chain.key
        known = ledger.next_nonce(connection, chain_key=key, address=address)
        next_nonce = hex_int(mined) if known is None else known
        if max(hex_int(mined), hex_int(pending)) > next_nonce:
            raise ledger.AccountFrozen(
                f"{address} has transactions on nonces from {next_nonce} on that are not in the "
                "record: it is older than the chain, or something else uses the key. Wait until "
                "they are mined, look at them, then run `unfreeze`"
            )
        if known is None:
            ledger.sequence_open(connection, chain_key=key, address=address, nonce=next_nonce)
        self._compared.add(address)

    def _finish(self, connection: Connection, of: Job) -> SendOutcome:
        stages: dict[str, int] = {}
        started = time.perf_counter_ns()
        try:
            signed = self._signer.sign(of.attempt_id)
        except (SignRefused, SignerHalted) as error:
            self._give_up(connection, of, reason=str(error))
            raise
        except SignerUnavailable as error:
            if not error.asked:
                releases.release(connection, of.attempt_id, reason=str(error))
            raise
        stages["sign"] = us_since(started)
        if "0x" + transaction_hash(signed.raw).hex() != signed.hash:
            raise Halt(f"the signer's bytes for attempt {of.attempt_id} do not have their hash")
        via = self._ways.via(of)
        storing = Storing(of, raw=signed.raw, tx_hash=signed.hash, via=via)
        of = jobs.job_signed(of, raw=signed.raw, tx_hash=signed.hash, via=via)
        try:
            return self._handing.hand_over(connection, of, stages, storing=storing)
        except NotStored:
            return self._stored_elsewhere(connection, of, stages)
        except (Killed, LeaderChanged) as error:
            # The nonce is held by bytes that were never handed over: a cancel may always go out.
            with suppress(ArbError):
                self.cancel(of.transaction_id, reason=str(error))
            raise

    def _stored_elsewhere(
        self, connection: Connection, of: Job, stages: dict[str, int]
    ) -> SendOutcome:
        of = jobs.job(connection, of.attempt_id)
        late = of.attempt_status == "dead"
        if not of.raw and not late:
            raise RecordTorn(f"transaction {of.transaction_id} is no longer simulated")
        why = "its nonce was spent meanwhile" if late else "stored by another sender"
        return outcome_of(of, of.transaction_status, why, stages)

    def _give_up(self, connection: Connection, of: Job, *, reason: str) -> None:
        """Give back a nonce that was refused a signature, or fill its gap."""
        if of.purpose in ("cancel", "bump"):
            releases.abandon(connection, of.attempt_id, reason=reason)
            return
        if releases.release(connection, of.attempt_id, reason=reason, rejects=True):
            self._notify(of.transaction_id)
            return
        if jobs.job(connection, of.attempt_id).signed:
            self.cancel(of.transaction_id, reason=reason)
            return
        if of.kind == "gap_fill":
            return  # another filler would be refused as well: `recover` asks again for this one
        filler = replacements.gap_fill(
            connection,
            of,
            offer=partial(self._filling, fresh=self.fees_now()),
            self_gas=self.self_send_gas(),
            reason=reason,
        )
        self._notify(of.transaction_id)
        if filler is not None:
            self._finish(connection, filler)

    def _take_up(self, connection: Connection, of: Job) -> None:
        if of.kind == "execution" and of.purpose != "cancel":
            if of.signed:
                self.cancel(of.transaction_id, reason="its sender died before storing the bytes")
            else:
                self._give_up(connection, of, reason="its sender died before it was signed")
            return
        with suppress(Killed, LeaderChanged):
            self._finish(connection, of)
