"""A sample of blocks leaves its times, whether or not anything is executed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from execution.kernel.latency import Stage, Timeline
from execution.models import LatencySample
from execution.ticks import WAITING_MOST, Ticks
from tests.execution.rows import make_chain

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(channel_layer):
    return make_chain()


def tick(at_ns):
    made = Timeline(event_ns=at_ns)
    made.span(Stage.EVENT_TO_STATE, started_ns=at_ns, ended_ns=at_ns + 90_000)
    made.span(Stage.SEARCH, started_ns=at_ns + 90_000, ended_ns=at_ns + 390_000)
    return made


def samples():
    return sorted(LatencySample.objects.values_list("stage", "microseconds", "execution_id"))


def test_one_block_in_five_seconds_is_kept(chain):
    ticks = Ticks()
    for second in range(10):
        ticks.note(tick(second * 10**9))
    ticks.write(chain=chain)
    assert samples() == [("eventToState", 90, None), ("eventToState", 90, None),
                         ("search", 300, None), ("search", 300, None)]  # fmt: skip
    ticks.write(chain=chain)
    assert len(samples()) == 4


def test_what_waits_for_the_record_is_bounded(chain):
    ticks = Ticks(every_ns=1)
    for n in range(2 * WAITING_MOST):
        ticks.note(tick(n))
    ticks.write(chain=chain)
    assert len(samples()) == 2 * WAITING_MOST


def test_old_samples_are_dropped(chain):
    old = LatencySample.objects.create(chain=chain, stage="total", microseconds=1)
    LatencySample.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=8))
    LatencySample.objects.create(chain=chain, stage="total", microseconds=2)
    Ticks().write(chain=chain)
    assert samples() == [("total", 2, None)]
