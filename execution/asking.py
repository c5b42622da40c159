"""What the execution endpoints share: naming a chain, who asks, reading a query."""

from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from arbsite.base.models import User
from arbsite.base.parsers import StrictSerializer
from contracts.models import Chain
from contracts.selectors import chain_wanted

CHAIN = OpenApiParameter("chain", str, description="Chain key; default the only one with an engine")


class ChainIn(StrictSerializer):
    """A body that names at most a chain."""

    chain = serializers.CharField(required=False, max_length=32)


def user_of(request: Request) -> User:
    """Who asks; the permissions let nobody else through."""
    return cast(User, request.user)


def query_of(request: Request, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The query's known names, checked. Raises: ValidationError per field."""
    known = {k: v for k, v in request.query_params.items() if k in serializer().fields}
    wanted = serializer(data=known)
    wanted.is_valid(raise_exception=True)
    return dict(wanted.validated_data)


def chains_meant(key: str | None) -> list[Chain]:
    """The chain that is named, else every chain that has a mode."""
    return [chain_wanted(key)] if key else list(Chain.objects.filter(fast_mode_configs__version=1))
