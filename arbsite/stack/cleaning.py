"""Removes what killed processes left behind, and nothing that is alive."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from arbsite.base.files import leftovers
from arbsite.stack import paths
from arbsite.stack.lock import is_held, remove_unless_held


def clean(data_dir: Path) -> list[Path]:
    """Remove dead pid files, sockets, locks and half-written files; returns what was removed.

    Dead means proved: nobody listens, nobody holds the lock. Needs no running server.
    """
    if not data_dir.is_dir():
        return []
    removed = [path for path in _dead(data_dir) if _remove(path)]
    run = paths.Layout(data_dir).run
    # Last: they guard the rest.
    return removed + [path for path in sorted(run.glob("*.lock")) if remove_unless_held(path)]


def _dead(data_dir: Path) -> Iterator[Path]:
    layout = paths.Layout(data_dir)
    stack_lives = is_held(layout.run / "up.lock")
    postgres_lives = is_held(layout.run / "postgres.lock")
    if not stack_lives:
        yield from _existing(
            layout.run / "supervisor.pid",
            layout.run / "restarts.json",
            *layout.run.glob("*.stopped"),
        )
        for folder in (data_dir, layout.secrets, layout.run, layout.local):
            yield from leftovers(folder)
    if not postgres_lives:
        yield from _existing(
            data_dir / "pg.new", data_dir / "pg.password", layout.postgres / "postmaster.pid"
        )
        yield from sorted(paths.postgres_socket_dir(data_dir).glob(".s.PGSQL.*.lock"))
    sockets = layout.sockets
    if sockets.is_dir():
        for path in sorted([*sockets.rglob("*.sock*"), *sockets.rglob(".s.PGSQL.*")]):
            if path.is_socket() and not _listens(path):
                yield path


def _existing(*candidates: Path) -> Iterator[Path]:
    yield from (path for path in candidates if path.exists())


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # Busy or forbidden: not proved dead.
            return True
    return True


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True
