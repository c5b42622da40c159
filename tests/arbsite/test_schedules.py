"""What beat runs: all that was promised, each a task that exists on a queue that is worked."""

import json
import os
import subprocess
import sys

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from arbsite.schedules import SCHEDULES, schedules_ensure
from arbsite.stack.processes import QUEUES
from tests.architecture.tree import ROOT

# Balances, poll, chain health, receipts, roll-ups, pruning, and what the broker missed.
PROMISED = {
    "wallets.tasks.refresh_all_balances",
    "wallets.tasks.prune_balances",
    "prices.tasks.poll_due",
    "contracts.tasks.measure_chain_health",
    "contracts.tasks.prove_tokens",
    "wallets.tasks.settle_all_receipts",
    "wallets.tasks.act_on_waiting_requests",
    "wallets.tasks.read_all_contracts",
    "prices.tasks.roll_up_prices",
    "prices.tasks.prune_opportunities",
    "arbsite.base.tasks.prune_idempotency",
    "arbsite.base.tasks.sweep_wakeups",
}


@pytest.mark.django_db
def test_beat_runs_what_was_promised():
    PeriodicTask.objects.all().delete()

    assert schedules_ensure() == len(SCHEDULES)

    rows = PeriodicTask.objects.filter(enabled=True).select_related("interval")
    assert {row.task for row in rows} >= PROMISED
    assert {(row.name, row.interval.every, row.interval.period) for row in rows} == {
        (wanted.name, wanted.every_s, "seconds") for wanted in SCHEDULES
    }


@pytest.fixture(scope="module")
def queues():
    """Each task that a worker knows, with its queue, as a process of its own finds them."""
    script = (
        "import django, json; django.setup()\n"
        "from arbsite.celery import app\n"
        "app.loader.import_default_modules()\n"
        "route = lambda name: app.amqp.router.route({}, name)['queue'].name\n"
        "print(json.dumps({name: route(name) for name in app.tasks}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("wanted", SCHEDULES, ids=lambda wanted: wanted.name)
def test_every_scheduled_task_exists_and_goes_to_a_queue_that_is_worked(wanted, queues):
    assert queues.get(wanted.task) in QUEUES.split(",")


@pytest.mark.django_db
def test_what_an_operator_changed_stays():
    schedules_ensure()
    slow, _ = IntervalSchedule.objects.get_or_create(every=7, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.filter(name="poll").update(interval=slow, enabled=False)

    assert schedules_ensure() == 0

    row = PeriodicTask.objects.get(name="poll")
    assert (row.interval, row.enabled) == (slow, False)
