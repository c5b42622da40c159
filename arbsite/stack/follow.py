"""Shows the processes' logs on one terminal, each line behind its process's name."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TextIO

_POLL_S: Final = 0.2
_READ_BYTES: Final = 256 * 1024
_LINE_CHARS: Final = 4000
_COLOURS: Final = (36, 32, 35, 33, 34, 96, 92, 95)


class Terminal:
    """Lines from several threads, whole; colour only on a terminal."""

    def __init__(self, out: TextIO, *, names: Sequence[str]) -> None:
        """``names`` set the width of the prefix."""
        self._out = out
        self._lock = threading.Lock()
        self._width = max((len(name) for name in names), default=0)
        coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._colours: Mapping[str, int] = (
            {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)} if coloured else {}
        )

    def say(self, text: str) -> None:
        """Print ``text`` from column 0."""
        with self._lock:
            try:
                print(text, file=self._out, flush=True)
            except (BrokenPipeError, ValueError):
                # Nobody reads any more; the stack goes on, its logs are in files.
                return

    def log(self, name: str, line: str) -> None:
        """Print one line of a process."""
        prefix = f"{name:<{self._width}} |"
        if name in self._colours:
            prefix = f"\x1b[{self._colours[name]}m{prefix}\x1b[0m"
        self.say(f"{prefix} {line[:_LINE_CHARS]}")


class Follower:
    """Follows log files by name through rotations, from their present ends, in a thread."""

    def __init__(self, files: Mapping[str, Path], *, show: Callable[[str, str], None]) -> None:
        """``files`` by process name; they may not exist yet. ``show`` gets (name, line)."""
        self._tails = [_Tail(name, path, show=show) for name, path in files.items()]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for tail in self._tails:
            tail.read()
            tail.close()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_S):
            for tail in self._tails:
                tail.read()


class _Tail:
    def __init__(self, name: str, path: Path, *, show: Callable[[str, str], None]) -> None:
        self._name = name
        self._path = path
        self._show = show
        self._rest = b""
        self._file: BinaryIO | None = None
        if path.exists():
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def read(self) -> None:
        """Show what was written since, following one rotation."""
        if self._file is None and self._path.exists():
            self._file = self._path.open("rb")
        if self._file is None:
            return
        self._drain(self._file)
        if self._rotated(self._file):
            self._drain(self._file)
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Show an unfinished last line and let go of the file."""
        if self._rest:
            self._emit(self._rest)
        if self._file is not None:
            self._file.close()

    def _drain(self, file: BinaryIO) -> None:
        while chunk := file.read(_READ_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._emit(line)

    def _emit(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            # A process may print what a terminal would obey.
            self._show(self._name, "".join(c for c in text if c == "\t" or c.isprintable()))

    def _rotated(self, file: BinaryIO) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(file.fileno()).st_ino
        except FileNotFoundError:
            return True
