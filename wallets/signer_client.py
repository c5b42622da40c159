"""Asking the signer, over its private UNIX socket: length-prefixed JSON, one answer a request."""

import json
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from arbsite.base.errors import Halt, Rejected, Retryable

MESSAGE_MAX: Final = 1024 * 1024  # a deployment's bytes as hex, with room
_HEAD: Final = struct.Struct(">I")


class SignRefused(Rejected):
    """The signer will not do it; ``code`` is short and fixed, the text says why."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


class SignerHalted(Halt):
    """The signer found record and keys in disagreement."""


class SignerUnavailable(Retryable):
    """No answer from the signer. ``asked`` says whether it may have acted."""

    def __init__(
        self, why: str, *, asked: bool, mend: str = "check `ps`, start it with `start signer`"
    ) -> None:
        self.asked = asked
        super().__init__(f"the signer {why}: {mend}")


class SignerDown(SignerUnavailable):
    """Nobody listens, or whoever did went away."""


class SignerSlow(SignerUnavailable):
    """It listens and did not answer within the deadline."""

    def __init__(self, timeout_s: float) -> None:
        mend = "it may still sign; look at the machine's load and at PostgreSQL"
        super().__init__(f"gave no answer in {timeout_s:g} s", asked=True, mend=mend)


class SignerWaits(SignerUnavailable):
    """It answers, and cannot do it now."""

    def __init__(self, detail: str) -> None:
        mend = "it is asked again once what it needs is back"
        super().__init__(f"cannot do it now ({detail})", asked=True, mend=mend)


class Signed(NamedTuple):
    """A signed payload: its raw bytes, and its hash with 0x."""

    raw: bytes
    hash: str


class SignerClient:
    """A signer behind a socket. Thread-safe; keeps connections warm."""

    def __init__(self, path: Path | str, *, timeout_s: float = 5.0) -> None:
        self.path = str(path)
        self.timeout_s = timeout_s
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()

    def sign(self, attempt_id: int) -> Signed:
        """Sign a committed attempt; the same one always gives the same bytes.

        Raises: SignRefused, SignerHalted, SignerUnavailable.
        """
        answer = self._ask({"op": "sign", "attempt": attempt_id})
        return Signed(raw=bytes.fromhex(answer["raw"][2:]), hash=str(answer["hash"]))

    def address(self, *, seed: str, path: str) -> str:
        """The address of a seed's path. Raises: as `sign`."""
        return str(self._ask({"op": "address", "seed": seed, "path": path})["address"])

    def seed_create(self, name: str) -> str:
        """Make a master seed; returns its mnemonic, to be shown once and forgotten."""
        return str(self._ask({"op": "create_seed", "seed": name})["mnemonic"])

    def seed_import(self, name: str, *, mnemonic: str, exposed: bool = False) -> None:
        """Keep the seed of a mnemonic; ``exposed``: others may know it."""
        self._ask({"op": "import_seed", "seed": name, "mnemonic": mnemonic, "exposed": exposed})

    def key_import(
        self, *, chain_key: str, is_local: bool, private_key: str, exposed: bool = False
    ) -> str:
        """Keep a private key for one chain; returns its address."""
        request = {"op": "import_key", "chain": chain_key, "local": is_local, "key": private_key}
        return str(self._ask({**request, "exposed": exposed})["address"])

    def expose(self, name: str, *, path: str = "") -> None:
        """Note for ever that others may know a secret, or the key at one path of a seed."""
        self._ask({"op": "expose", "name": name, "path": path})

    def exposed(self) -> frozenset[str]:
        """What others may know: names of secrets, and ``seed:main m/...`` for single paths."""
        return frozenset(self.status()["exposed"])

    def rotate_passphrase(self) -> str:
        """Have the signer put a new passphrase in the old one's place; returns its file."""
        return str(self._ask({"op": "rotate_passphrase"})["file"])

    def wake(self) -> None:
        """Say that something is to be signed in a moment: what that takes is at hand then.

        Nothing is answered, nobody waits. Never raises.
        """
        warm = self._take()
        if warm is None:
            return  # the first request opens a connection
        try:
            send_message(warm, {"op": "wake"})
        except OSError:
            warm.close()
            return
        with self._lock:
            self._idle.append(warm)

    def status(self) -> Mapping[str, Any]:
        """``pid``, ``secrets`` and ``exposed`` (names), ``signed`` (count), ``live`` (chains)."""
        return self._ask({"op": "status"})

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        warm = self._take()
        if warm is not None:
            try:
                return _outcome(self._exchange(warm, request))
            except TimeoutError:
                raise SignerSlow(self.timeout_s) from None
            except (OSError, ValueError):
                pass  # the signer was restarted; every request may be repeated as it is
        try:
            fresh = self._connect()
        except OSError as error:
            raise SignerDown(
                f"is not there ({error.strerror or type(error).__name__})", asked=False
            ) from None
        try:
            return _outcome(self._exchange(fresh, request))
        except TimeoutError:
            raise SignerSlow(self.timeout_s) from None
        except (OSError, ValueError):
            raise SignerDown("ended the connection", asked=True) from None

    def _exchange(self, connection: socket.socket, request: Mapping[str, object]) -> dict[str, Any]:
        try:
            send_message(connection, request)
            answer = receive_message(connection)
        except BaseException:
            connection.close()  # whatever ended it, the rest must not be read as the next answer
            raise
        with self._lock:
            self._idle.append(connection)
        return answer

    def _take(self) -> socket.socket | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout_s)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def send_message(connection: socket.socket, message: Mapping[str, object]) -> None:
    """Write one message. Raises: OSError."""
    body = json.dumps(message).encode()
    connection.sendall(_HEAD.pack(len(body)) + body)


def receive_message(connection: socket.socket) -> dict[str, Any]:
    """Read one message. Raises: OSError, EOFError's kin as ConnectionError, ValueError."""
    (size,) = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if size > MESSAGE_MAX:
        raise ValueError("the message is too long")
    message = json.loads(_exactly(connection, size))
    if not isinstance(message, dict):
        raise ValueError("the message is not an object")
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the other side closed the connection")
        parts += part
    return bytes(parts)


def _outcome(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok"):
        return answer
    detail = str(answer.get("detail", "refused without a reason"))
    if answer.get("kind") == "halt":
        raise SignerHalted(detail)
    if answer.get("kind") == "retryable":
        raise SignerWaits(detail)
    raise SignRefused(str(answer.get("code", "refused")), detail)
