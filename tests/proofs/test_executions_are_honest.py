"""Sixty blocks of executions, each recomputed from the chain alone by code that shares nothing.

Profit from Transfer logs and wei from the receipt (MONEY 4); size and choice against brute force
over every cycle at the block that was decided on (MONEY 2). The long form sets PROOF_BLOCKS.
"""

import os
from dataclasses import replace

import pytest
from django.conf import settings

from execution import fast_mode
from prices.adapters import gas_measured_at_build
from prices.kernel.lenders import LenderKind
from prices.models import GasUse, Monitor
from tests.execution.conftest import open_floor  # noqa: F401  a fixture
from tests.execution.floor import await_
from tests.proofs.sizes import assert_best_size, books

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
BLOCKS = int(os.environ.get("PROOF_BLOCKS", "60"))
SEED = 90_731
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
MIN_PROFIT_BPS = 5


@pytest.fixture(scope="module")
def place(open_floor):  # noqa: F811  a fixture
    return open_floor(seed=SEED, states_kept=256)


def run(place, blocks):
    """Step the market by hand: the next block is mined when the engine has done with the last."""
    place.start()
    await_(lambda: Monitor.objects.get(chain=place.chain).head_number)
    for _ in range(blocks):
        place.market.driver.step()
        seen_block(place)
    fast_mode.fast_mode_set(chain=place.chain, state="paused", reason="the run is over")
    for _ in range(8):
        place.market.driver.step()
        seen_block(place)
    await_(lambda: all(row.net_profit_wei is not None for row in place.traded()))
    place.stop()
    fast_mode.fast_mode_set(chain=place.chain, state="armed", reason="another may begin")


def seen_block(place):
    """Wait until the newest block is written and nothing is half-way to the node."""
    head = place.market.chain.head()
    await_(lambda: Monitor.objects.get(chain=place.chain).head_number >= head)
    await_(
        lambda: (
            not place.traded()
            or place.traded()[-1].transaction.status not in ("planned", "simulated", "signed")
        )
    )


@pytest.fixture(scope="module")
def runs(place):
    """Two runs: the cheapest lender, then Aave by force. Each row with whether it was forced."""
    before = GasUse.objects.count()
    run(place, BLOCKS)
    free = place.traded()
    assert before == 0
    kept, settings.ARB = settings.ARB, replace(settings.ARB, force_lender="aave_v3")
    try:
        run(place, BLOCKS // 2)
    finally:
        settings.ARB = kept
    return free, place.traded()[len(free) :]


def mined(place, row):
    return place.rpc.call("eth_getTransactionReceipt", [row.transaction.tx_hash])


def moved(receipt, *, token, account):
    """What an account gained of a token by the receipt's Transfer logs alone."""
    total = 0
    for log in receipt["logs"]:
        if log["address"].lower() == token.lower() and log["topics"][0] == TRANSFER:
            amount = int(log["data"], 16)
            total += amount * (log["topics"][2][-40:] == account.lower()[2:])
            total -= amount * (log["topics"][1][-40:] == account.lower()[2:])
    return total


def test_profits_are_what_the_receipts_say_to_the_wei(place, runs):
    rows = [row for part in runs for row in part]
    assert len(rows) >= 8
    for row in rows:
        receipt = mined(place, row)
        gas = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        if receipt["status"] == "0x0":
            assert row.realized_profit == 0
            assert row.net_profit_wei == -gas
            continue
        token = row.borrow_token.address
        gained = moved(receipt, token=token, account=place.receiver.address)
        assert row.realized_profit == gained > 0
        worth = gained * int(row.native_rate_den) // int(row.native_rate_num)
        assert row.net_profit_wei == worth - gas


def test_every_kind_that_was_promised_is_among_them(place, runs):
    free, forced = runs
    assert "first_pool" in {row.lender_kind for row in free}
    assert {row.lender_kind for row in forced} == {"aave_v3"}
    assert {len(row.path) for row in free} == {2, 3}
    assert 6 in {row.borrow_token.decimals for row in free}
    for row in forced:
        receipt = mined(place, row)
        if receipt["status"] == "0x1":
            step = {s["step"]: s["amount"] for s in row.waterfall}["flash_loan_premium"]
            assert -int(step) == settled_premium(receipt, place.receiver.address)


def settled_premium(receipt, receiver):
    (log,) = [
        log
        for log in receipt["logs"]
        if log["address"].lower() == receiver.lower() and len(log["data"]) == 2 + 3 * 64
    ]
    return int(log["data"][66:130], 16)


def test_each_size_is_the_best_of_its_path(place, runs):
    rows = [row for part in runs for row in part]
    book, snapshots = books(place.market, {row.block_number for row in rows})
    for row in rows:
        book.reserves = snapshots[row.block_number]
        assert_best_size(
            book,
            row.path,
            size=int(row.borrow_amount),
            expected_profit=row.expected_profit,
            borrows_from_aave=row.lender_kind == "aave_v3",
        )


def gas_known(place, row, steps):
    """Gas by hop count. Its own: what it was decided with. Of the other, which is counted anew with
    each receipt: the most that any receipt, and the measurement at build, say.
    """
    most = {hops: gas_measured_at_build()[LenderKind.FIRST_POOL, hops] for hops in (2, 3)}
    for one in place.traded():
        if one.lender_kind == "first_pool":
            most[len(one.path)] = max(most[len(one.path)], one.transaction.gas_used)
    wei = -steps["gas"] * int(row.native_rate_den) // int(row.native_rate_num)
    return most | {len(row.path): wei // row.transaction.gas_price_wei}


def test_each_choice_is_the_best_of_all_cycles_at_its_block(place, runs):
    free, _ = runs
    book, snapshots = books(place.market, {row.block_number for row in free})
    for row in free:
        book.reserves = snapshots[row.block_number]
        price = row.transaction.gas_price_wei
        steps = {s["step"]: int(s["amount"]) for s in row.waterfall}
        gas = gas_known(place, row, steps)
        best = 0
        _, after = book.screens()
        for cycle in (book.cycles[i] for i in (after > 0).nonzero()[0]):
            size = book.best_size(cycle)
            num, den = book.native_rate(cycle.token)
            if not size or not den:
                continue
            gross = book.walk(cycle, size) - size
            net = gross - -(-gas[len(cycle.hops)] * price * num // den)
            if net > 0 and net * 10_000 >= size * MIN_PROFIT_BPS:
                best = max(best, net * den // num)
        mine = steps["net"] * int(row.native_rate_den) // int(row.native_rate_num)
        assert mine * 1_000 >= best * 999, (row.block_number, gas, steps, mine, best)
