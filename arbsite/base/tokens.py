"""API tokens: 256 random bits, kept as a SHA-256, sent as ``Authorization: Bearer``."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from arbsite.base.errors import Rejected, shown
from arbsite.base.models import ApiToken, User

PREFIX: Final = "arb_"
ADMIN_LIFE: Final = timedelta(hours=12)
DEFAULT_DAYS: Final = 90
SCOPE_ROLE: Final = {"read": "viewer", "operate": "operator", "admin": "admin"}


class BadToken(Rejected):
    """A token cannot be made as asked."""


def token_create(*, user: User, scope: str, days: int | None = None, label: str = "") -> str:
    """Make a token and return it, the only time it is seen.

    Raises: BadToken for an unknown scope, for ``days`` with scope admin, or out of 1 to 3650.
    """
    if scope not in SCOPE_ROLE:
        raise BadToken(f"scope {shown(scope)} is not one of read, operate, admin")
    if scope == "admin" and days is not None:
        raise BadToken("a token of scope admin always lives 12 hours: leave out --days")
    if days is not None and not 1 <= days <= 3650:
        raise BadToken(f"days must be from 1 to 3650, not {days}")
    token = PREFIX + secrets.token_urlsafe(32)
    life = ADMIN_LIFE if scope == "admin" else timedelta(days=days or DEFAULT_DAYS)
    ApiToken.objects.create(
        user=user,
        digest=digest(token),
        prefix=token[:10],
        scope=scope,
        label=label[:80],
        expires_at=timezone.now() + life,
    )
    return token


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_find(token: str) -> ApiToken | None:
    """The live token of an active user, or None. One query, and one more once a minute."""
    found = (
        ApiToken.objects.select_related("user")
        .filter(digest=digest(token), expires_at__gt=timezone.now(), user__is_active=True)
        .first()
    )
    if found and (
        found.last_used_at is None or timezone.now() - found.last_used_at > timedelta(minutes=1)
    ):
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=timezone.now())
    return found


class BearerAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, ApiToken] | None:
        """The token's user, or None where no Bearer header was sent."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        try:
            found = token_find(parts[1].decode("ascii")) if len(parts) == 2 else None
        except UnicodeDecodeError:
            found = None
        if found is None:
            raise AuthenticationFailed("The token is unknown or has expired: make a new one.")
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The scheme in OpenAPI."""

    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, Any]:
        """OpenAPI's words for it."""
        return {"type": "http", "scheme": "bearer"}
