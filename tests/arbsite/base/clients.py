"""People, their sessions and tokens, and requests as programs send them."""

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from arbsite.base.tokens import token_create

ROLES = ("viewer", "operator", "admin")
SCOPES = {"viewer": "read", "operator": "operate", "admin": "admin"}
CSRF = "c" * 32


def make_user(role="viewer", **change):
    name = change.pop("username", role)
    return get_user_model().objects.create_user(username=name, role=role, **change)


def session(user, *, csrf=True) -> Client:
    """A browser that is signed in; without ``csrf`` it sends no token along."""
    headers = {"HTTP_X_CSRFTOKEN": CSRF} if csrf else {}
    client = Client(enforce_csrf_checks=True, raise_request_exception=False, **headers)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.cookies["csrftoken"] = CSRF
    return client


def program(user, *, scope=None) -> Client:
    """A program with a token."""
    token = token_create(user=user, scope=scope or SCOPES[user.role])
    return Client(
        enforce_csrf_checks=True,
        raise_request_exception=False,
        HTTP_AUTHORIZATION=f"Bearer {token}",
    )


def anyone() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def send(client: Client, path: str, body: Any = None, *, key: str | None = None, **headers):
    """A changing call with a JSON body (text and bytes go as they are)."""
    data = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
    if key is not None:
        headers["HTTP_IDEMPOTENCY_KEY"] = key
    return client.post(path, data=data, content_type="application/json", **headers)
