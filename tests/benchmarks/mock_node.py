"""A node of loopback that tells a story of blocks, and notes when what was sent arrives.

A process of its own, so that its work is not counted as ours. ``bench_next`` writes the next head
to whoever subscribed; ``bench_times`` gives the microseconds from each head written to the bytes of
`eth_sendRawTransaction` received, ``bench_sent`` the hashes of what was. WebSocket and HTTP are
answered alike.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from wallets.kernel.payload import transaction_hash

BEGAN_S = 1_800_000_000  # Unix time of block 0
WORD = "0x" + f"{10**15:064x}"


def block_hash(number: int) -> str:
    return f"0x{number:064x}"


def header_json(number: int) -> dict[str, Any]:
    """A header with all the fields that a node writes; most are there to be decoded past."""
    return {
        "hash": block_hash(number), "parentHash": block_hash(number - 1), "number": hex(number),
        "timestamp": hex(BEGAN_S + number), "gasUsed": "0x0", "gasLimit": hex(30_000_000),
        "logsBloom": "0x" + "00" * 256, "stateRoot": "0x" + "11" * 32,
        "receiptsRoot": "0x" + "22" * 32, "transactionsRoot": "0x" + "33" * 32,
        "sha3Uncles": "0x" + "44" * 32, "miner": "0x" + "55" * 20, "difficulty": "0x2",
        "extraData": "0x" + "66" * 30, "mixHash": "0x" + "00" * 32, "nonce": "0x" + "00" * 8,
    }  # fmt: skip


class Story:
    """The chain so far: one block more with each ``bench_next``."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.chain_id = hex(document["chainId"])
        self.blocks = document["blocks"]
        self.at = 0
        self.written_ns = 0
        self.follower: Socket | None = None
        self.times_us: list[float] = []
        self.sent: list[str] = []
        self.logs = {block["header"]["hash"]: block["logs"] for block in self.blocks}
        self.headers = {block["header"]["hash"]: block["header"] for block in self.blocks}

    def answer(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_call":
                return WORD
            case "eth_sendRawTransaction":
                self.times_us.append((time.perf_counter_ns() - self.written_ns) / 1_000)
                self.sent.append("0x" + transaction_hash(bytes.fromhex(params[0][2:])).hex())
                return self.sent[-1]
            case "eth_getLogs":
                return self.logs.get(params[0].get("blockHash"), [])
            case "eth_getBlockByNumber":
                return self.blocks[self.at]["header"]
            case "eth_getBlockByHash":
                return self.headers.get(params[0])
            case "eth_chainId" | "net_version":
                return self.chain_id
            case "eth_getTransactionCount" | "eth_estimateGas":
                return "0x7"
            case "eth_gasPrice":
                return "0x2faf080"
            case "bench_times":
                times, self.times_us = self.times_us, []
                return times
            case "bench_sent":
                return self.sent
        return None


class Socket(WSListener):
    """One WebSocket client."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        request = msgspec.json.decode(frame.get_payload_as_bytes())
        method, params = request["method"], request.get("params", [])
        if method == "eth_subscribe":
            result = "0xlogs" if params[0] == "logs" else "0xheads"
            if params[0] == "newHeads":
                self.story.follower = self
        elif method == "bench_next":
            self.story.at += 1
            result = self.story.at
        else:
            result = self.story.answer(method, params)
        self._write({"jsonrpc": "2.0", "id": request["id"], "result": result})
        if method == "bench_next" and self.story.follower is not None:
            self.story.follower.tell()

    def tell(self) -> None:
        """Write the newest head, then its logs."""
        block = self.story.blocks[self.story.at]
        self.story.written_ns = time.perf_counter_ns()
        for subscription, result in (
            ("0xheads", block["header"]), *(("0xlogs", log) for log in block["logs"])
        ):  # fmt: skip
            params = {"subscription": subscription, "result": result}
            self._write({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    def _write(self, document: Any) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, msgspec.json.encode(document))


class Http(asyncio.Protocol):
    """One HTTP client, keep-alive, one request at a time."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        if len(body) < length:
            return
        self.buffer = body[length:]
        asked = msgspec.json.decode(body[:length])
        many = isinstance(asked, list)
        answers = [
            {
                "jsonrpc": "2.0",
                "id": request["id"],
                "result": self.story.answer(request["method"], request.get("params", [])),
            }
            for request in (asked if many else [asked])
        ]
        out = msgspec.json.encode(answers if many else answers[0])
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(out)
            + out
        )


async def serve(document: dict[str, Any]) -> None:
    story = Story(document)
    loop = asyncio.get_running_loop()
    ws = await ws_create_server(lambda _request: Socket(story), "127.0.0.1", 0)
    http = await loop.create_server(lambda: Http(story), "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (ws, http)]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


@contextmanager
def mock_node(document: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """(WebSocket URL, HTTP URL) of a node that tells ``document``'s blocks."""
    path = folder / "story.json"
    path.write_text(json.dumps(document))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.mock_node", str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            ws, http = json.loads(process.stdout.readline())
            yield f"ws://127.0.0.1:{ws}", f"http://127.0.0.1:{http}"
        finally:
            process.kill()


if __name__ == "__main__":
    uvloop.run(serve(json.loads(Path(sys.argv[1]).read_text())))
