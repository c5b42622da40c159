"""Booking: once per receipt, the opposite after a reorg, nothing where a figure is missing."""

import pytest

from arbsite.base.models import Alert
from execution import accounting
from execution.models import Execution, PnlEntry
from prices.models import GasUse
from tests.execution.rows import make_chain, make_execution, make_sent, mine, unmine
from wallets.models import Attempt

pytestmark = pytest.mark.django_db(transaction=True)
A, B = "0x" + "aa" * 32, "0x" + "bb" * 32
GAS_WEI = 200_000 * 50_000_000
NET_WEI = 6_000_001 // 600 - GAS_WEI


@pytest.fixture(autouse=True)
def _quiet(channel_layer):
    return None


@pytest.fixture
def chain():
    return make_chain()


@pytest.fixture
def row(chain):
    return make_execution(chain, sent=make_sent(chain))


def settle(chain, **how):
    return accounting.executions_settle(chain=chain, **how)


def ledger(row):
    return sum(int(entry.net_wei) for entry in PnlEntry.objects.filter(execution=row))


def booked(row):
    fresh = Execution.objects.get(pk=row.pk)
    return None if fresh.net_profit_wei is None else int(fresh.net_profit_wei)


def test_a_receipt_is_booked_once_however_often_it_is_looked_at(chain, row):
    mine(row.transaction)
    assert [settle(chain) for _ in range(3)] == [1, 0, 0]
    assert booked(row) == ledger(row) == NET_WEI
    assert PnlEntry.objects.count() == 2


def test_a_block_that_leaves_and_comes_back_is_booked_again(chain, row):
    for block_hash in (A, B, A, B, A):
        mine(row.transaction, block_hash=block_hash)
        assert settle(chain) == 1
        assert settle(chain) == 0
        assert booked(row) == ledger(row) == NET_WEI
    standing = PnlEntry.objects.filter(execution=row, kind="gas")
    signs = [(-1 if entry.reversal else 1) for entry in standing.filter(block_hash=A)]
    assert sum(signs) == 1
    assert standing.filter(block_hash=A, round=2, reversal=False).exists()


def test_what_left_the_chain_counts_nothing_until_it_is_mined_again(chain, row):
    mine(row.transaction, block_hash=A)
    settle(chain)
    unmine(row.transaction)
    assert settle(chain) == 1
    assert booked(row) is None
    assert ledger(row) == 0
    mine(row.transaction, block_hash=A)
    assert settle(chain) == 1
    assert booked(row) == ledger(row) == NET_WEI


def test_one_that_left_and_then_expired_is_taken_back(chain, row):
    mine(row.transaction)
    settle(chain)
    unmine(row.transaction)
    type(row.transaction).objects.filter(pk=row.transaction.pk).update(status="cancelled")
    assert settle(chain) == 1
    assert (booked(row), ledger(row)) == (None, 0)


def test_a_moved_receipt_is_found_near_the_head_and_after_an_absence_anywhere(chain, row):
    mine(row.transaction, block_hash=A)
    settle(chain)
    mine(row.transaction, block_hash=B, status="confirmed")
    later = make_sent(chain, n=2)
    mine(later, block=1_001 + accounting.LOOK_BACK_BLOCKS, block_hash="0x" + "cc" * 32)
    assert settle(chain) == 0
    assert settle(chain, everything=True) == 1
    assert ledger(row) == NET_WEI


def test_a_receipt_that_moved_is_found_as_deep_as_its_chain_may_still_change():
    chain = make_chain(key="polygon", eip155_id=137, is_local=False, confirmations=128)
    row = make_execution(chain, sent=make_sent(chain))
    mine(row.transaction, block_hash=A)
    settle(chain)
    mine(row.transaction, block_hash=B, ok=False)  # on the other branch it reverted
    mine(make_sent(chain, n=2), block=1_001 + 100, block_hash="0x" + "cc" * 32)
    settle(chain)
    assert booked(row) == ledger(row) == -GAS_WEI


def test_looking_at_booked_rows_takes_a_fixed_number_of_queries(
    chain, row, django_assert_num_queries
):
    mine(row.transaction)
    for n in range(2, 6):
        sent = make_sent(chain, n=n)
        make_execution(chain, n=n, sent=sent)
        mine(sent, ok=False, transactionHash="0x" + f"{n:064x}")
    settle(chain)
    with django_assert_num_queries(3):
        assert settle(chain) == 0


def test_without_a_native_rate_nothing_is_booked_and_an_alert_names_it(chain):
    row = make_execution(chain, sent=make_sent(chain), native_rate_num=None, native_rate_den=None)
    mine(row.transaction)
    assert settle(chain) == 0
    assert booked(row) is None
    assert PnlEntry.objects.count() == 0
    alert = Alert.objects.get(key=f"unbooked:{row.pk}")
    assert "native rate" in alert.detail


def test_a_revert_needs_no_rate_and_costs_its_gas(chain):
    row = make_execution(chain, sent=make_sent(chain), native_rate_num=None, native_rate_den=None)
    mine(row.transaction, ok=False)
    assert settle(chain) == 1
    assert booked(row) == ledger(row) == -GAS_WEI
    assert Execution.objects.get(pk=row.pk).realized_profit == 0


def test_a_receipt_with_another_profit_than_its_contract_says_books_nothing(chain, row):
    mine(row.transaction)
    row.transaction.refresh_from_db()
    raw = row.transaction.receipt
    raw["logs"] = raw["logs"][1:]
    type(row.transaction).objects.filter(pk=row.transaction.pk).update(receipt=raw)
    assert settle(chain) == 0
    assert booked(row) is None
    assert Alert.objects.filter(key=f"unbooked:{row.pk}", severity="critical").exists()


def test_gas_is_measured_from_successes_alone(chain, row):
    mine(row.transaction)
    settle(chain)
    bad = make_sent(chain, n=2)
    make_execution(chain, n=2, sent=bad)
    mine(bad, ok=False, gas_used=900_000, transactionHash="0x" + f"{2:064x}")
    settle(chain)
    use = GasUse.objects.get()
    assert (use.samples, use.largest_gas, use.source) == (1, 200_000, "receipt")


def test_what_ended_in_simulation_enters_no_ledger(chain):
    row = make_execution(chain, sent=make_sent(chain, simulated_only=True, status="simulated"))
    assert settle(chain) == 0
    assert booked(row) is None


def offered(chain, **changes):
    """An execution whose payload carries a tip of 1,000 wei."""
    sent = make_sent(chain, value_wei=1_000)
    sent.attempts.update(value_wei=1_000, **changes)
    return make_execution(chain, sent=sent)


def tip_paid(row):
    return int(Execution.objects.get(pk=row.pk).tip_wei)


def test_a_tip_is_booked_as_what_the_mined_payload_carried(chain):
    row = offered(chain)
    assert tip_paid(row) == 0  # offered is not paid
    mine(row.transaction)
    assert settle(chain) == 1
    assert tip_paid(row) == 1_000
    assert booked(row) == ledger(row) == NET_WEI - 1_000
    entry = PnlEntry.objects.get(execution=row, kind="tip")
    assert (int(entry.amount), int(entry.net_wei), entry.token) == (-1_000, -1_000, None)


def test_a_revert_pays_no_tip(chain):
    row = offered(chain)
    mine(row.transaction, ok=False, status="reverted")
    assert settle(chain) == 1
    assert tip_paid(row) == 0
    assert booked(row) == ledger(row) == -GAS_WEI
    assert not PnlEntry.objects.filter(kind="tip").exists()


def test_a_cancel_that_won_pays_no_tip(chain):
    row = offered(chain, hash=A)
    first = row.transaction.attempts.get()
    Attempt.objects.create(
        transaction=row.transaction, sequence=first.sequence, nonce=first.nonce, replaces=first,
        purpose="cancel", gas_limit=21_000, tx_type=0, max_fee_wei=2, tip_fee_wei=2,
        hash="0x" + "34" * 32, raw=b"\x02",
    )  # fmt: skip
    mine(row.transaction, status="cancelled")
    assert settle(chain) == 1
    assert (tip_paid(row), booked(row)) == (0, -GAS_WEI)


def test_a_tip_whose_block_left_the_chain_is_not_paid_until_another_has_it(chain):
    row = offered(chain)
    for block_hash in (A, B):
        mine(row.transaction, block_hash=block_hash)
        settle(chain)
        assert (tip_paid(row), ledger(row)) == (1_000, NET_WEI - 1_000)
        unmine(row.transaction)
        settle(chain)
        assert (tip_paid(row), ledger(row)) == (0, 0)
