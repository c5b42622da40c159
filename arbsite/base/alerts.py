"""Alerts: raised once per key until resolved, counted while they repeat."""

from datetime import timedelta
from typing import Final

from django.db.models import F
from django.utils import timezone

from arbsite.base.models import Alert

KEY_MAX: Final = 160


def alert_raise(
    *,
    key: str,
    title: str,
    detail: str = "",
    fix: str = "",
    severity: str = "warning",
    cooldown: timedelta | None = None,
) -> None:
    """Open an alert, or count one more of an open one. Three queries at most.

    Within ``cooldown`` of the last time, resolved since or not, nothing is written: what comes and
    goes is told once, and what lasts is not counted at each look.
    """
    key, now = key[:KEY_MAX], timezone.now()
    if cooldown and Alert.objects.filter(key=key, last_seen_at__gt=now - cooldown).exists():
        return
    counted = Alert.objects.filter(key=key, resolved_at__isnull=True).update(
        count=F("count") + 1, last_seen_at=now, detail=detail, title=title[:160], severity=severity
    )
    if not counted:
        Alert.objects.bulk_create(
            [Alert(key=key, title=title[:160], detail=detail, fix=fix, severity=severity)],
            ignore_conflicts=True,  # another process opened the same alert just now
        )


def alert_resolve(*, key: str) -> int:
    """Close the open alert of ``key``, if there is one. Returns how many were closed."""
    return Alert.objects.filter(key=key[:KEY_MAX], resolved_at__isnull=True).update(
        resolved_at=timezone.now()
    )
