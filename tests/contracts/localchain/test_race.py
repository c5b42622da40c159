"""The racing rival: late by the clock, and first in the block with its share all the same."""

import pytest
from eth_account import Account

from contracts.localchain.harness import local_market
from contracts.localchain.rival import Race, Rival

KEY = "0x" + "5e" * 32


@pytest.mark.parametrize("text", ["", "250", "250:101", "10001:40", "-1:40", "250:4O", "٢٥٠:40"])
def test_terms_that_cannot_be_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="MS:PERCENT, such as 250:40"):
        Race.parse(text)


def test_terms_are_read_as_milliseconds_and_percent():
    assert Race.parse("250:40") == Race(delay_ms=250, share_percent=40)


@pytest.mark.e2e
def test_the_share_is_spread_evenly_over_what_it_finds():
    with local_market(seed=37, rival=False) as live:
        rival = Rival(live.market, chain=live.chain, race=Race(delay_ms=0, share_percent=40))
        won = []
        for _ in range(120):
            attempts = rival.look(live.driver.step().number)
            won += [True] * len(attempts.first) + [False] * len(attempts.rest)

    assert len(won) >= 20
    assert sum(won) == len(won) * 40 // 100


def signed(live, account, nonce):
    payload = {
        "to": account.address,
        "value": 1,
        "gas": 21_000,
        "gasPrice": live.market.min_gas_price_wei,
        "nonce": nonce,
        "chainId": 31_337,
    }
    return "0x" + Account.sign_transaction(payload, KEY).raw_transaction.hex().removeprefix("0x")


@pytest.mark.e2e
def test_with_its_share_it_stands_before_what_was_sent_earlier_and_nothing_is_lost():
    other = Account.from_key(KEY)
    race = Race(delay_ms=0, share_percent=100)
    with local_market(seed=38, traders=True, race=race) as live:
        live.rpc.call("anvil_setBalance", [other.address, hex(10**20)])
        nonce, met = 0, 0
        while met < 3:
            payloads = [signed(live, other, nonce), signed(live, other, nonce + 1)]
            nonce += 2
            sent = [live.rpc.call("eth_sendRawTransaction", [each]) for each in payloads]
            live.driver.race_on()

            mined = live.driver.step()

            receipts = live.chain.receipts(mined.number)
            order = {receipt["transactionHash"]: at for at, receipt in enumerate(receipts)}
            assert order[sent[0]] < order[sent[1]]
            theirs = [at for at, r in enumerate(receipts) if r["from"] == live.market.rival.lower()]
            assert len(theirs) == len(mined.rival)
            assert all(at < order[sent[0]] for at in theirs)
            met += bool(theirs)


@pytest.mark.e2e
def test_a_rival_whose_clock_was_late_acts_at_the_next_step():
    with local_market(seed=38, race=Race(delay_ms=0, share_percent=50)) as live:
        sent = [sending for mined in live.driver.steps(60) for sending in mined.rival]

    assert sent


@pytest.mark.e2e
def test_without_its_share_it_stands_behind():
    other = Account.from_key(KEY)
    with local_market(seed=38, race=Race(delay_ms=0, share_percent=0)) as live:
        live.rpc.call("anvil_setBalance", [other.address, hex(10**20)])
        nonce, met = 0, 0
        while met < 2:
            tx_hash = live.rpc.call("eth_sendRawTransaction", [signed(live, other, nonce)])
            nonce += 1
            live.driver.race_on()

            mined = live.driver.step()

            receipts = live.chain.receipts(mined.number)
            assert receipts[0]["transactionHash"] == tx_hash
            met += bool(mined.rival)
