"""The schedule's messages: late, doubled, or with a node that is away, they fund once or not."""

import pytest

from arbsite.celery import app
from contracts.models import Chain
from tests.wallets.conftest import await_no_sessions
from tests.wallets.funds import (
    balance_of,
    drain,
    mined,
    office_of,
)
from wallets import adapters, monitoring, tasks
from wallets.models import (
    BalanceMonitor,
    Funding,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]


@pytest.fixture
def office(bench):
    drain(bench, bench.executor)
    return office_of(bench)


@pytest.fixture
def worker(bench, settings):
    """Tasks run where they are woken, with this process's own adapters."""
    settings.SIGNER_SOCKET = bench.desk.folder / "signer.sock"
    before, app.conf.task_always_eager = app.conf.task_always_eager, True
    yield
    app.conf.task_always_eager = before
    adapters.signer().close()
    adapters.sender(bench.chain).close()
    adapters._senders.clear()  # the next test's signer listens elsewhere
    await_no_sessions("arb-sender")


def test_ten_deliveries_of_the_schedules_messages_are_one_funding(bench, office, worker):
    for _ in range(10):
        tasks.refresh_balances("local")
        tasks.fund_wallets("local")
    mined(bench)

    [row] = Funding.objects.select_related("transaction")
    assert row.transaction.status == "confirmed"
    assert balance_of(bench, bench.executor) == 2 * bench.executor.threshold_wei


def test_beat_wakes_the_chains_that_are_due_and_they_the_fundings(bench, office, worker):
    tasks.refresh_all_balances()
    mined(bench)

    assert Funding.objects.get().transaction.status == "confirmed"
    assert BalanceMonitor.objects.get().swept_block is not None
    monitoring.monitoring_stop(bench.chain)
    drain(bench, bench.executor)
    tasks.refresh_all_balances()
    assert Funding.objects.count() == 1


def test_a_node_that_is_away_ends_a_run_and_reserves_nothing(bench, office, worker):
    Chain.objects.update(rpc_http=["http://127.0.0.1:9"])

    tasks.fund_wallets("local")

    assert not Funding.objects.exists()
    assert BalanceMonitor.objects.get().problem
