"""The market as it stands on a node: real fees, routers, lender, and its market file."""

import pytest
from eth_abi import decode

from contracts.kernel import market_file
from contracts.kernel.abi import encode_call, selector
from contracts.kernel.jsonrpc import RpcError
from contracts.localchain.chain import Sending, account
from contracts.localchain.deploy import BUILDER
from contracts.localchain.faucet import NotLocal, faucet
from contracts.localchain.harness import local_market
from contracts.rpc import HttpRpc

pytestmark = pytest.mark.e2e
DEXES = ["pancakeswap", "biswap", "apeswap", "mdex", "babyswap"]
TRUE_FOR_EVER = "0x600160005260206000f3"


def output(pool, amount_in, fee_bps):
    kept = amount_in * (10_000 - fee_bps)
    return kept * pool.first_reserve1 // (pool.first_reserve0 * 10_000 + kept)


def view(live, to, signature, *args, types=("uint256",)):
    return decode(types, live.rpc.eth_call(to=to, data=encode_call(signature, *args)))


def mined(live, *, sender, to, data):
    live.chain.forget_nonces()
    price = live.market.min_gas_price_wei
    live.chain.send([Sending(sender=sender, to=to, data=data, gas=900_000, gas_price=price)])
    receipts = live.chain.receipts(live.chain.mine())
    assert [receipt["status"] for receipt in receipts] == ["0x1"]
    return receipts[0]


def first_pool(live, dex):
    return next(pool for pool in live.market.pools if pool.dex == dex)


def test_the_same_seed_builds_the_same_market(quiet):
    with local_market(seed=11, traders=False, rival=False) as twin:
        assert twin.market == quiet.market
        for pool in twin.market.pools[::9]:
            found = view(twin, pool.address, "getReserves()", types=("uint112", "uint112"))
            assert found == (pool.first_reserve0, pool.first_reserve1)


@pytest.mark.parametrize("dex", DEXES)
def test_a_pair_gives_the_computed_output_and_not_one_unit_more(quiet, dex):
    pool, fee_bps = first_pool(quiet, dex), quiet.market.dex(dex).fee_bps
    amount_in = pool.first_reserve0 // 997
    trader = quiet.market.dex(dex).traders[0]
    mined(
        quiet,
        sender=trader,
        to=pool.token0,
        data=encode_call("transfer(address,uint256)", pool.address, amount_in),
    )

    swap = "swap(uint256,uint256,address,bytes)"
    out = output(pool, amount_in, fee_bps)
    with pytest.raises(RpcError):
        quiet.rpc.eth_call(to=pool.address, data=encode_call(swap, 0, out + 1, trader, b""))
    quiet.rpc.eth_call(to=pool.address, data=encode_call(swap, 0, out, trader, b""))

    mined(
        quiet, sender=trader, to=pool.address, data=encode_call("skim(address)", trader)
    )  # leave it as it was


@pytest.mark.parametrize("dex", DEXES)
def test_a_router_quotes_what_its_pairs_give(quiet, dex):
    pool, terms = first_pool(quiet, dex), quiet.market.dex(dex)
    amount_in = pool.first_reserve0 // 12_345
    signature = "getAmountsOut(uint256,address[])"
    path = [pool.token0, pool.token1]

    ((asked, got),) = view(quiet, terms.router, signature, amount_in, path, types=("uint256[]",))

    assert (asked, got) == (amount_in, output(pool, amount_in, terms.fee_bps))
    back = view(
        quiet, terms.router, "getAmountsIn(uint256,address[])", got, path, types=("uint256[]",)
    )[0][0]
    assert back <= amount_in
    assert output(pool, back, terms.fee_bps) >= got


@pytest.mark.parametrize("dex", ["pancakeswap", "biswap", "apeswap"])
def test_a_fork_calls_back_by_its_own_name(quiet, dex):
    terms = quiet.market.dex(dex)
    found = view(quiet, first_pool(quiet, dex).address, "callback()", types=("bytes4",))[0]

    assert found == selector(f"{terms.callback}(address,uint256,uint256,bytes)")


@pytest.mark.parametrize("symbol", ["WBNB", "USDT", "BUSD", "USDC", "ETH", "BTCB"])
def test_a_flash_loan_costs_five_bps_rounded_half_up(quiet, symbol):
    token = quiet.market.token(symbol).address
    borrower = account(f"borrower of {symbol}")
    amount = 123_456_789 if symbol == "USDC" else 10**15 + 999
    premium = (amount * 5 + 5_000) // 10_000
    quiet.chain.open_accounts([borrower], balance_wei=10**20)
    approve = encode_call("approve(address,uint256)", quiet.market.aave_pool, amount + premium)
    mined(quiet, sender=borrower, to=token, data=approve)
    giver = quiet.market.rival_contract
    quiet.chain.open_accounts([giver], balance_wei=10**20)
    pay = encode_call("transfer(address,uint256)", borrower, premium)
    mined(quiet, sender=giver, to=token, data=pay)
    quiet.rpc.call("anvil_setCode", [borrower, TRUE_FOR_EVER])

    loan = encode_call(
        "flashLoanSimple(address,address,uint256,bytes,uint16)", borrower, token, amount, b"", 0
    )
    receipt = mined(quiet, sender=BUILDER, to=quiet.market.aave_pool, data=loan)

    assert view(quiet, token, "balanceOf(address)", borrower) == (0,)
    moved = [
        int(log["data"], 16)
        for log in receipt["logs"]
        if log["address"].lower() == token.lower() and len(log["data"]) == 66
    ]
    assert moved[0] == amount
    assert amount + premium in moved
    assert view(quiet, quiet.market.aave_pool, "FLASHLOAN_PREMIUM_TOTAL()") == (5,)


def test_the_wrapped_coin_names_itself_and_the_usd_coin_has_6_decimals(quiet):
    wrapped = quiet.market.wrapped_native
    assert view(quiet, wrapped, "name()", types=("string",)) == ("Wrapped BNB",)
    assert view(quiet, wrapped, "symbol()", types=("string",)) == ("WBNB",)
    assert view(quiet, quiet.market.token("USDC").address, "decimals()") == (6,)
    assert view(quiet, quiet.market.token("DOGE").address, "decimals()") == (8,)


def test_multicall_answers_with_failures_in_their_places(quiet):
    token = quiet.market.token("CAKE").address
    calls = [
        (token, True, encode_call("decimals()")),
        (token, True, encode_call("nothing()")),
        (quiet.market.multicall, False, encode_call("getBlockNumber()")),
    ]
    signature = "aggregate3((address,bool,bytes)[])"

    (results,) = view(quiet, quiet.market.multicall, signature, calls, types=("(bool,bytes)[]",))

    assert [ok for ok, _ in results] == [True, False, True]
    assert int.from_bytes(results[0][1], "big") == 18
    assert int.from_bytes(results[2][1], "big") >= quiet.chain.head()


def test_the_market_file_is_one_that_the_registry_reads(quiet):
    parsed = market_file.parse(quiet.file)

    assert parsed.chain.local
    assert parsed.chain.rpc_http == (quiet.rpc_url,)
    assert len(parsed.pairs) == 49
    assert len(parsed.dexes) == 5


def test_gas_for_a_trade_costs_5_to_20_cents(quiet):
    pool = next(
        pool
        for pool in quiet.market.pools
        if {pool.token0, pool.token1}
        == {quiet.market.wrapped_native, quiet.market.token("USDT").address}
    )
    reserves = [pool.first_reserve0, pool.first_reserve1]
    if pool.token0 != quiet.market.wrapped_native:
        reserves.reverse()
    for gas in (200_000, 400_000):
        cents = gas * quiet.market.min_gas_price_wei * 100 * reserves[1] // reserves[0] // 10**18
        assert 5 <= cents <= 20


def test_the_faucet_adds_coin_on_the_local_node_and_nowhere_else(quiet):
    someone = account("someone")
    assert faucet(quiet.rpc, address=someone, amount_wei=5) == 5
    assert faucet(quiet.rpc, address=someone, amount_wei=7) == 12
    elsewhere = HttpRpc(["https://node.example/key"])
    with pytest.raises(NotLocal, match="not on this machine"):
        faucet(elsewhere, address=someone, amount_wei=5)
    with pytest.raises(ValueError, match="must be positive"):
        faucet(quiet.rpc, address=someone, amount_wei=0)
