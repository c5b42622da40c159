"""What endpoints took, written down in slots of some seconds, and forgotten after a day."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from django.utils import timezone

from contracts.kernel.latencies import Latencies
from contracts.models import Chain, EndpointLatency

KEPT: Final = timedelta(days=1)


class Taken(NamedTuple):
    """What was seen of one endpoint since the last row; the fields of `EndpointLatency`."""

    use: str
    position: int
    endpoint: str
    latencies: Latencies
    first: int = 0
    disputes: int = 0
    forks: int = 0

    @property
    def anything(self) -> bool:
        """Whether there is something to write."""
        return bool(self.latencies.counts or self.first or self.disputes or self.forks)


def endpoint_latency_record(*, chain: Chain, taken: Sequence[Taken]) -> None:
    """Write one row for each endpoint that was asked at all. Queries: 2, or 1 without any."""
    rows = [
        EndpointLatency(
            chain=chain,
            use=each.use,
            position=each.position,
            endpoint=each.endpoint[:200],
            counts=each.latencies.counts,
            max_us=each.latencies.max_us,
            first=each.first,
            disputes=each.disputes,
            forks=each.forks,
        )
        for each in taken
        if each.anything
    ]
    if rows:
        EndpointLatency.objects.bulk_create(rows)
    EndpointLatency.objects.filter(chain=chain, at__lt=timezone.now() - KEPT).delete()
