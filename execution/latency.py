"""Latency as it is shown: percentiles, histograms and their course, per endpoint and relay too."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from contracts.models import Chain
from contracts.selectors import endpoint_latency
from execution.kernel.latency import EDGES_US, Stage, as_ms, histogram, summarise
from execution.models import Execution, LatencySample
from execution.selectors import figures
from prices.render import iso
from wallets.models import Submission

WINDOW_S: Final = 900
WINDOW_MAX_S: Final = 6 * 3_600
POINTS: Final = 60
TARGET_MS: Final = 200  # from the event to the bytes handed over
# What depends on who takes the bytes.
BY_RELAY: Final = (Stage.SUBMIT, Stage.INCLUSION)

Sample = tuple[str, int, datetime, int | None]  # stage, microseconds, when, execution


def latency_shown(*, chain: Chain, window_s: int) -> dict[str, Any]:
    """SPEC's latency of a chain over the last ``window_s`` seconds, milliseconds. Four queries.

    ``bucketsMs``: the upper bounds of ``buckets``; the last bucket has none. ``series``: the same
    window in `POINTS` steps, steps without samples left out.
    """
    now = timezone.now()
    since = now - timedelta(seconds=window_s)
    rows = LatencySample.objects.filter(chain=chain, at__gte=since)
    samples: list[Sample] = list(
        rows.values_list("stage", "microseconds", "at", "execution_id").order_by("at")
    )
    by_stage = _grouped(samples)
    return {
        "chain": chain.key,
        "windowS": window_s,
        "targetMs": TARGET_MS,
        "blockTimeMs": chain.block_time_ms,
        "bucketsMs": [as_ms(edge) for edge in EDGES_US],
        "stages": {stage.value: _shown(by_stage.get(stage.value, ())) for stage in Stage},
        "relays": _by_relay(chain, samples, since=since),
        "rpc": _by_endpoint(chain, window_s=window_s),
        "series": _series(samples, since=since, window_s=window_s),
    }


def _shown(samples: Collection[int]) -> dict[str, Any]:
    return {**figures(summarise(samples)), "buckets": histogram(samples)}


def _grouped(samples: Iterable[Sample]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for stage, microseconds, _, _ in samples:
        found.setdefault(stage, []).append(microseconds)
    return found


def _by_relay(chain: Chain, samples: Iterable[Sample], *, since: datetime) -> list[dict[str, Any]]:
    """Handing over and inclusion by who was given the bytes, each relay by itself. Two queries.

    A relay's `SUBMIT` is how soon it answered first; an inclusion counts for each that had it.
    """
    earlier = since - timedelta(hours=1)
    given = Submission.objects.filter(attempt__transaction__chain=chain, first_at__gte=earlier)
    found: dict[tuple[str, str], list[int]] = {}
    had: dict[int, set[str]] = {}
    for relay, took_us, at, pk in given.exclude(outcome="not_sent").values_list(
        "relay", "took_us", "first_at", "attempt__transaction__execution"
    ):
        had.setdefault(pk, set()).add(relay)
        if took_us and at >= since:
            found.setdefault((relay, Stage.SUBMIT.value), []).append(took_us)
    sent = Execution.objects.filter(chain=chain, created_at__gte=earlier)
    sent = sent.exclude(transaction__submitted_via="").exclude(transaction__isnull=True)
    via = dict(sent.values_list("pk", "transaction__submitted_via"))
    for stage, microseconds, _, execution in samples:
        if execution in had and stage == Stage.INCLUSION:
            for relay in had[execution]:
                found.setdefault((relay, stage), []).append(microseconds)
        elif execution in via and execution not in had and stage in BY_RELAY:
            found.setdefault((via[execution], stage), []).append(microseconds)
    return [
        {"relay": relay, "stage": stage, **_shown(taken)}
        for (relay, stage), taken in sorted(found.items())
    ]


def _by_endpoint(chain: Chain, *, window_s: int) -> list[dict[str, Any]]:
    """Each endpoint that was asked, and how often it was first, alone or on a branch. One query."""
    return [
        {
            "endpoint": one.endpoint,
            "use": one.use,
            "position": one.position,
            "count": one.count,
            "p50Ms": as_ms(one.p50_us) if one.count else None,
            "p95Ms": as_ms(one.p95_us) if one.count else None,
            "p99Ms": as_ms(one.p99_us) if one.count else None,
            "maxMs": as_ms(one.max_us) if one.count else None,
            "buckets": one.latencies.buckets(EDGES_US),
            "first": one.first,
            "disputes": one.disputes,
            "forks": one.forks,
        }
        for one in endpoint_latency(chain=chain, window_s=window_s)
    ]


def _series(samples: Iterable[Sample], *, since: datetime, window_s: int) -> list[dict[str, Any]]:
    """Percentiles of the whole and the median of each stage, step by step."""
    step_s = max(1, -(-window_s // POINTS))
    steps: dict[int, list[Sample]] = {}
    for sample in samples:
        steps.setdefault(int((sample[2] - since).total_seconds()) // step_s, []).append(sample)
    found = []
    for at, taken in sorted(steps.items()):
        stages = {stage: summarise(times) for stage, times in _grouped(taken).items()}
        total = stages.get(Stage.TOTAL.value)
        found.append(
            {
                "at": iso(since + timedelta(seconds=at * step_s)),
                **figures(total),
                "stages": {
                    stage: as_ms(summary.p50_us)
                    for stage, summary in stages.items()
                    if summary is not None
                },
            }
        )
    return found
