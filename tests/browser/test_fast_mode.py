"""The Fast Mode page in Chromium: its state cannot be mistaken, limits are compared first."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from contracts.endpoints import endpoint_of
from contracts.models import Chain, Deployment
from contracts.observing import Taken, endpoint_latency_record
from execution import fast_mode, limits, push
from execution.models import Execution, FastMode, FastModeConfig, LatencySample
from prices import push as price_push
from prices.models import Monitor, Opportunity
from tests.arbsite.console import builders
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.test_pages import keep_picture
from tests.browser.test_wallets import serious
from tests.execution.test_fast_mode_api import sender_that_hangs
from tests.wallets.worker import worker
from wallets.models import KillState

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDE = {**DESKTOP, "width": 1400}
SCREEN = 1500
SOLID_RED = "rgb(179, 38, 47)"


@pytest.fixture
def history(market):
    builders.make_history()
    endpoint = endpoint_of("http://127.0.0.1:8545")
    endpoint.answered(took_s=0.002)
    taken = [Taken("http", 0, endpoint.shown, endpoint.take_latencies())]
    endpoint_latency_record(chain=Chain.objects.get(), taken=taken)
    # However long the page takes to come, its newest block is fresh.
    Monitor.objects.update(head_at=timezone.now() + timedelta(hours=1))


def keep_whole(page, name):
    """The page from top to bottom in screens, for whoever wants to look."""
    folder = os.environ.get("BROWSER_SHOTS")
    if not folder:
        return
    width, height = page.viewport_size["width"], page.evaluate("document.body.scrollHeight")
    for n, top in enumerate(range(0, min(height, 8 * SCREEN), SCREEN)):
        clip = {"x": 0, "y": top, "width": width, "height": min(SCREEN, height - top)}
        page.screenshot(path=Path(folder) / f"{name}_{n}.png", full_page=True, clip=clip)


def at_fast_mode(page):
    page.goto("/fast-mode/")
    expect(page.locator("#link-word")).to_have_text("Live")
    return page


def spread_over_the_window():
    """Samples of the last quarter of an hour, so that the chart has a course."""
    for n, sample in enumerate(LatencySample.objects.order_by("pk")):
        at = timezone.now() - timedelta(seconds=60 * (n // 8))
        LatencySample.objects.filter(pk=sample.pk).update(at=at)


def configure(**columns):
    FastModeConfig.objects.update(**columns)


def set_state(state):
    FastMode.objects.update(state=state)
    push.mode_changed("local")


@pytest.mark.parametrize("state", ["armed", "off", "paused", "asks", "killed"])
def test_the_page_is_silent_and_accessible_and_fits_a_phone(open_page, history, state):
    if state == "asks":
        configure(auto_execute=False)
    elif state == "killed":
        KillState.objects.filter(scope="*").update(engaged=True, reason="a drill went wrong")
    else:
        FastMode.objects.update(state=state, reason="by hand")
    spread_over_the_window()
    page = at_fast_mode(open_page(size=WIDE))
    keep_whole(page, f"fast_desktop_{state}")
    assert page.locator("h1").count() == 1
    assert serious(page) == []

    page.set_viewport_size(PHONE)
    keep_whole(page, f"fast_phone_{state}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []


def test_armed_is_said_by_card_chip_and_tab(open_page, history):
    page = at_fast_mode(open_page())
    expect(page.locator("#mode-word")).to_have_text("ARMED")
    expect(page.locator("#engine-chip")).to_have_text("FAST MODE ARMED")
    expect(page.locator("#tab-icon")).to_have_attribute("href", re.compile("armed"))
    expect(page.locator(".modecard")).to_have_css("background-color", SOLID_RED)

    set_state("off")

    expect(page.locator("#mode-word")).to_have_text("Fast Mode off", timeout=15_000)
    expect(page.locator("#tab-icon")).to_have_attribute("href", re.compile("favicon"))
    expect(page.locator(".modecard")).not_to_have_css("background-color", SOLID_RED)


def test_armed_is_as_red_where_it_asks_first(open_page, history):
    configure(auto_execute=False)
    page = at_fast_mode(open_page())
    expect(page.locator("#mode-word")).to_have_text("ARMED")
    expect(page.locator(".modecard")).to_contain_text("you confirm each")
    expect(page.locator(".modecard")).to_have_css("background-color", SOLID_RED)
    expect(page.locator("#engine-chip")).to_have_text("ARMED, ASKS FIRST")
    expect(page.locator("#engine-chip")).to_have_class(re.compile("tone-red"))
    expect(page.locator("#tab-icon")).to_have_attribute("href", re.compile("armed"))


def test_switching_off_is_one_click(open_page, history):
    page = at_fast_mode(open_page("operator"))
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#mode-word")).to_have_text("Fast Mode off", timeout=15_000)
    assert FastMode.objects.get().state == "off"


def test_switched_off_while_a_sender_hangs_it_is_not_called_over(open_page, history):
    page = at_fast_mode(open_page("operator"))
    with sender_that_hangs():
        page.get_by_role("button", name="Switch off").click()
        expect(page.locator(".toast.bad")).to_contain_text("unknown in flight")
    assert FastMode.objects.get().state == "off"


def test_each_red_check_says_what_to_do_and_arming_waits_for_all(open_page, history):
    set_state("off")
    Deployment.objects.update(observed={"paused": True})
    page = at_fast_mode(open_page())
    red = page.locator(".ready li.bad", has_text="Contract not paused")
    expect(red.locator(".fix")).to_contain_text("unpause it, under Contracts")
    for each in page.locator(".ready li.bad").all():
        expect(each.locator(".fix")).not_to_be_empty()
    expect(page.get_by_role("button", name="Arm…")).to_be_disabled()
    expect(page.locator("#arm-why")).to_contain_text("Contract not paused")


def test_limits_are_compared_before_they_are_saved_as_a_version(open_page, history):
    page = at_fast_mode(open_page())
    form = page.locator("#limits-form")
    form.locator("[name=minProfitThresholdBps]").fill("0.12%")
    form.locator("[name=maxPositionWei]").fill("2.5")
    form.locator("[name=autoExecute]").uncheck()
    form.locator("[name=expiryMs]").fill("90")
    page.get_by_role("button", name="Review changes").click()

    rows = page.locator("#diff tr")
    expect(rows).to_have_count(4)
    expect(rows.filter(has_text="Execute by itself")).to_contain_text("onoff")
    expect(rows.filter(has_text="Least profit")).to_contain_text("5 bps12 bps")
    expect(rows.filter(has_text="Largest loan")).to_contain_text("no limit2.5 BNB")
    keep_picture(page, "fast_diff")
    page.get_by_role("button", name="Save as v2").click()

    expect(page.locator("#limits-title + .badge")).to_have_text("version 2", timeout=15_000)
    config = FastMode.objects.get().config
    assert (config.version, config.min_profit_threshold_bps, config.auto_execute) == (2, 12, False)
    assert (config.max_position_wei, config.expiry_ms) == (25 * 10**17, 90 * 60_000)


def test_an_old_version_is_gone_back_to(open_page, history):
    mode = FastMode.objects.select_related("config", "chain").get()
    limits.limits_change(mode=mode, changes={"cooldownMs": 750})
    page = at_fast_mode(open_page())
    page.get_by_role("button", name="Revert to v1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cool-down")
    dialog.get_by_role("button", name="Revert to v1").click()

    expect(page.locator("#limits-title + .badge")).to_have_text("version 3", timeout=15_000)
    assert FastMode.objects.get().config.cooldown_ms == 0


def test_without_auto_execute_what_passes_is_offered_while_its_quote_lives(open_page, history):
    configure(auto_execute=False)
    Opportunity.objects.exclude(pk=24).update(ended_at=timezone.now())
    Opportunity.objects.filter(pk=24).update(verdict="executable", reason="not_armed")
    page = at_fast_mode(open_page("operator"))
    expect(page.locator(".modecard")).to_contain_text("you confirm each")
    page.get_by_role("button", name="Confirm opportunity 24").click()
    expect(page.locator(".toast")).to_contain_text("is planned", timeout=15_000)
    row = Execution.objects.get(key__startswith="request:")
    assert (row.opportunity_id, row.automatic) == (24, False)

    Opportunity.objects.filter(pk=24).update(ended_at=timezone.now())
    price_push.wrote(chain_key="local", pools=[], opportunities=[24])
    expect(page.get_by_role("button", name="Confirm opportunity 24")).to_have_count(0)


def drilled(**changes):
    """What a worker writes of a drill."""
    steps = [("committed", 3.1), ("barrier", 0.4), ("handovers_ended", 1.25), ("listed", 2.0)]
    return {
        "scope": "local", "at": "2026-01-02T03:04:05+00:00", "tookMs": 48.2, "passed": True,
        "signer": "the kill switch is engaged", "handOver": "stopped by the kill switch",
        "released": True,
        "proof": {
            "scope": "local", "complete": True, "detail": "", "sent": [],
            "steps": [{"step": name, "at": "", "tookMs": ms} for name, ms in steps],
        },
        **changes,
    }  # fmt: skip


def ask_for_a_drill(page):
    page.get_by_role("button", name="Kill drill…").click()
    dialog = page.locator("#drill-dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    expect(dialog).to_contain_text("engages the real switch of this chain")
    dialog.get_by_role("button", name="Drill now").click()


def test_a_drill_is_a_workers_and_its_proof_stays_on_the_page(open_page, history):
    page = at_fast_mode(open_page())
    ask_for_a_drill(page)
    expect(page.locator(".toast").last).to_contain_text("under way")  # no worker has it yet
    with worker(drill=drilled()):
        expect(page.locator(".toast").last).to_contain_text(
            "The stop holds: released after 48.2 ms"
        )
    panel = page.locator("#last-drill")
    expect(panel).to_contain_text("the stop holds")
    expect(panel).to_contain_text("hand-overs ended1.25 ms")
    expect(panel).to_contain_text("Signerthe kill switch is engaged")
    expect(panel).to_contain_text("released, after 48.2 ms in all")
    keep_picture(page, "fast_drill")
    assert serious(page) == []


def test_a_drill_that_failed_or_was_left_engaged_is_not_called_good(open_page, history):
    page = at_fast_mode(open_page())
    with worker(drill=drilled(passed=False, signer="", released=False)):
        ask_for_a_drill(page)
        bad = page.locator(".toast.bad")
        expect(bad).to_contain_text("The stop is not proven: left engaged")
    expect(page.locator("#last-drill")).to_contain_text("it signed")


def test_the_log_holds_milliseconds_filters_and_follows(open_page, history):
    page = at_fast_mode(open_page("viewer"))
    rows = page.locator("#log tbody tr")
    expect(rows).to_have_count(12)
    expect(rows.first.locator("[data-label='Event → sent']")).to_have_text("6.06 ms")
    expect(rows.first.locator("a.rowlink")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    page.locator("#filter").fill("reverted")
    expect(rows).to_have_count(1)
    page.locator("#filter").fill("")
    newest = Execution.objects.first()
    builders.make_execution(13)
    push.execution_changed(Execution.objects.first().pk)
    expect(rows).to_have_count(13)
    assert Execution.objects.first().pk > newest.pk
    assert page.locator("#limits-form button").count() == 0


def test_latency_is_drawn_for_each_window(open_page, history):
    page = at_fast_mode(open_page())
    expect(page.locator("#latency-chart canvas")).to_have_count(1)
    legend = page.locator("#latency-chart .u-legend")
    expect(legend).to_contain_text("target 200 ms")
    expect(legend).to_contain_text("block 1.00 s")
    total = page.locator("#latency-stages tr", has_text="event → sent")
    expect(total.locator("td").nth(0)).to_have_text("12")
    page.get_by_role("button", name="60 min").click()
    expect(page.get_by_role("button", name="60 min")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#latency-rpc")).to_contain_text("http://127.0.0.1:8545")


def test_the_mode_that_the_engine_changes_is_followed(open_page, market):
    page = at_fast_mode(open_page())
    fast_mode.fast_mode_disarm(chain=market, reason="not ready: feed_fresh (3,400 ms old)")
    expect(page.locator(".modefacts")).to_contain_text("feed_fresh", timeout=15_000)
