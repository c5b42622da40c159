"""The admin panel: records can be read, the registry corrected, everything written down."""

import pytest
from django.contrib.admin import site
from django.urls import reverse
from django.utils import timezone

from arbsite.base.models import Alert, ApiToken, AuditEvent, User
from arbsite.base.tokens import token_create
from contracts.models import Chain, Deployment, Dex, Pair, Pool, Token
from execution.models import Execution, PnlEntry
from prices.models import Opportunity
from tests.arbsite.base.clients import make_user, session
from tests.arbsite.base.test_fields import make_chain
from wallets.models import Attempt, StatusChange, Transaction, Wallet

pytestmark = pytest.mark.django_db
RECORDS = [
    AuditEvent, Alert, Execution, PnlEntry, Opportunity, Transaction, Attempt, StatusChange,
    Deployment, Wallet,
]  # fmt: skip
REGISTRY = [Chain, Token, Dex, Pair, Pool]
SECRET = "p4th-of-a-provider"


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def boss():
    return make_user("admin", username="boss", is_staff=True, is_superuser=True)


@pytest.fixture
def browser(boss):
    return session(boss)


@pytest.fixture
def pool():
    chain = make_chain(
        rpc_http=[f"https://node.example/{SECRET}"],
        rpc_ws=[f"wss://u:{SECRET}@node.example"],
        relays=[{"kind": "bundle", "name": "blox", "url": f"https://relay.example/{SECRET}"}],
    )
    base, quote = (
        Token.objects.create(chain=chain, address="0x" + n * 20, symbol=s, decimals=18)
        for n, s in (("a1", "CAKE"), ("b2", "USDT"))
    )
    dex = Dex.objects.create(
        chain=chain, key="pancake", name="PancakeSwap", kind="uniswap_v2", fee_bps=25,
        factory="0x" + "c3" * 20, router="0x" + "d4" * 20, callback="pancakeCall",
    )  # fmt: skip
    pair = Pair.objects.create(chain=chain, base=base, quote=quote, name="CAKE/USDT")
    return Pool.objects.create(
        chain=chain, dex=dex, pair=pair, address="0x" + "e5" * 20, token0=base, token1=quote,
        fee_bps=25, quarantined="other reserves on chain", quarantined_at=timezone.now(),
    )  # fmt: skip


def url(model, page="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def form_of(response) -> dict[str, str]:
    """What a browser would send back unchanged."""
    found = {}
    for name, value in response.context["adminform"].form.initial.items():
        if value is True:
            found[name] = "on"
        elif value not in (None, False):
            found[name] = value
    return found


@pytest.mark.parametrize("model", site._registry, ids=lambda m: m._meta.label)
def test_every_list_opens_and_can_be_searched(model, browser, pool):
    response = browser.get(url(model))
    assert response.status_code == 200

    if site._registry[model].search_fields:
        for said in ("x", "0xABC", "'; --", "12", "9" * 30):
            assert browser.get(url(model), {"q": said}).status_code == 200


@pytest.mark.parametrize("model", RECORDS, ids=lambda m: m.__name__)
def test_a_record_can_only_be_read(model, rf, boss):
    page, request = site._registry[model], rf.get("/")
    request.user = boss

    assert page.has_view_permission(request)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


@pytest.mark.parametrize("model", REGISTRY, ids=lambda m: m.__name__)
def test_the_registry_is_neither_added_to_nor_deleted_from_by_hand(model, rf, boss):
    page, request = site._registry[model], rf.get("/")
    request.user = boss

    assert not page.has_add_permission(request)
    assert not page.has_delete_permission(request)


def ours():
    return {m: p for m, p in site._registry.items() if m.__module__.split(".")[0] in (
        "arbsite", "contracts", "wallets", "prices", "execution")}  # fmt: skip


@pytest.mark.parametrize("model", ours(), ids=lambda m: m._meta.label)
def test_no_list_counts_all_rows(model):
    assert site._registry[model].show_full_result_count is False


def test_schedules_are_editable():
    from django_celery_beat.models import PeriodicTask

    assert PeriodicTask in site._registry


@pytest.mark.parametrize("model", [Chain, ApiToken, User], ids=lambda m: m.__name__)
def test_pages_show_no_secret(model, browser, boss, pool):
    token = token_create(user=boss, scope="read")
    row = model.objects.first()

    pages = [
        browser.get(where)
        for where in (url(model), url(model, "change", row.pk), url(model, "history", row.pk))
    ]
    assert {page.status_code for page in pages} == {200}
    text = "".join(page.content.decode() for page in pages)

    assert SECRET not in text
    assert token not in text
    assert ApiToken.objects.get().digest not in text
    assert boss.password not in text


def test_a_chains_hosts_are_shown_without_their_paths(browser, pool):
    text = browser.get(url(Chain, "change", "local")).content.decode()

    for host in ("https://node.example", "wss://node.example", "https://relay.example"):
        assert host in text


def test_denying_a_token_is_written_down_and_reaches_the_watcher(browser, boss, pool):
    token, revision = pool.token0, pool.chain.registry_revision
    where = url(Token, "change", token.pk)

    response = browser.post(where, {"denied": "on"})

    assert response.status_code == 302
    token.refresh_from_db()
    pool.chain.refresh_from_db()
    assert token.denied
    assert pool.chain.registry_revision == revision + 1
    event = AuditEvent.objects.get(via="admin")
    assert (event.actor, event.verb) == (boss, "admin.change")
    assert (event.before, event.after) == ({"denied": False}, {"denied": True})


def test_facts_from_the_chain_cannot_be_edited(browser, pool):
    token = pool.token0

    browser.post(url(Token, "change", token.pk), {"decimals": "6", "address": "0x" + "77" * 20})

    token.refresh_from_db()
    assert (token.decimals, token.address.lower()) == (18, "0x" + "a1" * 20)


def test_clearing_a_quarantine_is_written_down(browser, boss, pool):
    action = {"action": "clear_quarantine", "_selected_action": [pool.pk]}

    assert browser.post(url(Pool), action).status_code == 302

    pool.refresh_from_db()
    assert (pool.quarantined, pool.quarantined_at) == ("", None)
    event = AuditEvent.objects.get(verb="admin.clear_quarantine")
    assert event.actor == boss
    assert event.before == {"quarantined": "other reserves on chain"}


def test_a_pool_that_is_not_quarantined_is_left_alone(browser, pool):
    Pool.objects.update(quarantined="")

    browser.post(url(Pool), {"action": "clear_quarantine", "_selected_action": [pool.pk]})

    assert not AuditEvent.objects.exists()


def test_a_person_is_added_with_a_role_and_a_password_nobody_reads(browser, boss):
    password = "correct horse battery staple"
    data = {
        "username": "ada", "role": "operator", "usable_password": "true",
        "password1": password, "password2": password,
    }  # fmt: skip

    assert browser.post(url(User, "add"), data).status_code == 302

    ada = User.objects.get(username="ada")
    assert (ada.role, ada.is_staff) == ("operator", False)
    assert ada.check_password(password)
    event = AuditEvent.objects.get(verb="admin.add")
    assert event.after["username"] == "ada"
    assert password not in str(event.after)
    assert ada.password not in str(event.after)


def test_a_changed_role_and_password_are_written_down(browser):
    ada = make_user("viewer", username="ada")
    page = browser.get(url(User, "change", ada.pk))
    fields = {n: v for n, v in form_of(page).items() if n not in ("password", "date_joined")}
    joined = timezone.now()
    when = {"date_joined_0": joined.date().isoformat(), "date_joined_1": "00:00:00"}

    data = fields | when | {"role": "admin"}
    assert browser.post(url(User, "change", ada.pk), data).status_code == 302
    where = reverse("admin:auth_user_password_change", args=[ada.pk])
    new = "another horse battery staple"
    data = {"usable_password": "true", "password1": new, "password2": new}
    assert browser.post(where, data).status_code == 302

    ada.refresh_from_db()
    assert ada.role == "admin"
    assert ada.check_password(new)
    change = AuditEvent.objects.get(verb="admin.change")
    assert (change.before["role"], change.after["role"]) == ("viewer", "admin")
    assert AuditEvent.objects.get(verb="admin.password").target.endswith("ada")


def test_people_are_never_deleted(browser):
    ada = make_user("viewer", username="ada")

    assert browser.post(url(User, "delete", ada.pk), {"post": "yes"}).status_code == 403


def test_a_token_is_revoked_by_deleting_it(browser, boss):
    token_create(user=boss, scope="operate")
    row = ApiToken.objects.get()

    assert browser.post(url(ApiToken, "delete", row.pk), {"post": "yes"}).status_code == 302

    assert not ApiToken.objects.exists()
    event = AuditEvent.objects.get(verb="admin.delete")
    assert event.before["scope"] == "operate"
    assert row.digest not in str(event.before)


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_a_role_alone_does_not_open_the_panel(role):
    response = session(make_user(role)).get("/admin/")

    assert response.status_code in (302, 403)
