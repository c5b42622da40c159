"""How a request says which chain it is about, and who asks: written once for every app above."""

from collections.abc import Mapping
from typing import Any, Final, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from arbsite.base.models import User
from arbsite.base.parsers import StrictSerializer
from contracts.models import Chain
from contracts.selectors import chain_wanted

CHAIN: Final = OpenApiParameter(
    "chain", str, description="Chain key; default the only one with an engine"
)


class ChainIn(StrictSerializer):
    """A body that names at most a chain."""

    chain = serializers.CharField(required=False, max_length=32)


def chain_of_query(request: Request) -> Chain:
    """The chain that the query means. Raises: ValidationError naming the choices."""
    return chain_wanted(request.query_params.get("chain"))


def chain_and_body(
    request: Request, serializer: type[StrictSerializer] = ChainIn
) -> tuple[Chain, Mapping[str, Any]]:
    """The chain that a body means, and all that it says, checked. Raises: ValidationError."""
    wanted = serializer(data=request.data).checked()
    return chain_wanted(wanted.get("chain")), wanted


def user_of(request: Request) -> User:
    """Who asks: the permissions let nobody else come here."""
    return cast(User, request.user)
