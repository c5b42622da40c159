"""The Fast Mode endpoints: state, limits and their versions, latency, the drill of the stop."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.idempotency import IdempotentView
from arbsite.base.parsers import WeiField, WholeNumber
from arbsite.base.permissions import Admin, Operator, Viewer
from arbsite.base.second_factor import second_factor_require
from arbsite.base.units import gwei
from contracts.asked import CHAIN, ChainIn, asker, chain_and_body, chain_of_query, query_of
from contracts.models import Chain
from contracts.selectors import chain_wanted
from execution import fast_mode, latency, limits
from execution.asking import chains_meant
from execution.kernel.limits import BY_NAME, Value, loosened
from execution.mode_status import failing, mode_status
from execution.models import FastMode, FastModeConfig
from wallets import kill
from wallets.asking import AskView, answered

REASON_MAX: Final = 200


class Switch(serializers.BooleanField):
    """A JSON boolean: no words and no numbers that look like one."""

    def to_internal_value(self, data: Any) -> bool:
        """True or false."""
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class GweiField(serializers.Field[int, Any, str, Any]):
    """Gwei with up to nine decimals, as text or as a JSON number; kept as wei."""

    def to_internal_value(self, data: Any) -> int:
        """Exact wei: a JSON number counts by the digits that were written."""
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            raise serializers.ValidationError("Must be a decimal number of gwei, such as 0.05.")
        try:
            return int(gwei(data if isinstance(data, str) else repr(data)))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> str:
        """As it travels."""
        return limits.gwei_text(int(value))


def _whole(name: str) -> WholeNumber:
    bounds = BY_NAME[name]
    return WholeNumber(required=False, min_value=bounds.least, max_value=bounds.most)


class ConfigIn(ChainIn):
    """Body of ``POST /api/fast-mode/config``: any of the limits. ``baseVersion``: what was seen."""

    baseVersion = WholeNumber(required=False, min_value=1, max_value=2**31 - 1)
    enabled = Switch(required=False)
    autoExecute = Switch(required=False)
    minProfitThresholdBps = _whole("minProfitThresholdBps")
    maxGasGwei = GweiField(required=False)
    maxSlippageBps = _whole("maxSlippageBps")
    usePrivateMempool = Switch(required=False)
    tipShareBps = _whole("tipShareBps")
    cooldownMs = _whole("cooldownMs")
    maxPositionWei = WeiField(required=False)
    maxExecutionsPerHour = _whole("maxExecutionsPerHour")
    maxLossPerHourWei = WeiField(required=False)
    maxLossPerDayWei = WeiField(required=False)
    maxConsecutiveFailures = _whole("maxConsecutiveFailures")
    expiryMs = _whole("expiryMs")


class RollbackIn(ChainIn):
    """Body of ``POST /api/fast-mode/config/rollback``."""

    version = WholeNumber(min_value=1, max_value=2**31 - 1)


class ReasonIn(ChainIn):
    """A chain, and why."""

    reason = serializers.CharField(required=False, max_length=REASON_MAX)


class DisableIn(ReasonIn):
    """Body of ``POST /api/fast-mode/disable``."""

    kill = Switch(required=False, default=False)


class LatencyIn(serializers.Serializer[Any]):
    """Query of ``GET /api/fast-mode/latency``."""

    chain = serializers.CharField(required=False, max_length=32)
    windowS = serializers.IntegerField(
        required=False, default=latency.WINDOW_S, min_value=1, max_value=latency.WINDOW_MAX_S
    )


class StatusView(APIView):
    """GET /api/fast-mode/status: limits, state, figures, readiness."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN], responses=dict)
    def get(self, request: Request) -> Response:
        """The mode of one chain."""
        return Response(mode_status(chain_of_query(request)))


class EnableView(IdempotentView):
    """POST /api/fast-mode/enable: arm automatic execution."""

    permission_classes = [Admin]

    @extend_schema(request=ChainIn, responses=dict)
    def post(self, request: Request) -> Response:
        """409 with the failing checks when the readiness gate is not met."""
        chain, _ = chain_and_body(request)
        second_factor_require(request, is_local=chain.is_local)
        _arm(chain, request, failing=failing(chain))
        return Response(mode_status(chain))


def _arm(chain: Chain, request: Request, *, failing: list[dict[str, Any]]) -> None:
    fast_mode.fast_mode_set(
        chain=chain,
        state="armed",
        reason="armed by hand",
        failing=failing,
        **asker(request),
    )


def _off(chain: Chain, request: Request, *, reason: str) -> None:
    fast_mode.fast_mode_set(chain=chain, state="off", reason=reason, **asker(request))


class DisableView(IdempotentView):
    """POST /api/fast-mode/disable: stop automatic execution, with the proof."""

    permission_classes = [Operator]

    @extend_schema(request=DisableIn, responses=dict)
    def post(self, request: Request) -> Response:
        """Leaves ``off``; with ``kill`` it latches ``killed``."""
        wanted = DisableIn(data=request.data).checked()
        chains = chains_meant(wanted.get("chain"))
        for chain in chains:
            _off(chain, request, reason=wanted.get("reason", "disarmed by hand"))
        scope = wanted["chain"] if wanted.get("chain") else kill.EVERYWHERE
        if wanted["kill"]:
            proof = kill.kill_engage(
                reason=wanted.get("reason", "disabled with kill"),
                scope=scope,
                via="api",
                **asker(request),
            )
        else:
            proof = kill.planned_invalidate(scope=scope)
        return Response(
            {
                "state": "killed" if wanted["kill"] else "off",
                "chains": [chain.key for chain in chains],
                "proof": proof.as_json(),
            }
        )


class PauseView(IdempotentView):
    """POST /api/fast-mode/pause: no new automatic executions; monitoring goes on."""

    permission_classes = [Operator]

    @extend_schema(request=ReasonIn, responses=dict)
    def post(self, request: Request) -> Response:
        """409 where it is off."""
        chain, wanted = chain_and_body(request, ReasonIn)
        reason = wanted.get("reason", "paused by hand")
        fast_mode.fast_mode_pause(chain=chain, reason=reason, **asker(request))
        return Response(mode_status(chain))


class ResumeView(IdempotentView):
    """POST /api/fast-mode/resume: go on with the arming that was paused."""

    permission_classes = [Operator]

    @extend_schema(request=ChainIn, responses=dict)
    def post(self, request: Request) -> Response:
        """409 with the failing checks, where it is off, and where the arming has ended."""
        chain, _ = chain_and_body(request)
        fast_mode.fast_mode_resume(chain=chain, failing=failing(chain), **asker(request))
        return Response(mode_status(chain))


class ConfigView(IdempotentView):
    """POST /api/fast-mode/config: change limits; each change is a version."""

    permission_classes = [Admin]

    @extend_schema(request=ConfigIn, responses=dict)
    def post(self, request: Request) -> Response:
        """What lets more happen than before asks for the second factor where money is real.

        With ``enabled`` false the answer holds the proof, as that of disable does.
        """
        chain, wanted = chain_and_body(request, ConfigIn)
        changes = {name: value for name, value in wanted.items() if name in BY_NAME}
        enabled = wanted.get("enabled")
        mode = fast_mode.fast_mode_ensure(chain=chain)
        held = limits.limits_of(mode.config, is_local=chain.is_local)
        if enabled or loosened(held, {**held, **changes}):
            second_factor_require(request, is_local=chain.is_local)
        stands = failing(chain) if enabled else []  # asks the signer: outside the transaction
        with transaction.atomic():  # limits are not kept where arming with them is refused
            limits.limits_change(
                mode=mode,
                changes=changes,
                base_version=wanted.get("baseVersion"),
                **asker(request),
            )
            if enabled:
                _arm(chain, request, failing=stands)
        if enabled is not False:
            return Response(_changed(chain, before=held))
        _off(chain, request, reason="disarmed by hand")
        proof = kill.planned_invalidate(scope=chain.key)
        return Response({**_changed(chain, before=held), "proof": proof.as_json()})


class RollbackView(IdempotentView):
    """POST /api/fast-mode/config/rollback: the limits of an old version, as a new one."""

    permission_classes = [Admin]

    @extend_schema(request=RollbackIn, responses=dict)
    def post(self, request: Request) -> Response:
        """404 where there is no such version; the second factor as for a change by hand."""
        chain, wanted = chain_and_body(request, RollbackIn)
        mode = fast_mode.fast_mode_ensure(chain=chain)
        held = limits.limits_of(mode.config, is_local=chain.is_local)
        old = limits.version_of(chain, wanted["version"])
        if loosened(held, limits.limits_of(old, is_local=chain.is_local)):
            second_factor_require(request, is_local=chain.is_local)
        limits.limits_rollback(mode=mode, version=wanted["version"], **asker(request))
        return Response(_changed(chain, before=held))


def _changed(chain: Chain, *, before: Mapping[str, Value]) -> dict[str, Any]:
    """The status, and what differs from before."""
    mode = FastMode.objects.select_related("config").get(chain=chain)
    after = limits.limits_of(mode.config, is_local=chain.is_local)
    return {**mode_status(chain), "changes": limits.differences(before, after)}


class VersionsView(ListAPIView[FastModeConfig]):
    """GET /api/fast-mode/config/versions: the history of a chain's limits, newest first."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN, OpenApiParameter("limit", int)], responses=dict)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Each with what it changed."""
        chain = chain_of_query(request)
        page = self.paginate_queryset(FastModeConfig.objects.filter(chain=chain)) or []
        return self.get_paginated_response(limits.versions_shown(chain, page))


class LatencyView(APIView):
    """GET /api/fast-mode/latency: stage times over a window, per endpoint and relay too."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN, OpenApiParameter("windowS", int)], responses=dict)
    def get(self, request: Request) -> Response:
        """Milliseconds of one chain."""
        query = query_of(request, LatencyIn)
        chain = chain_wanted(query.get("chain"))
        return Response(latency.latency_shown(chain=chain, window_s=query["windowS"]))


class DrillView(AskView):
    """POST /api/kill/drill: have a worker rehearse the switch of a chain, its release included.

    Because it releases it is an admin's, with the second factor where money is real.
    """

    idempotent = "accepted"

    @extend_schema(request=ChainIn, responses={201: dict, 202: dict})
    def post(self, request: Request) -> Response:
        """What signer and hand-over said, and the proof; 409 while the switch is engaged."""
        chain, _ = chain_and_body(request)
        return answered(self.ask(request, kind="drill", chain=chain))
