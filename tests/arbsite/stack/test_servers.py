"""The embedded PostgreSQL and Redis, with their real binaries."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from arbsite.stack import binaries, die_with_parent, embedded, identity, paths, postgres, valkey
from arbsite.stack.waiting import NotReady
from tests.arbsite.stack.conftest import ROOT, alive, until

ROUND_TRIP = """
import sys
from pathlib import Path
import psycopg
from arbsite.stack import postgres, valkey
with postgres.running(Path(sys.argv[1])) as server, valkey.running(Path(sys.argv[1])):
    with psycopg.connect(server.url) as connection:
        print(connection.execute("select current_user").fetchone()[0])
"""
AS_NOBODY = """
import pwd, sys
from pathlib import Path
from arbsite.stack import identity, postgres
nobody = pwd.getpwnam("nobody")
user = identity.Identity(identity.Mode.NOBODY, nobody.pw_uid, nobody.pw_gid)
postgres.serve(Path(sys.argv[1]), user=user)
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become someone else")


def ask(url, query):
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def write(url, query, values=()):
    with psycopg.connect(url) as connection:
        connection.execute(query, values)


def test_data_outlives_a_clean_stop_and_a_kill(folder):
    with postgres.running(folder) as server:
        write(server.url, "create table kept (wei numeric(78))")
        write(server.url, "insert into kept values (%s)", [2**200])
    with postgres.running(folder) as server:
        assert ask(server.url, "select wei from kept") == 2**200
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not alive(server.pid), what="its death")
    assert (folder / "pg" / "postmaster.pid").exists()
    with postgres.running(folder) as server:
        assert ask(server.url, "select count(*) from kept") == 1


def test_a_stale_pid_file_that_names_a_living_process_does_not_stop_the_start(folder):
    with postgres.running(folder) as server:
        stale = (folder / "pg" / "postmaster.pid").read_text().splitlines()
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not alive(server.pid), what="its death")
    stale[0] = str(os.getppid())
    (folder / "pg" / "postmaster.pid").write_text("\n".join(stale) + "\n")

    with postgres.running(folder) as server:
        assert ask(server.url, "select 1") == 1


def test_the_database_is_private(folder):
    with postgres.running(folder) as server:
        sockets = paths.postgres_socket_dir(folder)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE((sockets / paths.PG_SOCKET_NAME).stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "pg").stat().st_mode) == 0o700
        assert ask(server.url, "show listen_addresses") == ""
        assert ask(server.url, "show password_encryption") == "scram-sha-256"
        password = paths.secret(folder, "postgres")
        assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert password not in Path(f"/proc/{server.pid}/environ").read_text()
        assert "SECRET_KEY" not in Path(f"/proc/{server.pid}/environ").read_text()
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url.replace(password, "wrong"))


def test_a_second_server_on_the_same_folder_says_so(folder):
    with postgres.running(folder):
        done = subprocess.run(
            [sys.executable, "-m", "arbsite.stack.postgres", str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert done.returncode == 1
    assert "is already running" in done.stderr


def test_another_major_version_is_refused_with_the_way_to_upgrade(folder):
    home = paths.Layout(folder).postgres
    home.mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (home / "PG_VERSION").write_text("9\n")

    with (
        pytest.raises(NotReady, match=r"made by PostgreSQL 9.*pg_upgrade"),
        postgres.running(folder),
    ):
        pass


def test_a_kill_in_the_middle_of_making_leaves_nothing_half_made(folder):
    paths.Layout(folder).prepare()
    half = folder / "pg.new"
    half.mkdir(mode=0o700)
    (half / "PG_VERSION").write_text("half")

    with postgres.running(folder) as server:
        assert ask(server.url, "select current_database()") == "arb"
    assert not half.exists()
    assert not (folder / "pg.password").exists()


def test_redis_is_private_and_keeps_its_data_over_a_kill(folder):
    with valkey.running(folder) as server:
        client = redis.Redis.from_url(server.url)
        client.set("kept", "yes")
        client.close()
        socket = paths.redis_socket(folder)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "run/redis.conf").stat().st_mode) == 0o600
        assert paths.secret(folder, "redis") not in Path(f"/proc/{server.pid}/cmdline").read_text()
        stranger = redis.Redis(unix_socket_path=str(socket))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        # appendfsync everysec: what was written to the file survives the process.
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not alive(server.pid), what="its death")
    with valkey.running(folder) as server:
        client = redis.Redis.from_url(server.url)
        assert client.get("kept") == b"yes"
        client.close()


def test_the_servers_die_with_whoever_started_them(folder):
    program = ROUND_TRIP.replace("print(", "print(server.pid, flush=True); input(")
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        server = int(starter.stdout.readline())
        starter.kill()
        _, took_s = until(lambda: not alive(server), what="the server's end")

    assert took_s < 5
    assert not (folder / "pg" / "postmaster.pid").exists()


@root_only
def test_root_starts_it_inside_a_private_home_without_opening_anything(folder):
    if not identity.namespaces_allowed():
        pytest.skip("user namespaces are blocked here")
    home = folder.parent
    home.chmod(0o700)

    with postgres.running(folder) as server:
        assert ask(server.url, "select 1") == 1
        owners = {path.stat().st_uid for path in folder.rglob("*")}

    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert owners == {0}


@root_only
def test_an_ordinary_user_starts_both(folder):
    if not identity.namespaces_allowed():
        pytest.skip("user namespaces are blocked here")
    # Inside, root is user 65534 without any privilege, and the files are that user's.
    ordinary = ("unshare", "--user", "--map-user=65534", "--map-group=65534")

    done = subprocess.run(
        [*ordinary, sys.executable, "-c", ROUND_TRIP, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "arb"


@root_only
def test_where_namespaces_are_blocked_it_runs_as_nobody():
    nobody = identity.Identity(identity.Mode.NOBODY, *pwd.getpwnam("nobody")[2:4])
    parent = Path(tempfile.mkdtemp(prefix="arb-nobody-"))
    parent.chmod(0o711)
    folder = parent / "data"
    try:
        identity.check_reachable(nobody, binaries.postgres_bin() / "postgres")
    except identity.Unreachable:
        shutil.rmtree(parent)
        pytest.skip("this checkout lies where nobody cannot go")
    try:
        with embedded.running(
            (sys.executable, "-c", AS_NOBODY, str(folder)),
            name="postgres",
            data_dir=folder,
            stop=signal.SIGINT,
            url=paths.database_url(folder),
            lacking=postgres.lacking,
        ) as server:
            assert ask(server.url, "select 1") == 1
            assert Path(f"/proc/{server.pid}").stat().st_uid == nobody.uid
        assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "pg").stat().st_mode) == 0o700
    finally:
        shutil.rmtree(parent)


@root_only
def test_a_home_that_nobody_cannot_pass_is_named_with_the_mend(folder):
    nobody = identity.Identity(identity.Mode.NOBODY, *pwd.getpwnam("nobody")[2:4])
    folder.parent.chmod(0o700)

    with pytest.raises(identity.Unreachable) as refused:
        identity.check_reachable(nobody, folder / "pg")

    assert str(folder.parent) in str(refused.value)
    assert "run as an ordinary user" in str(refused.value)


def test_who_runs_the_server_depends_on_who_starts_it(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert identity.choose(namespaces=lambda: True).mode is identity.Mode.NAMESPACE
    assert identity.choose(namespaces=lambda: False).mode is identity.Mode.NOBODY

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert identity.choose().mode is identity.Mode.SELF


def test_an_orphan_notices_that_its_parent_died_before_it_bound():
    environ = {die_with_parent.PARENT: "1"}

    assert die_with_parent.orphaned(environ) is (os.getppid() != 1)
    assert not die_with_parent.orphaned({die_with_parent.PARENT: str(os.getppid())})
    assert binaries.redis_server().name in ("valkey-server", "redis-server")
