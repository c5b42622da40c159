"""Resources of the stack's tests: folders, and a small stack under the real supervisor."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from arbsite.stack import paths

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 20


def until(condition, *, what, deadline_s=DEADLINE_S):
    """Wait for ``condition`` to answer something true; return it and the seconds it took."""
    began = time.monotonic()
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer, time.monotonic() - began
        assert time.monotonic() - began < deadline_s, f"{what} did not happen in {deadline_s} s"
        pause.wait(0.02)


def alive(pid):
    """Whether a process lives (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.fixture
def folder():
    """A data folder that does not exist yet, below one of its own."""
    with tempfile.TemporaryDirectory(prefix="arb-stack-", ignore_cleanup_errors=True) as parent:
        data_dir = Path(parent) / "data"
        yield data_dir
        paths.remove_socket_dir(data_dir)


class Stack:
    """A running dummy stack and what it printed."""

    def __init__(self, data_dir, *words, env=None):
        self.data_dir = data_dir
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.arbsite.stack.dummy_stack", str(data_dir), *words],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, text):
        return [line for line in self.lines if text in line]

    def ready(self):
        until(lambda: self.said("Ready ") or self.process.poll() is not None, what="Ready")
        assert self.process.poll() is None, self.lines
        return self

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(15)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(15)
        self._reader.join()
        self.process.stdout.close()


@pytest.fixture
def start_stack(folder):
    """Starts dummy stacks on one folder; all are stopped afterwards."""
    with contextlib.ExitStack() as stacks:

        def start(*words, env=None):
            stack = Stack(folder, *words, env=env)
            stacks.callback(stack.close)
            return stack

        yield start
