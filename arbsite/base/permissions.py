"""Roles in order: a viewer reads, an operator executes and kills, an admin changes limits."""

from typing import Any, Final

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from arbsite.base.models import ApiToken, User
from arbsite.base.tokens import SCOPE_ROLE

RANK: Final = {"viewer": 0, "operator": 1, "admin": 2}


def rank_of(user: Any, token: Any = None) -> int:
    """How far a user may go, bounded by the token's scope; -1 for nobody."""
    if not isinstance(user, User) or not user.is_active:
        return -1
    rank = RANK["admin"] if user.is_superuser else RANK.get(user.role, -1)
    if isinstance(token, ApiToken):
        rank = min(rank, RANK[SCOPE_ROLE[token.scope]])
    return rank


class Role(BasePermission):
    """At least ``role``; `message` says which is needed."""

    role = "viewer"

    def has_permission(self, request: Request, view: object) -> bool:
        """Whether the caller's role, within its token's scope, reaches this one."""
        self.message = f"This needs the role {self.role}."
        return rank_of(request.user, request.auth) >= RANK[self.role]


class Viewer(Role):
    """May read."""

    role = "viewer"


class Operator(Role):
    """May start, stop, execute and kill."""

    role = "operator"


class Admin(Role):
    """May arm, change limits, wallets and contracts."""

    role = "admin"
