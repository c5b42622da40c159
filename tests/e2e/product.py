"""Drives the product from outside, by the names of its contract only: commands, API, WebSocket."""

import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv" / "bin" / "python")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, condition: Callable[[], Any], *, within_s: float) -> Any:
    """The first true answer of ``condition``; fails naming ``what`` when the time is up."""
    until = time.monotonic() + within_s
    last: object = None
    while time.monotonic() < until:
        try:
            last = condition()
        except (OSError, urllib.error.URLError, AssertionError) as error:
            last = error
        else:
            if last:
                return last
        threading.Event().wait(0.2)
    raise AssertionError(f"{what} did not happen within {within_s:g} s; last: {str(last)[:600]}")


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ARB_", "RPC_", "RELAY_"))
        and name not in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY")
    }
    return {**kept, "ARB_DATA_DIR": str(data_dir), "ARB_NO_DOTENV": "1", **more}


@dataclass
class Product:
    """One running stack: `manage.py up` in a folder and on a port of its own."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None
    reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, within_s: float = 120) -> None:
        self.lines.clear()
        self.process = subprocess.Popen(
            [PYTHON, "manage.py", "up", *self.words],
            cwd=ROOT,
            env=environment(self.data_dir, ARB_BIND=f"127.0.0.1:{self.port}", **self.more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        try:
            wait_for("Ready", self._ready, within_s=within_s)
        except BaseException:
            self.kill()  # nobody will: a fixture that fails has no end
            raise

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self.lines.append(line.rstrip("\n"))

    def _ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise SystemError("up ended: " + "\n".join(self.lines[-15:]))
        return any(line.startswith("Ready") for line in self.lines)

    def stop(self, *, within_s: float = 30) -> int:
        """Ctrl-C; the exit status, which must come in time."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            raise AssertionError(
                f"still running {within_s:g} s after Ctrl-C: " + "\n".join(self.lines[-10:])
            ) from None

    def kill(self) -> None:
        """End whatever is left of it, and wait for its last words."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        if self.reader is not None:
            self.reader.join(10)

    @property
    def password(self) -> str:
        found = [re.search(r"Password\s+(\S+)", line) for line in self.lines]
        return next(match[1] for match in found if match)

    def manage(self, *words: str, within_s: float = 60) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PYTHON, "manage.py", *words],
            cwd=ROOT,
            env=environment(self.data_dir, ARB_BIND=f"127.0.0.1:{self.port}", **self.more),
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def pid(self, name: str) -> int | None:
        answer = self.manage("ps", "--json")
        rows = json.loads(answer.stdout)
        rows = rows if isinstance(rows, list) else rows["processes"]
        found = [row for row in rows if row["name"] == name and row.get("pid")]
        return int(found[0]["pid"]) if found else None

    def market(self) -> dict[str, Any]:
        return json.loads((self.data_dir / "local" / "market.json").read_text())


class Client:
    """A signed-in user of the API, by session cookie."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.jar), urllib.request.ProxyHandler({})
        )

    def cookie(self, name: str) -> str:
        return next((c.value or "" for c in self.jar if c.name == name), "")

    def sign_in(self, login: str, password: str) -> None:
        self.opener.open(f"{self.url}/accounts/login/", timeout=15).read()
        body = urllib.parse.urlencode(
            {
                "login": login,
                "password": password,
                "csrfmiddlewaretoken": self.cookie("csrftoken"),
            }
        ).encode()
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/accounts/login/", data=body, headers={"Referer": self.url}
        )
        self.opener.open(request, timeout=15).read()
        assert self.cookie("sessionid"), "sign-in gave no session"

    def get(self, path: str) -> Any:
        status, answer = self.call("GET", path)
        assert status < 400, f"GET {path} answered {status}: {str(answer)[:300]}"
        return answer

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str = "") -> tuple:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self.call("POST", path, body or {}, headers)

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "X-CSRFToken": self.cookie("csrftoken"),
                "Referer": self.url,
                **(headers or {}),
            },
        )
        try:
            with self.opener.open(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text[:1] in b"{[" else text.decode()[:500]


def rpc(url: str, method: str, *params: object) -> Any:
    """One JSON-RPC request to the local node, as any outsider could make it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    request = urllib.request.Request(  # noqa: S310
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        decoded = json.loads(answer.read())
    assert "result" in decoded, decoded
    return decoded["result"]
