"""A lock that lives as long as the process that holds it, and what that process becomes."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from arbsite.base.errors import Rejected

_POLL_S: Final = 0.05


class AlreadyHeld(Rejected):
    """Another live process holds the lock."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        """``pid``: who wrote itself into the lock file, if readable."""
        super().__init__(message)
        self.pid = pid


def hold(path: Path, *, what: str, wait_s: float = 0.0, inherit: bool = True) -> int:
    """Take the lock on ``path`` for the rest of this process's life; returns its descriptor.

    With ``inherit`` it survives exec and is shared by children: it is free only when all are gone,
    however they ended. The file holds the pid of its holder.

    Raises:
        AlreadyHeld: another process still held it after ``wait_s`` seconds.
    """
    end = time.monotonic() + wait_s
    while (handle := _try(path)) is None:
        if time.monotonic() >= end:
            pid = holder(path)
            named = f" (process {pid})" if pid else ""
            raise AlreadyHeld(f"{what} is already running{named}", pid=pid)
        time.sleep(_POLL_S)
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    os.set_inheritable(handle, inherit)
    return handle


def _try(path: Path) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A cleaner may have removed the file between open and lock: then this locks nothing.
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def remove_unless_held(path: Path) -> bool:
    """Remove the lock file ``path`` if nobody holds it; says whether it did."""
    if not path.exists() or (handle := _try(path)) is None:
        return False
    path.unlink()
    os.close(handle)
    return True


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on ``path``."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def holder(path: Path) -> int | None:
    """The pid in the lock file, if there is one."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
