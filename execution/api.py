"""The execution and kill endpoints: parse, one call, answer."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.fields import BIGINT_MAX
from arbsite.base.idempotency import IdempotentView
from arbsite.base.parsers import StrictSerializer, WholeNumber
from arbsite.base.permissions import Admin, Operator, Viewer
from arbsite.base.second_factor import second_factor_require
from contracts.asked import (
    CHAIN,
    CHAIN_FILTER,
    ChainIn,
    asker,
    chain_and_body,
    chain_of_query,
    of_chain,
    row_or_404,
)
from contracts.models import Chain
from contracts.selectors import chain_wanted
from execution import render, selectors, services, simulations
from execution.asking import chains_freed
from execution.mode_status import checks
from execution.models import Execution
from wallets import kill
from wallets import selectors as wallet_selectors


class ExecuteIn(StrictSerializer):
    """Body of ``POST /api/execute``."""

    opportunityId = WholeNumber(min_value=1, max_value=BIGINT_MAX)


class KillIn(ChainIn):
    """Body of ``POST /api/kill``."""

    reason = serializers.CharField(required=False, max_length=200)


class ReleaseIn(ChainIn):
    """Body of ``POST /api/kill/release``."""

    reason = serializers.CharField(max_length=200)


class ExecuteStatusView(APIView):
    """GET /api/execute/status: readiness, check by check."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN], responses=dict)
    def get(self, request: Request) -> Response:
        """The readiness of one chain."""
        chain = chain_of_query(request)
        found = checks(chain)
        return Response({"chain": chain.key, "ready": all(c["ok"] for c in found), "checks": found})


class ExecuteView(IdempotentView):
    """POST /api/execute: execute one opportunity now."""

    permission_classes = [Operator]
    idempotent = "required"

    @extend_schema(request=ExecuteIn, responses={201: dict, 202: dict})
    def post(self, request: Request) -> Response:
        """Re-quotes, simulates, executes; waits up to 5 s."""
        wanted = ExecuteIn(data=request.data).checked()
        outcome = services.execution_request(
            opportunity_id=wanted["opportunityId"], **asker(request)
        )
        return Response(render.execution(outcome.execution), status=outcome.http_status)


class ExecuteTestView(IdempotentView):
    """POST /api/execute/test: send 0 from the executor to itself."""

    permission_classes = [Operator]
    idempotent = "required"

    @extend_schema(request=ChainIn, responses={201: dict, 202: dict})
    def post(self, request: Request) -> Response:
        """Waits up to 5 s."""
        chain, _ = chain_and_body(request)
        outcome = services.probe_request(chain=chain, **asker(request))
        return Response(render.execution(outcome.execution), status=outcome.http_status)


class ExecutionsView(ListAPIView[Execution]):
    """GET /api/executions: the execution log, newest first."""

    permission_classes = [Viewer]

    @extend_schema(
        parameters=[
            CHAIN_FILTER,
            OpenApiParameter("status", str),
            OpenApiParameter("kind", str, enum=["arbitrage", "test"]),
        ],
        responses=dict,
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page."""
        query = request.query_params
        rows = of_chain(selectors.executions(), request)
        if "kind" in query:
            rows = rows.filter(kind=str(query["kind"])[:10])
        if "status" in query:
            rows = rows.filter(transaction__status=str(query["status"])[:10])
        page = self.paginate_queryset(rows)
        return self.get_paginated_response([render.execution(row) for row in page or []])


class ExecutionView(APIView):
    """GET /api/executions/{id}: one execution with every status change, latency and PnL."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: Request, pk: int) -> Response:
        """One execution."""
        row = row_or_404(selectors.executions(), pk, missing="There is no such execution.")
        return Response(render.execution(row))


class SimulateView(IdempotentView):
    """POST /api/opportunities/{id}/simulate: simulate one opportunity now."""

    permission_classes = [Operator]

    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: int) -> Response:
        """Nothing is signed or sent."""
        return Response(simulations.opportunity_simulate(pk=pk))


class KillView(IdempotentView):
    """POST /api/kill: stop executions, funding, deployments and bumps."""

    permission_classes = [Operator]

    @extend_schema(request=KillIn, responses=dict)
    def post(self, request: Request) -> Response:
        """Acts on all chains unless one is named."""
        wanted = KillIn(data=request.data).checked()
        if wanted.get("chain"):
            chain_wanted(wanted["chain"])
        proof = kill.kill_engage(
            reason=wanted.get("reason", "stopped by hand"),
            scope=wanted.get("chain") or kill.EVERYWHERE,
            via="api",
            **asker(request),
        )
        return Response(proof.as_json())


class KillReleaseView(IdempotentView):
    """POST /api/kill/release: the only way out of ``killed``."""

    permission_classes = [Admin]

    @extend_schema(request=ReleaseIn, responses=dict)
    def post(self, request: Request) -> Response:
        """Raises the epoch: what was planned before is never sent."""
        wanted = ReleaseIn(data=request.data).checked()
        chains = chains_freed(wanted.get("chain"))
        second_factor_require(request, is_local=all(chain.is_local for chain in chains))
        kill.kill_release(
            reason=wanted["reason"],
            scope=wanted.get("chain") or kill.EVERYWHERE,
            via="api",
            **asker(request),
        )
        keys = list(Chain.objects.values_list("key", flat=True))
        return Response({"status": wallet_selectors.kill_status(chain_keys=keys)})


class KillStatusView(APIView):
    """GET /api/kill/status: per scope, with what may still land."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:
        """Every scope."""
        keys = list(Chain.objects.values_list("key", flat=True))
        return Response({"status": wallet_selectors.kill_status(chain_keys=keys)})
