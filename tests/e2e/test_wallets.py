"""Wallets and contracts of the whole running product, worked by the API alone."""

import pytest

from tests.e2e.product import Client, Product, rpc, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]
CAP_TRANSFER_WEI = 2 * 10**17  # a chain's limit of one transfer, as it begins


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    it = Product(tmp_path_factory.mktemp("wallets") / "data", more={"ARB_LOCAL_SEED": "31"})
    it.start(within_s=240)
    yield it
    status = it.stop()
    it.kill()
    assert status == 0


@pytest.fixture(scope="module")
def admin(own):
    signed_in = Client(own.url)
    signed_in.sign_in("admin", own.password)
    return signed_in


def done(client, path, body=None):
    """Ask, and follow what takes longer than the answer waits."""
    status, answer = client.post(path, body)
    assert status in (201, 202), answer
    if status == 201:
        return answer

    def ended():
        row = client.get(answer["url"])
        assert row["state"] != "refused" or pytest.fail(row["problem"])
        return row["state"] == "done" and row

    return wait_for(path, ended, within_s=60)["result"]


def wallet(client, pk):
    return client.get(f"/api/wallets/{pk}")


def receiver(client):
    rows = client.get("/api/contracts")["results"]
    return next(row for row in rows if row["kind"] == "FlashLoanReceiver")


def test_a_new_executor_is_made_funded_authorised_and_sent_home_again(admin, own):
    made = done(admin, "/api/wallets/generate", {"role": "executor", "label": "Second"})
    pk = made.get("walletId") or made["id"]
    node = own.market()["chain"]["rpcHttp"][0]

    done(admin, f"/api/wallets/{pk}/fund", {"amountWei": str(10**17)})
    wait_for(
        "the money",
        lambda: int(rpc(node, "eth_getBalance", made["address"], "latest"), 16) >= 10**17,
        within_s=30,
    )
    wait_for("its balance", lambda: int(wallet(admin, pk)["balanceWei"] or 0), within_s=60)
    wait_for(
        "a confirmed funding",
        lambda: wallet(admin, pk)["fundings"][0]["status"] == "confirmed",
        within_s=60,
    )
    assert wallet(admin, pk)["lastFundedAt"]

    right = done(admin, f"/api/wallets/{pk}/authorize", {"contract": receiver(admin)["address"]})
    assert right["state"] == "authorized"
    status, answer = admin.post(f"/api/wallets/{pk}/retire", {"reason": "too soon"})
    assert (status, "revoke" in answer["detail"]) == (409, True)
    assert done(admin, f"/api/wallets/{pk}/revoke")["state"] == "revoked"
    status, answer = admin.post(f"/api/wallets/{pk}/retire", {"reason": "seen enough"})
    assert (status, answer["state"]) == (200, "retired"), answer


def test_a_contract_is_read_paused_and_goes_on(admin):
    def read_without_drift():
        row = receiver(admin)  # what was asked before may still be on its way to the chain
        return row["observedAt"] and row["drift"] == [] and row

    row = wait_for("a reading without drift", read_without_drift, within_s=120)
    assert (row["codeHash"]["matches"], row["paused"]) == (True, False)

    assert done(admin, f"/api/contracts/{row['id']}/pause")["paused"] is True
    assert done(admin, f"/api/contracts/{row['id']}/unpause")["paused"] is False


def test_profits_are_swept_to_the_treasury(admin):
    wait_for(
        "a profit",
        lambda: [
            row
            for row in admin.get("/api/executions?kind=arbitrage")["results"]
            if row["status"] == "confirmed"
        ],
        within_s=120,
    )
    swept = done(admin, f"/api/contracts/{receiver(admin)['id']}/sweep")
    assert swept["tokens"]
    assert swept["treasury"] == receiver(admin)["desired"]["treasury"]


def test_a_drained_executor_is_topped_up_once_by_the_schedule_alone(admin, own):
    """Its balance is set on the node: a transfer signed outside would raise its nonce there, which
    rightly freezes the wallet as one whose key another has. Nobody asks for the funding.
    """
    node = own.market()["chain"]["rpcHttp"][0]
    rows = admin.get("/api/wallets?chain=local")["results"]
    executor = next(row for row in rows if row["role"] == "executor" and row["state"] == "active")
    [reserve] = [row["address"] for row in rows if row["role"] == "gas_reserve"]
    fundings = len(executor["fundings"])
    assert not any(one["status"] == "confirmed" for one in executor["fundings"])  # no cooldown

    def held(address, block="latest"):
        return int(rpc(node, "eth_getBalance", address, block), 16)

    def sent():
        return int(rpc(node, "eth_getTransactionCount", reserve, "latest"), 16)

    nonce, before = sent(), held(reserve)
    threshold = int(executor["thresholdWei"])
    rpc(node, "anvil_setBalance", executor["address"], hex(threshold // 5))

    def topped_up():
        newest = wallet(admin, executor["id"])["fundings"]
        return len(newest) > fundings and newest[0]["status"] == "confirmed" and newest[0]

    made = wait_for("a confirmed top-up", topped_up, within_s=180)

    amount = int(made["amountWei"])
    assert (made["by"], made["from"]) == ("automatic", reserve)
    assert 0 < amount <= CAP_TRANSFER_WEI
    receipt = rpc(node, "eth_getTransactionReceipt", made["txHash"])
    gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert before - held(reserve) == amount + gas
    mined = receipt["blockNumber"]
    assert held(executor["address"], mined) >= threshold

    # The schedule goes on; readings after it see a wallet that lacks nothing.
    for _ in range(2):
        seen = wallet(admin, executor["id"])["balanceUpdatedAt"]
        wait_for(
            "another reading",
            lambda seen=seen: wallet(admin, executor["id"])["balanceUpdatedAt"] != seen,
            within_s=120,
        )
    assert len(wallet(admin, executor["id"])["fundings"]) == fundings + 1
    assert sent() == nonce + 1
    assert before - held(reserve) == amount + gas
