"""Sign-in by django-allauth; nobody signs up by themselves."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedAdapter(DefaultAccountAdapter):
    """Accounts are made by an admin, never by a form on the sign-in page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
