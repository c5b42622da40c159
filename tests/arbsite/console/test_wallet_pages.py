"""The pages of wallets and contracts without a browser: who sees what, and hostile text."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arbsite.console import feeds
from contracts.models import Deployment, Token
from tests.arbsite.console import builders, estate
from wallets.models import Balance, Wallet

pytestmark = pytest.mark.django_db
PAGES = [
    "/wallets/", "/wallets/live/", "/wallets/{first}/", "/wallets/{first}/?fragment=1",
    "/wallets/{second}/", "/wallets/{reserve}/", "/contracts/", "/contracts/live/",
]  # fmt: skip


@pytest.fixture
def chain():
    return builders.make_market()


@pytest.fixture
def places(chain):
    made = estate.make_estate(chain)
    return {name: row.pk for name, row in made.items()}


def as_role(client, role="admin"):
    client.force_login(builders.make_user(role=role))
    return client


def page(client, address, places=None):
    response = client.get(address.format(**(places or {})))
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_for_who_is_signed_in_and_only_answers_to_get(client, places, address):
    at = address.format(**places)
    assert client.get(at)["Location"].startswith("/accounts/login/?next=")
    as_role(client, "viewer")
    assert client.post(at).status_code in (403, 405)
    assert client.get(at).status_code == 200


@pytest.mark.parametrize("address", PAGES)
def test_a_page_asks_a_bounded_number_of_questions(
    client, places, address, django_assert_max_num_queries
):
    as_role(client, "viewer")
    with django_assert_max_num_queries(60):
        page(client, address, places)


def test_more_wallets_ask_no_more_questions(client, chain, places):
    as_role(client, "viewer")
    asked = []
    for n in range(10, 14):
        wallet = estate.make_wallet(chain, builders.make_address(0x9000 + n), n=n)
        estate.make_balance(wallet, n)
        with CaptureQueriesContext(connection) as queries:
            page(client, "/wallets/")
        asked.append(len(queries))
    assert len(set(asked)) == 1


def test_the_list_says_who_is_low_who_may_execute_and_where_nothing_can_be_signed(client, places):
    shown = page(as_role(client), "/wallets/")

    assert shown.count('<tr data-id="') == 4
    assert "Local-Executor-2" in shown
    assert '<b class="num" id="low-count">1</b>' in shown
    assert "watch-only" in shown
    assert "m/44" in shown  # the path that the next wallet gets
    low = page(client, "/wallets/?low=1")
    assert low.count('<tr data-id="') == 1


@pytest.mark.parametrize(
    "query",
    ["?of=nowhere", "?role=%27--", "?state=%F0%9F%98%80", "?low=x", "?chain=nowhere", "?of=local"],
)
@pytest.mark.parametrize("address", ["/wallets/", "/wallets/live/", "/contracts/"])
def test_odd_filters_give_a_page_and_never_an_error(client, places, address, query):
    assert as_role(client).get(address + query).status_code == 200


@pytest.mark.parametrize("address", ["/wallets/0/", "/wallets/99999999999999999999/"])
def test_what_is_not_there_is_a_404(client, chain, address):
    assert as_role(client).get(address).status_code == 404


@pytest.mark.parametrize("address", ["/wallets/", "/contracts/"])
def test_a_page_stands_without_any_chain(client, db, address):
    assert as_role(client).get(address).status_code == 200


@pytest.mark.parametrize(
    ("role", "may"),
    [("viewer", set()), ("operator", {"pause"}), ("admin", {"pause", "sweep", "limits"})],
)
def test_a_role_sees_the_buttons_it_may_press(client, places, role, may):
    as_role(client, role)
    contracts = page(client, "/contracts/")
    wallet = page(client, "/wallets/{first}/", places)

    found = {
        name for name in ("pause", "sweep", "limits") if f'data-open="{name}-dialog"' in contracts
    }
    assert found == may
    assert ('data-open="fund-dialog"' in wallet) == (role == "admin")
    assert ("Retire this wallet" in wallet) == (role == "admin")
    assert ("Generate wallet" in page(client, "/wallets/")) == (role == "admin")


def test_drift_is_listed_with_what_mends_it(client, chain):
    estate.make_estate(chain, drift=True, paused=True)

    shown = page(as_role(client), "/contracts/")

    assert "FlashLoanReceiver is paused" in shown
    assert "setTreasury" in shown
    assert "setMinProfit" in shown
    assert 'data-open="mend-dialog"' in shown
    assert 'data-open="unpause-dialog"' in shown


def test_without_a_contract_the_way_to_one_is_shown(client, chain):
    as_role(client)
    assert "First generate a gas reserve" in page(client, "/contracts/")
    estate.make_wallet(chain, estate.RESERVE, role="gas_reserve")
    assert 'data-open="deploy-dialog"' in page(client, "/contracts/")


def test_code_of_another_build_is_said_in_red(client, places):
    row = Deployment.objects.get(kind="receiver")
    row.observed["codeHash"] = builders.make_hash(1)
    row.save()
    assert "code differs" in page(as_role(client), "/contracts/")


def test_receiving_shows_the_address_whole_its_network_and_a_picture(client, places):
    shown = page(as_role(client, "viewer"), "/wallets/{first}/", places)

    assert f"ethereum:{builders.EXECUTOR}@31337" in shown
    assert 'class="qr"' in shown
    assert "(chain id 31337)" in shown
    assert "its coins have no value" in shown


def test_two_addresses_that_look_alike_are_marked(client, chain, places):
    twin = builders.EXECUTOR[:8] + "0" * 28 + builders.EXECUTOR[-6:]
    estate.make_wallet(chain, twin.lower(), n=40)

    shown = page(as_role(client), "/wallets/")

    assert shown.count("look-alike") == 2


@pytest.mark.parametrize("address", PAGES)
def test_hostile_text_stays_text_and_no_script_or_style_is_inline(client, places, address):
    evil = "</script><script>alert(1)"
    Token.objects.update(symbol=evil)
    Wallet.objects.update(label=evil + '" onload="x', state_reason=evil)
    as_role(client)
    response = client.get(address.format(**places))
    content = response.content.decode()

    assert evil not in content
    assert ' onload="' not in content
    assert ' style="' not in content
    assert "<style" not in content
    assert "unsafe" not in response["Content-Security-Policy"]


def test_the_socket_carries_the_rows_of_the_list(places):
    feed = feeds.feeds()["wallets"]
    Balance.objects.all().delete()
    snapshot = {row["id"]: row for row in feed.snapshot()}

    assert len(snapshot) == 4
    assert snapshot[places["first"]]["balanceWei"] is None
    assert [row["id"] for row in feed.changed([places["second"]])] == [places["second"]]
    assert len(feed.changed([0])) == 4
    [contract] = feeds.feeds()["contracts"].changed([places["receiver"]])
    assert (contract["chain"], contract["paused"]) == ("local", False)
