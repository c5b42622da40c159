"""The node under the local market: npm's anvil, mining only when told to, dying with us."""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from arbsite.base.errors import Rejected
from contracts.localchain.artifacts import NODE_MODULES
from contracts.rpc import HttpRpc, RpcUnavailable

BINARY: Final = NODE_MODULES / "@foundry-rs/anvil-linux-amd64/bin/anvil"
HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8545
START_S: Final = 20.0
STOP_S: Final = 3.0
STATE_INTERVAL_S: Final = 2
STATES_KEPT: Final = 256  # about 1 MB of memory each
BLOCKS_KEPT: Final = 600  # their transactions and receipts; each adds 30 kB to the kept state
BLOCK_GAS_LIMIT: Final = 140_000_000
_PR_SET_PDEATHSIG: Final = 1
_FREE_PORTS: Final = 3  # one that was free may be taken before the node has it


class AnvilMissing(Rejected):
    """The node's program is not installed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            "anvil (@foundry-rs/anvil-linux-amd64) is missing: run `npm ci`, then start again"
        )


class PortBusy(Rejected):
    """Something else listens where the node should."""

    def __init__(self, port: int) -> None:
        self.port = port
        super().__init__(
            f"port {port} on {HOST} is busy: stop what listens there, or give another --port"
        )


class AnvilFailed(Rejected):
    """The node ended, or never answered; carries its last words."""

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(f"anvil did not start: {said}")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def ports_to_try(given: int | None, *, known: int | None = None) -> Iterator[int]:
    """The ports that a node may take, in order: the next where one turns out to be busy.

    ``given``: by the operator, then no other will do; 0 for any. ``known``: where others look for
    it already, which binds where the operator said nothing. Else `DEFAULT_PORT`, or any.
    """
    wanted = known if given is None else given
    if wanted:
        yield wanted
        return
    if given is None:
        yield DEFAULT_PORT
    for _ in range(_FREE_PORTS):
        yield free_port()


def check_port(port: int) -> None:
    """Raises: PortBusy when nothing more can listen there."""
    with socket.socket() as probe:
        # As the node does: a port in TIME_WAIT is free, one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortBusy(port) from None


class Anvil:
    """One running node. Use as a context manager, or call `stop`.

    Start it from a thread that lives as long as the node should: the kernel ties the node's life
    to that thread.
    """

    def __init__(
        self,
        *,
        port: int,
        chain_id: int,
        state: Path | None = None,
        states_kept: int = STATES_KEPT,
    ) -> None:
        """Raises: AnvilMissing, PortBusy, AnvilFailed."""
        if not BINARY.exists():
            raise AnvilMissing(BINARY)
        check_port(port)
        self.port = port
        self.http_url = f"http://{HOST}:{port}"
        self.ws_url = f"ws://{HOST}:{port}"
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop()
        self._process = subprocess.Popen(  # noqa: S603  our own pinned binary and fixed arguments
            _command(port=port, chain_id=chain_id, state=state, states_kept=states_kept),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with(os.getpid()),
            start_new_session=True,  # Ctrl-C is for us; we stop the node after the driver
        )
        self.rpc = HttpRpc([self.http_url], timeout_s=30.0)
        try:
            self._await_answer(chain_id)
        except BaseException:  # Ctrl-C too leaves no node behind
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """The node's last line."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def stop(self) -> None:
        """End the node; it writes its state first."""
        self.rpc.close()
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._said.close()

    def kill(self) -> None:
        """End the node at once, as a power cut would."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Anvil":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _await_answer(self, chain_id: int) -> None:
        deadline = time.monotonic() + START_S
        while (found := self._answer()) is None:
            if not self.alive():
                check_port(self.port)  # somebody was quicker
                raise AnvilFailed(self.said())
            if time.monotonic() > deadline:
                raise AnvilFailed(f"no answer within {START_S:.0f} s")
            time.sleep(0.01)
        if found != chain_id:
            raise AnvilFailed(f"chain id {found} answers on port {self.port}, not {chain_id}")

    def _answer(self) -> int | None:
        """The chain id, or None while there is none. Asked only once the port is our own node's:
        another one that took it meanwhile would answer as well."""
        if not _listens(self.pid, self.port):
            return None
        try:
            return int(str(self.rpc.call("eth_chainId", timeout_s=1.0)), 16)
        except RpcUnavailable:
            return None


def _command(*, port: int, chain_id: int, state: Path | None, states_kept: int) -> list[str]:
    command = [
        str(BINARY),
        "--quiet",
        *("--host", HOST),
        *("--port", str(port)),
        *("--chain-id", str(chain_id)),
        *("--hardfork", "cancun"),
        *("--base-fee", "0"),
        *("--gas-limit", str(BLOCK_GAS_LIMIT)),
        "--no-mining",
        # By fees, a later nonce with a higher price is tried first, and lost for good.
        *("--order", "fifo"),
        *("--prune-history", str(states_kept)),
        *("--transaction-block-keeper", str(BLOCKS_KEPT)),
    ]
    if state is not None:
        command += ["--state", str(state), "--state-interval", str(STATE_INTERVAL_S)]
    return command


def _listens(pid: int, port: int) -> bool:
    """Whether that process listens on the port, as the kernel's tables say."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {
        f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"
    }
    try:
        return any(os.readlink(fd) in listening for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it ended, or closed one of them just now
        return False


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec
