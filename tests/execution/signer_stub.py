"""Stands at a signer's socket and answers that it is there; nothing more."""

import contextlib
import socket
import threading
from pathlib import Path

from wallets.signer_client import receive_message, send_message


class SignerStub:
    """Answers every question with ok until it is stopped."""

    def __init__(self, path: Path) -> None:
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._path = path
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while True:
                receive_message(connection)
                send_message(connection, {"ok": True, "pid": 1})
        except (OSError, ValueError):
            connection.close()

    def stop(self) -> None:
        """Go away, as a signer that died."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._path.unlink(missing_ok=True)
        for thread in self._threads:
            thread.join(5)
