"""What nobody waits for lets whoever is waited for go first, and is done all the same."""

import logging
import threading
import time

import pytest

from arbsite.base.errors import Rejected
from execution.beside import Beside


@pytest.fixture
def jobs():
    """Nobody ahead takes so long that it matters."""
    made = Beside("test-beside", at_most_s=60)
    yield made
    made.close()


def test_jobs_are_done_in_turn(jobs):
    done = []
    for number in range(20):
        jobs.do(done.append, number)
    jobs.catch_up()
    assert done == list(range(20))


def test_a_job_waits_until_whoever_is_ahead_has_done(jobs):
    done = []
    jobs.make_way()
    jobs.do(done.append, "asked while somebody acts")
    jobs.do(done.append, "and after it")
    assert done == []
    jobs.go_on()
    jobs.catch_up()
    assert len(done) == 2


def test_whoever_is_ahead_does_not_wait_for_the_job_in_hand(jobs):
    begun, may_end, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        may_end.wait(10)
        done.append("it")

    jobs.do(work)
    assert begun.wait(10)
    jobs.make_way()
    may_end.set()
    jobs.do(done.append, "the next")
    jobs.go_on()
    jobs.catch_up()
    assert done == ["it", "the next"]


def test_nobody_is_let_go_first_for_ever():
    jobs, done, began = Beside("test-beside", at_most_s=0.2), threading.Event(), time.monotonic()
    jobs.make_way()
    jobs.do(done.set)
    assert done.wait(10)
    assert time.monotonic() - began > 0.1
    jobs.close()


def test_what_a_job_cannot_do_is_said_and_ends_nothing(jobs, caplog):
    def refused():
        raise Rejected("not now")

    def wrong():
        raise ZeroDivisionError

    done = []
    with caplog.at_level(logging.WARNING):
        jobs.do(refused)
        jobs.do(wrong)
        jobs.do(done.append, 1)
        jobs.catch_up()
    assert done == [1]
    assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]
    assert caplog.records[0].why == "not now"


def test_once_closed_nothing_is_begun_and_nobody_is_told(jobs):
    done = []
    jobs.make_way()
    jobs.do(done.append, "in hand: it ends")
    jobs.do(done.append, "waits: it is dropped")
    jobs.close()
    jobs.do(done.append, "asked too late")
    assert not {"asked too late"} & set(done)
