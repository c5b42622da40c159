"""One HTTP/1.1 POST at a time over kept connections: timed as a whole, bounded in size, never
repeated, never redirected, and exact about whether a byte of the request may have left.

Small on purpose: a general client takes half a millisecond of the hot path for what JSON-RPC has
no use for (cookies, redirects, proxies, retries, compression).
"""

import socket
import ssl
import threading
import time
import weakref
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

BODY_MAX: Final = 64 * 2**20
HEAD_MAX: Final = 2**16
CHUNK: Final = 2**18
KEPT_MAX: Final = 16
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class WireFailed(Exception):
    """No whole answer; ``why`` holds nothing of the URL. ``sent``: a byte may have left."""

    def __init__(self, why: str, *, sent: bool) -> None:
        self.why = why
        self.sent = sent
        super().__init__(why)


class Answer(NamedTuple):
    """Status and whole body."""

    status: int
    body: bytes


class HttpWire:
    """Connections to one URL. Thread-safe: who asks takes a connection of his own and gives it
    back warm. ``opened`` counts those that were made."""

    def __init__(self, url: str) -> None:
        """Raises: ValueError for what is no http or https URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http or https URL")
        self.opened = 0
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._head = _head(url)
        self._kept: list[socket.socket] = []
        weakref.finalize(self, _close_all, self._kept)  # whoever forgets to close leaks none
        self._lock = threading.Lock()

    def post(self, body: bytes, *, timeout_s: float, headers: Mapping[str, str] = _NONE) -> Answer:
        """Send once, and read the whole answer within the time. Raises: WireFailed."""
        deadline = time.monotonic() + timeout_s
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = self._head + f"{more}Content-Length: {len(body)}\r\n\r\n".encode()
        connection = self._take() or self._open(deadline)
        try:
            connection.settimeout(_left(deadline))
            connection.sendall(head + body)
            answer, keep = _Reader(connection, deadline).answer()
        except BaseException as error:
            connection.close()  # whatever ended it, the rest must not be read as the next answer
            raise _told(error, sent=True) from None
        self._give_back(connection, keep=keep)
        return answer

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            _close_all(self._kept)

    def _take(self) -> socket.socket | None:
        """The connection used last, if it is still open and has nothing to say."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            if _is_quiet(connection):
                return connection
            connection.close()

    def _open(self, deadline: float) -> socket.socket:
        try:
            connection = socket.create_connection((self._host, self._port), _left(deadline))
        except (OSError, ValueError) as error:
            raise _told(error, sent=False) from None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection.settimeout(_left(deadline))
                connection = _context().wrap_socket(connection, server_hostname=self._host)
        except BaseException as error:  # whatever ended it, no socket is left open
            connection.close()
            raise _told(error, sent=False) from None
        with self._lock:
            self.opened += 1
        return connection

    def _give_back(self, connection: socket.socket, *, keep: bool) -> None:
        with self._lock:
            if keep and len(self._kept) < KEPT_MAX:
                self._kept.append(connection)
                return
        connection.close()


def _close_all(kept: list[socket.socket]) -> None:
    while kept:
        kept.pop().close()


class _Reader:
    """Reads one answer from a connection."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = bytearray()

    def answer(self) -> tuple[Answer, bool]:
        """(answer, whether the connection may be used again). Raises: ValueError, OSError."""
        status = 100
        while 100 <= status < 200:  # what comes before the answer
            version, status, headers = self._headers()
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ValueError("the answer is compressed, which was not asked for")
        keep = version == b"HTTP/1.1" and headers.get("connection", "").lower() != "close"
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        elif "content-length" in headers:
            body = self._exactly(_size(headers["content-length"], base=10))
        elif status in (204, 304):
            body = b""
        else:
            body, keep = self._rest(), False
        return Answer(status, body), keep and not self._buffer

    def _headers(self) -> tuple[bytes, int, dict[str, str]]:
        first, *lines = self._until(b"\r\n\r\n", most=HEAD_MAX).split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit():
            raise ValueError("the answer is not HTTP")
        headers = {}
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return version, int(rest[:3]), headers

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        total = 0
        while size := _size(self._until(b"\r\n", most=HEAD_MAX).partition(b";")[0], base=16):
            total += size
            if total > BODY_MAX:
                raise ValueError(f"the answer is over {BODY_MAX // 2**20} MiB")
            parts.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise ValueError("the answer's chunks are out of step")
        while self._until(b"\r\n", most=HEAD_MAX):
            pass  # trailers
        return b"".join(parts)

    def _until(self, mark: bytes, *, most: int) -> bytes:
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark))
            if len(self._buffer) > most:
                raise ValueError("the answer's head is too long")
            self._more()
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return found

    def _exactly(self, size: int) -> bytes:
        if size > BODY_MAX:
            raise ValueError(f"the answer is over {BODY_MAX // 2**20} MiB")
        while len(self._buffer) < size:
            self._more()
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _rest(self) -> bytes:
        while self._receive():
            if len(self._buffer) > BODY_MAX:
                raise ValueError(f"the answer is over {BODY_MAX // 2**20} MiB")
        return bytes(self._buffer)

    def _more(self) -> None:
        if not self._receive():
            raise ConnectionError("ended before its answer did")

    def _receive(self) -> bool:
        self._connection.settimeout(_left(self._deadline))
        part = self._connection.recv(CHUNK)
        self._buffer += part
        return bool(part)


def _is_quiet(connection: socket.socket) -> bool:
    """Whether it is open and nothing was said over it since its last answer; TLS may have said
    something of its own, which is taken in by looking."""
    try:
        connection.settimeout(0)
        connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False  # ended by the other side, or out of step


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _head(url: str) -> bytes:
    """The request's head as far as it is the same each time."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}"]
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(user.encode()).decode()}")
    lines += ["Content-Type: application/json", "User-Agent: arbsite", "Accept-Encoding: identity"]
    return ("\r\n".join(lines) + "\r\n").encode()


def _size(text: str | bytes, *, base: int) -> int:
    """Raises: ValueError for anything but digits."""
    shown = text.decode("latin-1") if isinstance(text, bytes) else text
    if not shown.strip().isalnum() or not shown.isascii():
        raise ValueError("the answer's length is no number")
    return int(shown, base)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _told(error: BaseException, *, sent: bool) -> BaseException:
    """A failure in words that hold nothing of the URL; what is no failure of the wire, as it is."""
    if isinstance(error, TimeoutError):
        return WireFailed("no answer in time", sent=sent)
    if isinstance(error, ConnectionRefusedError):
        return WireFailed("connection refused", sent=sent)
    if isinstance(error, OSError):
        return WireFailed(f"connection failed ({type(error).__name__})", sent=sent)
    if isinstance(error, ValueError):
        return WireFailed(str(error), sent=sent)
    return error
