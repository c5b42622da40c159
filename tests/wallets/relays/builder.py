"""A builder at the wire: takes requests over real HTTP, keeps each byte for byte, and may do badly.

With a node behind it, it builds as builders do: a bundle goes into a block whole and without a
revert, or not at all, and no later than the block it names.
"""

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SUBMISSIONS = ("eth_sendBundle", "blxr_submit_bundle", "eth_sendRawTransaction")


class Builder:
    """What it got, and how it answers: a dict that stands beside jsonrpc and id, or None: never."""

    def __init__(self):
        self.requests = []  # (headers, body)
        self.answer = {"result": {"bundleHash": "0x" + "be" * 32}}
        self.status = 200
        self.held = []  # (raw, last block) not mined yet
        self.cancelled = []
        self.url = ""
        self.gate = threading.Event()

    @property
    def calls(self):
        return [json.loads(body) for _, body in self.requests]

    def sent(self):
        return [call for call in self.calls if call["method"] in SUBMISSIONS]

    def take(self, call):
        """Keep a submission, as the dialects name its parts."""
        params = call["params"]
        one = params if isinstance(params, dict) else next(iter(params), None)
        if call["method"] == "eth_cancelBundle":
            self.cancelled.append(one["replacementUuid"])
            self.held = [each for each in self.held if each[2] != one["replacementUuid"]]
        if call["method"] not in SUBMISSIONS or not isinstance(one, dict) or not one.get("txs"):
            return
        last = one.get("blockNumber", one.get("maxBlockNumber", one.get("max_block_number")))
        last = int(last, 16) if isinstance(last, str) else last
        for raw in one["txs"]:
            self.held.append(
                (bytes.fromhex(raw.removeprefix("0x")), last, one.get("replacementUuid"))
            )

    def build(self, rpc):
        """Mine one block with whatever of it is not late and does not revert. Their hashes."""
        rpc.call("evm_setAutomine", [False])
        number = int(rpc.call("eth_blockNumber"), 16) + 1
        landed = []
        for raw, last, _ in self.held:
            if last is not None and number > last:
                continue
            snapshot = rpc.call("evm_snapshot")
            with suppress(Exception):
                tx_hash = rpc.send_raw(raw)
                rpc.call("evm_mine", [])
                receipt = rpc.call("eth_getTransactionReceipt", [tx_hash])
                if receipt and receipt["status"] == "0x1":
                    landed.append(tx_hash)
                    break
            rpc.call("evm_revert", [snapshot])
            rpc.call("anvil_dropAllTransactions", [])
        if not landed:
            rpc.call("evm_mine", [])
        self.held = []
        return landed


@contextmanager
def builder():
    """A builder that listens for as long as the block."""
    made = Builder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append((dict(self.headers.items()), body))
            call = json.loads(body)
            if made.answer is None:
                made.take(call)
                made.gate.wait(10)
                return
            if "error" not in made.answer:
                made.take(call)
            said = json.dumps({"jsonrpc": "2.0", "id": call["id"], **made.answer}).encode()
            with suppress(OSError):
                self.send_response(made.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, *args):
            """Nothing: tests read what was sent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
