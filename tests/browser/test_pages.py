"""The pages in Chromium: they render, are silent, fit a phone, follow the record, and obey keys."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from arbsite.base.channel import tell
from contracts.models import Pool
from execution.models import Execution
from prices import pairs, push, views
from prices.models import Monitor, Opportunity, PoolState
from tests.arbsite.console import builders
from tests.arbsite.console.builders import ONE
from tests.arbsite.console.test_formats import EXAMPLES, FACTS
from tests.browser.conftest import PHONE
from wallets.models import KillState, Transaction

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = ["/", "/prices/", "/opportunities/", "/executions/", "/alerts/", "/executions/{execution}/",
         "/opportunities/24/", "/prices/CAKE-USDT/"]  # fmt: skip


def keep_picture(page: Page, name: str) -> None:
    """For whoever wants to look: BROWSER_SHOTS names a folder."""
    if folder := os.environ.get("BROWSER_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def plain(address: str) -> str:
    return re.sub(r"[/{}]", "_", address)


def settled(page: Page, address: str) -> Page:
    newest = Execution.objects.first()
    page.goto(address.format(execution=newest.pk if newest else 0))
    expect(page.locator("#link-word")).to_have_text("Live")
    return page


@pytest.fixture
def history(market):
    builders.make_history()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_renders_is_silent_and_accessible(open_page, history, address):
    page = settled(open_page(), address)
    keep_picture(page, "desktop" + plain(address))

    assert page.locator("h1").count() == 1
    assert serious_in(page) == []


def serious_in(page: Page) -> list[str]:
    """What keeps somebody from using the page."""
    return [
        f"{found['id']}: {found['nodes'][0]['html'][:160]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


def test_prices_that_nobody_renewed_are_said_to_be_stale_and_stay_readable(open_page, history):
    page = settled(open_page(), "/prices/")
    expect(page.locator("#prices.stale")).to_be_visible(timeout=30_000)
    keep_picture(page, "stale")
    assert serious_in(page) == []


@pytest.mark.parametrize("address", PAGES)
def test_a_page_fits_a_phone(open_page, history, address):
    page = settled(open_page(size=PHONE), address)
    keep_picture(page, "phone" + plain(address))

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    kill = page.locator("#kill-button")
    expect(kill).to_be_visible()
    box = kill.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]


def test_signing_in_with_the_form_leads_to_the_overview(site, chromium, market):
    builders.make_user("grace", "operator")
    context = chromium.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/")
    keep_picture(page, "signin")
    page.get_by_label("User").fill("grace")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    context.close()


def test_the_browser_shows_numbers_as_the_server_does(open_page, market):
    page = settled(open_page(), "/prices/")
    module = page.evaluate(
        """() => performance.getEntriesByType("resource").map((entry) => entry.name)
                 .find((name) => /\\/js\\/format\\.[0-9a-f]+\\.js$/.test(name))"""
    )
    said = page.evaluate(
        """async ([module, examples, facts]) => {
             const { shown } = await import(module);
             return examples.map(({ value, fmt, row, asset }) =>
               shown(value, { fmt, row: row ?? {}, facts, asset: asset ?? "" }));
           }""",
        [module, EXAMPLES, FACTS],
    )

    wanted = [{"text": e["text"], "title": e["title"], "tone": e.get("tone", "")} for e in EXAMPLES]
    assert said == wanted


def test_the_browser_makes_the_same_rows_of_pairs_as_the_server(open_page, history):
    rows = views.pools_shown("local")
    living = views.living_of_pairs("local")
    page = settled(open_page(), "/prices/")
    module = page.evaluate(
        """() => performance.getEntriesByType("resource").map((entry) => entry.name)
                 .find((name) => /\\/js\\/pairs\\.[0-9a-f]+\\.js$/.test(name))"""
    )

    made = page.evaluate(
        "async ([module, rows, living]) => (await import(module)).pairRows(rows, living)",
        [module, rows, living],
    )

    assert made == pairs.pair_rows(rows, living)


def test_a_changed_price_arrives_in_the_open_page(open_page, market):
    page = settled(open_page(), "/prices/")
    cell = page.locator('tr[data-id="XVS/WBNB"] [data-f="sellPrice"]')
    expect(cell).to_have_text("0.0120597")

    pool = Pool.objects.get(pair__name="XVS/WBNB", dex__key="babyswap")
    PoolState.objects.filter(pool=pool).update(quote_out=ONE // 80)
    push.wrote(chain_key="local", pools=[pool.pk], opportunities=[])

    expect(cell).to_have_text("0.0125000", timeout=2000)


def test_a_born_opportunity_and_its_end_arrive_in_the_open_pages(open_page, history):
    listing = settled(open_page(), "/opportunities/")
    prices = settled(open_page("viewer"), "/prices/")

    builders.make_opportunity(99, net_bps=44)
    push.wrote(chain_key="local", pools=[], opportunities=[99])

    expect(listing.locator('tr[data-id="99"] [data-f="netProfitBps"]')).to_have_text("+44")
    net = prices.locator('tr[data-id="CAKE/USDT"] [data-f="netBps"]')
    expect(net).to_have_text("+44")
    Opportunity.objects.filter(pk=99).update(ended_at=timezone.now())
    push.wrote(chain_key="local", pools=[], opportunities=[99])
    expect(net).to_have_text("+7")


def test_new_rows_wait_behind_a_bar_while_someone_reads(open_page, history):
    page = settled(open_page(), "/opportunities/")
    page.locator("#rows .rowlink").nth(3).focus()

    builders.make_opportunity(98, verdict="rejected", reason="gas")
    builders.make_opportunity(99)
    push.wrote(chain_key="local", pools=[], opportunities=[98, 99])

    expect(page.locator("#fresh")).to_contain_text("2 new opportunities")
    assert page.locator('tr[data-id="99"]').count() == 0
    page.locator("#fresh").click()
    expect(page.locator("#rows tr").first).to_have_attribute("data-id", "99")


def test_an_executions_status_moves_in_the_open_page(open_page, history):
    newest = Execution.objects.first()
    page = settled(open_page(), "/executions/")
    badge = page.locator(f'tr[data-id="{newest.pk}"] [data-f="status"]')
    expect(badge).to_have_text("submitted")

    Transaction.objects.filter(pk=newest.transaction_id).update(
        status="confirmed", gas_used=190_000
    )
    tell("executions", [newest.pk])

    expect(badge).to_have_text("confirmed")


def test_the_kill_switch_is_one_key_and_one_confirm_and_a_held_key_does_not_confirm(
    open_page, market
):
    page = settled(open_page("operator"), "/prices/")
    page.keyboard.press("Shift+K")
    dialog = page.get_by_role("dialog", name="Stop everything on every chain")
    expect(dialog).to_be_visible()
    page.keyboard.press("Enter")  # still held: the button is not ready
    expect(dialog).to_be_visible()
    assert not KillState.objects.filter(engaged=True).exists()

    expect(page.get_by_role("button", name="Stop now")).to_be_focused()
    keep_picture(page, "kill")
    page.keyboard.press("Enter")

    expect(dialog).to_be_hidden()
    expect(page.locator("#engine-chip")).to_have_text("KILLED")
    expect(page.locator(".toast")).to_contain_text("Stopped")
    assert KillState.objects.get(scope="*").engaged


def test_the_kill_switch_works_from_a_page_whose_socket_is_away(open_page, market):
    page = open_page("operator")
    page.route_web_socket(re.compile("/ws/"), lambda ws: ws.close())
    page.goto("/prices/")
    expect(page.locator("#link-word")).to_have_text("Polling", timeout=15_000)
    page.keyboard.press("Shift+K")
    expect(page.get_by_role("button", name="Stop now")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#kill-dialog")).to_be_hidden()
    expect(page.locator(".toast")).to_contain_text("Stopped")
    assert KillState.objects.get(scope="*").engaged
    expect(page.locator("#engine-chip")).to_have_text("KILLED", timeout=15_000)
    expect(page.locator("#link-word")).to_have_text("Polling")  # it was away all the while


def test_the_kill_dialog_can_be_left_with_the_keyboard(open_page, market):
    page = settled(open_page("operator"), "/")
    page.locator("#kill-button").focus()
    page.keyboard.press("Enter")
    confirm = page.get_by_role("button", name="Stop now")
    expect(confirm).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#kill-dialog")).to_be_hidden()
    assert not KillState.objects.filter(engaged=True).exists()


def test_a_viewer_sees_no_buttons_that_act(open_page, history):
    page = settled(open_page("viewer"), "/prices/")
    assert page.locator("#kill-button, #start-form, #stop-form").count() == 0
    settled(page, "/opportunities/24/")
    assert page.get_by_role("button", name="Execute").count() == 0


def test_monitoring_is_stopped_and_started_with_the_buttons(open_page, market):
    page = settled(open_page("operator"), "/prices/")
    page.get_by_role("button", name="Stop monitoring").click()
    expect(page.locator("#mon-word")).to_have_text("Stopped")
    assert not Monitor.objects.get().wanted

    page.locator("[name=pollIntervalMs]").fill("750")
    page.locator("[name=minSpreadBps]").fill("0.12%")
    expect(page.locator("#bps-echo")).to_have_text("= 12 bps")
    page.get_by_role("button", name="Start monitoring").click()
    expect(page.locator("#mon-word")).to_have_text("Monitoring")
    found = Monitor.objects.get()
    assert (found.wanted, found.poll_interval_ms, found.min_spread_bps) == (True, 750, 12)


def test_the_menu_of_networks_leads_to_a_chain_that_was_never_watched(open_page, market):
    builders.make_shipped_chains()
    page = settled(open_page("operator", PHONE), "/prices/")
    menu = page.locator(".menu.chain")
    menu.locator("summary").click()
    expect(menu.get_by_role("link")).to_have_count(9)
    menu.get_by_role("link", name="Sepolia").click()

    expect(menu.locator("summary")).to_contain_text("Sepolia TESTNET")
    expect(page.locator("#mon-word")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Start monitoring")).to_be_visible()


def test_a_refused_call_says_the_servers_reason(open_page, market):
    page = open_page("operator")
    settled(page, "/prices/")
    page.locator("[name=minSpreadBps]").fill("99999")
    page.get_by_role("button", name="Apply").click()

    expect(page.locator(".toast.bad")).to_contain_text("minSpreadBps")
    expected = "the server responded with a status of 400"
    page.said[:] = [line for line in page.said if expected not in line]


def test_a_row_opens_in_a_drawer_and_escape_closes_it(open_page, history):
    page = settled(open_page(), "/opportunities/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    drawer = page.locator("#drawer")
    expect(drawer.get_by_role("heading", name="Where the spread goes")).to_be_visible()
    keep_picture(page, "drawer")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_keys_lead_from_page_to_page_and_can_be_switched_off(open_page, history):
    page = settled(open_page(), "/")
    page.keyboard.press("g")
    page.keyboard.press("x")
    expect(page.get_by_role("heading", name="Opportunities", level=1)).to_be_visible()
    expect(page.locator("#link-word")).to_have_text("Live")  # its keys are bound by then
    page.keyboard.press("Shift+?")
    page.get_by_label("Switch single-key shortcuts off").check()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("Shift+K")
    expect(page.locator("#kill-dialog")).to_be_hidden()


def test_a_page_without_its_socket_says_so_and_polls(open_page, market):
    page = open_page()
    page.route_web_socket(re.compile("/ws/"), lambda ws: ws.close())
    page.goto("/prices/")

    expect(page.locator("#link-word")).to_have_text("Polling", timeout=15_000)
    expect(page.locator("#banner")).to_contain_text("Live updates lost")
    pool = Pool.objects.get(pair__name="XVS/WBNB", dex__key="babyswap")
    PoolState.objects.filter(pool=pool).update(quote_out=ONE // 80)
    cell = page.locator('tr[data-id="XVS/WBNB"] [data-f="sellPrice"]')
    Monitor.objects.update(head_at=timezone.now() + timedelta(minutes=1))
    expect(cell).to_have_text("0.0125000", timeout=15_000)


def test_a_simulated_execution_is_never_shown_as_a_real_one(open_page, market):
    row = builders.make_execution(5, status="simulated", simulated_only=True)
    page = settled(open_page(), f"/executions/{row.pk}/")

    expect(page.locator("[data-f=status]").first).to_have_text("simulated only")
    expect(page.locator("main")).to_contain_text("It enters no total")


def test_an_empty_installation_says_what_to_do(open_page):
    for address in PAGES[:5]:
        page = open_page()
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("main")).to_contain_text(
            re.compile("yet|stopped|Nothing|make run", re.IGNORECASE)
        )
