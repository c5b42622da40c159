"""Wake-ups of the execution app; they may come twice, late, or not at all."""

from celery import shared_task

from contracts import adapters as contracts_adapters
from execution import shadow
from prices.models import Sighting


@shared_task
def look_at_unsent() -> None:
    """Look again at what was executable and not sent, on every chain. Idempotent."""
    for key in Sighting.objects.values_list("chain_id", flat=True).distinct().order_by():
        chain = contracts_adapters.chain(key)
        shadow.shadow_look(chain=chain, rpc=contracts_adapters.rpc(chain))


@shared_task
def prune_shadow_checks() -> None:
    """Remove checks past their keep. Idempotent."""
    shadow.shadow_prune()
