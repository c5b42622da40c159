"""A wire in front of a node that notes what was read at once, and answers as a slow node would."""

import json
import random
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEND = "eth_sendRawTransaction"


class SlowProxy:
    """``seen``: (monotonic seconds, raw bytes) of each payload, in the order of their arrival."""

    def __init__(self, upstream, *, seed):
        self.upstream = upstream
        self.random = random.Random(seed)  # noqa: S311  a pause, no secret
        self.seen = []
        self.gate = threading.Event()  # set: no pauses any more
        self.url = ""

    def note(self, calls):
        """Whether there is a payload among these; it is noted with its time."""
        at = time.monotonic()
        raws = [bytes.fromhex(call["params"][0][2:]) for call in calls if call["method"] == SEND]
        self.seen += [(at, raw) for raw in raws]
        return bool(raws)

    def pause(self):
        """Mostly a good node, often a busy one, now and then one that is nearly gone."""
        kind = self.random.random()
        longest = 0.05 if kind < 0.7 else 0.4 if kind < 0.97 else 1.9
        self.gate.wait(self.random.uniform(longest / 10, longest))

    def forward(self, body):
        request = urllib.request.Request(  # noqa: S310  loopback
            self.upstream, data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
            return answer.read()


@contextmanager
def slow_proxy(upstream, *, seed):
    """A proxy that listens for as long as the block."""
    proxy = SlowProxy(upstream, seed=seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls = json.loads(body)
            if proxy.note(calls if isinstance(calls, list) else [calls]):
                proxy.pause()
            with suppress(OSError):  # either side gave up
                said = proxy.forward(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, *args):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
