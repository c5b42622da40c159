"""The pages of executions: selectors in, templates out."""

from collections.abc import Mapping
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from arbsite.base.fields import BIGINT_MAX
from contracts.models import Chain
from execution import render as words
from execution import selectors
from execution.models import Execution
from wallets.models import STATUSES

SHOWN: Final = 100
WIDTH: Final = 1000
OURS: Final = ("eventToState", "search", "simulate", "sign", "persist", "submit")
STAGES: Final = (
    ("eventToState", "event → state"),
    ("search", "search"),
    ("simulate", "simulate"),
    ("sign", "sign"),
    ("persist", "persist"),
    ("submit", "submit"),
    ("total", "event → sent"),
    ("inclusion", "inclusion"),
)


def executions_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """The execution log, newest first, filtered by the address."""
    wanted = {name: request.GET.get(name, "")[:40] for name in ("status", "kind", "before")}
    listed = list(_filtered(chain, wanted)[: SHOWN + 1])
    found = Chain.objects.filter(key=chain).first()
    return render(
        request,
        "execution/executions.html",
        {
            "page": "executions",
            "rows": [words.execution(row) for row in listed[:SHOWN]],
            "older": listed[SHOWN - 1].pk if len(listed) > SHOWN else None,
            "wanted": wanted,
            "statuses": [key for key, _ in STATUSES],
            "stages": _stages(found) if found else [],
        },
    )


def _stages(chain: Chain) -> list[dict[str, Any]]:
    measured = selectors.latency(chain=chain, window_s=3600)
    return [
        {"stage": stage, "words": said, **measured[stage]}
        for stage, said in STAGES
        if stage in measured
    ]


def _filtered(chain: str, wanted: dict[str, str]) -> QuerySet[Execution]:
    rows = selectors.executions().filter(chain_id=chain)
    if wanted["status"]:
        chosen = Q(transaction__status=wanted["status"])
        if wanted["status"] == "rejected":
            chosen |= Q(transaction__isnull=True) & ~Q(refused="")
        rows = rows.filter(chosen)
    if wanted["kind"] in ("arbitrage", "test"):
        rows = rows.filter(kind=wanted["kind"])
    before = wanted["before"]
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    return rows


def execution_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One execution: its stages, what it cost and brought, and why it ended as it did."""
    row = selectors.executions().filter(pk=pk).first() if pk <= BIGINT_MAX else None
    if row is None:
        raise Http404("There is no such execution.")
    shown = words.execution(row)
    drawer = request.GET.get("fragment") == "1"
    return render(
        request,
        "execution/execution.html",
        {
            "frame": "partials/bare.html" if drawer else "base.html",
            "drawer": drawer,
            "page": "executions",
            "row": shown,
            "stages": stage_bars(shown["latency"]),
        },
    )


def stage_bars(latency: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Stages one after another on the scale of the whole; inclusion is the chain's, not ours.

    Positions are 0 to `WIDTH`, for the eye; ``latency`` is in milliseconds.
    """
    whole = latency.get("total") or sum(ms or 0 for name, ms in latency.items() if name in OURS)
    scale = max(whole, 0.001)
    at = 0.0
    bars = []
    for stage, said in STAGES:
        ms = latency.get(stage)
        if ms is None:
            continue
        start = at if stage in OURS else 0.0
        width = 0 if stage == "inclusion" else max(2, int(WIDTH * ms / scale))
        bars.append(
            {"words": said, "ms": ms, "x": min(WIDTH, int(WIDTH * start / scale)), "width": width}
        )
        at += ms if stage in OURS else 0.0
    return bars
