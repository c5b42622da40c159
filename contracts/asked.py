"""How a request says what it is about and who asks: written once for every app above."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict, TypeVar, cast

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from arbsite.base.fields import BIGINT_MAX
from arbsite.base.models import User
from arbsite.base.parsers import StrictSerializer
from contracts.models import Chain
from contracts.selectors import chain_wanted

CHAIN: Final = OpenApiParameter(
    "chain", str, description="Chain key; default the only one with an engine"
)
CHAIN_FILTER: Final = OpenApiParameter("chain", str, description="Chain key; default all of them")
Row = TypeVar("Row", bound=Model)


class NothingIn(StrictSerializer):
    """A body without fields."""


class ChainIn(StrictSerializer):
    """A body that names at most a chain."""

    chain = serializers.CharField(required=False, max_length=32)


class Asker(TypedDict):
    """Who asks, and in which request: what a service writes into the audit row of a change."""

    by: User
    request: HttpRequest


def query_of(request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The query's known names, checked. Raises: ValidationError per field."""
    known = {k: v for k, v in request.query_params.items() if k in serializer().fields}
    wanted = serializer(data=known)
    wanted.is_valid(raise_exception=True)
    return dict(wanted.validated_data)


def chain_of_query(request: Request) -> Chain:
    """The chain that the query means. Raises: ValidationError naming the choices."""
    return chain_wanted(request.query_params.get("chain"))


def of_chain(rows: QuerySet[Row], request: Request) -> QuerySet[Row]:
    """The rows of the chain that the query names, else all; none where there is no such chain."""
    if "chain" not in request.query_params:
        return rows
    return rows.filter(chain_id=str(request.query_params["chain"])[:32])


def row_or_404(rows: QuerySet[Row], pk: int, *, missing: str) -> Row:
    """The one with that id. One query. Raises: NotFound, saying ``missing``."""
    row = rows.filter(pk=pk).first() if pk <= BIGINT_MAX else None
    if row is None:
        raise NotFound(missing)
    return row


def chain_and_body(
    request: Request, serializer: type[StrictSerializer] = ChainIn
) -> tuple[Chain, Mapping[str, Any]]:
    """The chain that a body means, and all that it says, checked. Raises: ValidationError."""
    wanted = serializer(data=request.data).checked()
    return chain_wanted(wanted.get("chain")), wanted


def user_of(request: Request) -> User:
    """Who asks: the permissions let nobody else come here."""
    return cast(User, request.user)


def asker(request: Request) -> Asker:
    """Who asks, as every service that changes something takes it."""
    return Asker(by=user_of(request), request=request._request)
