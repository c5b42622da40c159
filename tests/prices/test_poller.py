"""Polling: one batched call a poll, followed wishes, one poller, lives that outlast a run."""

import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection, connections

from contracts.models import Pool
from contracts.rpc import HttpRpc
from prices import poller, services, tasks
from prices.models import Monitor, Opportunity, PoolState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(90)]


class Counting:
    """Between poller and node: counts what is asked, and may answer wrongly."""

    def __init__(self, upstream):
        self.asked = []
        self.away = False
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if counting.away:
                    self.close_connection = True
                    self.connection.close()
                    return
                request = json.loads(body)
                counting.asked += [
                    each["method"] for each in (request if isinstance(request, list) else [request])
                ]
                sent = urllib.request.Request(  # noqa: S310
                    upstream, data=body, headers={"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(sent, timeout=10) as answer:  # noqa: S310
                    said = answer.read()
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def node(market):
    counting = Counting(market.rpc_url)
    yield counting
    counting.close()


class Running:
    """A poller in a thread, as a worker has it."""

    def __init__(self, url):
        self.rpc = HttpRpc([url], chain_id=31337, timeout_s=2)
        self.over = threading.Event()
        self.polls = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.polls = poller.poll("local", rpc=lambda: self.rpc, stopping=self.over.is_set)
        finally:
            connections.close_all()

    def stop(self):
        self.over.set()
        self.thread.join(10)
        self.rpc.close()
        assert not self.thread.is_alive()
        return self.polls


@pytest.fixture
def running(node, monitor, chain):
    services.monitoring_start(chain=chain, mode="poll", poll_interval_ms=100)
    started = Running(node.url)
    yield started
    started.stop()


def wait_for(condition, *, within_s=30, what="it"):
    until = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < until, f"{what} did not happen within {within_s} s"
        threading.Event().wait(0.02)
    return found


def polled(node):
    return node.asked.count("eth_call")


def test_celery_alone_keeps_all_pairs_fresh_in_one_call_a_poll(running, node, market, monitor):
    wait_for(lambda: polled(node) >= 5)
    market.driver.step()
    wait_for(lambda: Monitor.objects.get().head_number == market.chain.head())
    wait_for(lambda: PoolState.objects.count() == Pool.objects.count())

    after = Monitor.objects.get()
    assert after.running == "poll"
    running.stop()
    calls = polled(node)
    assert running.polls == calls
    assert node.asked.count("eth_getBlockByNumber") == calls
    assert set(node.asked) == {"eth_chainId", "eth_getBlockByNumber", "eth_call"}


def test_it_records_opportunities_and_says_that_nothing_executes(running, market):
    for _ in range(10):
        market.driver.step()
    wait_for(lambda: Opportunity.objects.filter(mode="poll").exists())
    reasons = set(Opportunity.objects.filter(verdict="executable").values_list("reason", flat=True))
    assert reasons <= {"not_armed"}


def test_a_second_poller_does_nothing(running, node):
    wait_for(lambda: polled(node) >= 2)
    second = Running(node.url)
    second.thread.join(10)
    assert second.polls == 0
    second.rpc.close()


def test_interval_spread_and_stop_take_effect_long_before_the_next_poll(running, node, chain):
    wait_for(lambda: polled(node) >= 3)
    services.monitoring_start(chain=chain, mode="poll", poll_interval_ms=3_600_000)
    wait_for(lambda: Monitor.objects.get().poll_interval_ms == 3_600_000)
    services.monitoring_start(
        chain=chain, mode="poll", poll_interval_ms=3_600_000, min_spread_bps=10_000
    )
    wait_for(lambda: not Opportunity.objects.filter(ended_at=None).exists(), within_s=45)
    calls = polled(node)
    services.monitoring_stop(chain=chain)
    wait_for(lambda: Monitor.objects.get().running == "")
    running.thread.join(15)
    assert polled(node) == calls


def test_lives_go_on_when_one_run_hands_over_to_the_next(running, node):
    wait_for(lambda: Opportunity.objects.filter(ended_at=None).exists())
    running.stop()
    before = Monitor.objects.get()
    rows = dict(Opportunity.objects.values_list("pk", "ended_at"))
    calls = polled(node)
    heir = Running(node.url)
    wait_for(lambda: polled(node) > calls + 2)
    heir.stop()

    assert dict(Opportunity.objects.values_list("pk", "ended_at")) == rows
    assert Monitor.objects.get().started_at == before.started_at


def test_a_node_that_goes_away_is_noted_and_polled_again_when_it_is_back(running, node):
    wait_for(lambda: polled(node) >= 2)
    node.away = True
    wait_for(lambda: Monitor.objects.get().problem)
    assert "127.0.0.1" in Monitor.objects.get().problem
    node.away = False
    calls = polled(node)
    wait_for(lambda: polled(node) > calls + 1)
    wait_for(lambda: not Monitor.objects.get().problem)


def test_a_pool_whose_quote_differs_is_quarantined(running, node, market):
    wait_for(lambda: PoolState.objects.exists())
    kept = market.rpc.call("evm_snapshot")
    try:
        pool = Pool.objects.select_related("dex").first()
        # The router's code becomes one that quotes nothing: no pool of its can be believed.
        code = market.rpc.call("eth_getCode", [pool.dex.router, "latest"])
        market.rpc.call("anvil_setCode", [pool.dex.router, "0x60006000fd"])
        market.rpc.call("evm_mine")
        wait_for(lambda: Pool.objects.get(pk=pool.pk).quarantined)
        market.rpc.call("anvil_setCode", [pool.dex.router, code])
    finally:
        market.rpc.call("evm_revert", [kept])
        market.chain.forget_nonces()
    assert "router" in Pool.objects.get(pk=pool.pk).quarantined
    others = Pool.objects.exclude(dex=pool.dex).exclude(quarantined="")
    assert not others.exists()


def test_the_engine_s_mode_is_left_alone(monitor, node):
    rpc = HttpRpc([node.url])
    assert poller.poll("local", rpc=lambda: rpc) == 0
    assert node.asked == []
    rpc.close()


def test_a_due_poll_with_no_broker_is_left_to_beat(settings, monitor):
    tasks.poll_soon("local")


def test_the_lock_ends_with_the_run(running, node):
    wait_for(lambda: polled(node) >= 1)
    running.stop()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert cursor.fetchone()[0] == 0
