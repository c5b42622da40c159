"""Where money is real, arming and release open with an authenticator's code, and with it alone."""

import re
import uuid
from dataclasses import replace

import pytest
from django.core.cache import cache
from django.test import Client

from arbsite.base.models import AuditEvent, User
from execution import fast_mode
from execution.models import FastMode, FastModeConfig
from tests.arbsite.base.clients import make_user
from tests.totp import code_of
from tests.wallets.conftest import make_chain
from wallets import kill
from wallets.models import KillState

pytestmark = pytest.mark.django_db
ARM = ("/api/fast-mode/enable", {"chain": "dear"})
RELEASE = ("/api/kill/release", {"chain": "dear", "reason": "looked at it"})
PASSWORD = "a password of this test"


@pytest.fixture
def chain(settings):
    settings.ARB_LIVE = "dear"
    cache.clear()
    made = make_chain("dear", is_local=False)
    kill.kill_rows_ensure(chain_keys=["dear"])
    fast_mode.fast_mode_ensure(chain=made)
    kill.kill_engage(reason="a drill", scope="dear")
    return made


@pytest.fixture
def admin(chain):
    """Signed in with name and password, through the page."""
    make_user("admin", username="ada", password=PASSWORD)
    browser = Client()
    answer = browser.post("/accounts/login/", {"login": "ada", "password": PASSWORD})
    assert answer.status_code == 302
    return browser


def test_releasing_everything_asks_for_it_where_a_chain_is_live_that_no_engine_ever_led(
    admin, settings
):
    """Its fundings and sweeps are what the switch of all stops there."""
    FastMode.objects.all().delete()
    FastModeConfig.objects.all().delete()
    everything = ("/api/kill/release", {"reason": "looked at it"})
    settings.ARB = replace(settings.ARB, live_chains=frozenset({"dear"}))
    assert ask(admin, everything).status_code == 403
    settings.ARB = replace(settings.ARB, live_chains=frozenset())
    assert ask(admin, everything).status_code == 200


def ask(browser, call):
    path, body = call
    return browser.post(
        path, body, content_type="application/json", headers={"Idempotency-Key": str(uuid.uuid4())}
    )


def enrol(browser):
    """Set an authenticator up as the pages say, the password once more before; its secret."""
    activate = "/accounts/2fa/totp/activate/"
    asked = browser.get(activate)
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": activate})
    page = browser.get(activate).content.decode()
    [secret] = set(re.findall(r'value="([A-Z2-7]{32})"', page))
    answer = browser.post(activate, {"code": code_of(secret)})
    assert answer.status_code == 302, answer.content.decode()
    return secret


def prove(browser, code):
    return browser.post("/accounts/2fa/reauthenticate/", {"code": code, "next": "/wallets/"})


def refused_for_want_of_a_proof(answer, *, url):
    problem = answer.json()
    return answer.status_code == 403 and (problem["code"], problem["url"]) == (
        "reauthentication_required", url,
    )  # fmt: skip


def test_release_and_arming_open_with_a_code_and_close_again_after_five_minutes(admin):
    for call in (ARM, RELEASE):
        assert refused_for_want_of_a_proof(ask(admin, call), url="/accounts/2fa/")

    secret = enrol(admin)
    for call in (ARM, RELEASE):  # an authenticator that was only set up proves nothing yet
        assert refused_for_want_of_a_proof(ask(admin, call), url="/accounts/2fa/reauthenticate/")
    assert prove(admin, "000000" if code_of(secret) != "000000" else "111111").status_code == 200
    assert refused_for_want_of_a_proof(ask(admin, RELEASE), url="/accounts/2fa/reauthenticate/")
    assert KillState.objects.get(scope="dear").engaged

    answer = prove(admin, code_of(secret))
    assert (answer.status_code, answer.headers["Location"]) == (302, "/wallets/")
    arming = ask(admin, ARM)  # past the factor: what is not ready is another matter
    assert (arming.status_code, bool(arming.json()["checks"])) == (409, True)
    assert ask(admin, RELEASE).status_code == 200
    assert not KillState.objects.get(scope="dear").engaged
    assert AuditEvent.objects.filter(verb="kill.release", actor__username="ada").exists()

    kill.kill_engage(reason="another drill", scope="dear")
    age(admin, seconds=301)
    for call in (ARM, RELEASE):
        assert refused_for_want_of_a_proof(ask(admin, call), url="/accounts/2fa/reauthenticate/")
    assert KillState.objects.get(scope="dear").engaged


def age(browser, *, seconds):
    """As if so much time had gone by since all of the session's proofs."""
    session = browser.session
    for record in session["account_authentication_methods"]:
        record["at"] -= seconds
    session.save()


def test_a_code_typed_when_its_period_was_just_over_still_opens(admin):
    secret = enrol(admin)

    assert prove(admin, code_of(secret, periods_ago=1)).status_code == 302


def test_a_code_of_two_minutes_ago_opens_nothing(admin):
    secret = enrol(admin)

    assert "Incorrect code" in prove(admin, code_of(secret, periods_ago=4)).content.decode()


@pytest.mark.parametrize("typed", ["{}", " {} ", "{:.3} {:.3}"])
def test_a_code_opens_once(admin, typed):
    """Read over a shoulder, it is worth nothing; also where the library has forgotten its use."""
    secret = enrol(admin)
    code = code_of(secret)
    assert prove(admin, code).status_code == 302
    age(admin, seconds=301)
    cache.delete(f"allauth.mfa.totp.used?user={User.objects.get(username='ada').pk}&code={code}")

    again = prove(admin, typed.format(code, code[3:]))

    assert again.status_code == 200
    assert "Incorrect code" in again.content.decode()
    assert refused_for_want_of_a_proof(ask(admin, RELEASE), url="/accounts/2fa/reauthenticate/")


def test_who_has_an_authenticator_signs_in_with_its_code_and_that_is_a_proof(admin):
    secret = enrol(admin)
    again = Client()
    first = again.post("/accounts/login/", {"login": "ada", "password": PASSWORD})
    assert first.headers["Location"].startswith("/accounts/2fa/authenticate/")
    assert ask(again, RELEASE).status_code in (401, 403)  # half signed in is not signed in
    assert KillState.objects.get(scope="dear").engaged

    assert again.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}).status_code == 302

    assert ask(again, RELEASE).status_code == 200
