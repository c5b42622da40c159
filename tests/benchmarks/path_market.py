"""A made market for the path benchmarks, and blocks of it as a node would tell them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arbsite.base.units import BlockNumber, Bps, Gas, TokenAmount, Wei
from contracts.kernel.events import SYNC_TOPIC, NewHead
from contracts.kernel.fees import FeeModel
from prices.chain_state import MarketRead, block_ref
from prices.kernel.costs import Policy
from prices.kernel.lenders import LenderKind
from prices.registry import PoolRow, Registry, TokenRow
from prices.watcher import ChainCosts, Watcher
from tests.benchmarks.mock_node import BEGAN_S, block_hash, header_json
from tests.benchmarks.search_bench import make_book

CHAIN_ID = 56
MULTICALL = "0x" + "ca" * 20
AAVE = "0x" + "aa" * 20
RECEIVER = "0x" + "42" * 20
SENDER = "0x" + "51" * 20
GAS_PRICE = Wei(50_000_000)
HUBS = 6
Reserves = dict[int, tuple[TokenAmount, TokenAmount]]


def make_registry(pools: int) -> tuple[Registry, Reserves]:
    """A power-law market as the registry gives it, with its reserves."""
    book = make_book(pools, cap=10)
    tokens = tuple(
        TokenRow(
            pk=i, address=f"0x{i + 1:040x}", symbol=f"T{i}", decimals=18, lendable=i < HUBS,
            atoken="", risky=False, denied=False,
        )
        for i in range(len(book.tokens))
    )  # fmt: skip
    rows = tuple(
        PoolRow(
            pk=i, address=f"0x{0xA000000 + i:040x}", dex=f"dex{i % 5}", router="", pair="",
            pair_pk=0, token0=spec.token0, token1=spec.token1, fee_bps=spec.fee_bps,
            base_first=True, quarantined="", proven=True, denied=False,
        )
        for i, spec in enumerate(book.pools)
    )  # fmt: skip
    registry = Registry(
        chain_key="made", chain_id=CHAIN_ID, multicall3=MULTICALL, aave_pool=AAVE,
        premium_bps=5, premium_rounding="ceil", native=0, tokens=tokens, pools=rows,
    )  # fmt: skip
    return registry, {i: (book.reserve0[i], book.reserve1[i]) for i in range(len(rows))}


def make_watcher(registry: Registry, reserves: Reserves, *, lender: str = "") -> Watcher:
    """A watcher that stands at block 1; ``lender`` forces the kind that lends."""
    gas = {
        (LenderKind.FIRST_POOL, 2): Gas(191_500), (LenderKind.FIRST_POOL, 3): Gas(290_000),
        (LenderKind.AAVE_V3, 2): Gas(322_500), (LenderKind.AAVE_V3, 3): Gas(430_000),
    }  # fmt: skip
    costs = ChainCosts(
        fee_model=FeeModel.LEGACY, min_gas_price_wei=GAS_PRICE, gas=gas, l1_fee_wei=Wei(0),
        forced_lender=lender,
    )  # fmt: skip
    policy = Policy(min_profit_threshold_bps=Bps(50), implausible_bps=Bps(9_000))
    watcher = Watcher(registry, costs=costs, policy=policy)
    head = head_at(1)
    caps = {token: TokenAmount(10**30) for token in range(HUBS)}
    watcher.load(
        MarketRead(
            head=head, block=block_ref(head), reserves=reserves, quotes={}, caps=caps,
            premium_bps=5,
        )
    )  # fmt: skip
    watcher.scan(frozenset())
    return watcher


def head_at(number: int) -> NewHead:
    return NewHead(
        number=BlockNumber(number), hash=block_hash(number), parent_hash=block_hash(number - 1),
        timestamp_s=BEGAN_S + number, base_fee_wei=None, gas_used=0, gas_limit=30_000_000,
    )  # fmt: skip


def log_json(registry: Registry, number: int, *, pool: int, reserves: Any, index: int = 0) -> Any:
    """The Sync of one pool, as a node writes it."""
    data = "".join(f"{reserve:064x}" for reserve in reserves)
    return {
        "address": registry.pools[pool].address, "topics": [SYNC_TOPIC], "data": "0x" + data,
        "blockNumber": hex(number), "blockHash": block_hash(number), "logIndex": hex(index),
        "transactionHash": "0x" + "77" * 32, "transactionIndex": "0x0", "removed": False,
    }  # fmt: skip


@dataclass(frozen=True)
class Story:
    """Blocks of which each second one opens an arbitrage through ``pool``, and the next ends it."""

    registry: Registry
    reserves: Reserves
    pool: int

    def blocks(self, count: int) -> Iterator[tuple[int, dict[str, Any], list[Any]]]:
        """(number, header, logs) from block 2 on; even ones pay."""
        was = self.reserves[self.pool]
        moved = (was[0], was[1] * 106 // 100)
        for number in range(2, 2 + count):
            reserves = moved if number % 2 == 0 else was
            log = log_json(self.registry, number, pool=self.pool, reserves=reserves)
            yield number, header_json(number), [log]


def story_of(registry: Registry, reserves: Reserves) -> Story:
    """About the first pool with a deep twin on a pair of hubs."""
    seen: dict[tuple[int, int], int] = {}
    for index, row in enumerate(registry.pools):
        if max(row.token0, row.token1) < HUBS and seen.setdefault(
            (row.token0, row.token1), index
        ) != index:  # fmt: skip
            return Story(registry, reserves, index)
    raise AssertionError("no two pools on one pair of hubs")
