"""The sender's connections: given again while they are good, and never one that has ended."""

from functools import partial

import psycopg
import pytest
from django.db import connection

from wallets import adapters
from wallets.record import Record, RecordUnavailable, roll_back

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def record():
    made = Record(partial(adapters.connect, name="test-record"))
    yield made
    made.close()


def backend(of):
    return of.execute("SELECT pg_backend_pid()").fetchone()[0]


def end(pid):
    """As a restarted server does, and wait until the connection's end has arrived."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert cursor.fetchone() == (True,)


def test_a_connection_is_used_again_without_asking_whether_it_is_there(record):
    with record.borrow() as first:
        pid = backend(first)
    with record.borrow() as again:
        assert again is first
        asked = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        with connection.cursor() as cursor:
            cursor.execute(asked, [pid])
            assert cursor.fetchone() == ("SELECT pg_backend_pid()",)


def test_what_is_given_up_leaves_the_statements_that_were_prepared(record):
    def prepared(of):
        return of.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0]

    with record.borrow() as first:
        for _ in range(2):
            first.execute("BEGIN")
            first.execute("SELECT count(*) FROM wallets_transaction WHERE id = %s", (1,))
            roll_back(first)
            assert first.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        kept = prepared(first)
        assert kept >= 2
        assert prepared(first) == kept


def test_what_cannot_be_given_up_is_given_to_nobody(record):
    with record.borrow() as first:
        pid = backend(first)
        first.execute("BEGIN")
        first.pgconn.enter_pipeline_mode()  # in the middle of one nothing can be given up
        roll_back(first)
        assert first.closed
    with record.borrow() as second:
        assert backend(second) != pid


def test_a_connection_that_the_server_ended_is_replaced_before_it_is_used(record):
    with record.borrow() as first:
        pid = backend(first)
    end(pid)
    with record.borrow() as second:
        assert backend(second) != pid
    assert first.closed


def test_a_connection_that_ends_while_it_is_used_says_so_and_is_not_given_again(record):
    def use():
        with record.borrow() as first:
            end(backend(first))
            first.execute("SELECT 1")

    with pytest.raises(RecordUnavailable, match="the record went away"):
        use()
    with record.borrow() as second:
        assert second.info.status is psycopg.pq.ConnStatus.OK
        backend(second)
