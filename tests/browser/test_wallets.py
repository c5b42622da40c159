"""The pages of wallets and contracts in Chromium: they fit, follow the record, and act."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import expect

from arbsite.base.models import Wakeup
from contracts.models import Chain
from tests.arbsite.console import builders, estate
from tests.arbsite.console.builders import ONE
from tests.browser.conftest import PHONE
from tests.browser.test_pages import keep_picture, plain
from tests.wallets.worker import worker
from wallets import push, wishes
from wallets.models import Request, Wallet

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGES = ["/wallets/", "/wallets/{first}/", "/wallets/{first}/?tab=receive", "/contracts/"]


@pytest.fixture
def places(market):
    return {name: row.pk for name, row in estate.make_estate(market).items()}


def settled(page, address, places):
    page.goto(address.format(**places))
    expect(page.locator("#link-word")).to_have_text("Live")
    return page


def serious(page):
    return [
        f"{found['id']}: {found['nodes'][0]['html'][:160]}"
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_silent_and_accessible_and_fits_a_phone(open_page, places, address):
    page = settled(open_page(), address, places)
    keep_picture(page, "desktop" + plain(address))
    assert page.locator("h1").count() == 1
    assert serious(page) == []

    page.set_viewport_size(PHONE)
    keep_picture(page, "phone" + plain(address))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []


def test_a_balance_that_moved_is_patched_and_the_low_count_follows(open_page, places):
    page = settled(open_page("viewer"), "/wallets/", places)
    row = page.locator(f'tr[data-id="{places["second"]}"]')
    expect(row.locator(".low-note")).to_be_visible()
    expect(page.locator("#low-count")).to_have_text("1")

    estate.make_balance(Wallet.objects.get(pk=places["second"]), ONE, minutes=-1)
    push.wallet_changed(0)

    expect(row).to_contain_text("1.0000 BNB")
    expect(row.locator(".low-note")).to_be_hidden()
    expect(page.locator("#low-count")).to_have_text("0")


def test_a_wallet_is_generated_and_its_drawer_opens(open_page, places):
    page = settled(open_page(), "/wallets/", places)
    page.get_by_role("button", name="Generate wallet").click()
    dialog = page.locator("#generate-dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    expect(page.locator("#generate-path")).to_contain_text("m/44'/60'/")
    expect(page.locator("#generate-label")).to_have_value("Local-Executor-3")
    keep_picture(page, "generate")

    with worker(generate={"walletId": places["second"]}):
        dialog.get_by_role("button", name="Generate").click()
        expect(page.locator("#drawer .title h2")).to_have_text("Local-Executor-2")

    assert Request.objects.get().args == {"role": "executor", "label": "Local-Executor-3"}
    page.locator("#drawer").get_by_role("tab", name="Receive").click()
    expect(page.locator("#drawer .qr")).to_be_visible()
    keep_picture(page, "drawer_receive")


def test_where_money_is_real_the_second_factor_is_asked_for_with_the_way_to_it(open_page, places):
    Chain.objects.update(is_local=False)
    page = settled(open_page(), "/wallets/", places)
    page.get_by_role("button", name="Generate wallet").click()
    dialog = page.locator("#generate-dialog")
    dialog.get_by_role("button", name="Generate").click()

    expect(dialog.locator(".problem")).to_contain_text("set one up first")
    link = dialog.locator(".problem").get_by_role("link")
    assert link.get_attribute("href") == "/accounts/2fa/?next=%2Fwallets%2F"
    assert not Request.objects.exists()
    said = "the server responded with a status of 403"
    page.said[:] = [line for line in page.said if said not in line]


def test_what_was_only_simulated_is_never_called_done(open_page, places):
    page = settled(open_page(), "/wallets/{second}/?tab=assignments", places)
    with worker(authorize={"simulated": True}):
        page.get_by_role("button", name="Authorise").click()
        page.locator("dialog[open]").get_by_role("button", name="Authorise").click()
        expect(page.locator(".toast")).to_contain_text("simulated only")


def test_tabs_move_with_the_arrows_and_one_part_is_shown(open_page, places):
    page = settled(open_page(), "/wallets/{first}/", places)
    page.get_by_role("tab", name="Overview").focus()
    page.keyboard.press("ArrowRight")

    expect(page.get_by_role("tab", name="Assignments")).to_be_focused()
    expect(page.locator("#part-assignments")).to_be_visible()
    expect(page.locator("#part-overview")).to_be_hidden()


def test_a_funding_is_reviewed_before_it_can_be_sent(open_page, places):
    page = settled(open_page(), "/wallets/{second}/", places)
    page.get_by_role("button", name="Fund", exact=True).click()
    dialog = page.locator("#fund-dialog")
    expect(dialog.get_by_role("button", name="Send")).to_be_hidden()
    dialog.get_by_label("Amount").fill("0.1")
    dialog.get_by_role("button", name="Review").click()
    expect(dialog.locator(".review")).to_contain_text("Send 0.1000 BNB")
    expect(dialog.locator(".review")).to_contain_text("holds 0.1200 BNB")
    keep_picture(page, "fund_review")

    with worker(fund="cap_chain_day: 1 BNB in 24 hours is reached"):
        dialog.get_by_role("button", name="Send").click()
        expect(dialog.locator(".problem")).to_contain_text("cap_chain_day")

    assert Request.objects.get().args == {"amountWei": str(ONE // 10)}
    said = "the server responded with a status of 409"
    page.said[:] = [line for line in page.said if said not in line]


def test_the_plan_is_seen_before_all_that_are_low_are_funded(open_page, places):
    page = settled(open_page(), "/wallets/", places)
    page.get_by_role("button", name="Fund all that are low").click()

    plan = page.locator("#auto-plan")
    expect(plan).to_contain_text("1 wallet(s) would get")
    expect(page.locator("#auto-confirm")).to_be_enabled()
    keep_picture(page, "auto_fund")
    assert not Request.objects.exists()


def test_what_takes_longer_is_followed_to_its_end(open_page, places):
    page = settled(open_page("operator"), "/contracts/", places)
    page.get_by_role("button", name="Pause").click()
    page.locator("#pause-dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".toast").first).to_contain_text("under way", timeout=20_000)

    with worker(pause={"paused": True}):
        expect(page.locator(".toast", has_text=re.compile("^Paused"))).to_have_count(2)

    assert Wakeup.objects.get().task == wishes.TASK


def test_contracts_are_drawn_again_when_one_was_read(open_page, places):
    page = settled(open_page("viewer"), "/contracts/", places)
    row = estate.Deployment.objects.get(kind="receiver")
    row.observed["paused"] = True
    with transaction.atomic():
        row.save()
        transaction.on_commit(lambda: push.contract_changed(row.pk))

    expect(page.locator("#contracts-live")).to_contain_text("FlashLoanReceiver is paused")


def test_drift_is_shown_with_its_mend_button(open_page, market):
    estate.make_estate(market, drift=True)
    page = settled(open_page(), "/contracts/", {})
    keep_picture(page, "contracts_drift")
    page.get_by_role("button", name="Mend", exact=True).click()
    expect(page.locator("#mend-dialog")).to_contain_text("setTreasury")
    keep_picture(page, "mend_dialog")


def test_a_contract_is_replaced_from_its_page_and_what_is_left_of_one_is_shown(open_page, market):
    estate.make_estate(market, drift=False)
    new = estate.Deployment.objects.get(kind="receiver", active=True)
    facts = {"chain": new.chain, "kind": "receiver", "active": False, "owner": new.owner}
    rows = estate.Deployment.objects
    oldest = rows.create(address="0x" + "8" * 40, emptied_at=timezone.now(), **facts)
    old = rows.create(address="0x" + "7" * 40, replaces=oldest, **facts)
    rows.filter(pk=new.pk).update(replaces=old)
    page = settled(open_page(), "/contracts/", {})
    page.get_by_role("button", name="Replace", exact=True).click()
    dialog = page.locator("#replace-dialog")
    expect(dialog).to_contain_text("Drain this one to the treasury")
    keep_picture(page, "replace_dialog")
    with worker(replace={"replaced": new.address}):
        dialog.get_by_role("button", name="Replace").click()
        expect(page.locator(".toast", has_text="Replaced")).to_be_visible()

    panel = page.get_by_role("region", name="Replaced")
    keep_picture(page, "replaced")
    assert serious(page) == []
    expect(panel.get_by_role("row")).to_have_count(3)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    with worker(replace={"replaced": old.address}):
        panel.get_by_role("button", name="Drain and revoke").click()
        expect(page.locator(".toast", has_text="Emptied")).to_be_visible()
    asked = Request.objects.order_by("pk").values_list("kind", "deployment__active")
    assert list(asked) == [("replace", True), ("replace", False)]


def test_a_retirement_needs_the_label_typed(open_page, places):
    page = settled(open_page(), "/wallets/{second}/?tab=danger", places)
    page.get_by_role("button", name="Retire …").click()
    dialog = page.locator("#retire-dialog")
    button = dialog.get_by_role("button", name="Retire")
    dialog.get_by_label("Why").fill("replaced")
    expect(button).to_be_disabled()
    dialog.get_by_label("Type Local-Executor-2 to confirm").fill("Local-Executor-2")
    button.click()

    expect(page.locator("main")).to_contain_text("Retired. replaced")
    assert Wallet.objects.get(pk=places["second"]).state == "retired"


def test_a_wallet_that_was_exposed_is_marked_in_the_open_list(open_page, places):
    page = settled(open_page("viewer"), "/wallets/", places)
    mark = page.locator(f'tr[data-id="{places["first"]}"] .exposed-note')
    expect(mark).to_be_hidden()

    exposed(places["first"])
    push.wallet_changed(0)

    expect(mark).to_be_visible()
    assert mark.get_attribute("title") == "pasted: open it and press Move away"


def test_an_exposed_wallets_money_is_moved_away_or_the_problem_is_shown(open_page, places):
    exposed(places["first"])
    page = settled(open_page(), "/wallets/{first}/", places)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(".note.bad").get_by_role("button", name="Move away …").click()
    dialog = page.locator("#away-dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    expect(dialog).to_contain_text(estate.RESERVE)
    assert dialog.evaluate("each => each.scrollWidth <= each.clientWidth")
    assert serious(page) == []
    keep_picture(page, "move_away")

    with worker(move_away="5 wei went to safety, but not revoked on one contract"):
        dialog.get_by_role("button", name="Move away").click()
        expect(dialog.locator(".problem")).to_contain_text("not revoked on one contract")
    page.said[:] = [line for line in page.said if "a status of 409" not in line]
    with worker(move_away={"simulated": True}):
        dialog.get_by_role("button", name="Move away").click()
        expect(page.locator(".toast")).to_contain_text("Moved away, but simulated only")
    assert [row.kind for row in Request.objects.all()] == ["move_away"] * 2


def exposed(pk):
    Wallet.objects.filter(pk=pk).update(state="exposed", state_reason="pasted")


def test_more_leads_to_what_the_tab_bar_has_no_room_for(open_page, places):
    page = settled(open_page(size=PHONE), "/wallets/", places)
    page.locator(".rail .more summary").click()
    keep_picture(page, "phone_more")
    page.locator(".rail .more").get_by_role("link", name="Contracts").click()

    expect(page.get_by_role("heading", name="Contracts", level=1)).to_be_visible()


def test_a_key_goes_to_each_page(open_page, places):
    page = settled(open_page(), "/wallets/", places)
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Contracts", level=1)).to_be_visible()
    assert builders.RECEIVER[:8] in page.locator("main").inner_text()
