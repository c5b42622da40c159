"""Moving away from a wallet out of use: its whole coin to safety, its rights taken from it."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from arbsite.base import audit
from arbsite.base.errors import ArbError, Rejected, Retryable
from arbsite.base.units import BlockNumber, Gas, Wei, mul_div_ceil
from contracts.kernel import abi
from contracts.kernel.fees import GasFees
from contracts.kernel.jsonrpc import RpcError, call_object, hex_int
from wallets import services
from wallets.administration.authorise import executor_revoke
from wallets.administration.calls import CallFailed, CallRefused, StillOpen, succeeded
from wallets.administration.office import Office
from wallets.exposure import haven_of
from wallets.kernel.lifecycle import FINAL, OPEN, Status
from wallets.models import Assignment, Attempt, Transaction, Wallet

_TRANSFER_GAS: Final = 21_000
_TRANSFER_BYTES: Final = 120  # signed and encoded, at most
_GAS_ORACLE: Final = "0x420000000000000000000000000000000000000F"  # the OP stack's, on each chain
_UNMINED: Final = OPEN - {Status.INCLUDED}
_POLL_S: Final = 0.2


class NotMovable(Rejected):
    """That wallet is in use, or has no key here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedAway:
    """What was done. ``coin`` None: there was nothing to send; ``left``: what could not be done.

    ``waits``: why something of ``left`` may yet come, for who asks again with the same key.
    """

    to: str
    coin: Transaction | None
    revoked: tuple[Transaction, ...]
    left: tuple[str, ...]
    waits: Retryable | None = None


def wallet_move_away(office: Office, *, wallet: Wallet, key: str = "") -> MovedAway:
    """Send a wallet's whole coin to safety and take it from every contract. Repeatable.

    The keys of its transactions begin with ``key``, so a second run with it takes no right away
    twice; coin that came in between is moved as well. One move of a wallet is out at a time.

    The kill switch stops none of it. An executor's coin goes first: whoever knows the key is
    racing. A reserve revokes first, since it pays for that.

    Raises: NotMovable, NoHaven before anything is sent; as `calls_run` for the coin. What fails of
        the rest is in ``left``.
    """
    if wallet.chain_id != office.chain.key or wallet.source == "watch":
        raise NotMovable(f"{wallet.address} has no key here for {office.chain.key}")
    if wallet.state not in ("exposed", "retired"):
        raise NotMovable(
            f"{wallet.address} is {wallet.state}: mark it first with `mark_exposed --chain "
            f"{office.chain.key} --wallet {wallet.pk} REASON`"
        )
    to = haven_of(wallet=wallet, treasury=office.treasury)
    left: list[tuple[str, ArbError]] = []
    if wallet.role == "gas_reserve":
        revoked = _revoke_all(office, wallet, left, key=key)
        coin = _send_all(office, wallet, to=to, key=key)
    else:
        coin = _send_all(office, wallet, to=to, key=key)
        revoked = _revoke_all(office, wallet, left, key=key)
    return MovedAway(
        to=to,
        coin=coin,
        revoked=tuple(revoked),
        left=tuple(f"not revoked on {address}: {error}" for address, error in left),
        waits=next((error for _, error in left if isinstance(error, Retryable)), None),
    )


def _revoke_all(
    office: Office, wallet: Wallet, left: list[tuple[str, ArbError]], *, key: str
) -> list[Transaction]:
    done: list[Transaction] = []
    rows = Assignment.objects.select_related("deployment__chain").filter(wallet=wallet)
    for assignment in rows.order_by("id"):
        try:
            outcome = executor_revoke(
                office,
                wallet=wallet,
                deployment=assignment.deployment,
                key=f"{key}revoke:{assignment.deployment_id}" if key else "",
            )
        except ArbError as error:
            left.append((str(assignment.deployment.address), error))
            continue
        if outcome.transaction_ is not None:
            done.append(outcome.transaction_)
    return done


def _send_all(office: Office, wallet: Wallet, *, to: str, key: str) -> Transaction | None:
    """The balance less the exact cost, so that nothing is left where a transfer costs 21,000."""
    what = f"all coin of {wallet.address} to {to}"
    base = f"{key or 'move:'}{wallet.pk}#"
    rows = Transaction.objects.select_related("wallet").filter(wallet=wallet, kind="rescue")
    one, fees = rows.order_by("-id").first(), _price(office)
    if one is not None and one.status in _UNMINED and not one.simulated_only:
        if Attempt.objects.filter(transaction=one, released=False).exists():
            return _await(office, one, what=what)
        services.transaction_rejected(transaction_=one, reason="balance and price are read anew")
    one = _plan(office, wallet, to=to, fees=fees, key=f"{base}{rows.count() + 1}", what=what)
    if one is None or not office.may_sign:
        return one
    office.say(f"{what}: {one.value_wei} wei")
    office.sender.send(one.pk, fees=fees)
    return _await(office, one, what=what)


def _price(office: Office) -> GasFees:
    """A price that is paid in full: fee and tip are one, so the cost is known beforehand."""
    fees = office.sender.fees_now()
    return GasFees(
        model=fees.model, max_fee_wei=fees.max_fee_wei, max_priority_fee_wei=fees.max_fee_wei
    )


def _plan(
    office: Office, wallet: Wallet, *, to: str, fees: GasFees, key: str, what: str
) -> Transaction | None:
    head, balance = office.rpc.batch(
        [
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_getBalance", [wallet.address, "latest"]),
        ]
    )
    for answer in (head, balance):
        if isinstance(answer, RpcError):
            raise answer
    gas = _gas(office, wallet, to=to, what=what)
    cost_wei = gas * fees.max_fee_wei + _data_fee_wei(office)
    value_wei = Wei(hex_int(balance) - cost_wei)
    if value_wei <= 0:
        office.say(f"{wallet.address} holds {hex_int(balance)} wei: less than sending it costs")
        return None
    with transaction.atomic():
        audit.record(
            verb="wallet.move_away",
            target=wallet.address,
            actor=office.by,
            via=office.via,
            after={"chain": office.chain.key, "to": to, "valueWei": str(value_wei)},
        )
        one = services.transaction_plan(
            wallet=wallet, kind="rescue", to=to, data=b"", key=key, value_wei=value_wei
        )
    _prove(office, one, block_hash=str(head["hash"]), what=what)
    services.transaction_simulated(
        transaction_=one,
        block_number=BlockNumber(hex_int(head["number"])),
        block_hash=str(head["hash"]),
        gas_limit=gas,
        simulated_only=not office.may_sign,
    )
    return one


def _gas(office: Office, wallet: Wallet, *, to: str, what: str) -> Gas:
    request = call_object(to=to, sender=wallet.address)
    try:
        estimate = hex_int(office.rpc.call("eth_estimateGas", [request]))
    except RpcError as error:
        raise CallRefused(what=what, why=error.message) from None
    return Gas(estimate if estimate == _TRANSFER_GAS else mul_div_ceil(estimate, 5, 4))


def _data_fee_wei(office: Office) -> Wei:
    """What the first layer may take besides: twice the oracle's word, so some dust stays behind."""
    if office.chain.l1_fee != "op_stack":
        return Wei(0)
    asked = abi.encode_call("getL1Fee(bytes)", b"\xff" * _TRANSFER_BYTES)
    return Wei(2 * abi.decode_uint(office.rpc.eth_call(to=_GAS_ORACLE, data=asked)))


def _prove(office: Office, one: Transaction, *, block_hash: str, what: str) -> None:
    request = call_object(to=one.to, sender=one.wallet.address, value=Wei(int(one.value_wei)))
    try:
        office.rpc.call("eth_call", [request, {"blockHash": block_hash}])
    except RpcError as error:
        services.transaction_rejected(transaction_=one, reason=f"simulation: {error.message}")
        raise CallRefused(what=what, why=error.message) from None


def _await(office: Office, one: Transaction, *, what: str) -> Transaction:
    """Settle until it has a receipt. Raises: CallFailed, StillOpen."""
    started = time.monotonic()
    while True:
        with suppress(Retryable):  # a node that is away for a moment ends nothing
            office.settle()
        one.refresh_from_db()
        if succeeded(one):
            return one
        if Status(one.status) in FINAL | {Status.INCLUDED}:
            raise CallFailed(what=what, transaction_=one)
        if time.monotonic() - started > office.patience_s:
            raise StillOpen(what=what, transaction_=one, waited_s=office.patience_s)
        time.sleep(_POLL_S)
