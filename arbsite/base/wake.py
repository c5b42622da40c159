"""Waking a task for a row: after commit, and again by beat when the broker was away.

A message is only a wake-up with a primary key, so it may be lost, doubled or late.
"""

import logging
from datetime import timedelta
from typing import Any, Final

from celery import Task, current_app
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from arbsite.base.models import Wakeup

logger = logging.getLogger(__name__)
SWEEP_AFTER: Final = timedelta(seconds=10)
KEEP: Final = timedelta(days=1)
AWAY: Final = (OperationalError, RedisError, OSError)
PATIENCE: Final = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.1,
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
}


def wake(task: Task | str, pk: int | str) -> None:
    """Run ``task`` for ``pk`` after the current transaction commits.

    The wish is a row of the same transaction: with the broker away it is kept, and beat sends it.
    A service, which stands below tasks and so imports none, gives the task's name.
    """
    name = task if isinstance(task, str) else task.name
    row = Wakeup.objects.create(task=name, argument=str(pk))
    transaction.on_commit(lambda: _send(row.pk), robust=True)


def wakeups_sweep() -> int:
    """Send what could not be sent at its commit, and forget what is a day old. Returns how many.

    Ends at the first that finds the broker away: the others would wait for nothing.
    """
    now = timezone.now()
    Wakeup.objects.filter(sent_at__isnull=False, created_at__lt=now - KEEP).delete()
    waiting = Wakeup.objects.filter(sent_at__isnull=True, created_at__lt=now - SWEEP_AFTER)
    sent = 0
    for pk in waiting.order_by("id").values_list("pk", flat=True)[:500]:
        try:
            sent += _hand_over(pk)
        except AWAY:
            logger.warning("broker away", extra={"wakeup": pk, "sent": sent})
            break
    return sent


def _send(pk: int) -> None:
    try:
        _hand_over(pk)
    except AWAY as error:
        logger.warning(
            "broker away, beat will wake it",
            extra={"wakeup": pk, "error_kind": type(error).__name__},
        )


def _hand_over(pk: int) -> bool:
    """Publish one wish; False when no task can be woken by it. Raises: one of `AWAY`."""
    row = Wakeup.objects.get(pk=pk)
    task: Any = current_app.tasks.get(row.task)
    if task is None:  # a web process has imported none yet
        current_app.loader.import_default_modules()
        task = current_app.tasks.get(row.task)
    if task is None:
        logger.error("no such task", extra={"task": row.task, "wakeup": pk})
        return False
    # A connection of its own: those of the pool would try again for seconds, in a request.
    with current_app.connection_for_write(transport_options=PATIENCE) as connection:
        try:
            task.apply_async((row.argument,), retry=False, connection=connection)
        except TypeError:  # it stands in the way of no other row
            logger.error("the task takes no such argument", extra={"task": row.task, "wakeup": pk})
            return False
    Wakeup.objects.filter(pk=pk).update(sent_at=timezone.now())
    return True
