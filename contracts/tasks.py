"""Chain health and the daily proofs, whether or not an engine runs."""

import logging

from celery import shared_task

from arbsite.base.errors import ArbError
from contracts import adapters, services
from contracts.models import Chain

logger = logging.getLogger(__name__)


@shared_task
def measure_chain_health() -> None:
    """Measure every endpoint of every chain that is in use. Idempotent."""
    for chain in Chain.objects.exclude(checked_at=None):
        try:
            services.rpc_health_measure(chain=chain, kind="http", rpc=adapters.rpc(chain))
            if adapters.send_urls(chain) != adapters.http_urls(chain):
                services.rpc_health_measure(chain=chain, kind="send", rpc=adapters.rpc_send(chain))
            services.ws_health_measure(chain=chain, urls=adapters.ws_urls(chain))
        except ArbError as error:  # one chain's trouble is not another's
            logger.warning("not measured", extra={"chain": chain.key, "why": str(error)})


@shared_task
def prove_tokens() -> None:
    """Repeat, for every checked chain, the simulated swaps that tokens and pools rest on."""
    for chain in Chain.objects.exclude(checked_at=None):
        try:
            services.tokens_prove(chain=chain, rpc=adapters.rpc(chain))
        except ArbError as error:  # the proofs of before stand until the next run
            logger.warning("not proven", extra={"chain": chain.key, "why": str(error)})
