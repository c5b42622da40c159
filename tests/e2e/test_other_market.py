"""A second local chain of another make beside the first: imported, deployed on, traded on."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.other_market.market import OtherMarket, build
from tests.e2e.other_market.node import Node
from tests.e2e.product import PYTHON, ROOT, Client, Product, environment, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@dataclass
class Other:
    """The second chain under the running product, ready to trade."""

    market: OtherMarket
    executor: str
    receiver: str


def managed(product: Product, *words: str) -> dict:
    """A command's JSON; its error text where it fails."""
    done = product.manage(*words, "--json", within_s=120)
    assert done.returncode == 0, f"{words}: {done.stderr[-800:]}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def product(tmp_path_factory) -> Iterator[Product]:
    """A product of this module's own: with a second chain, every call must name its chain."""
    it = Product(tmp_path_factory.mktemp("two-chains") / "data", more={"ARB_LOCAL_SEED": "31415"})
    it.start()
    yield it
    try:
        status = it.stop()
    finally:
        it.kill()
    assert status == 0, "\n".join(it.lines[-20:])


@pytest.fixture(scope="module")
def client(product: Product) -> Client:
    signed_in = Client(product.url)
    signed_in.sign_in("admin", product.password)
    return signed_in


@pytest.fixture(scope="module")
def other(product: Product, tmp_path_factory) -> Iterator[Other]:
    with Node() as node:
        market = build(node)
        node.ask("evm_setAutomine", False)
        node.ask("evm_setIntervalMining", 1)
        file = tmp_path_factory.mktemp("other") / "market.json"
        file.write_text(json.dumps(market.file()))
        report = managed(product, "import_market", str(file))
        assert (report["pools"], report["tokens"], report["dexes"]) == (19, 5, 4)
        wallets = {
            role: managed(product, "create_wallet", "--chain", "other", "--role", role)["address"]
            for role in ("gas_reserve", "executor")
        }
        for address in wallets.values():
            node.ask("anvil_setBalance", address, hex(50 * 10**18))
        deployed = managed(product, "deploy_contracts", "--chain", "other")
        managed(product, "authorize_executor", "--chain", "other", "--wallet", wallets["executor"])
        receiver = next(c for c in deployed["contracts"] if c["kind"] == "FlashLoanReceiver")
        with engine(product):
            yield Other(market, wallets["executor"], receiver["address"])


class engine:
    """`run_engine --chain other` beside the product's own."""

    def __init__(self, product: Product) -> None:
        self.product = product

    def __enter__(self) -> None:
        log = self.product.data_dir / "other-engine.log"
        with log.open("w") as said:
            self.process = subprocess.Popen(
                [PYTHON, "manage.py", "run_engine", "--chain", "other"],
                cwd=ROOT, env=environment(self.product.data_dir), stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(15) == 0
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            raise


def settled(client: Client) -> list[dict]:
    return [
        row
        for row in client.get("/api/executions?chain=other")["results"]
        if row["status"] == "confirmed" and row["kind"] == "arbitrage"
    ]


def log_of(product: Product) -> str:
    return (product.data_dir / "other-engine.log").read_text()[-1500:]


def profit_in_logs(receipt: dict, *, token: str, holder: str) -> int:
    """What the transfer logs say the holder gained."""
    gained = 0
    for log in receipt["logs"]:
        if log["address"] == token.lower() and log["topics"][0] == TRANSFER:
            value = int(log["data"], 16)
            gained += value * (int(log["topics"][2], 16) == int(holder, 16))
            gained -= value * (int(log["topics"][1], 16) == int(holder, 16))
    return gained


def test_its_prices_are_followed_beside_the_first_chain_s(other, client, product):
    def both():
        keys = {}
        for chain in ("local", "other"):
            status = client.get(f"/api/prices/status?chain={chain}")
            keys[chain] = status["running"] and status["mode"] == "stream"
        return all(keys.values())

    wait_for("both engines running", both, within_s=40)

    def quoted():
        rows = client.get("/api/prices/live?chain=other")["results"]
        assert len(rows) == 19
        dry = [(row["pair"], row["dex"]) for row in rows if row["quoteOut"] is None]
        return rows if dry == [("ALPHA/WBNB", "harbor")] else None

    rows = wait_for("a quote of every pool but the one without liquidity", quoted, within_s=40)
    assert {row["feeBps"] for row in rows} == {10, 17, 25, 30}

    refused, problem = client.call("GET", "/api/prices/status")
    assert refused == 400
    assert "local, other" in json.dumps(problem)


@pytest.mark.parametrize(
    ("dex", "token_in", "token_out"),
    [("harbor", "WBNB", "USDT"), ("quarry", "USDT6", "WBNB"), ("summit", "BTC", "USDT")],
)
def test_a_spread_that_somebody_makes_is_executed_there(
    dex, token_in, token_out, other, client, product
):
    before = {row["id"] for row in settled(client)}
    other.market.trade(dex, token_in, token_out, 60_000)
    try:
        found = wait_for(
            "an execution on the other chain",
            lambda: [row for row in settled(client) if row["id"] not in before],
            within_s=60,
        )
    except AssertionError:
        raise AssertionError(log_of(product)) from None
    for row in found:
        receipt = other.market.node.ask("eth_getTransactionReceipt", row["txHash"])
        assert receipt["status"] == "0x1"
        assert receipt["from"] == other.executor.lower()
        gained = profit_in_logs(receipt, token=row["borrowToken"], holder=other.receiver)
        assert int(row["realizedProfit"]) == gained > 0
        assert int(row["netProfitWei"]) > 0
