"""One contract call as a transaction: planned, simulated, sent, awaited; resumed where it stopped.

The idempotency key follows from wallet, target and calldata, with a number that rises once an
earlier one has ended: a call that is under way is taken up, one that is over may be made again.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from eth_utils.crypto import keccak

from arbsite.base.errors import Rejected, Retryable
from arbsite.base.units import Wei
from contracts.kernel.fees import GasFees
from contracts.kernel.jsonrpc import hex_int
from wallets import services
from wallets.administration.office import Office
from wallets.kernel.lifecycle import FINAL, Status
from wallets.models import Attempt, Transaction, Wallet
from wallets.simulation import Proof, Reverts, prove

CALL_KEYS: Final = "call:"  # what the keys of calls begin with that nobody gave one
_POLL_MIN_S: Final = 0.1
_POLL_MAX_S: Final = 2.0
_SUCCEEDED: Final = frozenset({Status.INCLUDED, Status.CONFIRMED})


class CallRefused(Rejected):
    """The call would revert, so it is not sent."""

    def __init__(self, *, what: str, why: str) -> None:
        self.what = what
        self.why = why
        super().__init__(f"{what}: the simulation reverts with {why}; nothing was sent")


class CallFailed(Rejected):
    """The call was sent and did not do what it should have done."""

    def __init__(self, *, what: str, transaction_: Transaction) -> None:
        self.what = what
        self.transaction_id = transaction_.pk
        why = f" ({transaction_.reason})" if transaction_.reason else ""
        super().__init__(
            f"{what}: transaction {transaction_.tx_hash or transaction_.pk} ended "
            f"{_ended(transaction_)}{why}; run the command again to go on from here"
        )


class StillOpen(Retryable):
    """No receipt within the time given; the transaction stays open and is watched."""

    def __init__(self, *, what: str, transaction_: Transaction, waited_s: float) -> None:
        self.what = what
        self.transaction_id = transaction_.pk
        super().__init__(
            f"{what}: transaction {transaction_.tx_hash or transaction_.pk} is "
            f"{transaction_.status} after {waited_s:g} s; run the command again to go on from here"
        )


class NotEnoughGas(Rejected):
    """The paying wallet cannot pay for what is about to be sent."""

    def __init__(self, *, address: str, has_wei: Wei, needs_wei: Wei) -> None:
        self.address = address
        self.missing_wei = Wei(needs_wei - has_wei)
        super().__init__(
            f"{address} holds {has_wei} wei and may need {needs_wei}: "
            f"send it {self.missing_wei} wei or more; nothing was sent"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCall:
    """What is to be done, by whom. ``what`` names it for people; ``to`` is "" for a creation.

    ``overrides``: state that its simulation assumes, where what comes before is not sent either.
    """

    what: str
    wallet: Wallet
    kind: str
    to: str
    data: bytes
    overrides: Mapping[str, object] = field(default_factory=dict)

    @property
    def base_key(self) -> str:
        """What the keys of this very call begin with."""
        digest = keccak(self.data).hex()[:32]
        return f"{CALL_KEYS}{self.wallet.pk}:{self.kind}:{self.to or 'create'}:{digest}#"


def call_run(office: Office, call: ContractCall, *, key: str = "") -> Transaction:
    """Make one call and wait until it is mined; see `calls_run`."""
    return calls_run(office, [call], keys=[key])[0]


def calls_run(
    office: Office, calls: Sequence[ContractCall], *, keys: Sequence[str] = ()
) -> list[Transaction]:
    """Make several calls that do not need one another, and wait until all are mined.

    Each is simulated on the latest state before any is sent. Where the chain may not sign, each
    ends ``simulated`` and nothing is signed. ``keys``: idempotency keys given by whoever asks.

    Raises: CallRefused, NotEnoughGas before anything is sent; CallFailed, StillOpen after all
        were sent; what `Sender.send` raises.
    """
    wanted = list(zip(calls, keys or [""] * len(calls), strict=True))
    planned = [_plan(call, key=key or _next_key(call)) for call, key in wanted]
    for call, one in zip(calls, planned, strict=True):
        _simulate(office, call, one)
    if not office.may_sign:
        return planned
    waiting = [one for one in planned if _is_unsent(one)]
    if waiting:
        fees = office.sender.fees_now()
        _check_gas(office, waiting, fees=fees)
        for one in waiting:
            office.sender.send(one.pk, fees=fees)
    return [_await(office, call, one) for call, one in zip(calls, planned, strict=True)]


def call_resume(office: Office, *, key: str, what: str) -> Transaction | None:
    """Go on with the call that was begun under ``key``, exactly as it was; None where none was.

    Whoever asks again with a key must do this before looking at the chain: what it shows may be
    the doing of that very call. Raises: as `calls_run`.
    """
    rows = Transaction.objects.select_related("wallet").filter(idempotency_key=key)
    begun = rows.first() if key else None
    if begun is None:
        return None
    call = ContractCall(
        what=what, wallet=begun.wallet, kind=begun.kind, to=begun.to, data=bytes(begun.data)
    )
    return call_run(office, call, key=key)


def succeeded(transaction_: Transaction) -> bool:
    """Whether it was mined and did not revert."""
    status = Status(transaction_.status)
    if status not in _SUCCEEDED:
        return False
    return hex_int((transaction_.receipt or {}).get("status", "0x1")) == 1


def latest_of(call: ContractCall) -> Transaction | None:
    """The newest transaction that made, or makes, this very call. One query."""
    return (
        Transaction.objects.select_related("wallet")
        .filter(idempotency_key__startswith=call.base_key)
        .order_by("-id")
        .first()
    )


def _next_key(call: ContractCall) -> str:
    rows = Transaction.objects.filter(idempotency_key__startswith=call.base_key).order_by("-id")
    newest = rows.first()
    count = rows.count()
    if newest is not None and _is_stale(newest):
        services.transaction_rejected(
            transaction_=newest, reason="planned before the kill switch was last used"
        )
    elif newest is not None and not _is_over(newest):
        return str(newest.idempotency_key)
    return f"{call.base_key}{count + 1}"


def _is_over(one: Transaction) -> bool:
    return Status(one.status) in FINAL or one.status == Status.INCLUDED or one.simulated_only


def _is_stale(one: Transaction) -> bool:
    """Planned under an older kill epoch and never signed: it would be refused for ever."""
    waiting = one.status in (Status.PLANNED, Status.SIMULATED) and not one.simulated_only
    return (
        waiting
        and one.kill_epoch != services.kill_epoch(one.chain_id)
        and not Attempt.objects.filter(transaction=one, released=False).exists()
    )


def _is_unsent(one: Transaction) -> bool:
    return one.status == Status.SIMULATED and not one.simulated_only


def _plan(call: ContractCall, *, key: str) -> Transaction:
    return services.transaction_plan(
        wallet=call.wallet, kind=call.kind, to=call.to, data=call.data, key=key
    )


def _simulate(office: Office, call: ContractCall, one: Transaction) -> None:
    """Prove the exact payload on the newest block; one that waited since is proven again."""
    if one.status == Status.PLANNED:
        proof = _prove(office, call, one)
        services.transaction_simulated(
            transaction_=one,
            block_number=proof.block_number,
            block_hash=proof.block_hash,
            gas_limit=proof.gas_limit,
            simulated_only=not office.may_sign,
        )
    elif _is_unsent(one) and not Attempt.objects.filter(transaction=one, released=False).exists():
        _prove(office, call, one)


def _prove(office: Office, call: ContractCall, one: Transaction) -> Proof:
    """Prove the exact payload, or drop it. Raises: CallRefused; what `prove` raises."""
    try:
        return prove(
            office.rpc,
            sender=call.wallet.address,
            to=call.to,
            data=call.data,
            value_wei=Wei(0),
            overrides=call.overrides,
        )
    except Reverts as error:
        services.transaction_rejected(transaction_=one, reason=f"simulation: {error.why}")
        raise CallRefused(what=call.what, why=error.why) from None


def _check_gas(office: Office, waiting: Sequence[Transaction], *, fees: GasFees) -> None:
    """Each wallet can pay for all it is about to send, at the most it may cost."""
    needs: dict[str, int] = defaultdict(int)
    for one in waiting:
        needs[one.wallet.address] += one.gas_limit * fees.max_fee_wei + one.value_wei
    for address, needs_wei in needs.items():
        has_wei = hex_int(office.rpc.call("eth_getBalance", [address, "latest"]))
        if has_wei < needs_wei:
            raise NotEnoughGas(address=address, has_wei=Wei(has_wei), needs_wei=Wei(needs_wei))


def _await(office: Office, call: ContractCall, one: Transaction) -> Transaction:
    """Settle until the transaction has a receipt. Raises: CallFailed, StillOpen."""
    started = time.monotonic()
    pause_s = min(max(office.chain.block_time_ms / 2_000, _POLL_MIN_S), _POLL_MAX_S)
    while True:
        with suppress(Retryable):  # a node that is away for a moment ends nothing
            office.settle()
        one.refresh_from_db()
        if succeeded(one):
            return one
        if Status(one.status) in FINAL | {Status.INCLUDED}:
            raise CallFailed(what=call.what, transaction_=one)
        if time.monotonic() - started > office.patience_s:
            raise StillOpen(what=call.what, transaction_=one, waited_s=office.patience_s)
        time.sleep(pause_s)


def _ended(one: Transaction) -> str:
    reverted = one.status in (Status.INCLUDED, Status.CONFIRMED) and not succeeded(one)
    return "reverted" if reverted else str(one.status)
