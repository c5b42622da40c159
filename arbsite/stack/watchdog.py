"""Hears of every process's death from supervisord: counts, retries what it gave up, pulls the stop.

``python -m arbsite.stack.watchdog DATA_DIR`` speaks supervisord's event protocol on standard input
and output, and tells people on standard error. Standard library and our own modules only, so it
lives while the database does not.
"""

import json
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from arbsite.base.errors import ArbError
from arbsite.base.files import write_atomic
from arbsite.stack import paths
from arbsite.stack.supervisor import Supervisor

CRASHES: Final = 5
WINDOW_S: Final = 60.0
_GAVE_UP_S: Final = 1.0
# Doubled after each failure: the database it needs may be away, or what it waits for may take long.
_COMMAND_AGAIN_S: Final = 5.0
_COMMAND_AGAIN_MAX_S: Final = 60.0
_TICK_S: Final = 0.5


@dataclass(slots=True)
class Watched:
    """One program's recent past. Times are seconds of one monotonic clock."""

    name: str
    on_crash_loop: tuple[str, ...] = ()
    rest_s: float = 4.0
    crashes: deque[float] = field(default_factory=deque)
    restarts: int = 0
    down: bool = False
    start_at: float | None = None
    command_at: float | None = None
    command_again_s: float = _COMMAND_AGAIN_S


@dataclass(frozen=True, slots=True)
class Actions:
    """What the watchdog does to the world."""

    start: Callable[[str], None]
    stop: Callable[[str], None]
    run: Callable[[Sequence[str]], bool]  # True when the command succeeded
    say: Callable[[str], None]


class Watchdog:
    """Decides, from events and the time, what to start, stop and run."""

    def __init__(self, programs: Mapping[str, Watched], *, actions: Actions) -> None:
        """``programs`` by slug."""
        self._programs = programs
        self._do = actions

    def hear(self, event: str, *, slug: str, expected: bool, now: float) -> None:
        """Take in one event of supervisord."""
        program = self._programs.get(slug)
        if program is None:
            return
        if event in ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF"):
            self._died(program, counts=not expected, now=now)
        elif event == "PROCESS_STATE_FATAL" and program.start_at is None:
            program.start_at = now + _GAVE_UP_S
        elif event == "PROCESS_STATE_STOPPED" and program.start_at is None:
            program.crashes.clear()
        elif event == "PROCESS_STATE_STARTING" and program.start_at is not None:
            # supervisord was quicker than our stop.
            self._do.stop(program.name)
        elif event == "PROCESS_STATE_RUNNING" and program.down:
            program.down = False
            self._do.say(f"{program.name} is back")

    def tick(self, *, now: float) -> None:
        """Do what has become due."""
        for program in self._programs.values():
            if program.command_at is not None and now >= program.command_at:
                done = self._do.run(program.on_crash_loop)
                program.command_at = None if done else now + program.command_again_s
                program.command_again_s = min(2 * program.command_again_s, _COMMAND_AGAIN_MAX_S)
            if program.start_at is not None and now >= program.start_at:
                program.start_at = None
                self._do.start(program.name)

    def restarts(self) -> dict[str, int]:
        """Deaths since the start of the stack, by name."""
        return {program.name: program.restarts for program in self._programs.values()}

    def _died(self, program: Watched, *, counts: bool, now: float) -> None:
        program.restarts += 1
        program.down = True
        if not counts:
            self._do.say(f"{program.name} waits for what it depends on, starting it again")
            return
        program.crashes.append(now)
        while program.crashes and now - program.crashes[0] > WINDOW_S:
            program.crashes.popleft()
        if len(program.crashes) < CRASHES:
            self._do.say(f"{program.name} died, starting it again")
            return
        program.crashes.clear()
        self._do.say(
            f"ALERT {program.name} crashed {CRASHES} times within a minute: "
            f"next try in {program.rest_s:g} s; its log says why"
        )
        if program.on_crash_loop:
            program.command_at, program.command_again_s = now, _COMMAND_AGAIN_S
        program.start_at = now + program.rest_s
        self._do.stop(program.name)


def _actions(data_dir: Path, root: Path) -> Actions:
    supervisor = Supervisor(data_dir, timeout_s=5.0)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def ask(verb: Callable[[str], None]) -> Callable[[str], None]:
        def asked(name: str) -> None:
            try:
                verb(name)
            except ArbError as error:
                say(f"{name}: {error}")

        return asked

    def run(command: Sequence[str]) -> bool:
        try:
            done = subprocess.run(  # noqa: S603 - from our own process table
                command, cwd=root, capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            say(f"`{' '.join(command[2:])}` did not run: {type(error).__name__}")
            return False
        said = (done.stdout + done.stderr).strip().splitlines()[-1:]
        say(f"`{' '.join(command[2:])}` ended with {done.returncode} {' '.join(said)}")
        return done.returncode == 0

    return Actions(start=ask(supervisor.resume), stop=ask(supervisor.rest), run=run, say=say)


def _read_event() -> tuple[str, dict[str, str]] | None:
    """One event's name and payload; None at the end of input."""
    line = sys.stdin.buffer.readline()
    if not line:
        return None
    headers = _fields(line.decode())
    payload = sys.stdin.buffer.read(int(headers["len"])).decode()
    return headers["eventname"], _fields(payload)


def _fields(text: str) -> dict[str, str]:
    return dict(word.split(":", 1) for word in text.split())


def _loop(watchdog: Watchdog, *, stored: Path) -> None:
    last: dict[str, int] = {}
    _answer("READY\n")
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], _TICK_S)
        if readable:
            event = _read_event()
            if event is None:
                return
            name, payload = event
            # Acknowledged first: what follows may ask supervisord, which waits for us.
            _answer("RESULT 2\nOKREADY\n")
            watchdog.hear(
                name,
                slug=payload.get("processname", ""),
                expected=payload.get("expected") == "1",
                now=time.monotonic(),
            )
        watchdog.tick(now=time.monotonic())
        if watchdog.restarts() != last:
            last = watchdog.restarts()
            write_atomic(stored, json.dumps(last))


def _answer(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    """Entry of ``python -m arbsite.stack.watchdog DATA_DIR``."""
    data_dir = Path(sys.argv[1])
    run = paths.Layout(data_dir).run
    table: dict[str, Any] = json.loads((run / "processes.json").read_text())
    stored = run / "restarts.json"
    before = json.loads(stored.read_text()) if stored.is_file() else {}
    programs = {
        row["slug"]: Watched(
            row["name"],
            on_crash_loop=tuple(row["onCrashLoop"]),
            rest_s=row["restS"],
            restarts=before.get(row["name"], 0),
        )
        for row in table["programs"]
        if not row["listener"]
    }
    actions = _actions(data_dir, Path(table["root"]))
    _loop(Watchdog(programs, actions=actions), stored=stored)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
