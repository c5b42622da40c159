"""Where the stack keeps its files, sockets and secrets; standard library only.

Settings read it before Django exists: it imports nothing but the standard library and
`arbsite.base.files`.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from arbsite.base.errors import Halt, Rejected
from arbsite.base.files import write_atomic

PG_USER: Final = "arb"
PG_NAME: Final = "arb"
PG_SOCKET_NAME: Final = ".s.PGSQL.5432"
# sun_path is 108 bytes with its final NUL.
SOCKET_PATH_MAX: Final = 107
# supervisord binds `<name>.<pid>` first, so its longest path is some bytes more than its name.
_LONGEST_NAME: Final = "supervisor.sock.4194304"


class UnsafeFolder(Halt):
    """A private folder belongs to someone else, or others may enter it."""


class SocketPathTooLong(Rejected):
    """No folder is short enough for a UNIX socket."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Every place under one data folder."""

    data: Path

    @property
    def secrets(self) -> Path:
        """One file a secret, each 0600, in a 0700 folder."""
        return self.data / "secrets"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's own folder (PGDATA)."""
        return self.data / "pg"

    @property
    def redis(self) -> Path:
        """The append-only file of Redis."""
        return self.data / "redis"

    @property
    def logs(self) -> Path:
        """One log a process, rotated."""
        return self.data / "logs"

    @property
    def run(self) -> Path:
        """Locks, pids and generated configuration of the running stack."""
        return self.data / "run"

    @property
    def local(self) -> Path:
        """State and market file of the local chain."""
        return self.data / "local"

    @property
    def sockets(self) -> Path:
        """The 0700 folder of every socket, kept short: outside the data folder."""
        return socket_dir(self.data)

    def prepare(self) -> None:
        """Make the folders, each readable by their owner alone."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.secrets, self.logs, self.run, self.local):
            private_folder(folder)
        ensure_socket_dir(self.data)


def private_folder(folder: Path) -> Path:
    """Make ``folder`` with mode 0700, or check that it already is ours alone.

    Raises:
        UnsafeFolder: it is a link, no folder, another user's, or open to others.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnsafeFolder(f"{folder} is not a folder of this user: remove it, or use its owner")
    if found.st_mode & 0o077:
        raise UnsafeFolder(
            f"{folder} is open to other users (mode {stat.S_IMODE(found.st_mode):o}): "
            f"run `chmod 700 {folder}`"
        )
    return folder


def socket_dir(data_dir: Path) -> Path:
    """The folder of ``data_dir``'s sockets: the one in use, else where the next start puts it.

    A login session without /run/user, or with another TMPDIR, still finds a running stack: the
    choice is recorded in the data folder.
    """
    record = data_dir / "run" / "socket_dir"
    with contextlib.suppress(OSError, UnsafeFolder):
        recorded = Path(record.read_text().strip())
        found = recorded.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            return recorded
    return _choose_socket_dir(data_dir)


def ensure_socket_dir(data_dir: Path) -> Path:
    """Make the socket folder and record it. Raises UnsafeFolder where someone else owns it."""
    chosen = socket_dir(data_dir)
    # 0711 is the one other mode: root without user namespaces lets `nobody` pass to its own.
    if not (chosen.is_dir() and stat.S_IMODE(chosen.lstat().st_mode) == 0o711):
        private_folder(chosen)
    record = data_dir / "run" / "socket_dir"
    if not record.is_file() or record.read_text().strip() != str(chosen):
        write_atomic(record, f"{chosen}\n")
    return chosen


def remove_socket_dir(data_dir: Path) -> None:
    """Remove the socket folder where nothing is left in it; the next start makes it again."""
    folder = socket_dir(data_dir)
    for place in (folder / "pg", folder):
        with contextlib.suppress(OSError):
            place.rmdir()


def _choose_socket_dir(data_dir: Path) -> Path:
    uid = os.geteuid()
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    runtime = Path(f"/run/user/{uid}")
    name = f"arb-{uid}-{digest}"
    # A shared folder is safe here: owner and mode of what lies in it are checked before use.
    candidates = [Path(tempfile.gettempdir()) / name, Path("/tmp") / name]  # noqa: S108
    with contextlib.suppress(OSError):
        if runtime.stat().st_uid == uid and os.access(runtime, os.W_OK | os.X_OK):
            candidates.insert(0, runtime / f"arb-{digest}")
    for folder in candidates:
        if len(os.fsencode(folder / _LONGEST_NAME)) <= SOCKET_PATH_MAX:
            return folder
    raise SocketPathTooLong(
        f"no folder for sockets is short enough: set TMPDIR, now {candidates[0].parent}"
    )


def secret(data_dir: Path, name: str, *, size_bytes: int = 32) -> str:
    """The secret ``name`` of this data folder: random bytes as hex, made on first use.

    Two processes that ask at once get the same one.

    Raises:
        UnsafeFolder: others may read the folder of secrets.
    """
    path = secret_path(data_dir, name)
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_folder(path.parent)
    with locked(path.parent / ".lock"):
        if not path.exists():
            write_atomic(path, secrets.token_hex(size_bytes) + "\n")
        return path.read_text().strip()


def secret_path(data_dir: Path, name: str) -> Path:
    """The file of the secret ``name`` (0600); it may not exist yet."""
    return data_dir / "secrets" / name


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path``, waiting for it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def postgres_socket_dir(data_dir: Path) -> Path:
    """Where the embedded PostgreSQL listens."""
    return socket_dir(data_dir) / "pg"


def redis_socket(data_dir: Path) -> Path:
    """The socket of the embedded Redis."""
    return socket_dir(data_dir) / "redis.sock"


def signer_socket(data_dir: Path) -> Path:
    """The socket of the signer: this stack's own, or the one that an operator named."""
    return signer_elsewhere(data_dir) or socket_dir(data_dir) / "signer.sock"


def signer_elsewhere(data_dir: Path) -> Path | None:
    """The socket named in ``run/signer_socket``: a signer with a system user of its own."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        named = (data_dir / "run" / "signer_socket").read_text().strip()
        return Path(named) if named else None
    return None


def supervisor_socket(data_dir: Path) -> Path:
    """The socket of the process manager."""
    return socket_dir(data_dir) / "supervisor.sock"


def database_url(data_dir: Path) -> str:
    """URL of the embedded PostgreSQL, for libpq and django-environ alike; holds its password."""
    password = secret(data_dir, "postgres")
    host = quote(str(postgres_socket_dir(data_dir)), safe="")
    return f"postgresql://{PG_USER}:{password}@/{PG_NAME}?host={host}"


def redis_url(data_dir: Path) -> str:
    """URL of the embedded Redis as redis-py reads it; holds its password.

    Celery wants the same with ``redis+socket://`` in the place of ``unix://``.
    """
    password = secret(data_dir, "redis")
    return f"unix://:{password}@{quote(str(redis_socket(data_dir)))}"
