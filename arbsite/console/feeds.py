"""What each channel of the WebSocket shows, read with the same selectors as the API."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from arbsite.base.wire import iso
from arbsite.console import health
from contracts.models import Chain, Deployment
from execution import selectors as execution_selectors
from prices import selectors as price_selectors
from wallets import listing

CHANNELS: Final = (
    "prices", "opportunities", "executions", "latency", "status", "wallets", "contracts",
)  # fmt: skip
NEWEST: Final = 100
LATENCY_WINDOW_S: Final = 900


class Feed(Protocol):
    """One channel's reader; both are called in a thread and may use the database."""

    def snapshot(self) -> Any:
        """Everything the channel shows now."""
        ...

    def changed(self, ids: Sequence[Any]) -> Any:
        """The rows of these ids as they are now."""
        ...


class PricesFeed:
    """Rows of ``GET /api/prices/live`` of all chains; ids are pools' row ids."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Every pool."""
        return price_selectors.live()

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """These pools."""
        return price_selectors.live(pools=ids)


class OpportunitiesFeed:
    """Living opportunities, then whatever is born, changes or ends."""

    def snapshot(self) -> list[dict[str, Any]]:
        """The best that live now."""
        return price_selectors.opportunities_current(limit=NEWEST)

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """These opportunities."""
        return price_selectors.opportunities(ids)


class ExecutionsFeed:
    """The newest executions. An id may be an execution's or its transaction's.

    Those who move a transaction know only its own id; where a number is both, two rows are sent.
    """

    def snapshot(self) -> list[dict[str, Any]]:
        """The newest."""
        return execution_selectors.executions_recent(limit=NEWEST)

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """These executions."""
        moved = execution_selectors.executions_of_transactions(ids)
        return execution_selectors.executions_of({*ids, *moved})


class LatencyFeed:
    """Percentiles per chain and stage over ``windowS``, the last quarter of an hour."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Every stage of every watched chain."""
        return self.changed(
            list(Chain.objects.filter(monitor__isnull=False).values_list("key", flat=True))
        )

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """Every stage of these chains."""
        return [
            {
                "id": f"{chain.key}:{stage}",
                "chain": chain.key,
                "stage": stage,
                "windowS": LATENCY_WINDOW_S,
                **figures,
            }
            for chain in Chain.objects.filter(key__in=ids)
            for stage, figures in execution_selectors.latency(
                chain=chain, window_s=LATENCY_WINDOW_S
            ).items()
        ]


class WalletsFeed:
    """Rows of ``GET /api/wallets``. The id 0 stands for all: a sweep read every balance."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Every wallet."""
        return listing.wallets_shown(listing.wallets())

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """These wallets."""
        rows = listing.wallets()
        return listing.wallets_shown(rows if 0 in ids else rows.filter(pk__in=list(ids)))


class ContractsFeed:
    """Which contracts were read or changed: pages ask for the part that shows them."""

    def snapshot(self) -> list[dict[str, Any]]:
        """Every active contract."""
        return [self._row(row) for row in listing.deployments()]

    def changed(self, ids: Sequence[Any]) -> list[dict[str, Any]]:
        """These contracts."""
        return [self._row(row) for row in listing.deployments().filter(pk__in=list(ids))]

    def _row(self, row: Deployment) -> dict[str, Any]:
        return {
            "id": row.pk,
            "chain": row.chain_id,
            "address": row.address,
            "paused": row.observed.get("paused"),
            "observedBlock": row.observed_block,
            "observedAt": iso(row.observed_at),
        }


class StatusFeed:
    """The same facts as ``GET /api/status``."""

    def snapshot(self) -> dict[str, Any]:
        """The whole status."""
        return health.status()

    def changed(self, ids: Sequence[Any]) -> dict[str, Any]:
        """The whole status: it has one row."""
        return health.status()


def feeds() -> Mapping[str, Feed]:
    """Channel name -> feed."""
    return {
        "prices": PricesFeed(),
        "opportunities": OpportunitiesFeed(),
        "executions": ExecutionsFeed(),
        "latency": LatencyFeed(),
        "status": StatusFeed(),
        "wallets": WalletsFeed(),
        "contracts": ContractsFeed(),
    }
