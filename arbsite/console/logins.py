"""Who opens a socket, and whether they still may: sessions, tokens and roles."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.sessions.models import Session
from django.utils import timezone

from arbsite.base.models import ApiToken, User
from arbsite.base.permissions import RANK, rank_of
from arbsite.base.tokens import token_find


@dataclass(frozen=True, slots=True)
class Login:
    """How a client proved who it is, kept to be checked again while the socket lives."""

    user_id: int
    session_key: str | None
    token_id: int | None


def log_in(scope: Mapping[str, Any]) -> Login | None:
    """The login of a Bearer header where there is one, else of the session."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            found = token_find(token.strip()) if kind.lower() == "bearer" else None
            if found is None or rank_of(found.user, found) < RANK["viewer"]:
                return None
            return Login(found.user_id, None, found.pk)
    user = scope.get("user")
    if user is None or rank_of(getattr(user, "_wrapped", user)) < RANK["viewer"]:
        return None
    return Login(user.pk, scope["session"].session_key, None)


def still_good(logins: Collection[Login]) -> set[Login]:
    """Those whose user may still read and whose session or token still lives. Three queries."""
    now = timezone.now()
    users = {
        user.pk
        for user in User.objects.filter(pk__in={login.user_id for login in logins})
        if rank_of(user) >= RANK["viewer"]
    }
    sessions = set(
        Session.objects.filter(
            session_key__in={login.session_key for login in logins if login.session_key},
            expire_date__gt=now,
        ).values_list("session_key", flat=True)
    )
    tokens = set(
        ApiToken.objects.filter(
            pk__in={login.token_id for login in logins if login.token_id}, expires_at__gt=now
        ).values_list("pk", flat=True)
    )
    return {
        login
        for login in logins
        if login.user_id in users and (login.session_key in sessions or login.token_id in tokens)
    }
