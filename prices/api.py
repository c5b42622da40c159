"""The prices and opportunities endpoints: parse, one call, answer."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.fields import BIGINT_MAX
from arbsite.base.idempotency import IdempotentView
from arbsite.base.parsers import WholeNumber, clean_input
from arbsite.base.permissions import Operator, Viewer
from contracts.asked import (
    CHAIN,
    CHAIN_FILTER,
    ChainIn,
    asker,
    chain_and_body,
    query_of,
)
from contracts.kernel.jsonrpc import clean_text
from contracts.selectors import chain_wanted
from prices import selectors, services, tasks
from prices.kernel.waterfall import Reason, Verdict
from prices.models import Opportunity

# The economic gates, and those of the executing side, which only writes them here.
REASONS = [each.value for each in Reason] + [
    "killed", "not_armed", "limit", "cooldown", "in_flight", "simulation_failed", "superseded",
    "paused",
]  # fmt: skip


class StartIn(ChainIn):
    """Body of ``POST /api/prices/start``."""

    pollIntervalMs = WholeNumber(required=False, min_value=100, max_value=3_600_000)
    minSpreadBps = WholeNumber(required=False, min_value=0, max_value=10_000)
    mode = serializers.ChoiceField(required=False, choices=["stream", "poll"])


class LiveIn(serializers.Serializer[Any]):
    """Query of ``GET /api/prices/live``."""

    chain = serializers.CharField(required=False, max_length=32)
    pair = serializers.CharField(required=False, max_length=80)
    dex = serializers.CharField(required=False, max_length=40)


class SpreadsIn(serializers.Serializer[Any]):
    """Query of ``GET /api/prices/spreads``."""

    chain = serializers.CharField(required=False, max_length=32)
    minSpreadBps = serializers.IntegerField(required=False, min_value=0, max_value=10**9)
    executable = serializers.BooleanField(required=False, allow_null=True, default=None)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=200)


class OpportunitiesIn(serializers.Serializer[Any]):
    """Query of ``GET /api/opportunities``."""

    chain = serializers.CharField(required=False, max_length=32)
    verdict = serializers.ChoiceField(required=False, choices=[each.value for each in Verdict])
    reason = serializers.ChoiceField(required=False, choices=REASONS)


class PricesStatusView(APIView):
    """GET /api/prices/status: what is watched, how, and the best opportunity now."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN], responses=dict)
    def get(self, request: Request) -> Response:
        """The status of one chain's monitoring."""
        chain = chain_wanted(query_of(request, ChainIn).get("chain"))
        return Response(selectors.status(selectors.monitor_of(chain)))


class PricesLiveView(APIView):
    """GET /api/prices/live: the latest price of each pair on each DEX, one page."""

    permission_classes = [Viewer]

    @extend_schema(
        parameters=[CHAIN, OpenApiParameter("pair", str), OpenApiParameter("dex", str)],
        responses=dict,
    )
    def get(self, request: Request) -> Response:
        """All pools of one chain."""
        query = query_of(request, LiveIn)
        chain = chain_wanted(query.get("chain"))
        rows = selectors.live(chain=chain.key, pair=query.get("pair"), dex=query.get("dex"))
        return Response({"results": rows, "next": None})


class SpreadsView(APIView):
    """GET /api/prices/spreads: living opportunities, best net profit first."""

    permission_classes = [Viewer]

    @extend_schema(
        parameters=[
            CHAIN,
            OpenApiParameter("minSpreadBps", int),
            OpenApiParameter("executable", bool),
            OpenApiParameter("limit", int),
        ],
        responses=dict,
    )
    def get(self, request: Request) -> Response:
        """Current opportunities of one chain."""
        query = query_of(request, SpreadsIn)
        chain = chain_wanted(query.get("chain"))
        rows = selectors.opportunities_current(
            chain=chain.key,
            min_spread_bps=query.get("minSpreadBps", 0),
            executable=query.get("executable"),
            limit=query.get("limit", 200),
        )
        return Response({"results": rows, "next": None})


class PairView(APIView):
    """GET /api/prices/pair/{pair}: one pair on all DEXes, its spread and recent history."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN], responses=dict)
    def get(self, request: Request, pair: str) -> Response:
        """One pair, named CAKE-USDT or CAKE/USDT percent-encoded."""
        chain = chain_wanted(query_of(request, ChainIn).get("chain"))
        detail = selectors.pair_detail(chain=chain, name=pair) if clean_input(pair) else None
        if detail is None:
            raise NotFound(f"There is no pair {clean_text(pair)[:40]} on chain {chain.key}.")
        return Response(detail)


class StartView(IdempotentView):
    """POST /api/prices/start: start monitoring, or change interval, spread or mode."""

    permission_classes = [Operator]

    @extend_schema(request=StartIn, responses=dict)
    def post(self, request: Request) -> Response:
        """Takes effect within a second, without a restart."""
        chain, wanted = chain_and_body(request, StartIn)
        monitor = services.monitoring_start(
            chain=chain,
            poll_interval_ms=wanted.get("pollIntervalMs", services.DEFAULT_POLL_MS),
            min_spread_bps=wanted.get("minSpreadBps", services.DEFAULT_SPREAD_BPS),
            mode=wanted.get("mode", "stream"),
            **asker(request),
        )
        if monitor.mode == "poll":
            tasks.poll_soon(chain.key)
        return Response(selectors.status(monitor))


class StopView(IdempotentView):
    """POST /api/prices/stop: stop monitoring."""

    permission_classes = [Operator]

    @extend_schema(request=ChainIn, responses=dict)
    def post(self, request: Request) -> Response:
        """Takes effect within a second."""
        chain, _ = chain_and_body(request)
        monitor = services.monitoring_stop(chain=chain, **asker(request))
        return Response(selectors.status(monitor))


class OpportunitiesView(ListAPIView[Opportunity]):
    """GET /api/opportunities: recorded lives of cycles, newest first."""

    permission_classes = [Viewer]

    @extend_schema(
        parameters=[
            CHAIN_FILTER,
            OpenApiParameter("verdict", str, enum=["executable", "rejected"]),
            OpenApiParameter("reason", str),
        ],
        responses=dict,
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page."""
        query = query_of(request, OpportunitiesIn)
        filters: dict[str, Any] = {
            name: query[name] for name in ("verdict", "reason") if name in query
        }
        if "chain" in query:
            filters["chain_id"] = chain_wanted(query["chain"]).key
        rows = Opportunity.objects.filter(**filters).select_related("borrow_token")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(selectors.opportunities_render(page or []))


class OpportunityView(APIView):
    """GET /api/opportunities/{id}: one opportunity with its waterfall and verdict."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: Request, pk: int) -> Response:
        """One opportunity."""
        rows = selectors.opportunities([pk]) if pk <= BIGINT_MAX else []
        if not rows:
            raise NotFound("There is no such opportunity; old ones are pruned.")
        return Response(rows[0])
