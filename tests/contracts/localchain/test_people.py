"""Noise and the rival on a node: what they send, and that nobody bends it."""

import pytest

from contracts.kernel.abi import encode_call
from contracts.localchain.chain import Sending
from contracts.localchain.harness import local_market

pytestmark = pytest.mark.e2e
BLOCKS = 40


def noise_on_chain(live, blocks):
    traders = {trader.lower() for dex in live.market.dexes for trader in dex.traders}
    return {
        block: [
            (sent["from"], sent["nonce"], sent["to"], sent["input"])
            for sent in live.rpc.call("eth_getBlockByNumber", [hex(block), True])["transactions"]
            if sent["from"].lower() in traders
        ]
        for block in blocks
    }


def meddle(live):
    """Somebody unlocked trades in every block, and moves every fifth pool."""
    me = live.rpc.call("eth_accounts")[0]
    amount = 10**19
    live.chain.send(
        [
            Sending(
                sender=me,
                to=live.market.wrapped_native,
                data=encode_call("deposit()"),
                gas=100_000,
                gas_price=live.market.min_gas_price_wei,
                value=amount * BLOCKS,
            )
        ]
    )
    dex = live.market.dex("biswap")
    path = [live.market.wrapped_native, live.market.token("CAKE").address]
    approve = encode_call("approve(address,uint256)", dex.router, 2**256 - 1)
    swap = encode_call(
        "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
        *(amount, 0, path, me, 2**255),
    )
    yield Sending(
        sender=me,
        to=path[0],
        data=approve,
        gas=100_000,
        gas_price=live.market.min_gas_price_wei,
    )
    while True:
        yield Sending(
            sender=me,
            to=dex.router,
            data=swap,
            gas=300_000,
            gas_price=live.market.min_gas_price_wei * 2,
        )


def test_noise_is_the_same_whoever_else_trades():
    with local_market(seed=21) as alone:
        first = alone.chain.head() + 1
        blocks = range(first, first + BLOCKS)
        alone.driver.steps(BLOCKS)
        undisturbed = noise_on_chain(alone, blocks)
        statuses = {
            receipt["status"] for block in blocks for receipt in alone.chain.receipts(block)
        }
    with local_market(seed=21, rival=False) as crowded:
        meddling = meddle(crowded)
        for _ in blocks:
            crowded.chain.send([next(meddling)])
            crowded.driver.step()
        disturbed = noise_on_chain(crowded, blocks)

    assert disturbed == undisturbed
    assert statuses == {"0x1"}
    assert 50 <= sum(len(trades) for trades in undisturbed.values()) <= 115


def test_every_seed_has_a_noise_of_its_own():
    sent = []
    for seed in (1, 2):
        with local_market(seed=seed, rival=False) as live:
            sent.append([sending.data for mined in live.driver.steps(5) for sending in mined.noise])
    assert sent[0] != sent[1]


def test_the_rival_takes_what_pays_and_gains_by_it():
    with local_market(seed=33) as live:
        gains = []
        for mined in live.driver.steps(150):
            if not mined.rival:
                continue
            for receipt in live.chain.receipts(mined.number):
                if receipt["from"] == live.market.rival.lower() and receipt["status"] == "0x1":
                    gains.append(int(receipt["logs"][-1]["data"][66:130], 16))
        assert len(gains) >= 5
        assert min(gains) > 0


def test_the_rival_waits_one_to_four_blocks_and_lets_go_of_what_is_gone():
    waits = []
    with local_market(seed=34) as live:
        rival = live.driver._rival
        for _ in range(150):
            head = live.driver.step().number
            waits += [target.due - head for target in rival._targets]
    assert set(waits) == {2, 3, 4}  # a wait of one block leaves at once and is not kept


def test_without_traders_nothing_happens():
    with local_market(seed=35, traders=False, rival=True) as live:
        for mined in live.driver.steps(20):
            assert mined.noise == ()
            assert mined.rival == ()
            assert live.chain.receipts(mined.number) == []


def test_the_driver_goes_on_after_the_chain_went_back():
    with local_market(seed=36) as live:
        start = live.chain.head()
        live.driver.steps(12)
        before = noise_on_chain(live, range(start + 8, start + 13))
        live.rpc.call("anvil_rollback", [5])
        assert live.chain.head() == start + 7

        live.driver.steps(5)

        assert noise_on_chain(live, range(start + 8, start + 13)) == before
