"""Pages of an exposed wallet: why, what will happen, and a button for who may press it."""

import pytest

from tests.arbsite.console import builders, estate
from tests.arbsite.console.test_wallet_pages import as_role, page
from wallets.models import Wallet

pytestmark = pytest.mark.django_db
REASON = "pasted into a chat"
MARK = 'exposed-note" title="'


@pytest.fixture
def places():
    made = estate.make_estate(builders.make_market())
    return {name: row.pk for name, row in made.items()}


def expose(*pks):
    Wallet.objects.filter(pk__in=pks).update(state="exposed", state_reason=REASON)


@pytest.mark.parametrize("address", ["/wallets/{first}/", "/wallets/{first}/?fragment=1"])
def test_a_banner_says_why_and_a_dialog_lists_what_will_happen(client, places, address):
    expose(places["first"])

    shown = page(as_role(client), address, places)

    assert REASON in shown
    assert 'data-open="away-dialog"' in shown
    dialog = shown[shown.index('id="away-dialog"') : shown.index('id="retire-dialog"')]
    assert f'data-api="/api/wallets/{places["first"]}/move-away"' in dialog
    assert estate.RESERVE in dialog
    assert "less the gas of one transfer" in dialog
    assert builders.RECEIVER in dialog
    assert "setExecutor(" in dialog
    assert "expose-dialog" not in shown


def test_without_a_haven_the_dialog_says_what_is_missing_and_sends_nothing(client, places):
    expose(places["first"], places["reserve"])

    shown = page(as_role(client), "/wallets/{first}/", places)

    assert "set ARB_TREASURY_LOCAL" in shown
    assert '<button class="red" disabled>Move away</button>' in shown


def test_an_exposed_owner_is_told_what_moving_away_does_not_change(client, places):
    expose(places["reserve"])
    estate.make_wallet(Wallet.objects.first().chain, builders.make_address(7), role="gas_reserve")

    shown = page(as_role(client), "/wallets/{reserve}/", places)

    assert "It stays the owner of FlashLoanReceiver" in shown
    assert builders.make_address(7) in shown


def test_a_wallet_in_use_can_be_marked_and_not_moved(client, places):
    shown = page(as_role(client), "/wallets/{first}/", places)

    assert 'data-open="expose-dialog"' in shown
    assert f'data-api="/api/wallets/{places["first"]}/expose"' in shown
    assert "away-dialog" not in shown


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_is_no_admin_sees_why_and_no_button(client, places, role):
    expose(places["first"])

    shown = page(as_role(client, role), "/wallets/{first}/", places)

    assert REASON in shown
    assert "An admin can move its money away" in shown
    assert "away-dialog" not in shown


def test_a_wallet_whose_key_is_elsewhere_is_not_offered_to_be_moved(client, places):
    Wallet.objects.filter(pk=places["first"]).update(source="watch")
    expose(places["first"])

    shown = page(as_role(client), "/wallets/{first}/", places)

    assert "Its key is not here" in shown
    assert "away-dialog" not in shown


def test_the_list_marks_exposed_wallets_with_why_and_what_to_do(client, places):
    expose(places["first"])

    shown = page(as_role(client, "viewer"), "/wallets/")

    assert f'{MARK}{REASON}: open it and press Move away">' in shown
    marks = [line for line in shown.splitlines() if MARK in line]
    assert len(marks) == 4
    assert sum('" hidden>move away' in line for line in marks) == 3
