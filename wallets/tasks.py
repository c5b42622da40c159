"""Periodic work of this app: the receipts' backstop and the balances; both idempotent."""

import logging

from celery import shared_task
from django.conf import settings

from arbsite.base.errors import Retryable
from contracts import adapters as contracts_adapters
from contracts.kernel.jsonrpc import RpcError
from contracts.models import Deployment
from wallets import (
    adapters,
    balances,
    funding,
    gas_watch,
    monitoring,
    receipts,
    reserve_book,
    wishes,
)
from wallets.administration import acting
from wallets.administration.office import Office, office_open
from wallets.administration.overview import contracts_observe
from wallets.kernel import lifecycle
from wallets.models import Request, Transaction

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def settle_receipts(chain_key: str) -> None:
    """Settle every unfinished transaction on one chain. Not retried, as it may send: beat repeats.

    Idempotent; safe to run twice, and beside an engine.
    """
    chain = contracts_adapters.chain(chain_key)
    try:
        report = receipts.settle(
            chain=chain, rpc=contracts_adapters.rpc(chain), sender=adapters.sender(chain)
        )
    except Retryable as error:
        logger.warning("receipts wait", extra={"chain": chain_key, "error": str(error)})
        return
    if report.moves or report.recovered:
        logger.info(
            "receipts settled",
            extra={"chain": chain_key, "open": report.open, "moved": len(report.moves)},
        )


@shared_task(
    autoretry_for=(Retryable,),
    retry_backoff=2,
    retry_backoff_max=60,
    max_retries=3,
    acks_late=True,
    ignore_result=True,
)
def refresh_balances(chain_key: str) -> None:
    """Read a chain's balances, hold its reserves against them, and wake a funding where one is due.

    Idempotent; sends nothing.
    """
    chain = contracts_adapters.chain(chain_key)
    rpc = contracts_adapters.rpc(chain)
    read = monitoring.sweep(chain=chain, rpc=rpc)
    logger.debug("balances read", extra={"chain": chain_key, "wallets": read})
    funding.fundings_close(chain=chain)
    reserve_book.books_check(chain=chain, rpc=rpc)
    may_sign = settings.ARB.may_sign(chain_key=chain.key, is_local=chain.is_local)
    due = gas_watch.gas_watch(chain=chain, may_sign=may_sign)
    if due or funding.fundings_left(chain=chain):
        fund_wallets.apply_async((chain_key,), expires=60)


@shared_task(ignore_result=True)
def refresh_all_balances() -> None:
    """Wake a reading for every chain whose monitor wants one now. Idempotent."""
    for key in monitoring.chains_due():
        refresh_balances.apply_async((key,), expires=60)


@shared_task(ignore_result=True)
def fund_wallets(chain_key: str) -> None:
    """Top up who is low on one chain, within its policy. Not retried, as it sends: beat repeats.

    Idempotent: run ten times at once, it funds once.
    """
    chain = contracts_adapters.chain(chain_key)
    try:
        report = funding.funding_run(office_open(chain, via="schedule"))
    except (Retryable, RpcError) as error:
        logger.warning("funding waits", extra={"chain": chain_key, "error": str(error)})
        return
    if report.fundings:
        logger.info(
            "wallets funded",
            extra={
                "chain": chain_key,
                "fundings": len(report.fundings),
                "problems": len(report.problems),
            },
        )


@shared_task(ignore_result=True)
def prune_balances() -> None:
    """Thin out balances older than a day, forget those of 90 days. Idempotent."""
    logger.info("balances pruned", extra={"rows": balances.balances_prune()})


@shared_task(ignore_result=True)
def settle_all_receipts() -> None:
    """The backstop where no engine settles: wake it for every chain with something open."""
    rows = Transaction.objects.filter(status__in=[status.value for status in lifecycle.OPEN])
    for key in rows.order_by().values_list("chain_id", flat=True).distinct():
        settle_receipts.apply_async((key,), expires=30)


def _office(row: Request) -> Office:
    return office_open(row.chain, by=row.requested_by, via="api")


@shared_task(acks_late=True, ignore_result=True)
def act_on_request(pk: int | str) -> None:
    """Do what a person asked for, once, however often this is delivered. Not retried: swept."""
    desk = acting.Desk(open_office=_office, signer=adapters.signer())
    try:
        acting.request_act(pk=int(pk), desk=desk)
    except Retryable as error:
        logger.warning("request waits", extra={"request": pk, "error": str(error)})


@shared_task(ignore_result=True)
def act_on_waiting_requests() -> None:
    """Wake whoever acts on requests whose message or worker was lost. Idempotent."""
    for pk in wishes.requests_waiting():
        act_on_request.apply_async((pk,), expires=60)


@shared_task(
    autoretry_for=(Retryable,),
    retry_backoff=2,
    retry_backoff_max=60,
    max_retries=3,
    acks_late=True,
    ignore_result=True,
)
def read_contracts(chain_key: str) -> None:
    """Read every contract of ours on one chain. Idempotent."""
    chain = contracts_adapters.chain(chain_key)
    contracts_observe(contracts_adapters.rpc(chain), chain=chain)


@shared_task(ignore_result=True)
def read_all_contracts() -> None:
    """Wake a reading for every chain that has contracts of ours. Idempotent."""
    rows = Deployment.objects.filter(active=True)
    for key in rows.order_by().values_list("chain_id", flat=True).distinct():
        read_contracts.apply_async((key,), expires=60)
