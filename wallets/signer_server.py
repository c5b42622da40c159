"""The signer's UNIX socket: it knows its peers, and gives each a thread. No key comes here."""

import contextlib
import fcntl
import logging
import os
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from arbsite.base.errors import Rejected
from wallets.signer_client import receive_message, send_message

logger = logging.getLogger(__name__)
CLIENTS_MAX: Final = 64
_PEER: Final = struct.Struct("iII")


class SignerRuns(Rejected):
    """Another signer holds the socket."""


class Answers(Protocol):
    """Who does what is asked."""

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `wallets.signer.Signer.answer`."""

    def forget_connection(self) -> None:
        """See `wallets.signer.Signer.forget_connection`."""


class SignerServer:
    """The socket in front of a `Signer`: one thread a client, peers of allowed user ids only."""

    def __init__(
        self, *, signer: Answers, path: Path, peer_uids: frozenset[int] | None = None
    ) -> None:
        self.path = path
        self._signer = signer
        self._peer_uids = peer_uids or frozenset({os.geteuid()})
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._guard = -1

    def start(self) -> None:
        """Take the socket. Raises: SignerRuns while another signer holds it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.path.with_suffix(".lock")
        self._guard = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._guard)
            raise SignerRuns(f"another signer runs on {self.path}") from None
        self.path.unlink(missing_ok=True)  # left behind by a killed one: the lock is ours
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(str(self.path))
        finally:
            os.umask(before)
        if self._peer_uids != {os.geteuid()}:
            self.path.chmod(0o666)  # who may speak is decided by the peer's user id
        listener.listen(CLIENTS_MAX)
        listener.settimeout(0.2)
        self._listener = listener

    def serve(self) -> None:
        """Accept clients until `stop`; then close everything and remove the socket."""
        assert self._listener is not None  # noqa: S101  start() came first
        try:
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    self._admit(self._listener.accept()[0])
        finally:
            self._listener.close()
            self.path.unlink(missing_ok=True)
            with self._lock:
                for client in self._clients:
                    with contextlib.suppress(OSError):
                        client.shutdown(socket.SHUT_RDWR)
            os.close(self._guard)

    def stop(self) -> None:
        """Ask `serve` to end; safe in a signal handler."""
        self._stopping.set()

    def _admit(self, client: socket.socket) -> None:
        client.setblocking(True)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(credentials)
        with self._lock:
            full = len(self._clients) >= CLIENTS_MAX
            if uid in self._peer_uids and not full:
                self._clients.add(client)
        if uid not in self._peer_uids or full:
            logger.warning("signer client refused", extra={"peer_pid": pid, "peer_uid": uid})
            client.close()
            return
        threading.Thread(target=self._serve_client, args=(client,), daemon=True).start()

    def _serve_client(self, client: socket.socket) -> None:
        try:
            while not self._stopping.is_set():
                answer = self._signer.answer(receive_message(client))
                if answer is not None:
                    send_message(client, answer)
        except (OSError, ValueError):
            pass  # the client went away, or does not speak our language
        finally:
            self._signer.forget_connection()
            with self._lock:
                self._clients.discard(client)
            client.close()
