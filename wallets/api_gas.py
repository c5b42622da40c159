"""The endpoints of gas money: funding, the plan of a run, and the watching of balances."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.idempotency import IdempotentView
from arbsite.base.parsers import StrictSerializer, WeiField, WholeNumber
from arbsite.base.permissions import Operator, Viewer
from contracts.asked import CHAIN, ChainIn, chain_and_body, chain_of_query, user_of
from contracts.models import Chain
from wallets import funding, gas_selectors, listing, monitoring, render
from wallets.asking import AskView, answered, wallet_or_404
from wallets.funding_facts import simulated_why


class FundIn(StrictSerializer):
    """Body of ``POST /api/wallets/{id}/fund``."""

    amountWei = WeiField()


class AutoFundIn(ChainIn):
    """Body of ``POST /api/wallets/auto-fund``."""

    dryRun = serializers.BooleanField(required=False, default=False)


class MonitoringIn(ChainIn):
    """Body of ``POST /api/wallets/monitoring/start``."""

    intervalS = WholeNumber(
        required=False, min_value=monitoring.INTERVAL_MIN_S, max_value=monitoring.INTERVAL_MAX_S
    )


class FundView(AskView):
    """POST /api/wallets/{id}/fund: one amount from the chain's gas reserve."""

    @extend_schema(request=FundIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Within every cap, or refused with the figures."""
        wanted = FundIn(data=request.data).checked()
        if wanted["amountWei"] == 0:
            raise serializers.ValidationError({"amountWei": ["Must be above zero."]})
        wallet = wallet_or_404(pk)
        outcome = self.ask(
            request,
            kind="fund",
            chain=wallet.chain,
            wallet=wallet,
            args={"amountWei": str(wanted["amountWei"])},
        )
        made = (outcome.request.result or {}).get("fundingId")
        body = render.funding(listing.fundings().get(pk=made)) if made else None
        return answered(outcome, body=body)


class AutoFundView(AskView):
    """POST /api/wallets/auto-fund: top up every wallet that is low, within the caps."""

    @extend_schema(request=AutoFundIn, responses={200: dict, 201: dict, 202: dict})
    def post(self, request: ApiRequest) -> Response:
        """With ``dryRun`` the plan, and nothing else happens."""
        chain, wanted = chain_and_body(request, AutoFundIn)
        if wanted["dryRun"]:
            return Response(plan_of(chain))
        return answered(self.ask(request, kind="auto_fund", chain=chain))


def plan_of(chain: Chain) -> dict[str, Any]:
    """What a run would do now, by the newest balances on record."""
    may_sign = settings.ARB.may_sign(chain_key=chain.key, is_local=chain.is_local)
    plan = funding.funding_plan(chain, may_sign=may_sign)
    return {
        "chain": chain.key,
        "dryRun": True,
        "simulatedWhy": simulated_why(chain, may_sign=may_sign),
        "plan": listing.plan_shown(plan, chain_key=chain.key),
        "totalWei": str(sum(one.amount_wei for one in plan if one.funds)),
    }


class MonitoringStartView(IdempotentView):
    """POST /api/wallets/monitoring/start: read balances, and fund by itself what is low."""

    permission_classes = [Operator]

    @extend_schema(request=MonitoringIn, responses=dict)
    def post(self, request: ApiRequest) -> Response:
        """From the next beat on."""
        chain, wanted = chain_and_body(request, MonitoringIn)
        status = monitoring.monitoring_start(
            chain, interval_s=wanted.get("intervalS"), by=user_of(request), via="api"
        )
        return Response(status.as_json())


class MonitoringStopView(IdempotentView):
    """POST /api/wallets/monitoring/stop: read no more; automatic funding rests with it."""

    permission_classes = [Operator]

    @extend_schema(request=ChainIn, responses=dict)
    def post(self, request: ApiRequest) -> Response:
        """At once."""
        chain, _ = chain_and_body(request)
        return Response(monitoring.monitoring_stop(chain, by=user_of(request), via="api").as_json())


class MonitoringStatusView(APIView):
    """GET /api/wallets/monitoring/status: wanted or not, how often, how the last sweep went."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN], responses=dict)
    def get(self, request: ApiRequest) -> Response:
        """One chain."""
        return Response(monitoring.monitoring_status(chain_of_query(request)).as_json())


class BalanceHistoryView(APIView):
    """GET /api/wallets/{id}/balances: a wallet's balance over the last seven days."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: ApiRequest, pk: int) -> Response:
        """At most some 200 points, oldest first."""
        row = wallet_or_404(pk)
        points = gas_selectors.balance_history(wallet_id=row.pk)
        return Response({"results": [point.as_json() for point in points], "next": None})
