"""One run of the stack: its lock, its supervisor, its logs on the terminal and its end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from arbsite.base.errors import Halt, Rejected
from arbsite.stack import paths
from arbsite.stack.cleaning import clean
from arbsite.stack.follow import Follower, Terminal
from arbsite.stack.lock import AlreadyHeld, hold
from arbsite.stack.preflight import check_folder
from arbsite.stack.processes import Program
from arbsite.stack.supervisor import Supervisor, spawn, write_configuration
from arbsite.stack.waiting import NotReady, last_words, wait_until

# The tiers' own deadlines add up to 9 s.
STOP_S: Final = 9.7
_PREVIOUS_STOP_S: Final = 15.0
_SUPERVISOR_S: Final = 15.0
_POLL_S: Final = 0.1
# Starts of one process that end early before the whole start is given up.
_TRIES: Final = 3
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackRunning(Rejected):
    """Another stack lives on this data folder."""


class SupervisorDied(Halt):
    """The supervisor ended unasked; its processes ended with it."""


class _Stop(BaseException):
    """A signal asked for the end; not an error, so no handler of errors may swallow it."""


def take(data_dir: Path, *, say: Callable[[str], None]) -> int:
    """Become the one stack of ``data_dir``; returns the lock's descriptor.

    A stack whose ``up`` was killed is still stopping: its end is awaited.

    Raises:
        StackRunning: another one lives.
    """
    path = paths.Layout(data_dir).run / "up.lock"
    what = f"a stack on {data_dir}"
    try:
        return hold(path, what=what, inherit=False)
    except AlreadyHeld as error:
        if error.pid is not None and not _alive(error.pid):
            say("the previous stack is still stopping: waiting for its end")
            try:
                return hold(path, what=what, wait_s=_PREVIOUS_STOP_S, inherit=False)
            except AlreadyHeld as second:
                error = second
        raise StackRunning(
            f"{error}: `manage.py ps` shows it, `manage.py stop` ends it, or choose another folder "
            f"with ARB_DATA_DIR"
        ) from None


class Session:
    """What the bring-up may do while the supervisor runs."""

    def __init__(
        self, *, data_dir: Path, terminal: Terminal, process: "subprocess.Popen[bytes]"
    ) -> None:
        """``process`` is the supervisor."""
        self.data_dir = data_dir
        self.supervisor = Supervisor(data_dir, timeout_s=5)
        self.say = terminal.say
        self._process = process

    def alive(self) -> bool:
        """Whether the supervisor lives."""
        return self._process.poll() is None

    def start(
        self, name: str, *, lacking: Callable[[], str | None] | None = None, deadline_s: float = 60
    ) -> None:
        """Start one process and wait until ``lacking`` answers None.

        Raises:
            NotReady: it ended again and again, or was late; with its last words.
        """
        self.supervisor.start(name)
        if lacking is None:
            return
        tries: set[int] = set()

        def lives() -> bool:
            rows = {row.name: row for row in self.supervisor.processes()}
            tries.update(pid for pid in [rows[name].pid] if pid is not None)
            return self.alive() and len(tries) <= _TRIES

        try:
            wait_until(lacking, what=name, deadline_s=deadline_s, alive=lives)
        except NotReady as error:
            log = paths.Layout(self.data_dir).logs / f"{name.replace(':', '.')}.log"
            raise NotReady(f"{error}; its last words: {last_words(log)}") from None

    def await_(
        self, what: str, lacking: Callable[[], str | None], *, deadline_s: float = 60
    ) -> None:
        """Wait until ``lacking`` answers None. Raises NotReady."""
        wait_until(lacking, what=what, deadline_s=deadline_s, alive=self.alive)

    def wait(self) -> None:
        """Return when the stack was stopped from elsewhere. Raises SupervisorDied."""
        while self.alive():
            time.sleep(_POLL_S)
        if self._process.returncode != 0:
            log = paths.Layout(self.data_dir).logs / "supervisor.log"
            raise SupervisorDied(
                f"the supervisor ended with {self._process.returncode} and every process with it: "
                f"{log} says why; start again"
            )


def run(
    programs: Sequence[Program],
    *,
    data_dir: Path,
    root: Path,
    out: TextIO,
    bring_up: Callable[[Session], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Run the stack until a signal, `stop`, or the supervisor's death; then all is stopped.

    ``check`` is asked before anything starts, once no other stack can be the reason;
    ``bring_up`` starts the processes and may take as long as it needs.

    Raises:
        StackRunning: another stack lives here.
        SupervisorDied: see there. Whatever ``bring_up`` raises, after everything was stopped.
    """
    names = [program.name for program in programs]
    terminal = Terminal(out, names=[*names, "supervisor"])
    check_folder(data_dir)
    paths.Layout(data_dir).prepare()
    lock = take(data_dir, say=terminal.say)
    try:
        check()
        for path in clean(data_dir):
            terminal.say(f"removed {path}, left by a killed process")
        # Cleaning may have taken the socket folder's record with a dead stack's sockets.
        paths.ensure_socket_dir(data_dir)
        config = write_configuration(programs, data_dir=data_dir, root=root)
        logs = paths.Layout(data_dir).logs
        files = {program.name: logs / f"{program.slug}.log" for program in programs}
        with (
            _signals(),
            Follower(files, show=terminal.log),
            _supervised(config, data_dir=data_dir, root=root, lock=lock, terminal=terminal) as it,
        ):
            bring_up(it)
            it.wait()
    except _Stop:
        pass
    finally:
        paths.remove_socket_dir(data_dir)
        os.close(lock)
    terminal.say("stopped")


@contextmanager
def _supervised(
    config: Path, *, data_dir: Path, root: Path, lock: int, terminal: Terminal
) -> Iterator[Session]:
    process = spawn(config, data_dir=data_dir, root=root, lock=lock)
    session = Session(data_dir=data_dir, terminal=terminal, process=process)
    try:
        wait_until(
            lambda: None if session.supervisor.answers() else "its socket does not answer",
            what="the supervisor",
            deadline_s=_SUPERVISOR_S,
            alive=session.alive,
        )
        yield session
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if session.alive():
            terminal.say("stopping every process")
            _stop(process, supervisor=session.supervisor)


def _stop(process: "subprocess.Popen[bytes]", *, supervisor: Supervisor) -> None:
    process.terminate()
    end = time.monotonic() + STOP_S
    while process.poll() is None and time.monotonic() < end:
        # It looks after the dead once a second, and after each request.
        supervisor.answers()
        time.sleep(_POLL_S)
    if process.poll() is None:
        # Its children die with it.
        process.kill()
        process.wait()


@contextmanager
def _signals() -> Iterator[None]:
    def stop(number: int, _: FrameType | None) -> None:
        # Once is enough: a second one must not break the orderly end.
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise _Stop(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # Dead, but its own parent has not looked yet.
    return state not in "ZX"
