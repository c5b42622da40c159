"""The embedded PostgreSQL: made once, started in the foreground, reached by one private socket.

``python -m arbsite.stack.postgres DATA_DIR`` becomes the server. A lock that the server and its
backends inherit says whether any of them lives, so what a kill left behind is removed safely.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import psycopg

from arbsite.base.errors import ArbError, Halt, Rejected
from arbsite.base.files import sync_folder, write_atomic
from arbsite.base.turns import take_turns
from arbsite.stack import die_with_parent, embedded, identity, paths
from arbsite.stack.binaries import postgres_bin, postgres_major
from arbsite.stack.embedded import Server
from arbsite.stack.lock import hold

# Backends that outlive a killed server leave within moments; longer means another server.
LOCK_WAIT_S: Final = 8.0
_INITDB_TIMEOUT_S: Final = 120
_OPTIONS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m ",
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}


class ClusterUnusable(Halt):
    """The data folder holds something this server cannot or must not open."""


class ClusterNotMade(Rejected):
    """initdb failed; the message carries its last lines."""


def argv(data_dir: Path) -> tuple[str, ...]:
    """The command that becomes the server; it must be wrapped to die with its parent."""
    return (sys.executable, "-m", "arbsite.stack.postgres", str(data_dir))


def server_argv(data_dir: Path) -> list[str]:
    """The server's own command line; it holds no secret."""
    options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
    sockets = paths.postgres_socket_dir(data_dir)
    program = str(postgres_bin() / "postgres")
    return [program, "-D", str(paths.Layout(data_dir).postgres), "-k", str(sockets), *options]


def ensure_cluster(data_dir: Path, *, user: identity.Identity) -> None:
    """Make the cluster with its one database and password unless it is there.

    It is made beside its final place and renamed, so a kill leaves nothing half-made.

    Raises:
        ClusterUnusable: another major version made it, or the folder holds something else.
        ClusterNotMade: initdb failed.
    """
    home = paths.Layout(data_dir).postgres
    if check_version(data_dir):
        return
    if home.exists() and any(home.iterdir()):
        raise ClusterUnusable(f"{home} holds no PostgreSQL cluster: move it away and start again")
    making = home.with_name("pg.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    user.give(making)
    password = data_dir / "pg.password"
    write_atomic(password, paths.secret(data_dir, "postgres") + "\n")
    user.give(password)
    try:
        _run_initdb(making, password=password, user=user)
    finally:
        password.unlink()
    _create_database(making, user=user)
    making.rename(home)
    sync_folder(data_dir)


def check_version(data_dir: Path) -> bool:
    """Whether a cluster is there that this server opens.

    Raises:
        ClusterUnusable: another major version made it.
    """
    stamp = paths.Layout(data_dir).postgres / "PG_VERSION"
    if not stamp.is_file():
        return False
    made_by, ours = stamp.read_text().strip(), str(postgres_major())
    if made_by != ours:
        raise ClusterUnusable(
            f"{stamp.parent} was made by PostgreSQL {made_by}, the installed server is {ours}: "
            f"run {postgres_bin() / 'pg_upgrade'} with the old server's programs, or set PG_BIN "
            f"to the folder of PostgreSQL {made_by}"
        )
    return True


def _run_initdb(home: Path, *, password: Path, user: identity.Identity) -> None:
    command = [
        str(postgres_bin() / "initdb"),
        *("-D", str(home), "-U", paths.PG_USER, "--pwfile", str(password)),
        *("--auth", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8"),
    ]
    made = _as_user(command, user=user)
    if made.returncode != 0:
        said = " ".join(made.stderr.split())[-400:]
        raise ClusterNotMade(f"initdb could not make {home}: {said}")


def _create_database(home: Path, *, user: identity.Identity) -> None:
    # Single-user mode: no socket, no password, nobody else.
    command = [str(postgres_bin() / "postgres"), "--single", "-D", str(home), "postgres"]
    made = _as_user(command, user=user, given=f"CREATE DATABASE {paths.PG_NAME}\n")
    if made.returncode != 0 or "ERROR" in made.stderr:
        said = " ".join(made.stderr.split())[-400:]
        raise ClusterNotMade(f"the database could not be made in {home}: {said}")


def _as_user(
    command: Sequence[str], *, user: identity.Identity, given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - found by us, given as a list
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=_INITDB_TIMEOUT_S,
        check=False,
        env=die_with_parent.child_environ(dict(os.environ), drop=(), bare=True),
        cwd="/",
        preexec_fn=user.become,  # safe: this process has one thread
    )


def _prepare(data_dir: Path, *, user: identity.Identity) -> None:
    """Folders, lock, leftovers and cluster, all the server's own."""
    layout = paths.Layout(data_dir)
    layout.prepare()
    hold(layout.run / "postgres.lock", what=f"PostgreSQL on {layout.postgres}", wait_s=LOCK_WAIT_S)
    sockets = paths.postgres_socket_dir(data_dir)
    if user.mode is identity.Mode.NOBODY:
        # `nobody` passes through to its own folders; the others stay closed.
        data_dir.chmod(0o711)
        layout.sockets.chmod(0o711)
    identity.check_reachable(user, postgres_bin() / "postgres", layout.postgres, sockets)
    sockets.mkdir(mode=0o700, exist_ok=True)
    user.give(sockets)
    for name in (layout.postgres / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        name.unlink(missing_ok=True)
    ensure_cluster(data_dir, user=user)


def serve(data_dir: Path, *, user: identity.Identity) -> None:
    """Become the server as ``user``; returns only if it cannot start, by raising."""
    parent = os.getppid()
    _prepare(data_dir, user=user)
    # Before the change of user: another one has other folders.
    command = server_argv(data_dir)
    user.become()
    # A change of user cleared it, and the parent may have died meanwhile.
    die_with_parent.bind(signal.SIGINT)
    if os.getppid() != parent:
        raise SystemExit(1)
    environ = die_with_parent.child_environ(dict(os.environ), drop=(), bare=True)
    take_turns()
    os.execve(command[0], command, environ)  # noqa: S606 - found by us


def running(data_dir: Path) -> AbstractContextManager[Server]:
    """PostgreSQL on ``data_dir`` while the block runs. Raises NotReady with its last words."""
    return embedded.running(
        argv(data_dir),
        name="postgres",
        data_dir=data_dir,
        stop=signal.SIGINT,
        url=paths.database_url(data_dir),
        lacking=lacking,
    )


def lacking(url: str) -> str | None:
    """What keeps the server at ``url`` from answering a query, in words; None if nothing does."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            connection.execute("select 1")
    except psycopg.OperationalError as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def main() -> int:
    """Entry of ``python -m arbsite.stack.postgres DATA_DIR``."""
    if len(sys.argv) != 2:
        print("usage: python -m arbsite.stack.postgres DATA_DIR", file=sys.stderr)
        return 2
    try:
        serve(Path(sys.argv[1]).resolve(), user=identity.choose())
    except ArbError as error:
        print(f"postgres: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
