"""The web process's own login at PostgreSQL: reads all, writes all but what is sent (I29).

Under the embedded server `up` makes it and gives the web process that login alone. For a server of
the operator's own `statements` are what he runs himself.
"""

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from arbsite.base.files import write_atomic
from arbsite.stack import paths

ROLE: Final = "arb_web"
# What is sent, its nonces and its history: written by the engine, workers and commands.
GUARDED: Final = (
    "wallets_transaction",
    "wallets_attempt",
    "wallets_noncesequence",
    "wallets_statuschange",
    "wallets_submission",
    "wallets_relayprobe",
)
_SECRET: Final = "postgres_web"  # noqa: S105  a file's name


def statements(role: str = ROLE) -> tuple[str, ...]:
    """What an existing login needs and must not have; may be run again at any time."""
    guarded = ", ".join(GUARDED)
    writes = "INSERT, UPDATE, DELETE"
    return (
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT, {writes} ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, {writes} ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
        f"REVOKE {writes}, TRUNCATE, REFERENCES, TRIGGER ON {guarded} FROM {role}",
    )


def ensure(connection: "psycopg.Connection[Any]", *, password: str, role: str = ROLE) -> None:
    """Make the login with this password and exactly these rights, in one transaction.

    The password reaches the server as its verifier, so that no log of statements can hold it.
    """
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    name = sql.Identifier(role)
    with connection.transaction():
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(name))
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
                name, sql.Literal(verifier)
            )
        )
        for statement in statements(role):
            connection.execute(statement)


def writable(connection: "psycopg.Connection[Any]", *, role: str = "") -> list[str]:
    """The guarded tables that a login may change; "" is whoever is connected."""
    rows = connection.execute(
        "SELECT t FROM unnest(%s::text[]) t WHERE to_regclass(t) IS NOT NULL AND ("
        " has_table_privilege(coalesce(nullif(%s, ''), current_user), t, 'INSERT')"
        " OR has_table_privilege(coalesce(nullif(%s, ''), current_user), t, 'UPDATE')"
        " OR has_table_privilege(coalesce(nullif(%s, ''), current_user), t, 'DELETE'))",
        (list(GUARDED), role, role, role),
    ).fetchall()
    return [str(row[0]) for row in rows]


def password(data_dir: Path) -> str:
    """The login's password, made on first use (0600)."""
    return paths.secret(data_dir, _SECRET)


def url_file(data_dir: Path) -> Path:
    """The file (0600) with the URL that the web process connects with."""
    return paths.secret_path(data_dir, "database_url_web")


def url_write(data_dir: Path) -> Path:
    """Write that URL anew: the socket's folder may have moved."""
    host = quote(str(paths.postgres_socket_dir(data_dir)), safe="")
    url = f"postgresql://{ROLE}:{password(data_dir)}@/{paths.PG_NAME}?host={host}"
    write_atomic(url_file(data_dir), url + "\n", mode=0o600)
    return url_file(data_dir)
