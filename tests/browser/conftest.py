"""A served console, a browser, and a page that is signed in and keeps what its console says."""

import os
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.arbsite.console import builders, served

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def site(django_db_setup, django_db_blocker, redis_server, tmp_path_factory) -> Iterator:
    root = tmp_path_factory.mktemp("static")
    served.collect_static(root)
    with served.serving(static_root=root) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Its loop runs in this thread while it lives: not for a session, or no async test could run.
    # Beside a running loop Django would refuse plain database calls.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    expect.set_options(timeout=20_000)  # how long a wrong page takes to fail, no promise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def market(transactional_db):
    return builders.make_market()


@pytest.fixture
def open_page(site, chromium, transactional_db):
    """Opens pages signed in as a role; at the end every console must have been silent."""
    contexts, said = [], []

    def open_(role="admin", size=DESKTOP) -> Page:
        client = Client()
        client.force_login(builders.make_user(f"{role}{len(contexts)}", role))
        context = chromium.new_context(viewport=size, base_url=site.url)
        context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.url}]
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.said = said
        return page

    yield open_
    for context in contexts:
        context.close()
    await_quiet()
    assert said == []


def await_quiet() -> None:
    """Wait until the site is done with what the closed pages had asked for.

    The tables are emptied next, and a request in the middle of its questions would lock against it.
    """
    until, quiet = time.monotonic() + 15, 0
    while quiet < 5 and time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
            quiet = 0 if cursor.fetchone()[0] else quiet + 1
        threading.Event().wait(0.04)
