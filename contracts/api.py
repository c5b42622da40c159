"""Tokens and pairs: listed, denied and allowed; a watcher takes it with the next event."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from arbsite.base.idempotency import IdempotentView
from arbsite.base.permissions import Admin, Viewer
from arbsite.base.second_factor import second_factor_require
from contracts import services
from contracts.asked import CHAIN_FILTER, NothingIn, asker, of_chain, row_or_404
from contracts.models import Pair, Token


def token_shown(row: Token) -> dict[str, Any]:
    """A token as it is listed."""
    return {
        "id": row.pk,
        "chain": row.chain_id,
        "symbol": row.symbol,
        "address": row.address,
        "decimals": row.decimals,
        "lendable": row.lendable,
        "denied": row.denied,
        "risk": row.risk,
    }


def pair_shown(row: Pair) -> dict[str, Any]:
    """A pair as it is listed; its name as the prices have it."""
    return {"id": row.pk, "chain": row.chain_id, "pair": row.name, "denied": row.denied}


class TokensView(ListAPIView[Token]):
    """GET /api/tokens: the tokens that are registered."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN_FILTER], responses=dict)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page, newest first."""
        rows = of_chain(Token.objects.all(), request)
        return self.get_paginated_response(
            [token_shown(row) for row in self.paginate_queryset(rows) or []]
        )


class PairsView(ListAPIView[Pair]):
    """GET /api/pairs: the pairs that are registered."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN_FILTER], responses=dict)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One page, newest first."""
        rows = of_chain(Pair.objects.all(), request)
        return self.get_paginated_response(
            [pair_shown(row) for row in self.paginate_queryset(rows) or []]
        )


class _DenyView(IdempotentView):
    """Refusing is one call; allowing again asks for the second factor where money is real."""

    permission_classes = [Admin]
    denied = True

    def change_token(self, request: Request, pk: int) -> Response:
        """Set a token's flag."""
        NothingIn(data=request.data).checked()
        rows = Token.objects.select_related("chain")
        row = row_or_404(rows, pk, missing="There is no such token.")
        self._check(request, is_local=row.chain.is_local)
        services.token_deny(token=row, denied=self.denied, **asker(request))
        return Response(token_shown(row))

    def change_pair(self, request: Request, pk: int) -> Response:
        """Set a pair's flag."""
        NothingIn(data=request.data).checked()
        rows = Pair.objects.select_related("chain")
        row = row_or_404(rows, pk, missing="There is no such pair.")
        self._check(request, is_local=row.chain.is_local)
        services.pair_deny(pair=row, denied=self.denied, **asker(request))
        return Response(pair_shown(row))

    def _check(self, request: Request, *, is_local: bool) -> None:
        if not self.denied:
            second_factor_require(request, is_local=is_local)


class TokenDenyView(_DenyView):
    """POST /api/tokens/{id}/deny: refuse everything that crosses a token."""

    @extend_schema(request=NothingIn, responses=dict)
    def post(self, request: Request, pk: int) -> Response:
        """Takes effect on the next event."""
        return self.change_token(request, pk)


class TokenAllowView(_DenyView):
    """POST /api/tokens/{id}/allow: let it be traded again."""

    denied = False

    @extend_schema(request=NothingIn, responses=dict)
    def post(self, request: Request, pk: int) -> Response:
        """Takes effect on the next event."""
        return self.change_token(request, pk)


class PairDenyView(_DenyView):
    """POST /api/pairs/{id}/deny: refuse everything that crosses a pair's pools."""

    @extend_schema(request=NothingIn, responses=dict)
    def post(self, request: Request, pk: int) -> Response:
        """Takes effect on the next event."""
        return self.change_pair(request, pk)


class PairAllowView(_DenyView):
    """POST /api/pairs/{id}/allow: let it be traded again."""

    denied = False

    @extend_schema(request=NothingIn, responses=dict)
    def post(self, request: Request, pk: int) -> Response:
        """Takes effect on the next event."""
        return self.change_pair(request, pk)
