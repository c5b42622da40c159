"""A task is woken after commit, kept while the broker is away, and swept when it is back."""

import time
from datetime import timedelta

import pytest
import redis
from celery import current_app, shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu import pools

from arbsite.base import tasks, wake
from arbsite.base.models import Wakeup

QUEUE = "arb:upkeep"


@shared_task(name="tests.woken")
def woken(pk: str) -> None:
    """What is woken here; no worker runs."""


@pytest.fixture
def broker(redis_server):
    """The run's own Redis, emptied; this process has no connection to it yet."""
    _forget_connections()
    client = redis.Redis.from_url(redis_server)
    client.flushdb()
    yield client
    client.close()
    _forget_connections()


@pytest.fixture
def no_broker(monkeypatch, tmp_path):
    """A broker that is away: nothing listens on its socket."""
    url = f"redis+socket://{tmp_path}/nobody.sock"
    monkeypatch.setattr(current_app.conf, "broker_url", url, raising=False)
    _forget_connections()
    yield
    _forget_connections()


def _forget_connections():
    pools.reset()
    current_app._after_fork()


def sent(client) -> int:
    return client.llen(QUEUE)


def age(seconds: float) -> None:
    Wakeup.objects.update(created_at=timezone.now() - timedelta(seconds=seconds))


@pytest.mark.django_db
def test_a_wake_up_is_sent_after_commit(broker, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        wake.wake(woken, 7)
        assert sent(broker) == 0
    [callback] = callbacks
    callback()

    assert sent(broker) == 1
    row = Wakeup.objects.get()
    assert (row.task, row.argument) == ("tests.woken", "7")
    assert row.sent_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_wish_wakes_nobody(broker):
    with transaction.atomic():
        wake.wake(woken, 7)
        transaction.set_rollback(True)

    assert sent(broker) == 0
    assert not Wakeup.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_broker")
def test_with_the_broker_away_nothing_is_raised_and_the_wish_is_kept():
    started = time.monotonic()

    wake.wake(woken, 7)

    assert Wakeup.objects.get().sent_at is None
    assert time.monotonic() - started < 10  # a caller is a request: it must not hang


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_broker")
def test_a_sweep_without_a_broker_tries_once():
    for pk in range(50):
        Wakeup.objects.create(task=woken.name, argument=str(pk))
    age(11)
    started = time.monotonic()

    assert wake.wakeups_sweep() == 0

    assert time.monotonic() - started < 10  # fifty tries would be fifty waits
    assert Wakeup.objects.filter(sent_at__isnull=True).count() == 50


@pytest.mark.django_db(transaction=True)
def test_what_was_kept_is_swept_when_the_broker_is_back(broker):
    Wakeup.objects.create(task=woken.name, argument="7")
    assert wake.wakeups_sweep() == 0  # whoever made it may be sending it just now

    age(11)
    tasks.sweep_wakeups()

    assert sent(broker) == 1
    assert Wakeup.objects.get().sent_at is not None
    assert wake.wakeups_sweep() == 0


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_lost_its_connections_is_met_again(broker):
    wake.wake(woken, 1)
    broker.client_kill_filter(_type="normal", skipme=True)

    wake.wake(woken, 2)  # raises nothing, whatever becomes of it
    age(11)
    wake.wakeups_sweep()

    assert sent(broker) == 2
    assert not Wakeup.objects.filter(sent_at__isnull=True).exists()


@pytest.mark.django_db
def test_a_wish_for_a_task_that_is_gone_is_kept_and_harms_none():
    Wakeup.objects.create(task="no.such.task", argument="7")
    age(11)

    assert wake.wakeups_sweep() == 0
    assert Wakeup.objects.get().sent_at is None


@pytest.mark.django_db(transaction=True)
def test_one_bad_wish_does_not_hold_up_the_others(broker):
    Wakeup.objects.create(task="celery.backend_cleanup", argument="takes none")
    Wakeup.objects.create(task=woken.name, argument="7")
    age(11)

    assert wake.wakeups_sweep() == 1
    assert sent(broker) == 1


@pytest.mark.django_db
def test_sent_wishes_are_forgotten_after_a_day_and_unsent_ones_never():
    for sent_at in (timezone.now(), None):
        Wakeup.objects.create(task="no.such.task", argument="7", sent_at=sent_at)
    age(25 * 3600)

    wake.wakeups_sweep()

    assert [row.sent_at for row in Wakeup.objects.all()] == [None]


def test_the_broker_is_the_one_of_the_settings():
    assert settings.CELERY_BROKER_URL.startswith("redis+socket://")
