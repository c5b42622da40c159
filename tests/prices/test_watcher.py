"""A watcher over two pools in memory: what pays is found at the block that makes it pay."""

import pytest

from arbsite.base.units import BlockNumber, Bps, Gas, Wei
from contracts.kernel.events import NewHead
from contracts.kernel.fees import FeeModel
from prices.chain_state import MarketRead, block_ref
from prices.feed import Advance
from prices.kernel.costs import Policy
from prices.kernel.lenders import LenderKind
from prices.line import FeedBlock
from prices.registry import PoolRow, Registry, TokenRow
from prices.watcher import ChainCosts, Watcher

ONE = 10**18
RESERVES = {0: (1_000 * ONE, 600_000 * ONE), 1: (1_000 * ONE, 630_000 * ONE)}


def head_at(number, *, base_fee_wei=None):
    return NewHead(
        number=BlockNumber(number), hash=f"0x{number:064x}", parent_hash=f"0x{number - 1:064x}",
        timestamp_s=1_700_000_000 + number, base_fee_wei=base_fee_wei, gas_used=0,
        gas_limit=30_000_000,
    )  # fmt: skip


def read_at(head, reserves):
    return MarketRead(
        head=head, block=block_ref(head), reserves=reserves, quotes={}, caps={}, premium_bps=None
    )


def make_watcher(*, fee_model=FeeModel.LEGACY, min_gas_price_wei=10**9):
    tokens = tuple(
        TokenRow(
            pk=i, address=f"0x{i + 1:040x}", symbol=f"T{i}", decimals=18, lendable=True, atoken="",
            risky=False, denied=False,
        )
        for i in range(2)
    )  # fmt: skip
    pools = tuple(
        PoolRow(
            pk=i, address=f"0x{0xA000 + i:040x}", dex=f"d{i}", router="", pair="", pair_pk=0,
            token0=0, token1=1, fee_bps=25, base_first=True, quarantined="", proven=True,
            denied=False,
        )
        for i in range(2)
    )  # fmt: skip
    registry = Registry(
        chain_key="made", chain_id=56, multicall3="", aave_pool="", premium_bps=None,
        premium_rounding="", native=0, tokens=tokens, pools=pools,
    )  # fmt: skip
    costs = ChainCosts(
        fee_model=fee_model, min_gas_price_wei=Wei(min_gas_price_wei), l1_fee_wei=Wei(0),
        gas={(LenderKind.FIRST_POOL, 2): Gas(190_000)},
    )  # fmt: skip
    return Watcher(registry, costs=costs, policy=Policy(min_profit_threshold_bps=Bps(1)))


@pytest.mark.parametrize("later", [1, 2])
def test_what_a_lost_connection_left_stale_is_decided_anew_once_the_market_is_read_again(later):
    """Though none of its pools has moved meanwhile."""
    watcher = make_watcher()
    watcher.scan(watcher.load(read_at(head_at(1), RESERVES)))
    (before,) = watcher.scanner.lives.executables()
    watcher.book.distrust("no connection")
    watcher.scan(frozenset())
    assert not watcher.scanner.lives.executables()

    touched = watcher.load(read_at(head_at(later), RESERVES))

    assert [each.net_wei for each in watcher.hot(touched)] == [before.net_wei]
    watcher.scan(touched)
    assert [each.net_wei for each in watcher.scanner.lives.executables()] == [before.net_wei]


def test_a_market_read_again_while_it_was_trusted_touches_what_differs_alone():
    watcher = make_watcher()
    watcher.scan(watcher.load(read_at(head_at(1), RESERVES)))
    moved = {**RESERVES, 1: (1_000 * ONE, 620_000 * ONE)}
    assert watcher.load(read_at(head_at(2), RESERVES)) == frozenset()
    assert watcher.load(read_at(head_at(3), moved)) == {1}


def test_what_a_fall_of_gas_opens_in_pools_that_no_one_touched_is_executable_after_the_scan():
    watcher = make_watcher(fee_model=FeeModel.EIP1559, min_gas_price_wei=1)
    spread = {0: RESERVES[0], 1: (1_000 * ONE, 606_000 * ONE)}
    watcher.scan(watcher.load(read_at(head_at(1, base_fee_wei=60 * 10**9), spread)))
    assert not watcher.scanner.lives.executables()
    head = head_at(2, base_fee_wei=10**9)

    touched = watcher.advance(Advance(head.parent_hash, (FeedBlock(head, ()),), 0))

    assert list(watcher.hot(touched)) == []  # no pool of it was touched
    result = watcher.scan(touched)
    assert result.executable
