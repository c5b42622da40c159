"""The Fast Mode page without a browser: who sees it, what it offers to whom, what it asks."""

import pytest

from execution.models import FastMode, FastModeConfig
from execution.views_fast_mode import spoken, typed
from tests.arbsite.console import builders
from wallets import kill

pytestmark = pytest.mark.django_db
PAGES = ["/fast-mode/", "/fast-mode/live/"]


@pytest.fixture
def market(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return builders.make_market()


def seen(client, address, role):
    client.force_login(builders.make_user(role=role))
    return client.get(address).content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_nobody_without_a_login_sees_it_and_it_only_answers_to_get(client, market, address):
    assert client.get(address)["Location"].startswith("/accounts/login/?next=")
    client.force_login(builders.make_user(role="viewer"))
    assert client.post(address).status_code in (403, 405)


@pytest.mark.parametrize("address", PAGES)
def test_it_asks_a_bounded_number_of_questions(
    client, market, address, django_assert_max_num_queries
):
    builders.make_history()
    client.force_login(builders.make_user(role="admin"))
    with django_assert_max_num_queries(60):
        client.get(address)


@pytest.mark.parametrize(
    ("role", "stops", "arms", "changes"),
    [
        ("viewer", False, False, False),
        ("operator", True, False, False),
        ("admin", True, True, True),
    ],
)
def test_what_a_role_may_do_has_a_button(client, market, role, stops, arms, changes):
    page = seen(client, "/fast-mode/", role)
    assert ("Switch off" in page, "Review changes" in page) == (stops, changes)
    assert ('data-open="drill-dialog"' in page) == arms  # it ends in a release
    FastMode.objects.update(state="off")
    assert ('data-open="arm-dialog"' in client.get("/fast-mode/live/").content.decode()) == arms


def test_a_chain_that_was_never_armed_gets_its_first_limits(client, market):
    builders.make_shipped_chains()
    kill.kill_rows_ensure(chain_keys=["sepolia"])
    page = seen(client, "/fast-mode/?chain=sepolia", "admin")
    assert "Fast Mode off" in page
    assert FastModeConfig.objects.get(chain="sepolia").version == 1


def test_without_a_chain_it_says_what_to_do(client, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    assert "make run" in seen(client, "/fast-mode/", "viewer")


@pytest.mark.parametrize(
    ("name", "value", "form", "sentence"),
    [
        ("maxPositionWei", "0", "0", "no limit"),
        ("maxPositionWei", str(25 * 10**17), "2.5", "2.5"),
        ("maxLossPerHourWei", "1", "0.000000000000000001", "0.000000000000000001"),
        ("expiryMs", 43_200_000, "720", "720"),
        ("expiryMs", 90_000, "1.5", "1.5"),
        ("autoExecute", True, True, "on"),
        ("maxGasGwei", "0.05", "0.05", "0.05"),
        ("cooldownMs", 0, 0, 0),
    ],
)
def test_a_limit_is_written_as_a_person_types_it(name, value, form, sentence):
    assert (typed(name, value), spoken(name, value)) == (form, sentence)
