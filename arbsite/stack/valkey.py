"""The embedded Redis: a Redis-compatible server in the foreground on one private socket.

``python -m arbsite.stack.valkey DATA_DIR`` becomes the server. The password goes through a
configuration file of mode 0600, never through the command line.
"""

import os
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import redis

from arbsite.base.errors import ArbError
from arbsite.base.files import write_atomic
from arbsite.stack import die_with_parent, embedded, paths
from arbsite.stack.binaries import redis_server
from arbsite.stack.embedded import Server
from arbsite.stack.lock import hold

LOCK_WAIT_S: Final = 8.0


def argv(data_dir: Path) -> tuple[str, ...]:
    """The command that becomes the server; it must be wrapped to die with its parent."""
    return (sys.executable, "-m", "arbsite.stack.valkey", str(data_dir))


def configuration(data_dir: Path) -> str:
    """The server's configuration; holds its password."""
    lines = {
        "port": "0",
        "unixsocket": _quoted(paths.redis_socket(data_dir)),
        "unixsocketperm": "700",
        "requirepass": paths.secret(data_dir, "redis"),
        "dir": _quoted(paths.Layout(data_dir).redis),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # The append-only file is the one store: no second one to disagree with it.
        "save": '""',
        "daemonize": "no",
        "loglevel": "warning",
        # A broker that forgot messages to make room would lose wake-ups in silence.
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def serve(data_dir: Path) -> None:
    """Become the server; returns only if it cannot start, by raising."""
    layout = paths.Layout(data_dir)
    layout.prepare()
    hold(layout.run / "redis.lock", what=f"Redis on {layout.redis}", wait_s=LOCK_WAIT_S)
    layout.redis.mkdir(mode=0o700, exist_ok=True)
    paths.redis_socket(data_dir).unlink(missing_ok=True)
    file = layout.run / "redis.conf"
    write_atomic(file, configuration(data_dir))
    command = [str(redis_server()), str(file)]
    environ = die_with_parent.child_environ(dict(os.environ), drop=(), bare=True)
    os.execve(command[0], command, environ)  # noqa: S606 - found by us


def running(data_dir: Path) -> AbstractContextManager[Server]:
    """Redis on ``data_dir`` while the block runs. Raises NotReady with its last words."""
    return embedded.running(
        argv(data_dir),
        name="redis",
        data_dir=data_dir,
        stop=signal.SIGTERM,
        url=paths.redis_url(data_dir),
        lacking=lacking,
    )


def lacking(url: str) -> str | None:
    """What keeps the server at ``url`` from answering PING, in words; None if nothing does."""
    client = redis.Redis.from_url(url, socket_timeout=2)
    try:
        client.ping()
    except redis.RedisError as error:
        return str(error)
    finally:
        client.close()
    return None


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def main() -> int:
    """Entry of ``python -m arbsite.stack.valkey DATA_DIR``."""
    if len(sys.argv) != 2:
        print("usage: python -m arbsite.stack.valkey DATA_DIR", file=sys.stderr)
        return 2
    try:
        serve(Path(sys.argv[1]).resolve())
    except ArbError as error:
        print(f"redis: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
