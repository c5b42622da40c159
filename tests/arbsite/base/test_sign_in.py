"""Signing in: one step or two, a limit on guesses, and nothing open beside it."""

import time

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
)
from django.conf import settings
from django.core.cache import cache

from tests.arbsite.base.clients import make_user

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"
LOGIN = "/accounts/login/"
SECOND = "/accounts/2fa/authenticate/"


@pytest.fixture(autouse=True)
def _no_guesses_yet():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def user():
    return make_user("operator", password=PASSWORD)


def sign_in(client, password=PASSWORD, **extra):
    return client.post(LOGIN, {"login": "operator", "password": password}, **extra)


def signed_in(client) -> bool:
    return client.get("/api/prices/live").status_code != 401


@pytest.mark.usefixtures("user")
def test_a_password_signs_in(client):
    response = sign_in(client)

    assert (response.status_code, response["Location"]) == (302, "/")
    assert signed_in(client)


def test_with_a_second_factor_both_are_needed(client, user):
    secret = generate_totp_secret()
    TOTP.activate(user, secret)

    response = sign_in(client)
    assert (response.status_code, response["Location"]) == (302, SECOND)
    assert not signed_in(client)

    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    response = client.post(SECOND, {"code": code})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert signed_in(client)


@pytest.mark.usefixtures("user")
def test_guessing_is_locked_out(client):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in(client, "wrong")

    sign_in(client)  # the right one comes too late
    assert not signed_in(client)


@pytest.mark.parametrize(
    "path",
    ["/", "/prices/", "/admin/", "/accounts/signup/", "/accounts/password/reset/", "/nowhere"],
)
def test_pages_send_strangers_to_sign_in(path, client):
    response = client.get(path)

    assert response.status_code == 302
    assert response["Location"].startswith(LOGIN)


def test_signing_out_ends_the_session(client, user):
    sign_in(client)
    client.post("/accounts/logout/")

    assert not signed_in(client)
