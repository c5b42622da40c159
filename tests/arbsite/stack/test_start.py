"""What `up` runs, refuses and says, and what `cleanup` and `doctor` find."""

import io
import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from arbsite.base.conf import RpcUrls
from arbsite.stack import (
    binaries,
    bootstrap,
    diagnosis,
    paths,
    postgres,
    preflight,
    ready,
    secret_diagnosis,
)
from arbsite.stack.chain_diagnosis import CHAIN_CHECKS
from arbsite.stack.cleaning import clean
from arbsite.stack.diagnosis import Level, Patient, examine
from arbsite.stack.follow import Follower, Terminal
from arbsite.stack.lock import is_held
from arbsite.stack.processes import APPS_STOP_S, Plan, Tier, table
from arbsite.stack.supervisor import NotRunning, Supervisor, configuration
from contracts.models import Chain
from tests.arbsite.stack.conftest import ROOT, until

PLAN = Plan(
    root=ROOT, data_dir=Path("/data"), bind_host="127.0.0.1", bind_port=9080, chains=("local",)
)


def names(plan):
    return [program.name for program in table(plan)]


def test_everything_is_started_on_embedded_defaults():
    services = ["postgres", "redis", "localchain", "signer"]
    assert names(PLAN) == [*services, "watchdog", "engine:local", "worker", "beat", "web"]


def test_given_urls_start_nothing_embedded():
    plan = replace(PLAN, embedded_postgres=False, embedded_redis=False, localchain=False)

    assert names(plan) == ["signer", "watchdog", "engine:local", "worker", "beat", "web"]


def test_one_engine_is_run_for_each_chain():
    engines = [name for name in names(replace(PLAN, chains=("local", "bsc"))) if "engine" in name]
    assert engines == ["engine:local", "engine:bsc"]


def test_the_deadlines_of_the_tiers_add_up_to_less_than_ten_seconds():
    longest = [
        max(program.stop_s for program in table(PLAN) if program.tier is tier) for tier in Tier
    ]
    assert sum(longest) < 10
    assert max(longest) == APPS_STOP_S


def test_an_engine_that_keeps_crashing_pulls_the_switch_of_its_chain():
    (engine,) = (program for program in table(PLAN) if program.name == "engine:local")
    assert engine.on_crash_loop[2:5] == ("kill", "--chain", "local")


def test_the_configuration_escapes_what_its_format_would_expand(folder):
    plan = replace(PLAN, data_dir=folder / "100% %(here)s")
    text = configuration(table(plan), data_dir=plan.data_dir, root=ROOT, password="x")

    assert "100%% %%(here)s" in text


def test_a_busy_port_is_one_line_that_names_port_and_setting():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(preflight.PortBusy, match=rf"port {port} .* is busy.*ARB_BIND"):
            preflight.check_port("127.0.0.1", port)


def test_a_missing_node_is_one_line_that_names_the_mend(tmp_path, monkeypatch):
    with pytest.raises(binaries.ProgramMissing, match="npm ci"):
        binaries.anvil(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(binaries.ProgramMissing, match="install Node 20"):
        binaries.anvil(tmp_path)


def test_an_address_of_another_machine_is_one_line():
    with pytest.raises(preflight.AddressNotOurs, match="ARB_BIND"):
        preflight.check_port("192.0.2.1", 9080)


def test_the_ready_screen_ends_with_ready_at_column_zero():
    traded = ready.Traded(chain="local", pairs=49, dexes=5, pools=120, live=True, armed=True)
    screen = ready.Screen(
        url="http://127.0.0.1:9080/",
        user="admin",
        password="generated",
        password_at="kept in /data/secrets/admin",
        traded=[traded],
        known=["bsc"],
        logs=Path("/data/logs"),
        seconds=12.34,
    )

    text = ready.render(screen)

    assert text.splitlines()[-1] == "Ready in 12.3 s: http://127.0.0.1:9080/"
    for word in ("http://127.0.0.1:9080/", "admin", "generated", "49 pairs", "bsc", "Fast Mode"):
        assert word in text
    assert "generated" not in repr(screen)
    assert "\x1b" not in text


def test_cleaning_removes_what_is_dead_and_leaves_what_lives(folder):
    with postgres.running(folder) as server:
        paths.Layout(folder).prepare()
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(paths.redis_socket(folder)))
        dead.close()
        (folder / "run" / "supervisor.pid").write_text("1")
        (folder / "run" / ".state.abc.arb-tmp").write_text("half")

        removed = {path.name for path in clean(folder)}

        assert {"redis.sock", "supervisor.pid", ".state.abc.arb-tmp"} <= removed
        assert postgres.lacking(server.url) is None
        assert (folder / "run" / "postgres.lock").exists()
        os.kill(server.pid, signal.SIGKILL)
        # Its backends hold the lock a moment longer.
        until(lambda: not is_held(folder / "run/postgres.lock"), what="the last one's end")
        removed = {path.name for path in clean(folder)}
    assert {"postmaster.pid", ".s.PGSQL.5432", "postgres.lock"} <= removed
    assert clean(folder) == []


def test_log_lines_are_followed_through_a_rotation_and_cannot_paint_the_terminal(folder):
    folder.mkdir()
    log = folder / "web.log"
    log.write_text("old\n")
    out = io.StringIO()
    terminal = Terminal(out, names=["web", "engine:local"])
    with Follower({"web": log}, show=terminal.log):
        with log.open("a") as file:
            file.write("one\n\x1b[31mtwo")
        until(lambda: "one" in out.getvalue(), what="the first line")
        log.rename(folder / "web.log.1")
        log.write_text("three\n")
        until(lambda: "three" in out.getvalue(), what="the third line")

    lines = out.getvalue().splitlines()
    assert lines[0] == "web          | one"
    assert "old" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_without_a_stack_ps_says_how_to_start_one(folder):
    with pytest.raises(NotRunning, match="make run"):
        Supervisor(folder).processes()
    with pytest.raises(CommandError, match="no stack is running"):
        call_command("ps")


def test_the_doctor_finds_a_key_in_the_environment_file_without_showing_it(folder, tmp_path):
    key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    (tmp_path / ".env").write_text(f"# comment\nARB_BIND=127.0.0.1:1\nMY_KEY=0x{key}\n")
    (tmp_path / ".env").chmod(0o600)

    findings = examine(
        Patient(arb=replace(settings.ARB, data_dir=folder), root=tmp_path),
        checks=(secret_diagnosis.env_file,),
    )

    (wrong,) = (finding for finding in findings if finding.level is Level.WRONG)
    assert ".env line 3 (MY_KEY)" in wrong.text
    assert key not in repr(findings)


def test_the_doctor_names_open_secrets_and_the_command_that_closes_them(folder):
    path = paths.Layout(folder)
    paths.secret(folder, "admin")
    paths.secret_path(folder, "admin").chmod(0o644)

    findings = examine(
        Patient(arb=replace(settings.ARB, data_dir=folder), root=ROOT),
        checks=(diagnosis.data_folder,),
    )

    (wrong,) = (finding for finding in findings if finding.level is Level.WRONG)
    assert wrong.mend == f"chmod 600 {path.secrets / 'admin'}"


def test_a_check_that_fails_itself_is_a_finding():
    def broken(_):
        raise OSError(5, "Input/output error")
        yield

    (finding,) = examine(Patient(arb=settings.ARB, root=ROOT), checks=(broken,))

    assert finding.level is Level.WRONG
    assert "Input/output error" in finding.text


@pytest.mark.django_db
def test_the_doctor_speaks_where_nothing_is_set_up_and_in_json():
    out = io.StringIO()
    with pytest.raises(CommandError, match="need mending"):
        call_command("doctor", chain="nowhere", json=True, stdout=out)

    found = json.loads(out.getvalue())
    assert any("nowhere is not in the registry" in row["text"] for row in found)
    assert {row["level"] for row in found} >= {"ok", "wrong"}


class Said(list):
    """A session's voice alone."""

    def say(self, line):
        self.append(line)


def register_shipped_chains():
    """The step of a start that does so; what it said."""
    said = Said()
    step = next(each for each in bootstrap.STEPS if each.name == "known chains")
    step.run(bootstrap.Bootstrap(plan=PLAN, session=said))
    return said


@pytest.mark.django_db
def test_a_first_start_registers_every_shipped_market_file():
    said = register_shipped_chains()

    shipped = {file.stem for file in (ROOT / "contracts" / "registry").glob("*.json")}
    assert set(Chain.objects.values_list("key", flat=True)) == shipped
    assert len(shipped) == 8
    assert not said


@pytest.mark.django_db
def test_an_operators_own_chain_stands_against_the_shipped_one_of_that_number():
    mine = json.loads((ROOT / "contracts" / "registry" / "polygon.json").read_text())["chain"]
    Chain.objects.create(
        key="my_polygon",
        name="Mine",
        eip155_id=mine["chainId"],
        native_symbol="POL",
        block_time_ms=2_000,
        confirmations=200,
        fee_model="eip1559",
        min_gas_price_wei=1,
        wrapped_native=mine["wrappedNative"],
    )

    (line,) = register_shipped_chains()

    assert "left out: polygon.json" in line
    assert "137 is already chain my_polygon" in line
    keys = set(Chain.objects.values_list("key", flat=True))
    assert "polygon" not in keys
    assert len(keys) == 8


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "worth", "l1_fee"),
    [
        ("bsc", "real money", False),
        ("bsc_testnet", "coins of no value", False),
        ("ethereum", "real money", False),
        ("polygon", "real money", False),
        ("arbitrum", "real money", True),
        ("optimism", "real money", True),
        ("base", "real money", True),
        ("sepolia", "coins of no value", False),
    ],
)
def test_the_doctor_speaks_for_every_shipped_chain(key, worth, l1_fee):
    file = ROOT / "contracts" / "registry" / f"{key}.json"
    call_command("import_market", str(file), offline=True, stdout=io.StringIO())
    # Nothing listens there: the answer is the same with and without a connection.
    nowhere = RpcUrls(http=("http://127.0.0.1:9",))
    arb = replace(settings.ARB, rpc={key: nowhere})

    found = examine(Patient(arb=arb, root=ROOT, chain=key), checks=CHAIN_CHECKS)

    said = {finding.text: finding for finding in found}
    texts = " | ".join(said)
    assert f"{key} is in the registry" in said
    assert worth in texts
    assert f"nothing is signed on {key}: results are simulated" in said
    assert ("L1 data fee" in texts) == l1_fee
    (away,) = (finding for text, finding in said.items() if "answers" in text)
    assert (away.level, away.mend) == (
        Level.WRONG,
        f"check the node, or set RPC_{key.upper()}_HTTP",
    )
    for role in ("gas_reserve", "executor"):
        mend = said[f"{key} has no wallet of role {role}"].mend
        assert mend == f"python manage.py create_wallet --chain {key} --role {role}"
    mend = said[f"our contracts are not deployed on {key}"].mend
    assert mend == f"python manage.py deploy_contracts --chain {key}"
