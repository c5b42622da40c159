"""Polling, roll-ups and pruning: wake-ups that may come twice, late, or not at all."""

from celery import shared_task
from celery.worker import state
from kombu.exceptions import OperationalError

from contracts import adapters as contracts_adapters
from prices import poller, rollups
from prices.models import Monitor


@shared_task
def poll_chain(chain_key: str) -> None:
    """Poll one chain while its monitor asks for it. A second run at once does nothing."""
    chain = contracts_adapters.chain(chain_key)
    polled = poller.poll(
        chain_key,
        rpc=lambda: contracts_adapters.rpc(chain),
        stopping=lambda: state.should_stop not in (None, False),
    )
    if polled:
        poll_soon(chain_key)  # beat would leave a gap; where nothing is wanted it ends at once


@shared_task
def poll_due() -> None:
    """Wake a poller for every chain in polling mode. Idempotent."""
    for key in Monitor.objects.filter(wanted=True, mode="poll").values_list("chain_id", flat=True):
        poll_chain.apply_async((key,), expires=30)


@shared_task
def roll_up_prices() -> None:
    """Keep one candle a minute per pool. Idempotent."""
    rollups.candles_write()


@shared_task
def prune_opportunities() -> None:
    """Make tomorrow's partitions, drop those past their keep. Idempotent."""
    rollups.partitions_keep()


def poll_soon(chain_key: str) -> None:
    """Wake the poller now instead of at the next beat; with the broker away beat does it."""
    try:
        poll_chain.apply_async((chain_key,), expires=30, retry=False)
    except (OperationalError, OSError):
        return
