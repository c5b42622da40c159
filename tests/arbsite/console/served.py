"""A real Daphne over the test database, on a free port, as a context."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[3]
START_S = 40.0


@dataclass(frozen=True)
class Served:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(*, static_root: Path, port: int, redis_url: str = "") -> dict[str, str]:
    found = connection.get_connection_params()
    host = quote(str(found["host"]), safe="")
    url = f"postgresql://{found['user']}:{found['password']}@/{found['dbname']}?host={host}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
        "TEST_STATIC_ROOT": str(static_root),
        "DATABASE_URL": url,
        "REDIS_URL": redis_url or settings.REDIS_URL,
        "ARB_DATA_DIR": str(settings.ARB.data_dir),
        "ARB_BIND": f"127.0.0.1:{port}",
        "ARB_NO_DOTENV": "1",
        "PYTHONPATH": str(ROOT),
    }


def collect_static(static_root: Path) -> None:
    command = [sys.executable, "-m", "django", "collectstatic", "--noinput", "--verbosity", "0"]
    done = subprocess.run(
        command,
        env=environment(static_root=static_root, port=1),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@contextmanager
def serving(*, static_root: Path, redis_url: str = "") -> Iterator[Served]:
    """Daphne until the block ends."""
    port = free_port()
    log = static_root / "daphne.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port),
             "arbsite.asgi:application"],
            env=environment(static_root=static_root, port=port, redis_url=redis_url),
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            wait_until(lambda: answers(port), START_S, lambda: log.read_text()[-3000:])
            yield Served(port)
        finally:
            process.terminate()
            process.wait(timeout=20)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        raise AssertionError(f"/api/health answers {error.code}") from error
    except OSError:
        return False


def wait_until(condition, seconds, told=lambda: "") -> None:
    """Ask again until it holds; the deadline is the only failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {told()}"
        time.sleep(0.05)
