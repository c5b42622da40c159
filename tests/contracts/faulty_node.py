"""A node that misbehaves in ways that a real one cannot be asked for."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class FaultyNode:
    """A listener whose every connection is handed to ``behave`` with the request's JSON."""

    def __init__(self, behave: Callable[[socket.socket, object], None]) -> None:
        self.behave = behave
        self.requests: list[object] = []
        self.on_head: Callable[[bytes], None] = lambda head: None
        self.ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    request = read_request(connection, self.on_head)
                    if request is not None:
                        self.requests.append(request)
                        self.behave(connection, request)

    def stop(self) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextmanager
def faulty_node(behave) -> Iterator[FaultyNode]:
    node = FaultyNode(behave)
    try:
        yield node
    finally:
        node.stop()


def read_request(
    connection: socket.socket, on_head: Callable[[bytes], None] = lambda head: None
) -> object:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    on_head(head)
    [length] = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while len(body) < length:
        body += connection.recv(65536)
    return json.loads(body)


def http(body: bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None):
    """A whole answer; ``length`` lies about it."""
    said = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Length: {said}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


def saying(answer: bytes):
    """Write these bytes and close."""

    def behave(connection, request):
        connection.sendall(answer)

    return behave


def answering(result: object):
    """A good answer to any single request."""

    def behave(connection, request):
        document = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        connection.sendall(http(json.dumps(document).encode()))

    return behave
