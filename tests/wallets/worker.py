"""Stands where a worker does, for tests that ask by HTTP or by button."""

import threading
from contextlib import contextmanager

from django.db import connection

from wallets import wishes
from wallets.models import Request


@contextmanager
def taking_up(act):
    """Has ``act`` take up whatever is asked meanwhile, by its key."""
    over = threading.Event()

    def work():
        while not over.wait(0.02):
            for pk in Request.objects.filter(done_at__isnull=True).values_list("pk", flat=True):
                act(pk)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def worker(**ends):
    """Ends each request as it is told, by kind: text is the problem, anything else the result."""

    def end(pk):
        row = wishes.request_claim(pk=pk)
        if row is None:
            return
        said = ends[row.kind]
        if isinstance(said, str):
            wishes.request_failed(row, problem=said)
        else:
            wishes.request_done(row, result=said)

    with taking_up(end):
        yield
