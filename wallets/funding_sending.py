"""Carrying out reserved fundings: planned, proven, sent; taken up after a crash; ended.

A row's transaction has a key that follows from the row, so whoever carries it out, and however
often, it is one transaction. Nothing here decides whether or how much.
"""

import logging
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from arbsite.base.errors import ArbError, Retryable
from arbsite.base.units import Wei
from contracts.kernel.fees import GasFees
from contracts.kernel.jsonrpc import RpcError
from contracts.models import Chain
from wallets import services
from wallets.administration.office import Office
from wallets.funding_facts import signed_here
from wallets.kernel.lifecycle import FINAL, Status
from wallets.ledger import NotSendable
from wallets.models import Attempt, Funding, NonceSequence, ReserveBook, Transaction, Wallet
from wallets.simulation import prove

logger = logging.getLogger(__name__)
ABANDONED_S: Final = 10.0  # a reserved row older than this has nobody who carries it out
FORGOTTEN: Final = timedelta(minutes=10)  # then its reasons are too old to act on


def carry_out(office: Office, row: Funding, *, fees: GasFees) -> ArbError | None:
    """Plan, prove and send one reserved row; what kept it from being sent, or None.

    A trouble that may pass leaves the row reserved for the next run; any other ends it. ``row`` is
    read anew before this returns.
    """
    trouble: ArbError | None = None
    try:
        _send(office, row, fees=fees)
    except services.StaleStatus:
        pass  # another process carries it out as well
    except (Retryable, RpcError) as error:  # nothing is known to be wrong with it
        logger.warning("funding waits", extra={"funding": row.pk, "error": str(error)})
        trouble = error
    except ArbError as error:
        logger.warning("funding refused", extra={"funding": row.pk, "error": str(error)})
        _drop(row, why=str(error))
        trouble = error
    row.refresh_from_db()
    return trouble


def take_up(office: Office, *, older_than_s: float) -> list[tuple[Funding, ArbError | None]]:
    """Go on with rows whose process died before their bytes were stored; each with its trouble.

    Raises: RpcUnavailable, RpcError where fees cannot be read; nothing was done then.
    """
    rows = _left(office.chain, older_than_s=older_than_s)
    left = list(rows.select_related("transaction", "wallet", "reserve").order_by("id"))
    if not left:
        return []
    fees = office.sender.fees_now()
    done: list[tuple[Funding, ArbError | None]] = []
    for row in left:
        if timezone.now() - row.created_at > FORGOTTEN:
            _drop(row, why="nobody carried it out in time: it is decided anew")
            row.refresh_from_db()
            done.append((row, None))
        else:
            done.append((row, carry_out(office, row, fees=fees)))
    return done


def fundings_left(*, chain: Chain, older_than_s: float = ABANDONED_S) -> bool:
    """Whether a run has something to take up. One query."""
    return _left(chain, older_than_s=older_than_s).exists()


def fundings_close(*, chain: Chain) -> int:
    """Free the wallets whose funding has ended, whatever it ended as. Idempotent. One query."""
    ended = Q(transaction__status__in=[status.value for status in FINAL])
    rows = Funding.objects.filter(kind="topup", closed_at__isnull=True, reserve__chain=chain)
    over = rows.filter(ended | Q(transaction__simulated_only=True, transaction__status="simulated"))
    return Funding.objects.filter(pk__in=over.values("pk")).update(closed_at=timezone.now())


def _left(chain: Chain, *, older_than_s: float) -> QuerySet[Funding]:
    """Open rows whose process died, or could not go on, before their bytes were stored."""
    unsent = Q(transaction__status__in=["planned", "simulated"], transaction__simulated_only=False)
    return Funding.objects.filter(
        Q(transaction__isnull=True) | unsent,
        kind="topup",
        reserve__chain=chain,
        closed_at__isnull=True,
        created_at__lte=timezone.now() - timedelta(seconds=older_than_s),
    )


def _unfit(row: Funding) -> str:
    """What happened since a row was reserved that forbids it; "" where nothing did. Queries: 5."""
    for pk, what in ((row.wallet_id, "executor"), (row.reserve_id, "reserve")):
        one = Wallet.objects.get(pk=pk)
        if one.state != "active":
            return f"the {what} {one.address} is {one.state} now"
        sequences = NonceSequence.objects.filter(chain_id=one.chain_id, address=one.address)
        if sequences.exclude(frozen="").exists():
            return f"the {what} {one.address} is frozen now"
    if ReserveBook.objects.filter(reserve_id=row.reserve_id).exclude(problem="").exists():
        return "the reserve's ledger does not explain its balance any more"
    return ""


def _send(office: Office, row: Funding, *, fees: GasFees) -> None:
    """Raises: Reverts, NotSendable; what `prove` and `Sender.send` raise."""
    if why := _unfit(row):
        raise NotSendable(why)
    one = _planned(row)
    if one.status == Status.PLANNED:
        proof = prove(
            office.rpc,
            sender=row.reserve.address,
            to=row.wallet.address,
            data=b"",
            value_wei=Wei(row.amount_wei),
        )
        services.transaction_simulated(
            transaction_=one,
            block_number=proof.block_number,
            block_hash=proof.block_hash,
            gas_limit=proof.gas_limit,
            simulated_only=not signed_here(office.chain, may_sign=office.may_sign),
        )
    if one.simulated_only:
        fundings_close(chain=office.chain)
        return
    if one.status != Status.SIMULATED:
        return  # its bytes are stored: what becomes of them is settled from there
    if one.gas_limit * fees.max_fee_wei > row.gas_wei:
        raise NotSendable(f"gas would cost more than the {row.gas_wei} wei set aside for it")
    office.sender.send(one.pk, fees=fees)
    logger.info(
        "funded",
        extra={
            "chain": office.chain.key,
            "wallet": row.wallet.address,
            "amount_wei": row.amount_wei,
            "automatic": row.automatic,
        },
    )


def _planned(row: Funding) -> Transaction:
    """The row's transaction: the same one, whoever asks first. One commit."""
    with transaction.atomic():
        held = Funding.objects.select_for_update().get(pk=row.pk)
        if held.closed_at is not None and held.transaction_id is None:
            raise services.StaleStatus(f"funding {row.pk} was dropped")
        one = services.transaction_plan(
            wallet=row.reserve,
            kind="funding",
            to=row.wallet.address,
            data=b"",
            value_wei=Wei(row.amount_wei),
            key=f"funding:{row.pk}",
            epoch=row.kill_epoch,
        )
        Funding.objects.filter(pk=row.pk, transaction__isnull=True).update(transaction=one)
    row.transaction = one
    return one


def _drop(row: Funding, *, why: str) -> None:
    """End a row of which no byte was stored; one that holds a nonce ends by what is mined."""
    one = Transaction.objects.filter(idempotency_key=f"funding:{row.pk}").first()
    now = timezone.now()
    if one is None:
        open_ = Funding.objects.filter(pk=row.pk, transaction__isnull=True, closed_at__isnull=True)
        open_.update(refused=why[:200], closed_at=now)
        return
    if one.status in (Status.PLANNED, Status.SIMULATED):
        if Attempt.objects.filter(transaction=one, released=False).exists():
            return
        try:
            services.transaction_rejected(transaction_=one, reason=why)
        except services.StaleStatus:
            return
    one.refresh_from_db()
    if Status(one.status) in FINAL:
        Funding.objects.filter(pk=row.pk, closed_at__isnull=True).update(
            closed_at=now, transaction=one
        )
