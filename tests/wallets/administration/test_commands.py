"""The commands as an operator types them, on a chain that mines by itself."""

import io
import json
import threading
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from arbsite.base.units import Wei
from contracts.kernel.abi import encode_call
from contracts.localchain.chain import Sending
from contracts.localchain.harness import LocalMarket
from contracts.models import Chain, Deployment, Pool
from execution.models import Execution
from tests.wallets.administration.conftest import funded
from wallets import adapters
from wallets.models import Assignment, Transaction, Wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SOMEONE = "0x1111111111111111111111111111111111111111"


def run(name: str, **options: object) -> str:
    out = io.StringIO()
    call_command(name, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


@pytest.fixture
def mining(market: LocalMarket) -> Iterator[None]:
    """Blocks come by themselves while a command waits."""
    over = threading.Event()

    def mine() -> None:
        while not over.wait(0.25):
            market.driver.step()

    miner = threading.Thread(target=mine)
    miner.start()
    yield
    over.set()
    miner.join()


@pytest.fixture
def wallets(chain: Chain, market: LocalMarket) -> Iterator[list[Wallet]]:
    """A funded reserve and executor of the commands' own keystore."""
    for role in ("gas_reserve", "executor"):
        run("create_wallet", chain="local", role=role)
    yield [funded(wallet, market) for wallet in Wallet.objects.order_by("id")]
    adapters.sender(chain).close()  # the process's own, kept for its next command


def test_from_wallets_to_a_settled_arbitrage_with_commands_alone(chain, market, wallets, mining):
    deployed = json.loads(run("deploy_contracts", chain="local", json=True))
    assert deployed["drift"] == []
    assert {row["kind"] for row in deployed["contracts"]} == {"FlashLoanReceiver", "MultiDexRouter"}
    assert all(row["txHash"] for row in deployed["contracts"])

    said = run("authorize_executor", chain="local", wallet=str(wallets[1].pk))
    assert f"{wallets[1].address} may execute on" in said
    again = run("authorize_executor", chain="local", wallet=wallets[1].address)
    assert "as it was already" in again

    loan = json.loads(run("test_flash_loan", chain="local", token="USDC", json=True))
    assert loan["lender"]["flags"] == {
        "active": True,
        "frozen": False,
        "borrowing": loan["lender"]["flags"]["borrowing"],
        "paused": False,
        "flashLoan": True,
    }
    assert loan["lender"]["premiumBps"] == 5
    assert loan["contract"]["minProfit"] == str(5 * 10**4)
    assert loan["revert"]["name"] == "ProfitTooLow"
    assert sum(int(step["amount"]) for step in loan["steps"]) == int(loan["result"]) < 0
    borrowed, back = int(loan["borrowAmount"]), int(loan["backAmount"])
    premium = -int(loan["steps"][3]["amount"])
    assert int(loan["result"]) == back - borrowed - premium

    chain.tokens.update(risk="proven")
    Pool.objects.update(fee_proven_at="2026-01-01T00:00:00Z")
    with pytest.raises(CommandError, match="try again in a moment"):
        run("execute_arbitrage", chain="local", dry_run=True)
    _plant_a_spread(market)

    rehearsed = json.loads(run("execute_arbitrage", chain="local", dry_run=True, json=True))
    assert rehearsed["ok"] is True
    assert not Execution.objects.exists()

    executed = json.loads(run("execute_arbitrage", chain="local", json=True))
    assert executed["status"] in ("included", "confirmed")
    assert int(executed["realizedProfit"]) > 0
    row = Execution.objects.get()
    assert (row.pk, row.automatic) == (executed["id"], False)


def test_a_loan_is_explained_before_anything_is_deployed(chain):
    said = run("test_flash_loan", chain="local")

    assert "WBNB on local at block" in said
    assert "flash_loan_premium" in said
    assert "not simulated: not deployed: `deploy_contracts --chain local`" in said


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("deploy_contracts", {"chain": "nowhere"}, "chain 'nowhere' is not registered"),
        ("deploy_contracts", {"chain": "local"}, "no active gas reserve wallet"),
        ("deploy_contracts", {"chain": "local", "owner": "0x12"}, "--owner: '0x12' is not an"),
        ("deploy_contracts", {"chain": "local", "adopt": "0x" + "0" * 40}, "--adopt: the zero"),
        ("deploy_contracts", {"chain": "local", "adopt": SOMEONE}, "there is no code"),
        ("authorize_executor", {"chain": "local", "wallet": "77"}, "local has no wallet '77'"),
        ("test_flash_loan", {"chain": "local", "token": "NOPE"}, "has no token 'NOPE'"),
        ("test_flash_loan", {"chain": "local", "token": "CAKE"}, "no reserve of CAKE"),
        ("execute_arbitrage", {"chain": "local", "opportunity": 5}, "has no opportunity 5"),
    ],
)
def test_a_bad_argument_gives_one_line(chain, name, options, line):
    with pytest.raises(CommandError) as refused:
        run(name, **options)

    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Transaction.objects.exists()
    assert not Deployment.objects.exists()


def test_a_watch_only_wallet_is_not_authorised(chain, wallets, mining):
    run("deploy_contracts", chain="local")
    Wallet.objects.create(chain=chain, role="executor", address=SOMEONE, source="watch")

    with pytest.raises(CommandError, match="watch-only"):
        run("authorize_executor", chain="local", wallet=SOMEONE)

    assert not Assignment.objects.exists()


def _plant_a_spread(market: LocalMarket) -> None:
    """A large sale in one pool, as a stranger would make it."""
    known = market.market
    wbnb, usdt = known.token("WBNB").address, known.token("USDT").address
    dex = known.dex("pancakeswap")
    pool = next(p for p in known.pools if p.dex == dex.key and {p.token0, p.token1} == {wbnb, usdt})
    reserve = pool.first_reserve0 if pool.token0 == wbnb else pool.first_reserve1
    data = encode_call(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        reserve // 50, 0, [wbnb, usdt], dex.traders[0], 2**256 - 1,
    )  # fmt: skip
    sale = Sending(
        sender=dex.traders[0],
        to=dex.router,
        data=data,
        gas=250_000,
        gas_price=Wei(10**9),
    )
    (sent,) = market.chain.send([sale])
    for _ in range(100):
        receipt = market.rpc.call("eth_getTransactionReceipt", [sent])
        if receipt:
            assert receipt["status"] == "0x1"
            return
        threading.Event().wait(0.05)
    pytest.fail("the sale was not mined")
