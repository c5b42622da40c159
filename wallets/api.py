"""The wallets' endpoints: parse, one call, answer. What signs or sends is asked of a worker."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.idempotency import IdempotentView
from arbsite.base.parsers import AddressInField, StrictSerializer
from arbsite.base.permissions import Admin, Operator, Viewer
from arbsite.base.second_factor import second_factor_require
from contracts.asked import (
    CHAIN_FILTER,
    ChainIn,
    NothingIn,
    asker,
    chain_and_body,
    of_chain,
    row_or_404,
)
from contracts.models import Chain
from wallets import leaving, listing, render
from wallets.asking import (
    AskView,
    ContractRef,
    answered,
    receiver_wanted,
    wallet_or_404,
)
from wallets.models import Request, Wallet

ROLES = ["master", "executor", "gas_reserve"]
TRANSACTIONS_SHOWN = 30
FILTERS = [
    CHAIN_FILTER,
    OpenApiParameter("role", str, enum=ROLES),
    OpenApiParameter("low", bool, description="Only those under, or not under, their threshold"),
]


class GenerateIn(ChainIn):
    """Body of ``POST /api/wallets/generate``; ``address`` makes it watch-only."""

    role = serializers.ChoiceField(choices=ROLES)
    label = serializers.CharField(  # type: ignore[assignment]  # the wire's name, not the form's
        required=False, default="", max_length=60, allow_blank=True
    )
    address = AddressInField(required=False)


class ContractBody(StrictSerializer):
    """Body of authorize and revoke: one of our receivers, by address or id."""

    contract = ContractRef(required=False)


class RetireIn(StrictSerializer):
    """Body of ``POST /api/wallets/{id}/retire``."""

    reason = serializers.CharField(max_length=200)


class ExposeIn(StrictSerializer):
    """Body of ``POST /api/wallets/{id}/expose``: how others came to know the key."""

    reason = serializers.CharField(max_length=200)


class WalletsView(ListAPIView[Wallet]):
    """GET /api/wallets: every wallet with balance, assignments and fundings."""

    permission_classes = [Viewer]

    @extend_schema(parameters=FILTERS, responses=dict)
    def get(self, request: ApiRequest, *args: Any, **kwargs: Any) -> Response:
        """One page, newest first."""
        page = self.paginate_queryset(_filtered(request))
        return self.get_paginated_response(listing.wallets_shown(page or []))


def _filtered(request: ApiRequest) -> Any:
    query, rows = request.query_params, of_chain(listing.wallets(), request)
    if "role" in query:
        rows = rows.filter(role=str(query["role"])[:12])
    if "low" in query:
        wanted = {"true": True, "1": True, "false": False, "0": False}.get(query["low"].lower())
        if wanted is None:
            raise ValidationError({"low": ["Must be true or false."]})
        rows = rows.filter(is_low=wanted)
    return rows


class SummaryView(APIView):
    """GET /api/wallets/summary: counts by chain and role, totals, and how many are low."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN_FILTER], responses=dict)
    def get(self, request: ApiRequest) -> Response:
        """All chains unless one is named."""
        return Response(listing.summary(listing.wallets_shown(_filtered(request))))


class BalancesView(APIView):
    """GET /api/wallets/balances: the latest balance of each wallet."""

    permission_classes = [Viewer]
    only_low = False

    @extend_schema(parameters=FILTERS, responses=dict)
    def get(self, request: ApiRequest) -> Response:
        """In one page: wallets are few."""
        rows = _filtered(request)
        shown = listing.wallets_shown(rows.filter(is_low=True) if self.only_low else rows)
        names = ("id", "address", "chain", "role", "label", "state", "balanceWei", "balanceBlock",
                 "balanceUpdatedAt", "thresholdWei", "low", "executionsLeft")  # fmt: skip
        results = [{name: row[name] for name in names} for row in shown]
        return Response({"results": results, "next": None})


class LowBalanceView(BalancesView):
    """GET /api/wallets/low-balance: wallets under their threshold."""

    only_low = True


class WalletView(APIView):
    """GET /api/wallets/{id}: balance, assignments, funding history, transactions."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: ApiRequest, pk: int) -> Response:
        """One wallet."""
        row = wallet_or_404(pk)
        cost = listing.costs_of([row])[row.chain_id]
        return Response(render.wallet(row, cost_wei=cost, transactions=TRANSACTIONS_SHOWN))


class RequestsView(ListAPIView[Request]):
    """GET /api/wallets/requests: what people asked for, newest first."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN_FILTER], responses=dict)
    def get(self, request: ApiRequest, *args: Any, **kwargs: Any) -> Response:
        """One page."""
        rows = of_chain(listing.requests(), request)
        return self.get_paginated_response(
            [render.request(row) for row in self.paginate_queryset(rows) or []]
        )


class RequestView(APIView):
    """GET /api/wallets/requests/{id}: how far a request is, and what came of it."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: ApiRequest, pk: int) -> Response:
        """One request, with its transactions."""
        row = row_or_404(listing.requests(), pk, missing="There is no such request.")
        return Response(listing.request_shown(row))


class GenerateView(AskView):
    """POST /api/wallets/generate: the next address of a role, or a watch-only one."""

    @extend_schema(request=GenerateIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest) -> Response:
        """The signer derives it; no key or seed word is ever shown here."""
        chain, wanted = chain_and_body(request, GenerateIn)
        _check_generate(chain, wanted)
        outcome = self.ask(
            request,
            kind="generate",
            chain=chain,
            args={
                "role": wanted["role"],
                "label": wanted["label"],
                **({"address": wanted["address"]} if "address" in wanted else {}),
            },
        )
        made = (outcome.request.result or {}).get("walletId")
        body = listing.wallets_shown(listing.wallets().filter(pk=made))[0] if made else None
        return answered(outcome, body=body)


def _check_generate(chain: Chain, wanted: Mapping[str, Any]) -> None:
    if wanted["role"] == "master" and not chain.is_local and "address" not in wanted:
        raise ValidationError(
            {"address": [f"A master of {chain.key} is watch-only: keep its key cold, give its "
                         "address."]}
        )  # fmt: skip
    held = Wallet.objects.filter(chain=chain, address=wanted.get("address", ""))
    if (known := held.first()) is not None:
        raise ValidationError({"address": [f"It is wallet {known.pk} of {chain.key} already."]})


class RightView(AskView):
    """What authorize and revoke share: a wallet's right on one of our receivers."""

    kind = ""

    def ask_right(self, request: ApiRequest, pk: int) -> Response:
        """The wallet and receiver that are meant, then the request."""
        wanted = ContractBody(data=request.data).checked()
        wallet = wallet_or_404(pk)
        deployment = receiver_wanted(chain=wallet.chain, ref=wanted.get("contract"))
        return answered(
            self.ask(
                request, kind=self.kind, chain=wallet.chain, wallet=wallet, deployment=deployment
            )
        )


class AuthorizeView(RightView):
    """POST /api/wallets/{id}/authorize: let an executor trade through our receiver."""

    kind = "authorize"

    @extend_schema(request=ContractBody, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """The authorisation flow: simulated, sent by the owner, awaited, recorded."""
        return self.ask_right(request, pk)


class RevokeView(RightView):
    """POST /api/wallets/{id}/revoke: take the right away. The kill switch does not stop it."""

    kind = "revoke"
    dangerous = False

    @extend_schema(request=ContractBody, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """The record stops using the wallet at once, the chain when it is mined."""
        return self.ask_right(request, pk)


class RetireView(IdempotentView):
    """POST /api/wallets/{id}/retire: take a wallet out of use."""

    permission_classes = [Admin]

    @extend_schema(request=RetireIn, responses=dict)
    def post(self, request: ApiRequest, pk: int) -> Response:
        """409 while it may execute somewhere or something of it is open."""
        wanted = RetireIn(data=request.data).checked()
        wallet = wallet_or_404(pk)
        second_factor_require(request, is_local=wallet.chain.is_local)
        leaving.wallet_retire(wallet=wallet, reason=wanted["reason"], **asker(request))
        return Response(listing.wallets_shown([wallet_or_404(pk)])[0])


class ExposeView(AskView):
    """POST /api/wallets/{id}/expose: note for ever that others may know the key.

    It stops the wallet, and stopping is one click: no second factor, and the kill lets it pass.
    """

    idempotent = "accepted"
    dangerous = False

    @extend_schema(request=ExposeIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Answers with every wallet that is out of use by it: the key may serve several chains."""
        wanted = ExposeIn(data=request.data).checked()
        wallet = wallet_or_404(pk)
        return answered(
            self.ask(
                request,
                kind="expose",
                chain=wallet.chain,
                wallet=wallet,
                args={"reason": wanted["reason"]},
            )
        )


class MoveAwayView(AskView):
    """POST /api/wallets/{id}/move-away: an exposed or retired wallet's coin to safety.

    No second factor, and the kill switch does not stop it: whoever else knows the key is racing,
    and its coin goes nowhere but to a reserve of ours or the configured treasury, as the signer
    sees to.
    """

    dangerous = False

    @extend_schema(request=NothingIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Its rights on every contract are taken away too; 409 with what could not be done."""
        NothingIn(data=request.data).checked()
        wallet = wallet_or_404(pk)
        return answered(self.ask(request, kind="move_away", chain=wallet.chain, wallet=wallet))


class RefreshView(AskView):
    """POST /api/wallets/refresh: read all balances of a chain now."""

    permission_classes = [Operator]
    idempotent = "accepted"
    dangerous = False

    @extend_schema(request=ChainIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest) -> Response:
        """One call to the node, however many wallets there are."""
        chain, _ = chain_and_body(request)
        return answered(self.ask(request, kind="balances", chain=chain))
