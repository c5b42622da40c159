"""Garbage is collected between blocks, and nothing is kept for ever."""

import gc
import weakref

import pytest

from execution.collector import Collector


class Ring:
    """Holds itself: only the collector frees it."""

    def __init__(self):
        self.me = self


@pytest.fixture
def collector():
    assert gc.isenabled()
    with Collector() as made:
        yield made
    assert gc.isenabled()


def test_garbage_waits_for_the_rest_between_two_blocks(collector):
    gone = weakref.ref(Ring())
    many = [[] for _ in range(5_000)]  # enough for a collection, were it not held back
    assert gone() is not None
    collector.rest()
    assert gone() is None
    assert len(many) == 5_000


def test_what_stood_for_a_session_is_freed_after_it(collector):
    stands = Ring()
    collector.session_began()
    gone = weakref.ref(stands)
    del stands
    collector.rest()
    assert gone() is not None  # frozen: nobody looked at it
    collector.session_ended()
    assert gone() is None
