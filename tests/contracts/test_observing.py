"""What endpoints took, written by the engine and read by window."""

from datetime import timedelta

import pytest
from django.utils import timezone

from contracts.endpoints import endpoint_of
from contracts.models import EndpointLatency
from contracts.observing import Taken, endpoint_latency_record
from contracts.selectors import endpoint_latency
from tests.execution.rows import make_chain

pytestmark = pytest.mark.django_db
SECRET = "k3y-of-a-provider"


@pytest.fixture
def chain():
    return make_chain()


def taken(*took_ms, use="http", position=0):
    endpoint = endpoint_of(f"https://node{position}.example/{SECRET}")
    for each in took_ms:
        endpoint.answered(took_s=each / 1000)
    return Taken(use, position, endpoint.shown, endpoint.take_latencies())


def test_rows_of_a_window_become_one_summary_an_endpoint(chain, django_assert_num_queries):
    endpoint_latency_record(
        chain=chain, taken=[taken(1, 2, 3), taken(50, position=1), taken(7, use="send")]
    )
    endpoint_latency_record(chain=chain, taken=[taken(4, 100)])

    with django_assert_num_queries(1):
        first, second, send = endpoint_latency(chain, 60)

    assert (first.use, first.position, first.count) == ("http", 0, 5)
    assert 3_000 < first.p50_us < 3_300
    assert first.max_us == first.p99_us == 100_001
    assert (second.endpoint, second.count) == ("https://node1.example", 1)
    assert send.use == "send"
    assert SECRET not in repr(first)


def test_what_is_older_than_the_window_is_not_counted_and_after_a_day_not_kept(chain):
    endpoint_latency_record(chain=chain, taken=[taken(1)])
    EndpointLatency.objects.update(at=timezone.now() - timedelta(minutes=10))
    assert endpoint_latency(chain, 300) == []
    assert len(endpoint_latency(chain, 900)) == 1

    EndpointLatency.objects.update(at=timezone.now() - timedelta(hours=25))
    endpoint_latency_record(chain=chain, taken=[taken(1)])
    assert EndpointLatency.objects.count() == 1


def test_an_endpoint_that_was_not_asked_gets_no_row(chain):
    endpoint_latency_record(chain=chain, taken=[taken()])
    assert not EndpointLatency.objects.exists()


def test_what_an_endpoint_told_before_others_or_against_them_is_summed(chain):
    nothing = taken().latencies
    for disputes in (0, 2):
        endpoint_latency_record(
            chain=chain,
            taken=[Taken("behind", 0, "wss://a", nothing, first=3, disputes=disputes, forks=1)],
        )
    [found] = endpoint_latency(chain, 60)
    assert (found.first, found.disputes, found.forks, found.count, found.p99_us) == (6, 2, 2, 0, 0)
