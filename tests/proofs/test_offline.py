"""The offline search itself: it sees what pays, who ended it, and what was passed over."""

from types import SimpleNamespace

import pytest

from contracts.localchain.harness import local_market
from contracts.localchain.rival import Race
from tests.proofs.offline import Life, Search, Terms, missed
from tests.proofs.recording import block_of

BLOCKS = 60


def life(*blocks):
    return Life(cycle=0, first=blocks[0], blocks=list(blocks))


def test_what_stood_for_two_blocks_with_nothing_in_flight_was_missed():
    one = life(7, 8, 9)

    assert missed([one], busy=set()) == [(one, 7), (one, 8)]
    assert missed([one], busy={7}) == [(one, 8)]
    assert missed([one], busy={7, 8}) == []


def test_what_was_gone_after_one_block_was_not():
    assert missed([life(7)], busy=set()) == []


@pytest.mark.e2e
def test_every_end_is_a_transaction_over_its_pools_and_its_sender_is_named():
    with local_market(seed=61, race=Race(delay_ms=0, share_percent=100)) as live:
        market = live.market
        terms = Terms(
            min_bps=5,
            price_wei=market.min_gas_price_wei,
            gas={2: 200_000, 3: 280_000},
            least={market.token(symbol).address: 1 for symbol in market.lent},
        )
        names = {market.rival.lower(): "the rival"}
        search = Search(SimpleNamespace(market=market), terms=terms, names=names)
        sent = {}
        for _ in range(BLOCKS):
            number = live.driver.step().number
            header = live.rpc.call("eth_getBlockByNumber", [hex(number), False])
            block = block_of(header, live.chain.receipts(number))
            sent |= {each.tx_hash: each for each in block.sent}
            search.take(block)

    ended = [one for one in search.lives if one.tx]
    assert len(ended) >= 10
    assert "the rival" in {one.took for one in ended}
    for one in ended:
        pools = {
            search.book.pools[p].address.lower() for p, _ in search.book.cycles[one.cycle].hops
        }
        assert pools & {log["address"].lower() for log in sent[one.tx].syncs}
        assert (one.took == "the rival") == (sent[one.tx].sender == market.rival.lower())
