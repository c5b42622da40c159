"""Codes of authenticator apps: the one on the screen or the one before it, and each only once.

RFC 6238, 5.2 allows one period of delay: who reads a code in its last second can still type it. The
library remembers a used code for one period only, which is shorter than such a code lives.
"""

from typing import Any, Final

from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms
from django.conf import settings
from django.core.cache import cache

PERIOD_S: Final = 30


class _Once:
    """A code that opened once opens nothing while its period, and those tolerated, last."""

    user: Any
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        """Raises: ValidationError, a wrong code and a used one alike."""
        typed = normalize_user_code(self.cleaned_data["code"])
        key = f"authenticator-code:{self.user.pk}:{typed}"
        if cache.get(key):
            raise get_adapter().validation_error("incorrect_code")
        code: str = super().clean_code()  # type: ignore[misc]
        cache.set(key, "used", timeout=PERIOD_S * (1 + 2 * settings.MFA_TOTP_TOLERANCE))
        return code


class AuthenticateForm(_Once, forms.AuthenticateForm):
    """The second step of signing in."""


class ReauthenticateForm(_Once, forms.ReauthenticateForm):
    """The factor once more, before a dangerous act."""
