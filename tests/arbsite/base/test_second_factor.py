"""Dangerous acts ask for the second factor again where money is real, and nowhere else."""

import time

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from rest_framework.request import Request

from arbsite.base import problems
from arbsite.base.models import ApiToken
from arbsite.base.second_factor import SecondFactorNeeded, second_factor_require
from tests.arbsite.base.clients import make_user

pytestmark = pytest.mark.django_db


def asked_by(user, *, token=None, method="", ago_s=0.0):
    """A request of a session that proved itself by ``method`` so long ago, or of a token."""
    plain = RequestFactory().post("/api/x")
    plain.session, plain.user = SessionStore(), user
    if method:
        record_authentication(plain, user, method)
        plain.session["account_authentication_methods"][-1]["at"] = time.time() - ago_s
    request = Request(plain)
    request.user, request.auth = user, token
    return request


@pytest.fixture
def ada():
    return make_user("admin")


def enrolled(user):
    Authenticator.objects.create(user=user, type="totp", data={"secret": "x"})
    return user


def test_a_local_chain_asks_nobody(ada):
    second_factor_require(asked_by(ada), is_local=True)


def test_a_proof_of_the_last_five_minutes_stands(ada):
    second_factor_require(asked_by(enrolled(ada), method="mfa", ago_s=290), is_local=False)


@pytest.mark.parametrize(("method", "ago_s"), [("", 0), ("mfa", 310), ("password", 1)])
def test_an_older_proof_or_a_password_is_sent_to_prove_it_again(ada, method, ago_s):
    request = asked_by(enrolled(ada), method=method, ago_s=ago_s)

    with pytest.raises(SecondFactorNeeded) as caught:
        second_factor_require(request, is_local=False)

    answer = problems.handle(caught.value, {})
    assert answer.status_code == 403
    assert answer.data["code"] == "reauthentication_required"
    assert answer.data["url"] == "/accounts/2fa/reauthenticate/"


def test_who_has_no_second_factor_is_sent_to_set_one_up(ada):
    with pytest.raises(SecondFactorNeeded, match="set one up first") as caught:
        second_factor_require(asked_by(ada, method="password"), is_local=False)

    assert caught.value.extra["url"] == "/accounts/2fa/"


def test_a_token_of_scope_admin_stands_for_the_factor_and_others_do_not(ada):
    second_factor_require(asked_by(ada, token=ApiToken(scope="admin")), is_local=False)

    with pytest.raises(SecondFactorNeeded, match="scope admin"):
        second_factor_require(asked_by(ada, token=ApiToken(scope="operate")), is_local=False)


def test_a_proof_of_someone_else_is_none(ada):
    request = asked_by(enrolled(ada), method="mfa")
    request.user = make_user("admin", username="bob")

    with pytest.raises(SecondFactorNeeded):
        second_factor_require(request, is_local=False)


def test_nobody_is_refused(ada):
    with pytest.raises(SecondFactorNeeded):
        second_factor_require(asked_by(AnonymousUser()), is_local=False)
