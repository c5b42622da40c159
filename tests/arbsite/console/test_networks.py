"""Nine networks in one console: each can be looked at, and none is taken for another."""

from dataclasses import replace

import pytest

from arbsite.console import context, health
from contracts.models import Chain
from prices.models import Monitor, Opportunity
from tests.arbsite.console import builders
from tests.contracts.registry.shipped import MARKETS

pytestmark = pytest.mark.django_db
PAGES = ["/", "/overview/live/", "/prices/", "/opportunities/", "/executions/", "/alerts/"]


@pytest.fixture
def market(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return builders.make_market()


@pytest.fixture
def networks(market):
    """The local market, and every shipped chain beside it, never watched."""
    builders.make_shipped_chains()
    return context.networks()


@pytest.fixture
def viewer(client):
    client.force_login(builders.make_user(role="viewer"))
    return client


def header(response) -> str:
    return response.content.decode().split("<main")[0]


def test_the_menu_lists_every_network_with_what_its_coins_are_worth(networks):
    assert {each["chain"]: each["network"] for each in networks} == {
        "local": "local",
        "bsc_testnet": "testnet",
        "sepolia": "testnet",
        **dict.fromkeys(("arbitrum", "base", "bsc", "ethereum", "optimism", "polygon"), "mainnet"),
    }


def test_the_menu_is_one_question(networks, django_assert_num_queries):
    with django_assert_num_queries(1):
        context.networks()


def test_a_chain_that_was_watched_stands_before_those_that_were_not(networks):
    assert [each["chain"] for each in networks if each["watched"]] == ["local"]
    assert networks[0]["chain"] == "local"

    Monitor.objects.create(chain=Chain.objects.get(key="polygon"))

    assert [each["chain"] for each in context.networks()][:2] == ["local", "polygon"]


@pytest.mark.parametrize("key", sorted(MARKETS))
def test_every_page_can_show_a_chain_that_was_never_watched(networks, viewer, key):
    for address in PAGES:
        response = viewer.get(f"{address}?chain={key}")
        assert response.status_code == 200

    shown = header(viewer.get("/prices/"))  # the choice is kept
    assert f"</span>{MARKETS[key]['chain']['name']} <b" in shown
    for other in MARKETS:
        assert f'href="?chain={other}"' in shown


def test_nine_chains_ask_no_more_questions_than_one(market, viewer, django_assert_max_num_queries):
    with django_assert_max_num_queries(40):
        viewer.get("/")
    builders.make_shipped_chains()
    with django_assert_max_num_queries(40):
        viewer.get("/?chain=ethereum")


@pytest.mark.parametrize(
    ("key", "live", "expected"),
    [
        ("local", (), "LOCAL CHAIN"),
        ("ethereum", (), "DRY RUN"),
        ("ethereum", ("ethereum",), "MAINNET LIVE"),
        ("bsc", ("bsc", "sepolia"), "MAINNET LIVE"),
        ("sepolia", (), "DRY RUN"),
        ("sepolia", ("sepolia",), "TESTNET LIVE"),
        ("bsc_testnet", ("bsc_testnet",), "TESTNET LIVE"),
    ],
)
def test_the_chip_says_whether_real_money_is_signed_for(
    networks, viewer, settings, key, live, expected
):
    settings.ARB = replace(settings.ARB, live_chains=frozenset(live))

    shown = header(viewer.get(f"/?chain={key}"))

    words = ("LOCAL CHAIN", "DRY RUN", "TESTNET LIVE", "MAINNET LIVE")
    assert [word for word in words if word in shown] == [expected]


def test_status_stays_with_the_chains_in_use(networks):
    assert [each["chain"] for each in health.status()["chains"]] == ["local"]

    shown = {each["chain"]: each for each in health.status(shown="base")["chains"]}
    assert set(shown) == {"local", "base"}
    assert (shown["base"]["network"], shown["base"]["monitoring"]) == ("mainnet", False)


def without_l1_fee(pk: int) -> Opportunity:
    """An opportunity of a chain whose L1 data fee nobody computed."""
    row = builders.make_opportunity(pk, verdict="rejected", reason="gas", net_bps=12)
    row.steps[6], row.l1_fee_wei = None, None
    row.save(update_fields=["steps", "l1_fee_wei"])
    return row


def test_a_page_says_in_words_that_the_l1_fee_is_not_known(market, viewer):
    without_l1_fee(1)
    page = viewer.get("/opportunities/1/").content.decode()

    assert "the L1 data fee is not computed here" in page
    assert "The L1 data fee of this chain is not computed yet" in page
    assert "nothing is executable here" in page
    assert "gas eats it" not in page


def test_a_page_of_a_chain_without_l1_fees_does_not_speak_of_them(market, viewer):
    builders.make_opportunity(1, verdict="rejected", reason="gas", net_bps=-3)
    page = viewer.get("/opportunities/1/").content.decode()

    assert "gas eats it" in page
    assert "not computed" not in page
