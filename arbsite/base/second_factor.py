"""Dangerous acts ask for the second factor again: a proof at most five minutes old (I41).

A token of scope admin was issued against that factor, or in a shell, and stands for it. On a chain
marked local nobody is asked: its coins have no value.
"""

import time
from typing import Any, Final

from allauth.account.authentication import get_authentication_records
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.urls import reverse
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from arbsite.base.models import ApiToken, User

CODE: Final = "reauthentication_required"


class SecondFactorNeeded(APIException):
    """403 with the address where the factor is proven, or first of all set up."""

    status_code = 403

    def __init__(self, detail: str, *, url: str) -> None:
        self.extra: dict[str, Any] = {"code": CODE, "url": url}
        super().__init__(detail)


def second_factor_require(request: Request, *, is_local: bool) -> None:
    """Let through who proved the second factor within five minutes. One query at most.

    Raises: SecondFactorNeeded.
    """
    if is_local:
        return
    if isinstance(request.auth, ApiToken):
        if request.auth.scope == "admin":
            return
        raise SecondFactorNeeded(
            "This needs a token of scope admin: make one with `create_token`.", url=""
        )
    if _age_s(request) <= settings.ACCOUNT_REAUTHENTICATION_TIMEOUT:
        return
    if not is_mfa_enabled(request.user):
        raise SecondFactorNeeded(
            "This needs a second factor, and you have none yet: set one up first.",
            url=reverse("mfa_index"),
        )
    raise SecondFactorNeeded(
        "This needs your second factor again: your last proof is older than 5 minutes.",
        url=reverse("mfa_reauthenticate"),
    )


def _age_s(request: Request) -> float:
    """Seconds since this session last proved the factor; infinite where it never did."""
    if not isinstance(request.user, User):
        return float("inf")
    proofs = [
        record["at"]
        for record in get_authentication_records(request._request, request.user)
        if record.get("method") == "mfa"
    ]
    return time.time() - max(proofs, default=float("-inf"))
