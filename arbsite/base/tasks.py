"""Upkeep of the ground's tables."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from arbsite.base import wake
from arbsite.base.models import IdempotencyRecord


@shared_task
def sweep_wakeups() -> None:
    """Send wake-ups the broker missed. Idempotent."""
    wake.wakeups_sweep()


@shared_task
def prune_idempotency() -> None:
    """Forget idempotency records older than a day. Idempotent."""
    IdempotencyRecord.objects.filter(created_at__lt=timezone.now() - timedelta(days=1)).delete()
