"""The supervised stack, with harmless processes in the place of the real ones."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

from arbsite.stack import paths
from arbsite.stack.lock import is_held
from arbsite.stack.supervisor import Supervisor
from tests.arbsite.stack.conftest import ROOT, Stack, alive, until


def states(folder):
    return {row.name: row for row in Supervisor(folder).processes()}


def all_running(folder):
    rows = states(folder)
    return rows if all(row.state == "running" for row in rows.values()) else None


def pids(folder):
    rows, _ = until(lambda: all_running(folder), what="every process running")
    return {name: row.pid for name, row in rows.items()}


def test_ctrl_c_stops_every_process_in_order_within_ten_seconds(start_stack, folder):
    stack = start_stack().ready()
    running = pids(folder)

    stack.end(signal.SIGINT)

    assert stack.process.returncode == 0
    assert not [name for name, pid in running.items() if alive(pid)]
    ended = (folder / "ended").read_text().split()
    assert set(ended[:2]) == {"web", "engine:local"}
    assert set(ended[2:4]) == {"signer", "redis"}
    assert ended[4:] == ["postgres"]
    assert not is_held(paths.Layout(folder).run / "up.lock")


def test_a_second_start_says_so_and_exits(start_stack, folder):
    first = start_stack().ready()
    second = start_stack()

    assert second.process.wait(15) == 1
    second.close()

    assert second.said("is already running")
    assert second.said(f"process {first.process.pid}")
    assert all_running(folder) or pids(folder)


def test_what_is_killed_is_back_within_five_seconds(start_stack, folder):
    stack = start_stack().ready()
    old = pids(folder)["web"]

    os.kill(old, signal.SIGKILL)

    def back():
        row = states(folder)["web"]
        return row.state == "running" and row.pid not in (None, old) and row

    row, took_s = until(back, what="the restart")
    assert took_s < 5
    until(lambda: states(folder)["web"].restarts == 1, what="the count")
    until(lambda: stack.said("web died, starting it again"), what="the line")
    assert row.pid != old


def test_nothing_outlives_a_killed_supervisor(start_stack, folder):
    stack = start_stack().ready()
    running = pids(folder)
    supervisor = int((paths.Layout(folder).run / "supervisor.pid").read_text())

    os.kill(supervisor, signal.SIGKILL)

    _, took_s = until(
        lambda: not [name for name, pid in running.items() if alive(pid)], what="their end"
    )
    assert took_s < 2
    assert stack.process.wait(15) != 0


def test_nothing_outlives_a_killed_up_and_the_next_start_waits_for_the_end(start_stack, folder):
    first = start_stack().ready()
    running = pids(folder)

    first.process.kill()
    second = start_stack().ready()

    assert not [name for name, pid in running.items() if alive(pid)]
    assert set(pids(folder)) == set(running)
    assert second.process.poll() is None


def test_secrets_of_the_signer_reach_only_the_signer(start_stack, folder):
    stack = start_stack(env={"KEYSTORE_PASSPHRASE_FILE": "/nowhere", "SECRET_KEY": "x"}).ready()
    names = ("postgres", "redis", "signer", "engine:local", "web")
    until(lambda: len(stack.said("alive sees=")) == len(names), what="five greetings")

    seen = {line.split("|")[0].strip(): line.split("sees=")[1] for line in stack.said("alive")}

    assert seen == {
        "postgres": "SECRET_KEY",
        "redis": "",
        "signer": "KEYSTORE_PASSPHRASE_FILE,SECRET_KEY",
        "engine:local": "SECRET_KEY",
        "web": "SECRET_KEY",
    }


def test_five_crashes_in_a_minute_run_the_stop_and_alert(start_stack, folder):
    stack = start_stack("--crashing").ready()

    until(lambda: stack.said("ALERT engine:sick"), what="the alert", deadline_s=60)
    until(lambda: (folder / "killed").exists(), what="the stop")

    assert (folder / "killed").read_text() == "chain stopped"
    assert states(folder)["engine:local"].restarts == 0


def test_a_process_that_never_comes_up_ends_the_start_with_its_last_words(start_stack, folder):
    stack = start_stack("--broken")

    assert stack.process.wait(30) == 1
    stack.close()

    (line,) = stack.said("engine:sick ended before it was ready")
    assert line.endswith("its last words: broken on purpose")
    assert not stack.said("Ready")
    assert not is_held(paths.Layout(folder).run / "up.lock")


def test_what_a_person_stopped_stays_stopped_until_started(start_stack, folder):
    start_stack().ready()
    pids(folder)
    supervisor = Supervisor(folder)

    supervisor.stop("engine:local")
    stopped = states(folder)["engine:local"]
    supervisor.start("engine:local")

    assert (stopped.state, stopped.pid, stopped.restarts) == ("stopped", None, 0)
    until(lambda: all_running(folder), what="all running again")


def test_shutdown_from_elsewhere_ends_the_stack_cleanly(start_stack, folder):
    stack = start_stack().ready()

    Supervisor(folder).shutdown()

    assert stack.process.wait(15) == 0


def test_the_supervisor_is_private(start_stack, folder):
    start_stack().ready()
    socket = paths.supervisor_socket(folder)
    config = paths.Layout(folder).run / "supervisor.conf"

    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    control = (sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl")
    refused = subprocess.run(
        [*control, "-s", f"unix://{socket}", "-u", "arb", "-p", "wrong", "pid"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert "401" in refused.stdout + refused.stderr or refused.returncode != 0
    for log in paths.Layout(folder).logs.glob("*.log"):
        assert stat.S_IMODE(log.stat().st_mode) == 0o600, log


def test_no_password_is_on_a_command_line(start_stack, folder):
    start_stack().ready()
    running = [*pids(folder).values(), int((folder / "run/supervisor.pid").read_text())]
    secrets = [file.read_text().strip() for file in (folder / "secrets").glob("[!.]*")]

    lines = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in running)

    assert secrets
    assert not [secret for secret in secrets if secret in lines]


def test_a_log_line_stands_behind_its_process_name(start_stack, folder):
    stack = start_stack().ready()

    until(lambda: stack.said("alive"), what="a greeting")
    names = {line.split("|")[0].strip() for line in stack.said("alive sees=")}

    assert names <= {"postgres", "redis", "signer", "engine:local", "web"}
    assert not [line for line in stack.lines if "\x1b" in line]
    assert isinstance(stack, Stack)
