"""Runs the process table under supervisord: generated configuration, private socket, foreground."""

import base64
import http.client
import json
import os
import shlex
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arbsite.base.errors import Rejected, Retryable
from arbsite.base.files import write_atomic
from arbsite.stack import die_with_parent, paths
from arbsite.stack.processes import EXIT_DEPENDENCY_AWAY, Program

USER: Final = "arb"
LOG_BYTES: Final = 10 * 1024 * 1024
LOG_BACKUPS: Final = 3
# Short of it a start counts as failed: tried again after 1, 2 and 3 s, then the watchdog's turn.
START_S: Final = 1
START_RETRIES: Final = 3
_TIMEOUT_S: Final = 15.0


class NotRunning(Rejected):
    """No stack answers on this data folder."""


class UnknownProcess(Rejected):
    """The stack has no process of that name."""


class SupervisorFault(Retryable):
    """The supervisor refused a request."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One row of `ps`."""

    name: str
    state: str  # running, starting, backoff, stopping, stopped, exited, fatal
    pid: int | None
    uptime_s: int | None
    restarts: int


def configuration(programs: Sequence[Program], *, data_dir: Path, root: Path, password: str) -> str:
    """The supervisor's configuration file; holds its password and no other secret."""
    layout = paths.Layout(data_dir)
    sections: list[tuple[str, dict[str, str]]] = [
        (
            "unix_http_server",
            {
                "file": str(paths.supervisor_socket(data_dir)),
                "chmod": "0700",
                "username": USER,
                "password": password,
            },
        ),
        (
            "supervisord",
            {
                "nodaemon": "true",
                "silent": "true",
                "logfile": str(layout.logs / "supervisor.log"),
                "logfile_maxbytes": str(LOG_BYTES),
                "logfile_backups": str(LOG_BACKUPS),
                "pidfile": str(layout.run / "supervisor.pid"),
                "childlogdir": str(layout.logs),
                **({"user": "root"} if os.geteuid() == 0 else {}),
            },
        ),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": ("supervisor.rpcinterface:make_main_rpcinterface")},
        ),
    ]
    sections += [_program(program, layout=layout, root=root) for program in programs]
    sections += _groups(programs)
    return "\n".join(_render(name, values) for name, values in sections)


def _program(program: Program, *, layout: paths.Layout, root: Path) -> tuple[str, dict[str, str]]:
    command = die_with_parent.wrapped(
        program.argv,
        signal_name=program.death_signal,
        drop=program.drops_env,
        bare=program.bare_env,
        yields=program.yields,
    )
    log = str(layout.logs / f"{program.slug}.log")
    values = {
        "command": shlex.join(command),
        "process_name": program.slug,
        "directory": str(root),
        "autostart": "false",
        "autorestart": "true",
        "exitcodes": str(EXIT_DEPENDENCY_AWAY),
        "startsecs": str(START_S),
        "startretries": str(START_RETRIES),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_s),
        "killasgroup": "true",
        "priority": str(int(program.tier)),
    }
    if program.listener:
        values |= {
            "events": "PROCESS_STATE",
            "stderr_logfile": log,
            "stderr_logfile_maxbytes": str(LOG_BYTES),
            "stderr_logfile_backups": str(LOG_BACKUPS),
            "stdout_logfile": "NONE",
            "buffer_size": "1000",
        }
    else:
        values |= {
            "redirect_stderr": "true",
            "stdout_logfile": log,
            "stdout_logfile_maxbytes": str(LOG_BYTES),
            "stdout_logfile_backups": str(LOG_BACKUPS),
        }
    if program.env:
        values["environment"] = ",".join(
            f"{name}={json.dumps(value)}" for name, value in sorted(program.env.items())
        )
    kind = "eventlistener" if program.listener else "program"
    return f"{kind}:{program.slug}", values


def _groups(programs: Sequence[Program]) -> list[tuple[str, dict[str, str]]]:
    """One group a tier: groups stop one after the other, the programs of one all at once."""
    tiers: dict[int, list[str]] = {}
    for program in programs:
        if not program.listener:
            tiers.setdefault(int(program.tier), []).append(program.slug)
    return [
        (f"group:tier{tier}", {"programs": ",".join(slugs), "priority": str(tier)})
        for tier, slugs in sorted(tiers.items())
    ]


def _render(name: str, values: Mapping[str, str]) -> str:
    lines = [f"[{name}]"]
    for key, value in values.items():
        # The file's own syntax: " ;" and " #" begin a comment, % expands.
        if any(sign in value for sign in ("\n", " ;", " #")):
            raise Rejected(f"{name}: {key} holds a line break, ' ;' or ' #': rename the folder")
        lines.append(f"{key} = {value.replace('%', '%%')}")
    return "\n".join(lines) + "\n"


def write_configuration(programs: Sequence[Program], *, data_dir: Path, root: Path) -> Path:
    """Write the configuration (0600) and the table the watchdog reads."""
    layout = paths.Layout(data_dir)
    password = paths.secret(data_dir, "supervisor")
    text = configuration(programs, data_dir=data_dir, root=root, password=password)
    file = layout.run / "supervisor.conf"
    write_atomic(file, text)
    rows = [
        {
            "name": program.name,
            "slug": program.slug,
            "tier": int(program.tier),
            "listener": program.listener,
            "onCrashLoop": list(program.on_crash_loop),
            "restS": program.rest_s,
        }
        for program in programs
    ]
    write_atomic(layout.run / "processes.json", json.dumps({"root": str(root), "programs": rows}))
    return file


def spawn(
    config: Path, *, data_dir: Path, root: Path, lock: int | None = None
) -> "subprocess.Popen[bytes]":
    """Start supervisord in the foreground as a child that dies with us.

    ``lock`` is a held lock's descriptor: supervisord keeps it until it has stopped everything,
    also when we are killed.
    """
    # Without -W its import of pkg_resources greets every start with a warning.
    command = (sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config))
    with (paths.Layout(data_dir).logs / "supervisor.out").open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own module, given as a list
            die_with_parent.wrapped(command, signal_name="TERM"),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, die_with_parent.PARENT: str(os.getpid())},
            # Ctrl-C reaches only `up`, which stops the tiers in order.
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, *, password: str, timeout_s: float) -> None:
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        super().__init__(headers=[("Authorization", f"Basic {token}")])
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, timeout_s=self._timeout_s)
        # Where the base class keeps it, so that close() closes it.
        self._connection = host, connection
        return connection


class Supervisor:
    """Requests to the running supervisor of one data folder; names as in the process table."""

    def __init__(self, data_dir: Path, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Connects on the first request; ``timeout_s`` bounds each."""
        self._data_dir = data_dir
        self._timeout_s = timeout_s

    def processes(self) -> list[ProcessState]:
        """Every process in starting order. Raises NotRunning."""
        rows = {row["name"]: row for row in self._call("getAllProcessInfo")}
        restarts = _restarts(self._data_dir)
        return [
            _state(row["name"], rows[row["slug"]], restarts=restarts.get(row["name"], 0))
            for row in self.table()
            if row["slug"] in rows
        ]

    def table(self) -> list[dict[str, Any]]:
        """The rows that `write_configuration` stored."""
        file = paths.Layout(self._data_dir).run / "processes.json"
        try:
            rows: list[dict[str, Any]] = json.loads(file.read_text())["programs"]
        except FileNotFoundError:
            raise NotRunning(_not_running(self._data_dir)) from None
        return rows

    def start(self, name: str) -> None:
        """Start one process; one that runs is left alone. Raises UnknownProcess, NotRunning."""
        row = self._row(name)
        held_file(self._data_dir, row["slug"]).unlink(missing_ok=True)
        self._one("startProcess", row, accepted=("ALREADY_STARTED",))

    def stop(self, name: str) -> None:
        """Stop one process and keep it stopped until `start`. Raises as `start` does."""
        row = self._row(name)
        # The watchdog retries what the supervisor gave up, but not what a person stopped.
        held_file(self._data_dir, row["slug"]).touch(mode=0o600)
        self._one("stopProcess", row, accepted=("NOT_RUNNING",))

    def rest(self, name: str) -> None:
        """Stop one process for the watchdog, which starts it again."""
        self._one("stopProcess", self._row(name), accepted=("NOT_RUNNING",))

    def resume(self, name: str) -> None:
        """Start one process unless a person stopped it meanwhile."""
        row = self._row(name)
        if not held_file(self._data_dir, row["slug"]).exists():
            self._one("startProcess", row, accepted=("ALREADY_STARTED",))

    def restart(self, name: str) -> None:
        """Stop, then start."""
        self.stop(name)
        self.start(name)

    def shutdown(self) -> None:
        """Begin stopping everything, in order."""
        self._call("shutdown")

    def answers(self) -> bool:
        """Whether the supervisor is up."""
        try:
            self._call("getState")
        except (NotRunning, SupervisorFault):
            return False
        return True

    def _row(self, name: str) -> dict[str, Any]:
        rows = {row["name"]: row for row in self.table()}
        if name not in rows:
            raise UnknownProcess(f"no process is called {name!r}: choose from {', '.join(rows)}")
        return rows[name]

    def _one(self, verb: str, row: dict[str, Any], *, accepted: Iterable[str]) -> None:
        full = row["slug"] if row["listener"] else f"tier{row['tier']}:{row['slug']}"
        # A start answers at once: whether it stays up is `ps`'s to say.
        arguments = (full, verb == "stopProcess")
        try:
            self._call(verb, *arguments)
        except SupervisorFault as error:
            if not any(word in str(error) for word in accepted):
                raise SupervisorFault(f"{row['name']}: {error}") from None

    def _call(self, verb: str, *arguments: object) -> Any:
        path = paths.supervisor_socket(self._data_dir)
        file = paths.secret_path(self._data_dir, "supervisor")
        if not path.exists() or not file.exists():
            raise NotRunning(_not_running(self._data_dir))
        transport = _UnixTransport(
            path, password=file.read_text().strip(), timeout_s=self._timeout_s
        )
        with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
            try:
                return getattr(proxy.supervisor, verb)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise SupervisorFault(str(fault.faultString)) from None
            except (ConnectionError, FileNotFoundError, http.client.HTTPException):
                raise NotRunning(_not_running(self._data_dir)) from None
            except TimeoutError:
                raise SupervisorFault(f"no answer to {verb} in {self._timeout_s:g} s") from None


def held_file(data_dir: Path, slug: str) -> Path:
    """The mark that a person stopped this process."""
    return paths.Layout(data_dir).run / f"{slug}.stopped"


def _not_running(data_dir: Path) -> str:
    return f"no stack is running on {data_dir}: `make run` starts it"


def _restarts(data_dir: Path) -> dict[str, int]:
    try:
        counts: dict[str, int] = json.loads(
            (paths.Layout(data_dir).run / "restarts.json").read_text()
        )
    except (FileNotFoundError, ValueError):
        return {}
    return counts


def _state(name: str, info: Mapping[str, Any], *, restarts: int) -> ProcessState:
    up = info["statename"] in ("RUNNING", "STARTING", "STOPPING")
    return ProcessState(
        name=name,
        state=str(info["statename"]).lower(),
        pid=int(info["pid"]) if up and info["pid"] else None,
        uptime_s=max(0, int(info["now"]) - int(info["start"])) if up else None,
        restarts=restarts,
    )
