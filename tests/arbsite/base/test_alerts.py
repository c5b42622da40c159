"""An alert is opened once, counted while it repeats, and opened anew after it was resolved."""

from datetime import timedelta

import pytest
from django.utils import timezone

from arbsite.base.alerts import alert_raise, alert_resolve
from arbsite.base.models import Alert

pytestmark = pytest.mark.django_db


def test_an_alert_that_repeats_is_counted():
    for detail in ("first", "second"):
        alert_raise(key="feed:local", title="No heads", detail=detail, severity="critical")

    alert = Alert.objects.get()
    assert (alert.count, alert.detail, alert.severity) == (2, "second", "critical")


def test_a_resolved_alert_opens_anew():
    alert_raise(key="k", title="t")

    assert alert_resolve(key="k") == 1
    assert alert_resolve(key="k") == 0
    alert_raise(key="k", title="t")

    assert Alert.objects.filter(key="k").count() == 2
    assert Alert.objects.filter(key="k", resolved_at__isnull=True).count() == 1


def test_a_long_key_is_the_same_alert_each_time():
    for _ in range(2):
        alert_raise(key="k" * 300, title="t" * 300)

    assert Alert.objects.get().count == 2
    assert alert_resolve(key="k" * 300) == 1


def test_an_open_alert_costs_one_query(django_assert_num_queries):
    alert_raise(key="k", title="t")

    with django_assert_num_queries(1):
        alert_raise(key="k", title="t")


def test_within_its_cooldown_an_alert_is_neither_counted_nor_opened_again():
    alert_raise(key="k", title="t", cooldown=timedelta(minutes=5))
    alert_raise(key="k", title="t", cooldown=timedelta(minutes=5))
    assert Alert.objects.get().count == 1
    alert_resolve(key="k")
    alert_raise(key="k", title="t", cooldown=timedelta(minutes=5))
    assert not Alert.objects.filter(resolved_at__isnull=True).exists()

    Alert.objects.update(last_seen_at=timezone.now() - timedelta(minutes=5))
    alert_raise(key="k", title="t", cooldown=timedelta(minutes=5))

    assert Alert.objects.filter(resolved_at__isnull=True).count() == 1
