"""The pages without a browser: who sees them, what they ask the record, what hostile text does."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from arbsite.base.models import Alert
from arbsite.console import health, selectors, views
from contracts.models import RpcHealth, Token
from execution.models import Execution
from execution.views import stage_bars
from prices.models import Monitor
from tests.arbsite.console import builders
from wallets.models import Balance, KillState, Wallet

pytestmark = pytest.mark.django_db
PAGES = [
    "/", "/overview/live/", "/prices/", "/prices/CAKE-USDT/", "/opportunities/",
    "/opportunities/24/", "/opportunities/shadow/", "/executions/", "/alerts/",
]  # fmt: skip


@pytest.fixture
def market(settings):
    # Names without hashes: whether every file exists is what the browser tests show.
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return builders.make_market()


@pytest.fixture
def history(market):
    builders.make_history()


@pytest.mark.parametrize("address", PAGES)
def test_nobody_without_a_login_sees_a_page(client, history, address):
    response = client.get(address)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("address", PAGES)
def test_a_page_only_answers_to_get(client, history, address):
    client.force_login(builders.make_user(role="viewer"))
    assert client.post(address).status_code in (403, 405)
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("address", PAGES)
def test_a_page_asks_a_bounded_number_of_questions(
    client, history, address, django_assert_max_num_queries
):
    client.force_login(builders.make_user(role="viewer"))
    with django_assert_max_num_queries(40):
        client.get(address)


def test_more_rows_ask_no_more_questions(client, market):
    client.force_login(builders.make_user(role="viewer"))
    asked = []
    for n in range(1, 7):
        builders.make_execution(n)
        with CaptureQueriesContext(connection) as queries:
            client.get("/executions/")
        asked.append(len(queries))
    assert len(set(asked)) == 1


@pytest.mark.parametrize(
    "query",
    ["?chain=nowhere", "?net=%F0%9F%98%80", "?net=-5", "?before=9999999999999999999999",
     "?before=x", "?verdict=drop", "?reason=%27--", "?pair=A/B&dex=zzz"],
)  # fmt: skip
@pytest.mark.parametrize("address", ["/opportunities/", "/executions/", "/prices/", "/"])
def test_odd_filters_give_a_page_and_never_an_error(client, history, address, query):
    client.force_login(builders.make_user(role="viewer"))
    assert client.get(address + query).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/prices/NO-PAIR/",
        "/opportunities/999999/",
        "/opportunities/99999999999999999999/",
        "/executions/0/",
    ],
)
def test_what_is_not_there_is_a_404(client, history, address):
    client.force_login(builders.make_user(role="viewer"))
    assert client.get(address).status_code == 404


def test_a_hostile_symbol_stays_text_on_every_page(client, history):
    evil = "</script><script>alert(1)"
    Token.objects.filter(symbol="USDT").update(symbol=evil)
    client.force_login(builders.make_user(role="viewer"))
    newest = Execution.objects.first().pk
    for address in [*PAGES, f"/executions/{newest}/"]:
        assert evil not in client.get(address).content.decode()


def test_pages_come_with_a_policy_that_runs_no_inline_script(client, history):
    client.force_login(builders.make_user(role="viewer"))
    response = client.get("/prices/")
    policy = response["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert b"<style" not in response.content
    assert b' style="' not in response.content
    assert b" onclick" not in response.content


@pytest.mark.parametrize(
    ("view", "status"),
    [
        (lambda r: views.not_found(r, Exception()), 404),
        (lambda r: views.forbidden(r, Exception("This needs the role admin.")), 403),
        (views.server_error, 500),
        (views.csrf_failed, 403),
    ],
)
def test_an_error_page_says_what_happened_without_asking_the_record(
    market, view, status, django_assert_num_queries
):
    request = RequestFactory().get("/x/")
    request.request_id = "abc123"
    with django_assert_num_queries(0):
        response = view(request)
    assert response.status_code == status
    assert b"abc123" in response.content


def test_an_error_of_the_api_is_a_problem(market):
    response = views.not_found(RequestFactory().get("/api/x"), Exception())
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["status"] == 404


def test_a_missing_stop_counts_as_engaged(market):
    KillState.objects.filter(scope="local").delete()
    [chain] = health.status()["chains"]
    assert chain["killed"]
    assert chain["engine"]["word"] == "KILLED"


def test_status_names_what_is_stale_low_and_down(market):
    Monitor.objects.update(head_at=timezone.now() - timedelta(seconds=30))
    wallet = builders.make_wallet(market)
    Wallet.objects.filter(pk=wallet.pk).update(threshold_wei=builders.ONE)
    for n, balance in ((1, 2 * builders.ONE), (2, builders.ONE - 1)):
        Balance.objects.create(
            wallet=wallet, block_number=n, block_hash=builders.make_hash(n), balance_wei=balance
        )
    RpcHealth.objects.update(ok=False, error="timed out")
    Alert.objects.create(key="k", severity="critical", title="Pool differs from the chain")

    status = health.status()
    needs = selectors.attention({**status, "here": status["chains"][0]}, chain="local")

    assert status["chains"][0]["stale"]
    assert status["lowGas"] == 1
    titles = [need["title"] for need in needs]
    assert titles[0] == "Pool differs from the chain"
    assert "No fresh block from the chain" in titles
    assert "RPC endpoint down: 127.0.0.1:8545" in titles


def test_totals_are_the_ledgers_and_leave_simulations_out(market):
    builders.make_execution(1, net=5)
    builders.make_execution(2, status="simulated", simulated_only=True)

    assert selectors.pnl(chain="local") == {"today": 5, "week": 5, "total": 5, "gas_today": 0}
    assert selectors.executions_by_status(chain="local", hours=1) == {
        "confirmed": 1,
        "simulated only": 1,
    }
    funnel = {row["name"]: row["n"] for row in selectors.funnel(chain="local")}
    assert (funnel["Sent"], funnel["Landed"]) == (1, 1)


def test_a_life_that_is_acted_on_again_is_one_in_every_stage(market):
    twice = [builders.make_execution(n).pk for n in (1, 2)]
    life = builders.make_opportunity(1)
    Execution.objects.filter(pk__in=twice).update(opportunity_id=life.pk)

    counts = [row["n"] for row in selectors.funnel(chain="local")]

    assert counts[1:] == sorted(counts[1:], reverse=True)
    assert counts[-1] == 1


def test_stages_follow_one_another_on_one_scale():
    bars = stage_bars(
        {"search": 1.0, "simulate": 3.0, "submit": 4.0, "total": 8.0, "inclusion": 900.0}
    )
    assert [(bar["x"], bar["width"]) for bar in bars] == [
        (0, 125), (125, 375), (500, 500), (0, 1000), (0, 0),
    ]  # fmt: skip
