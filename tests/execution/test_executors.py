"""A backup executor takes over when the first cannot execute, and gives back when it can."""

import time
from dataclasses import replace

import pytest
from django.utils import timezone

from arbsite.base.models import Alert
from contracts.models import Deployment
from contracts.rpc import RpcUnavailable
from execution import executors, readiness
from execution.memory import Memory
from execution.models import Execution
from tests.execution.conftest import channel_layer  # noqa: F401  a fixture
from tests.execution.rows import make_sent
from tests.execution.test_desk import make_bench
from wallets.models import Assignment, Balance, NonceSequence, Transaction, Wallet

pytestmark = pytest.mark.django_db(transaction=True)
COIN = 10**18
ASKED_AT_BLOCK = 100  # the head of the bench


class Balances:
    """A node that knows balances."""

    def __init__(self, held):
        self.held, self.batches = held, 0

    def batch(self, calls):
        self.batches += 1
        return [hex(self.held[params[0]]) for _, params in calls]


@pytest.fixture
def bench(channel_layer):  # noqa: F811  a fixture
    return make_bench()


@pytest.fixture
def first(bench):
    return Wallet.objects.get(role="executor")


@pytest.fixture
def backup(bench, first):
    wallet = Wallet.objects.create(
        chain=bench.chain, role="executor", address="0x" + "66" * 20, source="imported"
    )
    Assignment.objects.create(
        wallet=wallet, deployment=Deployment.objects.get(kind="receiver"), position=1,
        authorized_at=timezone.now(),
    )  # fmt: skip
    return Wallet.objects.get(pk=wallet.pk)


def executes(bench):
    """Whose wallet the next opportunity goes out from."""
    acted = bench.act()
    row = Execution.objects.select_related("wallet").get(pk=acted.execution_pk)
    # The next one is another opportunity, with nothing in flight.
    Transaction.objects.exclude(idempotency_key__startswith="t").update(status="confirmed")
    Execution.objects.filter(pk=row.pk).update(key=f"done {row.pk}")
    bench.desk.memory = Memory()
    Transaction.objects.filter(pk=row.transaction_id).update(idempotency_key=f"done {row.pk}")
    assert bench.simulator.asked[-1]["sender"] == row.wallet.address
    return row.wallet


def look(bench, **held):
    bench.desk.refresh()
    rows = {wallet.address: held.get(name, COIN) for name, wallet in bench.names.items()}
    node = Balances(rows)
    bench.desk.look(node)
    return node


@pytest.fixture
def named(bench, first, backup):
    bench.names = {"first": first, "backup": backup}
    return bench


def test_the_first_executes_while_it_is_well(named, first):
    look(named)

    assert executes(named) == first
    assert not Alert.objects.exists()


def test_one_that_cannot_pay_is_relieved_and_takes_its_turn_back(named, first, backup):
    look(named, first=5)
    assert executes(named) == backup
    named.desk.refresh()
    [alert] = Alert.objects.all()
    assert alert.key == "takeover:local"
    assert f"{first.address} is low" in alert.detail

    look(named)
    assert executes(named) == first
    named.desk.refresh()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


@pytest.mark.parametrize("how", ["sequence", "wallet"])
def test_a_frozen_one_is_relieved(named, first, backup, how):
    if how == "sequence":
        NonceSequence.objects.create(chain=named.chain, address=first.address, frozen="a stranger")
    else:
        Wallet.objects.filter(pk=first.pk).update(state="frozen")
    look(named)

    assert executes(named) == backup


def test_a_revoked_one_is_relieved(named, first, backup):
    Assignment.objects.filter(wallet=first).update(desired=False)
    look(named)

    assert executes(named) == backup


def test_who_is_drained_in_a_block_is_passed_over_at_that_blocks_head(named, first, backup):
    node = look(named)
    assert executes(named) == first
    node.held[first.address] = 5

    named.desk.saw(named.desk.head())  # nothing was settled or refreshed since

    assert executes(named) == backup


def test_a_node_that_is_away_at_a_head_leaves_the_last_balances(named, first, monkeypatch):
    monkeypatch.setattr(executors, "BALANCES_WAIT_S", 0.01)
    node = look(named, first=5)

    def away(calls):
        raise RpcUnavailable("away", endpoint="fake", sent=False)

    node.batch = away
    named.desk.saw(named.desk.head())

    assert executes(named) != first


@pytest.mark.parametrize("how", ["frozen", "revoked", "stuck"])
def test_what_the_record_says_of_an_executor_counts_at_the_next_decision(named, first, backup, how):
    """Though what is kept between two decisions is not read anew yet."""
    look(named)
    named.desk._standing = replace(named.desk._standing, read_at=time.monotonic() + 60)
    if how == "frozen":
        Wallet.objects.filter(pk=first.pk).update(state="frozen")
    elif how == "revoked":
        Assignment.objects.filter(wallet=first).update(desired=False)
    else:
        make_sent(named.chain, simulated_block=ASKED_AT_BLOCK - 20)

    assert executes(named) == backup


def test_one_with_something_open_for_too_long_is_relieved_and_one_just_busy_is_not(
    named, first, backup
):
    sent = make_sent(named.chain, simulated_block=ASKED_AT_BLOCK - 1)
    assert sent.wallet == first
    look(named)
    assert named.act().reason == "in_flight"

    Transaction.objects.filter(pk=sent.pk).update(simulated_block=ASKED_AT_BLOCK - 20)
    assert executes(named) == backup


def test_where_nobody_is_well_the_first_says_what_is_wrong(named, first):
    look(named, first=0, backup=0)

    assert executes(named) == first


def test_balances_are_read_in_one_batch_and_only_where_there_is_a_choice(named, first, backup):
    assert look(named).batches == 1
    Assignment.objects.filter(wallet=backup).delete()
    assert look(named).batches == 0


def test_the_rows_of_a_choice_are_read_in_three_queries(named, django_assert_num_queries):
    deployment = Deployment.objects.get(kind="receiver")

    with django_assert_num_queries(3):
        found = executors.executors_of(deployment_id=deployment.pk)

    assert [one.wallet for one in found] == list(named.names.values())


def check_of(chain, key):
    checks = readiness.readiness(chain=chain, may_sign=True, signer_up=True)
    return next(check for check in checks if check.key == key)


def hold(wallet, wei, *, block=1):
    Balance.objects.create(
        wallet=wallet, block_number=block, block_hash=f"0x{block:064x}", balance_wei=wei
    )


def make_paid(chain, wallet, *, cost_wei):
    Transaction.objects.create(
        chain=chain, wallet=wallet, kind="execution", idempotency_key="paid", status="confirmed",
        gas_used=cost_wei, gas_price_wei=1,
    )  # fmt: skip


def test_a_chain_whose_backup_can_pay_is_ready(named, first, backup):
    make_paid(named.chain, first, cost_wei=1_000)
    Wallet.objects.update(threshold_wei=COIN)
    hold(first, 999)
    hold(backup, COIN)

    assert check_of(named.chain, "gas_balance").ok


def test_an_executor_under_its_threshold_that_can_pay_does_not_end_readiness(named, first, backup):
    """It is funded meanwhile: Fast Mode need not go off for it."""
    make_paid(named.chain, first, cost_wei=1_000)
    Wallet.objects.update(threshold_wei=COIN)
    hold(first, 10_000)
    assert check_of(named.chain, "gas_balance").ok
    hold(first, 9_999, block=2)
    assert not check_of(named.chain, "gas_balance").ok


def test_without_a_measure_of_gas_the_threshold_is_what_it_takes(named, first):
    Wallet.objects.update(threshold_wei=100)
    hold(first, 99)
    assert not check_of(named.chain, "gas_balance").ok
    hold(first, 100, block=2)
    assert check_of(named.chain, "gas_balance").ok
