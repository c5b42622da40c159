"""PostgreSQL's own dump and restore programs, given their password by environment, never argv."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

from arbsite.base.errors import Rejected
from arbsite.stack.binaries import ProgramMissing, postgres_bin

_VARIABLES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
}
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class ToolFailed(Rejected):
    """The program ended with an error; the message carries its last words."""


def run(name: str, words: Sequence[str], *, params: Mapping[str, Any] | None = None) -> str:
    """Run ``pg_dump`` or its like against a database; returns what it printed.

    ``params``: as libpq names them. Raises: ToolFailed, ProgramMissing.
    """
    program = postgres_bin() / name
    if not os.access(program, os.X_OK):
        raise ProgramMissing(f"{program} is missing: set PG_BIN to a folder that has {name}")
    environ = {key: value for key, value in os.environ.items() if key in _KEPT}
    environ |= {
        variable: str(params[key])
        for key, variable in _VARIABLES.items()
        if params and params.get(key) not in (None, "")
    }
    done = subprocess.run(  # noqa: S603 - found by us, given as a list
        [str(program), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environ,
        cwd="/",
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-400:]
        mend = ": set PG_BIN to programs as new as the server" if "version mismatch" in said else ""
        raise ToolFailed(f"{name}: {said or f'ended with {done.returncode}'}{mend}")
    return done.stdout
