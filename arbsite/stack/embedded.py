"""Runs an embedded server for the length of a `with`: for tests, and while no stack runs."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from arbsite.stack import die_with_parent, paths
from arbsite.stack.waiting import NotReady, last_words, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
_READY_S: Final = 60.0
_STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """One running server: its URL with the password, and its pid."""

    url: str = field(repr=False)
    pid: int


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    name: str,
    data_dir: Path,
    stop: signal.Signals,
    url: str,
    lacking: Callable[[str], str | None],
) -> Iterator[Server]:
    """Run ``command`` as a server of ``data_dir`` while the block runs; ``stop`` ends it.

    It dies with this process; its log is in the data folder.

    Raises:
        NotReady: it ended, or did not answer in time; with its last words.
    """
    paths.Layout(data_dir).prepare()
    log = paths.Layout(data_dir).logs / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, given as a list
            die_with_parent.wrapped(command, signal_name=stop.name.removeprefix("SIG")),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, die_with_parent.PARENT: str(os.getpid())},
            # Ctrl-C is for the one who started us: servers stop when told.
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: lacking(url),
            what=name,
            deadline_s=_READY_S,
            alive=lambda: process.poll() is None,
        )
        yield Server(url, process.pid)
    except NotReady as error:
        raise NotReady(f"{error}; its last words: {last_words(log)}") from None
    finally:
        _stop(process, stop)
        paths.remove_socket_dir(data_dir)


def _stop(process: "subprocess.Popen[bytes]", stop: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
