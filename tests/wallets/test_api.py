"""Wallets and contracts over HTTP: what is shown, asked of a worker, and refused."""

import threading
import uuid

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from arbsite.base.models import AuditEvent, User, Wakeup
from contracts.models import Chain, Deployment, Pair, Token
from tests.wallets.conftest import make_chain
from tests.wallets.worker import worker
from wallets import kill, wishes
from wallets.models import (
    Assignment,
    Balance,
    BalanceMonitor,
    Funding,
    Request,
    Transaction,
    Wallet,
)

pytestmark = pytest.mark.django_db
threaded = pytest.mark.django_db(transaction=True)
ONE = 10**18
EVIL = "‮ab"


def address(n):
    return f"0x{n:040x}"


@pytest.fixture
def chain(monkeypatch):
    monkeypatch.setattr(wishes, "WAIT_S", 0.1)
    monkeypatch.setattr(wishes, "LOOK_S", 0.01)
    row = make_chain(aave_pool=address(0xAA))
    kill.kill_rows_ensure(chain_keys=["local"])
    return row


@pytest.fixture
def mainnet(chain):
    kill.kill_rows_ensure(chain_keys=["bsc"])
    return make_chain("bsc", eip155_id=56, is_local=False)


def make_wallet(chain, n=1, **change):
    facts = {"role": "executor", "source": "imported", "label": f"W{n}", "threshold_wei": ONE}
    return Wallet.objects.create(chain=chain, address=address(0x100 + n), **{**facts, **change})


def make_receiver(chain, n=1):
    return Deployment.objects.create(
        chain=chain, kind="receiver", address=address(0x200 + n), owner=address(0x300),
        code_hash="0x" + "ab" * 32,
    )  # fmt: skip


def balance(wallet, wei, block=1):
    Balance.objects.create(
        wallet=wallet, block_number=block, block_hash=f"0x{block:064x}", balance_wei=wei
    )


def client(role="admin", **how):
    made = APIClient(raise_request_exception=False)
    user = User.objects.create(username=f"{role}-{uuid.uuid4()}", role=role)
    made.force_authenticate(user, **how)
    return made


def post(path, body=None, *, by=None, key=None):
    headers = {"HTTP_IDEMPOTENCY_KEY": key or str(uuid.uuid4())}
    return (by or client()).post(path, body or {}, format="json", **headers)


def get(path, role="viewer"):
    return client(role).get(path)


# --- reading --------------------------------------------------------------------------------------


def test_a_wallet_is_shown_with_what_the_contract_promises(chain):
    wallet, reserve = make_wallet(chain), make_wallet(chain, 2, role="gas_reserve")
    balance(wallet, 2 * ONE)
    balance(wallet, ONE - 1, block=2)
    receiver = make_receiver(chain)
    Assignment.objects.create(wallet=wallet, deployment=receiver, authorized_at=timezone.now())
    sent = Transaction.objects.create(
        chain=chain, wallet=reserve, kind="funding", idempotency_key="f", status="confirmed",
        tx_hash="0x" + "cd" * 32,
    )  # fmt: skip
    Funding.objects.create(
        wallet=wallet, reserve=reserve, amount_wei=5, transaction=sent, closed_at=timezone.now()
    )

    shown = get(f"/api/wallets/{wallet.pk}").json()

    assert {name: shown[name] for name in ("id", "address", "chain", "role", "label", "state")} == {
        "id": wallet.pk, "address": wallet.address, "chain": "local", "role": "executor",
        "label": "W1", "state": "active",
    }  # fmt: skip
    assert shown["derivationPath"] is None
    assert (shown["balanceWei"], shown["thresholdWei"], shown["low"]) == (
        str(ONE - 1), str(ONE), True,
    )  # fmt: skip
    assert shown["balanceUpdatedAt"].endswith("Z")
    assert shown["lastFundedAt"]
    [assignment] = shown["assignments"]
    assert (assignment["contract"], assignment["state"]) == (receiver.address, "authorized")
    [funding] = shown["fundings"]
    assert (funding["amountWei"], funding["from"], funding["status"], funding["by"]) == (
        "5", reserve.address, "confirmed", "automatic",
    )  # fmt: skip
    assert funding["txHash"] == sent.tx_hash
    assert shown["transactions"] == []


def test_lists_are_filtered_and_summed(chain, mainnet):
    low, high = make_wallet(chain), make_wallet(chain, 2)
    balance(low, 1)
    balance(high, ONE)
    make_wallet(mainnet, 3, role="master", source="watch", threshold_wei=0)

    def ids(query):
        return {row["id"] for row in get(f"/api/wallets{query}").json()["results"]}

    assert ids("?low=true") == {low.pk}
    assert ids("?low=false&chain=local") == {high.pk}
    assert ids("?role=master") == {Wallet.objects.get(role="master").pk}
    assert get("/api/wallets?low=perhaps").status_code == 400
    summary = get("/api/wallets/summary").json()
    assert (summary["total"], summary["low"]) == (3, 1)
    assert summary["byRole"] == {"executor": 2, "gas_reserve": 0, "master": 1}
    local = next(row for row in summary["chains"] if row["chain"] == "local")
    assert (local["count"], local["low"], local["totalWei"]) == (2, 1, str(ONE + 1))
    assert [row["id"] for row in get("/api/wallets/low-balance").json()["results"]] == [low.pk]
    balances = get("/api/wallets/balances?chain=local").json()["results"]
    assert {row["balanceWei"] for row in balances} == {"1", str(ONE)}


def test_more_wallets_ask_no_more_questions(chain, django_assert_max_num_queries):
    reserve = make_wallet(chain, 99, role="gas_reserve")
    receiver = make_receiver(chain)
    for n in range(1, 9):
        wallet = make_wallet(chain, n)
        balance(wallet, n, block=n)
        Assignment.objects.create(wallet=wallet, deployment=receiver)
        Funding.objects.create(
            wallet=wallet, reserve=reserve, amount_wei=n, closed_at=timezone.now()
        )
    by = client("viewer")

    with django_assert_max_num_queries(6):
        assert len(by.get("/api/wallets").json()["results"]) == 9


def test_contracts_are_shown_and_say_when_they_were_never_read(chain):
    receiver = make_receiver(chain)

    [shown] = get("/api/contracts").json()["results"]

    assert (shown["id"], shown["kind"]) == (receiver.pk, "FlashLoanReceiver")
    assert (shown["drift"], shown["observed"], shown["observedAt"]) == (None, None, None)
    assert shown["desired"]["owner"] == receiver.owner
    assert get(f"/api/contracts/{receiver.pk}").json() == shown


@pytest.mark.parametrize(
    "path",
    ["/api/wallets/999", "/api/wallets/99999999999999999999", "/api/contracts/999",
     "/api/wallets/requests/999", "/api/wallets/999/balances"],
)  # fmt: skip
def test_what_is_not_there_is_a_404(chain, path):
    assert get(path).status_code == 404


# --- asking ---------------------------------------------------------------------------------------


def test_a_wish_is_a_row_with_its_audit_and_its_wake_up(chain):
    answer = post("/api/wallets/generate", {"chain": "local", "role": "executor", "label": "Mine"})

    assert answer.status_code == 202
    row = Request.objects.get()
    assert (row.kind, row.args) == ("generate", {"role": "executor", "label": "Mine"})
    told = get(f"/api/wallets/requests/{row.pk}").json()
    assert (told["state"], told["url"]) == ("queued", f"/api/wallets/requests/{row.pk}")
    assert answer.json() == told
    assert Wakeup.objects.get().argument == str(row.pk)
    event = AuditEvent.objects.get()
    assert (event.verb, event.after["request"]) == ("request.generate", row.pk)
    assert not Wallet.objects.exists()
    assert not Transaction.objects.exists()


@threaded
def test_a_made_wallet_is_answered_whole(chain):
    wallet = make_wallet(chain)
    with worker(generate={"walletId": wallet.pk}):
        answer = post("/api/wallets/generate", {"chain": "local", "role": "executor"})

    assert answer.status_code == 201
    assert (answer.json()["id"], answer.json()["address"]) == (wallet.pk, wallet.address)


def test_the_same_key_gives_the_first_answer_and_one_request(chain):
    by, body = client(), {"chain": "local", "role": "executor"}
    first, second = (post("/api/wallets/generate", body, by=by, key="one") for _ in range(2))

    assert first.json() == second.json()
    assert Request.objects.count() == 1


@threaded
def test_a_refusal_comes_back_with_its_reason(chain):
    wallet, _ = make_wallet(chain), make_receiver(chain)
    with worker(authorize="its role is watch"):
        answer = post(f"/api/wallets/{wallet.pk}/authorize")

    assert answer.status_code == 409
    assert answer.json()["detail"] == "its role is watch"
    assert answer.json()["requestId"] == Request.objects.get().pk


def test_a_second_click_is_told_which_request_does_it_already(chain):
    receiver = make_receiver(chain)
    first = post(f"/api/contracts/{receiver.pk}/pause")
    second = post(f"/api/contracts/{receiver.pk}/pause")

    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["requestId"] == first.json()["id"]
    assert Request.objects.count() == 1


@threaded
def test_ten_clicks_at_one_moment_make_one_request(chain):
    receiver, codes = make_receiver(chain), []

    def click():
        codes.append(post(f"/api/contracts/{receiver.pk}/pause").status_code)
        connection.close()

    clicks = [threading.Thread(target=click) for _ in range(10)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()

    assert sorted(codes) == [202] + [409] * 9
    assert Request.objects.count() == 1


def test_a_contract_is_named_by_address_by_id_or_not_at_all(chain):
    wallet, receiver = make_wallet(chain), make_receiver(chain)
    for said in (receiver.address, receiver.address.lower(), receiver.pk, str(receiver.pk), None):
        body = {} if said is None else {"contract": said}
        assert post(f"/api/wallets/{wallet.pk}/authorize", body).status_code == 202
        assert Request.objects.get().deployment == receiver
        Request.objects.all().delete()
    answer = post(f"/api/wallets/{wallet.pk}/authorize", {"contract": wallet.address})
    assert answer.status_code == 400
    assert "contract" in answer.json()["errors"]


@threaded
@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/api/wallets/{wallet}/authorize", False),
        ("/api/wallets/{wallet}/fund", False),
        ("/api/wallets/auto-fund", False),
        ("/api/contracts/{receiver}/unpause", False),
        ("/api/contracts/{receiver}/sweep", False),
        ("/api/contracts/{receiver}/mend", False),
        ("/api/contracts/{receiver}/replace", False),
        ("/api/contracts/{receiver}/limits", False),
        ("/api/contracts/deploy", False),
        ("/api/contracts/{receiver}/pause", True),
        ("/api/wallets/{wallet}/revoke", True),
        ("/api/wallets/{wallet}/expose", True),
        ("/api/wallets/{wallet}/move-away", True),
        ("/api/wallets/refresh", True),
    ],
)
def test_the_kill_switch_stops_what_sends_and_lets_pause_and_revoke_pass(chain, path, passes):
    wallet, receiver = make_wallet(chain), make_receiver(chain)
    token = Token.objects.create(
        chain=chain, address=address(9), symbol="T", decimals=18, lendable=True
    )
    kill.kill_engage(reason="a drill", scope="local")
    body = {"chain": "local"} if path.endswith(("auto-fund", "deploy", "refresh")) else {}
    body |= {"amountWei": "1"} if path.endswith("}/fund") else {}
    body |= {"reason": "pasted"} if path.endswith("expose") else {}
    body |= {"minProfit": {token.address: "5"}} if path.endswith("limits") else {}

    answer = post(path.format(wallet=wallet.pk, receiver=receiver.pk), body)

    assert answer.status_code == (202 if passes else 409)
    assert passes or answer.json()["reason"] == "killed"
    assert Request.objects.exists() == passes


# --- input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "god"}, "role"),
        ({"role": ["executor"]}, "role"),
        ({"role": "executor", "address": "0x" + "0" * 40}, "address"),
        ({"role": "executor", "address": 7}, "address"),
        ({"role": "executor", "label": "x" * 61}, "label"),
        ({"role": "executor", "chain": "nowhere"}, "chain"),
        ({"role": "executor", "index": 1}, "index"),
        ({}, "role"),
    ],
)
def test_a_bad_wish_names_its_field(chain, body, field):
    answer = post("/api/wallets/generate", {"chain": "local", **body})

    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Request.objects.exists()


def test_hostile_marks_in_a_label_are_refused(chain):
    body = {"chain": "local", "role": "executor", "label": EVIL}
    assert post("/api/wallets/generate", body).status_code == 400


@pytest.mark.parametrize("said", ["0", "-1", "01", "1.5", 5, "٣", "9" * 79, None, {}])
def test_an_amount_is_a_plain_whole_number_above_zero(chain, said):
    answer = post(f"/api/wallets/{make_wallet(chain).pk}/fund", {"amountWei": said})

    assert answer.status_code == 400
    assert "amountWei" in answer.json()["errors"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"minProfit": {}},
        {"minProfit": {"0x" + "0" * 39 + "9": "0"}},
        {"minProfit": {"0x" + "0" * 38 + "99": "5"}},
        {"minProfit": {"nobody": "5"}},
        {"minProfit": [1]},
        {"minProfit": {"0x" + "0" * 39 + "9": 5}},
        {"treasury": "0x1111111111111111111111111111111111111111"},
        {"tipRecipient": "0x1111111111111111111111111111111111111111"},
    ],
)
def test_limits_of_zero_of_nobody_or_to_a_strangers_treasury_are_refused(chain, body):
    Token.objects.create(chain=chain, address=address(9), symbol="T", decimals=18, lendable=True)

    answer = post(f"/api/contracts/{make_receiver(chain).pk}/limits", body)

    assert answer.status_code == 400
    assert not Request.objects.exists()


def test_profits_may_go_to_our_own_reserve(chain):
    reserve, receiver = make_wallet(chain, role="gas_reserve"), make_receiver(chain)

    answer = post(f"/api/contracts/{receiver.pk}/limits", {"treasury": reserve.address})

    assert answer.status_code == 202
    assert Request.objects.get().args == {"treasury": reserve.address}


def test_tips_may_go_to_a_builder_of_the_market_file(chain):
    builder = "0x4848489f0b2BEdd788c696e2D79b6b69D7484848"
    relay = {"kind": "bundle", "name": "one", "url": "https://x", "tipRecipient": builder}
    Chain.objects.filter(pk=chain.pk).update(relays=[relay])

    answer = post(
        f"/api/contracts/{make_receiver(chain).pk}/limits", {"tipRecipient": builder.lower()}
    )

    assert answer.status_code == 202
    assert Request.objects.get().args == {"tipRecipient": builder}


def test_a_router_has_nothing_to_pause(chain):
    router = Deployment.objects.create(
        chain=chain, kind="router", address=address(5), code_hash="0x" + "ab" * 32
    )
    assert post(f"/api/contracts/{router.pk}/pause").status_code == 409


# --- the second factor ----------------------------------------------------------------------------


def test_where_money_is_real_dangerous_acts_ask_again_and_stopping_does_not(mainnet):
    wallet, receiver = make_wallet(mainnet), make_receiver(mainnet)
    by = client()

    def asked(path, body=None):
        answer = post(path, body, by=by)
        return answer.status_code == 403 and answer.json()["code"] == "reauthentication_required"

    assert asked("/api/wallets/generate", {"chain": "bsc", "role": "executor"})
    assert asked(f"/api/wallets/{wallet.pk}/authorize")
    assert asked(f"/api/wallets/{wallet.pk}/fund", {"amountWei": "1"})
    assert asked("/api/wallets/auto-fund", {"chain": "bsc"})
    assert asked(f"/api/wallets/{wallet.pk}/retire", {"reason": "old"})
    for verb in ("unpause", "sweep", "mend", "replace"):
        assert asked(f"/api/contracts/{receiver.pk}/{verb}")
    assert asked("/api/contracts/deploy", {"chain": "bsc"})
    assert not Request.objects.exists()

    assert not asked(f"/api/contracts/{receiver.pk}/pause")
    assert not asked(f"/api/wallets/{wallet.pk}/revoke")
    assert not asked(f"/api/wallets/{wallet.pk}/expose", {"reason": "pasted"})
    assert not asked(f"/api/wallets/{wallet.pk}/move-away")
    assert not asked("/api/wallets/refresh", {"chain": "bsc"})


def test_a_master_with_a_key_is_only_for_local_chains(mainnet):
    answer = post("/api/wallets/generate", {"chain": "bsc", "role": "master"})
    assert answer.status_code == 400
    assert "watch-only" in answer.json()["detail"]


# --- gas money, tokens, retirement ----------------------------------------------------------------


def test_the_plan_of_a_funding_run_is_shown_and_nothing_is_asked(chain):
    wallet, reserve = make_wallet(chain), make_wallet(chain, 2, role="gas_reserve")
    balance(wallet, 1)
    balance(reserve, 100 * ONE)

    answer = post("/api/wallets/auto-fund", {"chain": "local", "dryRun": True})

    assert answer.status_code == 200
    [planned] = answer.json()["plan"]
    assert (planned["wallet"], planned["from"]) == (wallet.address, reserve.address)
    assert planned["funds"] is True
    assert int(answer.json()["totalWei"]) == int(planned["amountWei"]) > 0
    assert not Request.objects.exists()


def test_monitoring_is_started_and_stopped_by_an_operator(chain):
    by = client("operator")
    body = {"chain": "local", "intervalS": 30}
    assert post("/api/wallets/monitoring/start", body, by=by).json()["intervalS"] == 30
    stopped = post("/api/wallets/monitoring/stop", {"chain": "local"}, by=by)
    assert stopped.json()["running"] is False
    assert get("/api/wallets/monitoring/status?chain=local").json()["running"] is False
    assert BalanceMonitor.objects.get().interval_s == 30
    for bad in (1, 10**9, "30", True):
        body = {"chain": "local", "intervalS": bad}
        assert post("/api/wallets/monitoring/start", body, by=by).status_code == 400


def test_a_denied_token_is_for_the_watcher_to_take_and_may_come_back(chain):
    token = Token.objects.create(chain=chain, address=address(9), symbol="T", decimals=18)
    pair = Pair.objects.create(chain=chain, base=token, quote=token, name="T/T")
    before = chain.registry_revision

    assert post(f"/api/tokens/{token.pk}/deny").json()["denied"] is True
    assert post(f"/api/pairs/{pair.pk}/deny").json()["denied"] is True
    assert Chain.objects.get(pk="local").registry_revision == before + 2
    assert get("/api/tokens?chain=local").json()["results"][0]["denied"] is True
    assert get("/api/pairs").json()["results"][0]["pair"] == "T/T"

    assert post(f"/api/tokens/{token.pk}/allow").json()["denied"] is False
    assert post(f"/api/pairs/{pair.pk}/allow").json()["denied"] is False
    assert post("/api/tokens/999/deny").status_code == 404
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["token_deny", "pair_deny", "token_allow", "pair_allow"]


def test_allowing_again_asks_for_the_second_factor_and_denying_does_not(mainnet):
    token = Token.objects.create(chain=mainnet, address=address(9), symbol="T", decimals=18)
    assert post(f"/api/tokens/{token.pk}/deny").status_code == 200
    assert post(f"/api/tokens/{token.pk}/allow").status_code == 403


def test_a_wallet_retires_once_nothing_hangs_on_it(chain):
    wallet, receiver = make_wallet(chain), make_receiver(chain)
    make_wallet(chain, 2, role="gas_reserve")
    row = Assignment.objects.create(
        wallet=wallet, deployment=receiver, authorized_at=timezone.now()
    )
    path = f"/api/wallets/{wallet.pk}/retire"
    assert "revoke that first" in post(path, {"reason": "old"}).json()["detail"]
    Assignment.objects.filter(pk=row.pk).update(authorized_at=None)

    answer = post(path, {"reason": "old"})

    assert (answer.status_code, answer.json()["state"]) == (200, "retired")
    assert "retired already" in post(path, {"reason": "old"}).json()["detail"]
    event = AuditEvent.objects.get(verb="wallet.retire")
    assert event.after == {"state": "retired", "reason": "old"}


def test_the_only_gas_reserve_does_not_retire(chain):
    reserve = make_wallet(chain, role="gas_reserve")
    answer = post(f"/api/wallets/{reserve.pk}/retire", {"reason": "old"})
    assert (answer.status_code, Wallet.objects.get().state) == (409, "active")


# --- keys that others may know --------------------------------------------------------------------


def test_what_was_found_out_about_a_key_is_asked_for_with_its_reason(chain):
    wallet = make_wallet(chain)

    answer = post(f"/api/wallets/{wallet.pk}/expose", {"reason": "pasted into a chat"})

    assert answer.status_code == 202
    row = Request.objects.get()
    assert (row.kind, row.wallet, row.args) == ("expose", wallet, {"reason": "pasted into a chat"})
    assert Wallet.objects.get().state == "active"  # a worker's to change


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 201}])
def test_an_exposure_without_a_reason_is_refused(chain, body):
    answer = post(f"/api/wallets/{make_wallet(chain).pk}/expose", body)

    assert answer.status_code == 400
    assert "reason" in answer.json()["errors"]
    assert not Request.objects.exists()


@threaded
def test_a_move_answers_with_what_came_of_it_or_with_its_problem(chain):
    wallet = make_wallet(chain, state="exposed")
    path = f"/api/wallets/{wallet.pk}/move-away"
    with worker(move_away={"to": address(7), "valueWei": "5"}):
        answer = post(path)
    assert (answer.status_code, answer.json()["to"]) == (201, address(7))

    with worker(move_away="local has no other gas reserve with a safe key"):
        answer = post(path)
    assert (answer.status_code, "no other gas reserve" in answer.json()["detail"]) == (409, True)


def test_a_second_move_of_a_wallet_waits_for_the_first(chain):
    wallet = make_wallet(chain, state="exposed")
    first, second = (post(f"/api/wallets/{wallet.pk}/move-away") for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["requestId"] == first.json()["id"]


def test_moving_away_needs_a_key_and_takes_no_address(chain):
    path = f"/api/wallets/{make_wallet(chain, state='exposed').pk}/move-away"
    bare = client().post(path, {}, format="json")
    assert (bare.status_code, "Idempotency-Key" in bare.json()["errors"]) == (400, True)
    assert post(path, {"to": address(7)}).status_code == 400
    assert not Request.objects.exists()
