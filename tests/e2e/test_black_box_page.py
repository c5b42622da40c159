"""What a person sees in a browser in front of the running product: their button, their own swap."""

import re
import time

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.e2e.product import rpc, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

SWAP = "7ff36ab5"  # swapExactETHForTokens(uint256,address[],address,uint256)
RESERVES = "0x0902f1ac"  # getReserves()
SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
PERSON = "0x00000000000000000000000000000000cafe0001"
# Keeps what the row showed and when, however soon it changed again.
WATCH = """() => {
  const row = document.querySelector('tr[data-id="WBNB/USDT"]');
  const keep = () => window.seen.push([Date.now(), row.querySelector('[data-f="buyDex"]').innerText,
                                       row.querySelector('[data-f="buyPrice"]').innerText]);
  window.seen = [];
  new MutationObserver(keep).observe(row, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def page(product):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = chromium.new_page(base_url=product.url)
        expect.set_options(timeout=20_000)
        page.goto("/")
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(product.password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        yield page
        chromium.close()


def test_an_opportunity_is_executed_with_the_button(page, client, disarmed):
    def pressed():
        for row in client.get("/api/prices/spreads?executable=true")["results"][:1]:
            page.goto(f"/opportunities/{row['id']}/")
            button = page.get_by_role("button", name="Execute")
            if button.is_disabled():
                return None  # it ended on the way here
            button.click()
            toast = page.locator(".toast")
            expect(toast.first).to_be_visible(timeout=10_000)
            said = toast.first.inner_text()
            return (match := re.search(r"Executed: #(\d+) is (\w+)", said)) and match
        return None

    match = wait_for("an execution by button", pressed, within_s=240)

    row = client.get(f"/api/executions/{match[1]}")
    assert (row["requestedBy"], row["automatic"]) == ("admin", False)
    wait_for(
        "its receipt",
        lambda: client.get(f"/api/executions/{match[1]}")["status"] in ("included", "confirmed"),
        within_s=60,
    )


def sold(market):
    """Sells a fiftieth of the pool's WBNB there.

    Returns: when it was seen mined, and a question for the pool's quotes of that block and after:
    others may trade there in the same block, and pages hear of its end.
    """
    node = market["chain"]["rpcHttp"][0]
    native = market["chain"]["wrappedNative"]
    dex = next(dex for dex in market["dexes"] if dex["key"] == "pancakeswap")
    usdt = next(token["address"] for token in market["tokens"] if token["symbol"] == "USDT")
    pair = "0xe6a43905" + "".join(f"{int(token, 16):064x}" for token in (native, usdt))
    pool = "0x" + rpc(node, "eth_call", {"to": dex["factory"], "data": pair}, "latest")[-40:]
    first = int(native, 16) > int(usdt, 16)  # where WBNB stands in the pool
    held = rpc(node, "eth_call", {"to": pool, "data": RESERVES}, "latest")[2:]
    reserve = int(held[64 * first : 64 * first + 64], 16)
    rpc(node, "anvil_setBalance", PERSON, hex(10**27))
    rpc(node, "anvil_impersonateAccount", PERSON)
    words = [1, 128, int(PERSON, 16), 2**63, 2, int(native, 16), int(usdt, 16)]
    sent = rpc(
        node,
        "eth_sendTransaction",
        {
            "from": PERSON,
            "to": dex["router"],
            "value": hex(reserve // 50),
            "data": "0x" + SWAP + "".join(f"{word:064x}" for word in words),
            "gas": hex(400_000),
            "gasPrice": hex(10**10),
        },
    )
    receipt = wait_for(
        "the swap to be mined",
        lambda: rpc(node, "eth_getTransactionReceipt", sent),
        within_s=30,
    )
    mined_at = time.time()
    assert receipt["status"] == "0x1", receipt
    wanted = {"address": pool, "topics": [SYNC], "fromBlock": receipt["blockNumber"]}

    def quotes():
        for log in rpc(node, "eth_getLogs", wanted):
            reserves = int(log["data"][2:66], 16), int(log["data"][66:], 16)
            kept = 10**18 * (10_000 - dex["feeBps"])
            yield kept * reserves[1 - first] // (reserves[first] * 10_000 + kept)

    return mined_at, quotes


def test_a_swap_made_on_chain_is_in_the_page_within_two_seconds(page, product, client):
    page.goto("/prices/")
    expect(page.locator("#link-word")).to_have_text("Live")
    page.evaluate(WATCH)

    mined_at, quotes = sold(product.market())

    def shown():
        known = list(quotes())
        for at_ms, dex, price in page.evaluate("window.seen"):
            number = float(re.sub(r"[^\d.]", "", price) or 0)
            if "Pancake" in dex and any(
                abs(number * 10**18 - quote) <= quote / 10_000 for quote in known
            ):
                return at_ms / 1000
        return None

    try:
        seen_at = wait_for("the price in the page", shown, within_s=30)
    except (AssertionError, Error) as error:
        raise AssertionError(
            f"{error}; wanted one of {list(quotes())}: {page.evaluate('seen')}"
        ) from None
    assert seen_at - mined_at <= 2
    # What the swap left to earn is taken before other tests look at this market.

    def left():
        rows = client.get("/api/prices/spreads?executable=true")["results"]
        return [row for row in rows if row["pair"] == "WBNB/USDT"]

    wait_for("calm", lambda: not left(), within_s=60)
