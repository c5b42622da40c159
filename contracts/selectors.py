"""Reads of the registry that every app above asks."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from django.utils import timezone
from rest_framework.exceptions import ValidationError

from contracts.kernel.latencies import Latencies, latencies_from
from contracts.models import Chain, EndpointLatency


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSummary:
    """What one endpoint took, in microseconds, all 0 where nothing was counted; the other fields
    are those of `EndpointLatency`, the URL masked."""

    use: str
    position: int
    endpoint: str
    count: int
    p50_us: int
    p95_us: int
    p99_us: int
    max_us: int
    latencies: Latencies
    first: int
    disputes: int
    forks: int


def endpoint_latency(
    chain: Chain, window_s: int, *, first_only: bool = False
) -> list[EndpointSummary]:
    """Every endpoint that was asked in the last ``window_s``, by use and the operator's order.

    ``first_only``: of each use the first in that order.
    Percentiles are at most 9.1 % above the true ones, never below. One query.
    """
    since = timezone.now() - timedelta(seconds=window_s)
    asked = EndpointLatency.objects.filter(chain=chain, at__gte=since)
    if first_only:
        asked = asked.filter(position=0)
    rows = asked.order_by("use", "position", "endpoint").values_list(
        *("use", "position", "endpoint", "counts", "max_us", "first", "disputes", "forks")
    )
    summaries = []
    for (use, position, endpoint), group in groupby(rows, key=lambda row: row[:3]):
        kept = list(group)
        found = latencies_from((row[3], row[4]) for row in kept)
        p50, p95, p99 = (found.percentile_us(at) if found.count else 0 for at in (50, 95, 99))
        first, disputes, forks = (sum(row[at] for row in kept) for at in (5, 6, 7))
        summaries.append(
            EndpointSummary(
                use=use,
                position=position,
                endpoint=endpoint,
                count=found.count,
                p50_us=p50,
                p95_us=p95,
                p99_us=p99,
                max_us=found.max_us,
                latencies=found,
                first=first,
                disputes=disputes,
                forks=forks,
            )
        )
    return summaries


def chain_wanted(key: str | None) -> Chain:
    """The chain a request means: the one named, else the only one with an engine.

    Raises: ValidationError naming the choices.
    """
    if key is not None:
        chain = Chain.objects.filter(key=key).first()
        if chain is None:
            known = ", ".join(Chain.objects.values_list("key", flat=True))
            raise ValidationError({"chain": [f"There is no such chain. Known: {known}."]})
        return chain
    chains = list(Chain.objects.filter(monitor__isnull=False))
    if len(chains) != 1:
        named = ", ".join(chain.key for chain in chains) or "none has an engine"
        raise ValidationError({"chain": [f"Say which chain: {named}."]})
    return chains[0]
