"""Event loops and sockets for the feed: from a node's write of a head to our code holding it.

Every way reads the same stamped heads from one node of loopback, one after the other, so that a
noisy moment meets all of them. io_uring is measured in C against blocking calls in C: what it could
save at most. Run it alone with ``python -m tests.benchmarks.loop_bench``.
"""

import asyncio
import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import msgspec
import picows
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport
from websockets.asyncio.client import connect

from tests.benchmarks.mock_node import header_json

Entry = dict[str, object]
SOURCE = Path(__file__).with_name("loop_reference.c")
HEADS = 400
WARM = 50
CHOSEN = "uvloop, picows"


def measure() -> dict[str, Entry]:
    """``{"loops": ...}``: the way that is used, beside the others."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.loop_bench", "serve"], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        try:
            url = f"ws://127.0.0.1:{int(server.stdout.readline())}"
            found = {name: round(median(way(url)[WARM:]), 1) for name, way in WAYS.items()}
        finally:
            server.kill()
    best = min(value for name, value in found.items() if name != "thread, raw socket")
    return {
        "loops": {
            "value": found[CHOSEN],
            "unit": f"us from a head's write to its decoded value: {CHOSEN}",
            "target": "least of the loops",
            "reference": {**found, "round_trip_in_c": _in_c()},
            "ok": found[CHOSEN] <= best * 1.1,
        }
    }


def _head() -> bytes:
    """A notification as a node writes it, stamped now."""
    header = header_json(7) | {"stamp": time.perf_counter_ns()}
    params = {"subscription": "0xheads", "result": header}
    return msgspec.json.encode({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def _taken(message: bytes | str, times: list[float]) -> None:
    stamp = msgspec.json.decode(message)["params"]["result"]["stamp"]
    times.append((time.perf_counter_ns() - stamp) / 1_000)


class _Server(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(WSMsgType.TEXT, _head())


async def _serve() -> None:
    server = await picows.ws_create_server(lambda _request: _Server(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def _websockets(url: str) -> list[float]:
    times: list[float] = []
    async with connect(url, compression=None) as socket_:
        for _ in range(HEADS):
            await socket_.send("next")
            _taken(await socket_.recv(), times)
    return times


async def _picows(url: str) -> list[float]:
    times: list[float] = []
    done = asyncio.get_running_loop().create_future()

    class Client(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            transport.send(WSMsgType.TEXT, b"next")

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            _taken(frame.get_payload_as_bytes(), times)
            if len(times) < HEADS:
                transport.send(WSMsgType.TEXT, b"next")
            elif not done.done():
                done.set_result(None)

    transport, _ = await picows.ws_connect(Client, url)
    await done
    transport.disconnect()
    return times


def _raw(url: str) -> list[float]:
    """A thread that blocks in recv, and frames taken apart by hand."""
    times: list[float] = []
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        client.sendall(
            (
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(4096)
        data = data.partition(b"\r\n\r\n")[2]
        for _ in range(HEADS):
            client.sendall(b"\x81\x84\0\0\0\0next")
            while len(data) < 4 or len(data) < 4 + struct.unpack(">H", data[2:4])[0]:
                data += client.recv(2**16)
            size = struct.unpack(">H", data[2:4])[0]
            _taken(data[4 : 4 + size], times)
            data = data[4 + size :]
    return times


def _on(
    run: Callable[[Awaitable[list[float]]], list[float]],
    client: Callable[[str], Awaitable[list[float]]],
) -> Callable[[str], list[float]]:
    return lambda url: run(client(url))


WAYS: dict[str, Callable[[str], list[float]]] = {
    "asyncio, websockets": _on(asyncio.run, _websockets),  # type: ignore[arg-type]
    "uvloop, websockets": _on(uvloop.run, _websockets),  # type: ignore[arg-type]
    "asyncio, picows": _on(asyncio.run, _picows),  # type: ignore[arg-type]
    "uvloop, picows": _on(uvloop.run, _picows),  # type: ignore[arg-type]
    "thread, raw socket": _raw,
}


def _in_c() -> dict[str, object]:
    """Microseconds of a round trip, blocking and through io_uring; in words what is not there."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return {"blocking_us": None, "io_uring_us": "no C compiler here"}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "loop_reference"
        subprocess.run([gcc, "-O2", "-pthread", str(SOURCE), "-o", str(program)], check=True)
        ended = subprocess.run([str(program)], check=True, capture_output=True, text=True)
    plain, ring = (int(word) for word in ended.stdout.split())
    return {
        "blocking_us": round(plain / 1_000, 1),
        "io_uring_us": round(ring / 1_000, 1) if ring >= 0 else "the kernel refuses it",
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        uvloop.run(_serve())
    else:
        json.dump(measure(), sys.stdout, indent=1)
        sys.stdout.write("\n")
