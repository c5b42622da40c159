"""What `doctor` looks at: one function a check, each in plain words with the mend.

A new check is one function and its name in `CHECKS`.
"""

import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from arbsite.base.conf import ArbConfig
from arbsite.base.errors import ArbError
from arbsite.stack import identity, paths, postgres, preflight, valkey
from arbsite.stack.binaries import anvil, postgres_bin, postgres_major, redis_server
from arbsite.stack.findings import Check, Finding, Level, Patient
from arbsite.stack.lock import is_held
from arbsite.stack.secret_diagnosis import SECRET_CHECKS


def examine(patient: Patient, *, checks: Sequence[Check] | None = None) -> list[Finding]:
    """Every finding in order; a check that fails itself is a finding, never an end."""
    found: list[Finding] = []
    for check in checks or CHECKS:
        try:
            found += list(check(patient))
        except ArbError as error:
            found.append(Finding(Level.WRONG, str(error)))
        except (OSError, DatabaseError) as error:
            said = " ".join(str(error).split())[:300]
            found.append(Finding(Level.WRONG, f"{check.__name__}: {said}"))
    return found


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)


def python(patient: Patient) -> Iterator[Finding]:
    """The interpreter."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield _ok(f"Python {version}")


def node(patient: Patient) -> Iterator[Finding]:
    """Node brings the local chain and the browser files."""
    program = shutil.which("node")
    if program is None:
        yield Finding(Level.WRONG, "Node is missing", "install Node 20 with npm")
        return
    said = subprocess.run(  # noqa: S603 - found on PATH, fixed argument
        [program, "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    major = re.match(r"v(\d+)", said)
    if major is None or int(major[1]) < 20:
        yield Finding(Level.WRONG, f"Node {said or '?'} is too old", "install Node 20 with npm")
    else:
        yield _ok(f"Node {said}")


def programs(patient: Patient) -> Iterator[Finding]:
    """What pip and npm should have brought."""
    wanted: list[tuple[str, Callable[[], Path]]] = [("anvil", lambda: anvil(patient.root))]
    if patient.arb.embedded_database:
        wanted.append(("PostgreSQL", postgres_bin))
    if patient.arb.embedded_redis:
        wanted.append(("Redis server", redis_server))
    for name, find in wanted:
        try:
            find()
            yield _ok(f"{name} is installed")
        except ArbError as error:
            yield Finding(Level.WRONG, str(error), "make setup")


def data_folder(patient: Patient) -> Iterator[Finding]:
    """Who may read what the program writes."""
    data_dir = patient.arb.data_dir
    if not data_dir.is_dir():
        yield Finding(Level.NOTE, f"the data folder {data_dir} is not made yet", "make run")
        return
    preflight.check_folder(data_dir)
    open_to_others = [
        path
        for path in (data_dir, *paths.Layout(data_dir).secrets.glob("*"), data_dir / "keystore")
        if path.exists() and path.stat().st_mode & (0o077 if path != data_dir else 0o066)
    ]
    for path in open_to_others:
        mode = stat.S_IMODE(path.stat().st_mode)
        fix = f"chmod {'700' if path.is_dir() else '600'} {path}"
        yield Finding(Level.WRONG, f"{path} is open to other users (mode {mode:o})", fix)
    if not open_to_others:
        yield _ok(f"the data folder {data_dir} is private")


def database(patient: Patient) -> Iterator[Finding]:
    """Reachable, of the right version, migrated."""
    arb = patient.arb
    if arb.embedded_database:
        if postgres.check_version(arb.data_dir):
            yield _ok(f"the database folder is of PostgreSQL {postgres_major()}")
        yield from _identity(arb)
        if not is_held(paths.Layout(arb.data_dir).run / "postgres.lock"):
            yield Finding(Level.NOTE, "the embedded PostgreSQL is not running", "make run")
            return
    lacking = postgres.lacking(arb.database_url or paths.database_url(arb.data_dir))
    if lacking is not None:
        mend = "make run" if arb.embedded_database else "check DATABASE_URL and the server"
        yield Finding(Level.WRONG, f"PostgreSQL does not answer: {lacking}", mend)
        return
    yield _ok("PostgreSQL answers")
    executor = MigrationExecutor(connection)
    left = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if left:
        mend = "python manage.py migrate"
        yield Finding(Level.WRONG, f"{left} migrations are not applied", mend)
    else:
        yield _ok("the database is migrated")


def _identity(arb: ArbConfig) -> Iterator[Finding]:
    who = identity.choose()
    if who.mode is identity.Mode.NOBODY:
        identity.check_reachable(who, postgres_bin() / "postgres", arb.data_dir / "pg")
        yield Finding(
            Level.NOTE,
            "user namespaces are blocked, so PostgreSQL runs as `nobody`, whose other programs "
            "could read it",
            "run as an ordinary user, or set DATABASE_URL",
        )


def redis(patient: Patient) -> Iterator[Finding]:
    """Reachable."""
    arb = patient.arb
    if arb.embedded_redis and not is_held(paths.Layout(arb.data_dir).run / "redis.lock"):
        yield Finding(Level.NOTE, "the embedded Redis is not running", "make run")
        return
    lacking = valkey.lacking(arb.redis_url or paths.redis_url(arb.data_dir))
    if lacking is None:
        yield _ok("Redis answers")
    else:
        mend = "make run" if arb.embedded_redis else "check REDIS_URL and the server"
        yield Finding(Level.WRONG, f"Redis does not answer: {lacking}", mend)


def port(patient: Patient) -> Iterator[Finding]:
    """The console's port is ours or free."""
    arb = patient.arb
    if patient.stack_runs:
        yield _ok("the stack is running")
        return
    preflight.check_port(arb.bind_host, arb.bind_port)
    yield _ok(f"port {arb.bind_port} on {arb.bind_host} is free")


CHECKS: Final[tuple[Check, ...]] = (
    python,
    node,
    programs,
    data_folder,
    database,
    redis,
    port,
    *SECRET_CHECKS,
)


def patient(*, chain: str | None) -> Patient:
    """This installation."""
    return Patient(arb=settings.ARB, root=Path(settings.BASE_DIR), chain=chain)
