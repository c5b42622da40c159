"""Gas of whole trades on real Uniswap V2 and Aave V3 bytecode: bounded, and as in the snapshot.

Run with GAS_SNAPSHOT=write to write the snapshot anew after a change that is meant.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from contracts.kernel.abi import decode_uint
from prices.adapters import gas_measured_at_build
from tests.contracts.solidity.gas_market import (
    AAVE,
    FIRST_POOL,
    OUTSIDE_PAIR,
    GasMarket,
    gas_market,
)

ROOT = Path(__file__).resolve().parents[3]
SNAPSHOT = ROOT / "contracts" / "solidity" / "snapshots" / "transaction_gas.json"
KINDS = {"first_pool": FIRST_POOL, "aave_v3": AAVE, "pair": OUTSIDE_PAIR}
# MONEY.md section 5; a whole transaction, 21,000 and calldata included.
BOUNDS = {
    ("2_hops", "first_pool"): 200_000,
    ("2_hops", "aave_v3"): 340_000,
    ("3_hops", "first_pool"): 300_000,
    ("3_hops", "aave_v3"): 440_000,
}

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def market() -> Iterator[GasMarket]:
    with gas_market() as built:
        yield built


@pytest.fixture(scope="module")
def measured(market: GasMarket) -> dict[str, dict[str, dict[str, int]]]:
    """Gas used, by hops, lender, and whether the receiver held the token before."""
    paths = {
        "2_hops": [market.hop("AB1", "A"), market.hop("AB0", "B")],
        "3_hops": [market.hop("AB1", "A"), market.hop("BC0", "B"), market.hop("CA0", "C")],
        "4_hops": [
            market.hop("AB1", "A"),
            market.hop("BC0", "B"),
            market.hop("CD0", "C"),
            market.hop("DA0", "D"),
        ],
    }
    lenders = {
        "first_pool": (market.pools["AB1"], []),
        "aave_v3": (market.lender, []),
        "pair": (market.pools["CA1"], [market.hop("CA1", "A")]),
    }
    found: dict[str, dict[str, dict[str, int]]] = {}
    for hops, path in paths.items():
        found[hops] = {}
        for name, (lender, before) in lenders.items():
            kept = market.chain.admin("evm_snapshot")
            data = market.plan(KINDS[name], lender, [*before, *path])
            used = {}
            for state in ("first_profit", "later"):
                receipt = market.trade(data)
                assert receipt["status"] == "0x1"
                assert settled_profit(receipt) > 0
                used[state] = int(receipt["gasUsed"], 16)
            found[hops][name] = used
            market.chain.admin("evm_revert", kept)
            market.chain.forget_nonces()
    return found


def settled(receipt: dict) -> tuple[int, int, int]:
    """``amount``, ``premium`` and ``profit`` of the one Settled event, raw units."""
    topic = "0x" + keccak(text="Settled(address,address,uint256,uint256,uint256)").hex()
    (event,) = [log for log in receipt["logs"] if log["topics"][0] == topic]
    words = bytes.fromhex(event["data"][2:])
    amount, premium, profit = (int.from_bytes(words[i : i + 32], "big") for i in (0, 32, 64))
    return amount, premium, profit


def settled_profit(receipt: dict) -> int:
    """``profit`` of the one Settled event, raw units."""
    return settled(receipt)[2]


@pytest.mark.parametrize(("hops", "lender"), BOUNDS)
def test_a_trade_stays_within_the_promised_gas(measured, hops, lender):
    assert max(measured[hops][lender].values()) <= BOUNDS[hops, lender]


def test_the_gas_snapshot_is_fresh(measured):
    if os.environ.get("GAS_SNAPSHOT") == "write":
        SNAPSHOT.write_text(json.dumps(measured, indent=2) + "\n")
    assert json.loads(SNAPSHOT.read_text()) == measured


def test_the_search_begins_with_these_figures_for_every_length_that_it_finds():
    """The dearest of each kind; what nobody measured would never be executed."""
    measured = json.loads(SNAPSHOT.read_text())
    known = {(lender.value, hops): gas for (lender, hops), gas in gas_measured_at_build().items()}
    assert known == {
        (lender, hops): measured[f"{hops}_hops"][lender]["first_profit"]
        for lender in ("first_pool", "aave_v3")
        for hops in (2, 3, 4)
    }


def test_profit_in_the_event_is_the_change_of_balance(market):
    kept = market.chain.admin("evm_snapshot")
    path = [market.hop("AB1", "A"), market.hop("AB0", "B")]
    for name, lender in (("first_pool", market.pools["AB1"]), ("aave_v3", market.lender)):
        before = market.balance("A", market.receiver)
        receipt = market.trade(market.plan(KINDS[name], lender, path))
        assert market.balance("A", market.receiver) - before == settled_profit(receipt)
    market.chain.admin("evm_revert", kept)
    market.chain.forget_nonces()


def test_the_premium_in_the_event_is_aaves_own(market):
    kept = market.chain.admin("evm_snapshot")
    path = [market.hop("AB1", "A"), market.hop("AB0", "B")]
    bps = decode_uint(market.view(market.lender, "FLASHLOAN_PREMIUM_TOTAL()"))
    amount, premium, _ = settled(market.trade(market.plan(AAVE, market.lender, path)))
    assert premium == (amount * bps + 5_000) // 10_000 > 0
    market.chain.admin("evm_revert", kept)
    market.chain.forget_nonces()
