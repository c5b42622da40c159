"""The button that executes, as a person presses it; the engine's answer comes from the record."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection
from playwright.sync_api import expect

from execution import services
from execution.models import Execution
from tests.arbsite.console import builders

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@contextmanager
def engine_that_refuses(reason, detail):
    """Stands where the engine does: drops every request, as its gate would."""
    over = threading.Event()

    def work():
        while not over.wait(0.05):
            for row in services.requests_open(chain_key="local"):
                services.execution_refused(pk=row.pk, reason=reason, detail=detail)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


def at_the_opportunity(page):
    page.goto("/opportunities/24/")
    expect(page.locator("#link-word")).to_have_text("Live")
    return page.get_by_role("button", name="Execute")


@pytest.fixture
def executable(market):
    builders.make_opportunity(24)


def test_the_execute_button_asks_once_and_says_what_came_of_it(open_page, executable):
    page = open_page("operator")
    button = at_the_opportunity(page)

    with engine_that_refuses("min_profit", "Quoted again it nets 3 bps, and 5 are asked for."):
        button.dblclick()
        expect(page.locator(".toast.bad")).to_contain_text("Quoted again it nets 3 bps")

    row = Execution.objects.get()
    assert (row.opportunity_id, row.refused, row.automatic) == (24, "min_profit", False)
    assert row.requested_by.role == "operator"
    expect(button).to_be_enabled()
    said = "the server responded with a status of 409"
    page.said[:] = [line for line in page.said if said not in line]


def test_while_the_engine_is_at_it_the_toast_leads_to_the_execution(open_page, executable):
    page = open_page("operator")
    at_the_opportunity(page).click()

    toast = page.locator(".toast")
    expect(toast).to_contain_text("is planned", timeout=15_000)  # the request waits 5 s first
    row = Execution.objects.get()
    toast.get_by_role("link").click()
    expect(page).to_have_url(f"{page.url.split('/executions')[0]}/executions/{row.pk}/")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "rejected", "reason": "gas"}, "Not executable"),
        ({"ended": True}, "the spread is gone"),
    ],
)
def test_what_cannot_be_executed_has_no_button_to_press(open_page, market, change, said):
    builders.make_opportunity(24, **change)
    page = open_page("operator")

    expect(at_the_opportunity(page)).to_be_disabled()
    expect(page.locator("main")).to_contain_text(said)
