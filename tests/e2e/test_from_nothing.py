"""From an empty database to a funded executor: one command in a shell, then the console alone."""

import json
from collections.abc import Iterator

import pytest
from eth_account import Account
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.other_market.market import build
from tests.e2e.other_market.node import DEPLOYER, Node
from tests.e2e.product import Client, Product, wait_for
from tests.totp import code_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CHAIN = "afar"
CHAIN_ID = 424242
COIN = 10**18
CAP_TRANSFER_WEI = 2 * 10**17  # a chain's limit of one transfer, as it begins
COLD = "0x00000000000000000000000000000000c01dBeeF"
THIEF = "0x0000000000000000000000000000000000baDbad"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A chain of somebody else's with a market, on which nothing of ours stands.

    A block comes with each transaction; by the clock once there is something to wait for.
    """
    with Node(chain_id=CHAIN_ID) as running:
        running.market = build(running)  # type: ignore[attr-defined]
        yield running


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> Iterator[Product]:
    """Nothing is provisioned: no local chain, and with it no wallet, coin or contract."""
    it = Product(
        tmp_path_factory.mktemp("nothing") / "data",
        more={"ARB_LIVE": CHAIN},
        words=("--no-localchain",),
    )
    yield it
    try:
        status = it.stop()
    finally:
        it.kill()
    assert status == 0, "\n".join(it.lines[-20:])


@pytest.fixture(scope="module")
def words(product) -> str:
    """The mnemonic, as it is shown once."""
    made = product.manage("create_keystore", within_s=120)
    assert made.returncode == 0, made.stderr
    [shown] = [line for line in made.stdout.splitlines() if len(line.split()) == 24]
    return shown


@pytest.fixture(scope="module")
def client(product, words, node, tmp_path_factory) -> Client:
    """The running product that knows of the chain, by its market file; signed in to read."""
    product.start(within_s=300)
    file = tmp_path_factory.mktemp("afar") / "market.json"
    market = node.market.file(CHAIN)
    market["chain"]["local"] = False  # its coin counts as money, its keys are of the main seed
    file.write_text(json.dumps(market))
    done = product.manage("import_market", str(file), within_s=180)
    assert done.returncode == 0, done.stderr
    signed_in = Client(product.url)
    signed_in.sign_in("admin", product.password)
    return signed_in


@pytest.fixture(scope="module")
def page(product, client) -> Iterator[Page]:
    """An admin with an authenticator, in a browser."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = chromium.new_page(base_url=product.url)
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto("/accounts/2fa/totp/activate/")
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(product.password)
        page.get_by_role("button", name="Sign in").click()
        page.locator("[name=password]").fill(product.password)  # once more, to set it up
        page.get_by_role("button", name="Confirm").click()
        secret = page.locator("#authenticator_secret").input_value()
        page.locator("[name=code]").fill(code_of(secret))
        page.get_by_role("button", name="Activate").click()
        page.wait_for_url("**/accounts/2fa/recovery-codes/**")
        page.goto("/accounts/2fa/reauthenticate/?next=/wallets/")
        page.locator("[name=code]").fill(code_of(secret))
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("heading", name="Wallets", level=1)).to_be_visible()
        yield page
        chromium.close()


def done(client, kind):
    """What a page asked a worker for, at its end."""

    def ended():
        rows = client.get("/api/wallets/requests")["results"]
        row = next((one for one in rows if one["kind"] == kind), None)
        if row is not None and row["state"] == "refused":
            pytest.fail(f"{kind}: {row['problem']}")
        return row is not None and row["state"] == "done" and row

    return wait_for(kind, ended, within_s=180)


def generate(page, client, role, *, address=""):
    page.goto("/wallets/")
    page.get_by_role("button", name="Generate wallet").click()
    page.locator("#generate-chain").select_option(CHAIN)
    page.locator("#generate-role").select_option(role)
    page.locator("#generate-address").fill(address)
    page.locator("#generate-dialog").get_by_role("button", name="Generate").click()
    made = wait_for(
        f"a wallet of role {role}",
        lambda: client.get(f"/api/wallets?chain={CHAIN}&role={role}")["results"],
        within_s=60,
    )
    return made[0]


def wallet(client, pk):
    return client.get(f"/api/wallets/{pk}")


def held(node, address, block="latest"):
    return int(node.ask("eth_getBalance", address, block), 16)


def pay(node, to, wei):
    """A deposit by hand, from somebody."""
    node.send(to, "0x", value=wei, sender=DEPLOYER)


def test_from_an_empty_database_the_console_alone_leads_to_a_funded_executor(
    page, client, product, node, words
):
    assert client.get("/api/wallets")["results"] == []
    assert client.get(f"/api/contracts?chain={CHAIN}")["results"] == []

    # Wallets of each role.
    master = generate(page, client, "master", address=COLD)
    executor = generate(page, client, "executor")
    reserve = generate(page, client, "gas_reserve")
    assert [one["derivationPath"] for one in (master, executor, reserve)] == [
        None, "m/44'/60'/0'/0/0", "m/44'/60'/1'/0/0",
    ]  # fmt: skip

    # The reserve is funded by hand; the executor has gas of its own, and needs none yet.
    pay(node, executor["address"], COIN)
    pay(node, reserve["address"], 5 * COIN)
    status, _ = client.post("/api/wallets/monitoring/start", {"chain": CHAIN, "intervalS": 5})
    assert status == 200
    for one, wei in ((executor, COIN), (reserve, 5 * COIN)):
        wait_for(
            "its balance",
            lambda one=one, wei=wei: wallet(client, one["id"])["balanceWei"] == str(wei),
            within_s=60,
        )

    # Contracts are deployed and the executor authorised.
    page.goto(f"/contracts/?chain={CHAIN}")
    page.get_by_role("button", name="Deploy contracts").click()
    page.locator("#deploy-dialog").get_by_role("button", name="Deploy").click()
    done(client, "deploy")
    rows = client.get(f"/api/contracts?chain={CHAIN}")["results"]
    receiver = next(row["address"] for row in rows if row["kind"] == "FlashLoanReceiver")
    assert int(node.call(receiver, "treasury()"), 16) == int(COLD, 16)
    assert int(node.call(receiver, "owner()"), 16) == int(reserve["address"], 16)
    page.goto(f"/wallets/{executor['id']}/?tab=assignments")
    page.get_by_role("button", name="Authorise").click()
    page.locator("dialog[open]").get_by_role("button", name="Authorise").click()
    done(client, "authorize")
    assert int(node.call(receiver, "isExecutor(address)", executor["address"]), 16) == 1

    node.ask("evm_setAutomine", False)
    node.ask("evm_setIntervalMining", 1)

    # Somebody with the words drains the executor: its account is frozen, and given nothing.
    stolen = drain(node, words, executor)
    assert stolen > COIN * 9 // 10
    wait_for(
        "the freeze",
        lambda: wallet(client, executor["id"])["state"] == "frozen",
        within_s=60,
    )
    page.goto(f"/wallets/{executor['id']}/?tab=funding")
    expect(page.locator("main")).to_contain_text("frozen")
    assert wallet(client, executor["id"])["fundings"] == []

    # A person looks and lets it go on; then the schedule alone tops it up.
    nonce = int(node.ask("eth_getTransactionCount", reserve["address"], "latest"), 16)
    before = held(node, reserve["address"])
    thawed = product.manage(
        "unfreeze", "--chain", CHAIN, "--wallet", executor["address"], "it was me", within_s=120
    )
    assert thawed.returncode == 0, thawed.stderr
    made = wait_for(
        "a confirmed top-up",
        lambda: next(
            (
                one
                for one in wallet(client, executor["id"])["fundings"]
                if one["status"] == "confirmed"
            ),
            None,
        ),
        within_s=120,
    )

    def spent():
        receipt = node.ask("eth_getTransactionReceipt", made["txHash"])
        gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        return before - held(node, reserve["address"]) == int(made["amountWei"]) + gas

    assert (made["by"], made["from"]) == ("automatic", reserve["address"])
    assert 0 < int(made["amountWei"]) <= CAP_TRANSFER_WEI
    assert held(node, executor["address"]) >= int(executor["thresholdWei"])
    assert spent()
    for _ in range(2):  # and once
        seen = wallet(client, executor["id"])["balanceUpdatedAt"]
        wait_for(
            "another reading",
            lambda seen=seen: wallet(client, executor["id"])["balanceUpdatedAt"] != seen,
            within_s=60,
        )
    assert len(wallet(client, executor["id"])["fundings"]) == 1
    assert int(node.ask("eth_getTransactionCount", reserve["address"], "latest"), 16) == nonce + 1
    assert spent()


def drain(node, words, executor):
    """A transfer signed outside the product, with the key that the words give. What it took."""
    Account.enable_unaudited_hdwallet_features()
    key = Account.from_mnemonic(words, account_path=executor["derivationPath"])
    assert key.address == executor["address"]
    value = held(node, key.address) - COIN // 100
    signed = key.sign_transaction(
        {
            "nonce": 0, "to": THIEF, "value": value, "gas": 21_000, "gasPrice": 20 * 10**9,
            "chainId": CHAIN_ID,
        }
    )  # fmt: skip
    sent = node.ask("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
    wait_for("the theft", lambda: node.ask("eth_getTransactionReceipt", sent), within_s=60)
    return value
