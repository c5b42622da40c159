"""Restores a backup: proven whole first, then put in place, in recovery from its first moment.

The keystore comes last: until it lies there nothing can be signed, so a restore that is broken off
leaves nothing that trades.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from psycopg import sql

from arbsite.base.conf import ArbConfig
from arbsite.base.errors import Halt, Rejected
from arbsite.base.files import sync_folder, write_atomic
from arbsite.stack import archive, paths, postgres_tools
from arbsite.stack.archive import BackupUnusable, Manifest
from arbsite.stack.backup import ASIDE, connection_params, record_running
from arbsite.stack.lock import is_held
from wallets.passphrase import WrongPassphrase, passphrase_path, passphrase_read
from wallets.recovery import recovery_begin
from wallets.signer import keystore_prove

_STAGE: Final = "restore.new"
_RESTORE_WORDS: Final = (
    "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges",
)  # fmt: skip
# Of the data folder what a restore puts there, in the order it does.
_PLACES: Final = ("local/state", "signer/journal.jsonl", archive.KEYSTORE)


class StackRuns(Rejected):
    """Something works on the record or the data folder."""


class NotEmpty(Rejected):
    """There is something that a restore would replace."""


class RestoreFailed(Halt):
    """It could not be put in place; what was there before is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done. ``aside``: where what was there before lies now, "" where nothing was."""

    manifest: Manifest
    accounts: int
    aside: str
    schema_aside: str


def restore(file: Path, *, arb: ArbConfig, force: bool, say: Callable[[str], None]) -> Restored:
    """Prove a backup, then put record and keystore in place, stopped and held.

    ``force``: what is there is moved aside first. Raises: BackupUnusable, StackRuns, NotEmpty,
    WrongPassphrase before anything is touched; RestoreFailed after everything was put back.
    """
    data_dir = arb.data_dir
    if is_held(paths.Layout(data_dir).run / "up.lock"):
        raise StackRuns(f"the stack runs on {data_dir}: run `stop` first")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = data_dir / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    paths.private_folder(stage)
    try:
        say("proving the file")
        manifest = archive.unpack(file, into=stage)
        new_passphrase = _prove(manifest, stage=stage, arb=arb)
        with record_running(arb):
            return _put(manifest, stage, new_passphrase, arb=arb, force=force, say=say)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _prove(manifest: Manifest, *, stage: Path, arb: ArbConfig) -> bytes | None:
    """Everything that can be seen without touching anything. The passphrase to be put in place."""
    if archive.DUMP not in manifest.members:
        raise BackupUnusable("the backup holds no record")
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if newer := sorted(set(manifest.migrations) - known):
        raise BackupUnusable(
            f"the backup is of a newer version ({newer[0]} is not known here): restore it with the "
            "version that made it, or a later one"
        )
    postgres_tools.run("pg_restore", ["--list", str(stage / archive.DUMP)])
    if archive.KEYSTORE not in manifest.members:
        return None
    folder = (stage / archive.KEYSTORE).parent
    place = passphrase_path(data_dir=arb.data_dir, passphrase_file=arb.passphrase_file)
    brought = stage / archive.PASSPHRASE
    if place.exists():
        found = passphrase_read(data_dir=arb.data_dir, passphrase_file=arb.passphrase_file)
        try:
            keystore_prove(folder, passphrase=found)
        except WrongPassphrase:
            if not brought.exists():
                raise _no_passphrase(place) from None
        else:
            return None
    if not brought.exists():
        raise _no_passphrase(place)
    text = brought.read_bytes().strip()
    keystore_prove(folder, passphrase=text)
    return text


def _no_passphrase(place: Path) -> WrongPassphrase:
    return WrongPassphrase(
        f"the backup's keystore opens with the passphrase it was made under, which is not in "
        f"{place}: put it there (chmod 600), or name its file in KEYSTORE_PASSPHRASE_FILE"
    )


def _put(
    manifest: Manifest,
    stage: Path,
    new_passphrase: bytes | None,
    *,
    arb: ArbConfig,
    force: bool,
    say: Callable[[str], None],
) -> Restored:
    data_dir = arb.data_dir
    there = [name for name in _PLACES if (data_dir / name).exists()]
    full = _record_is_there()
    if (there or full) and not force:
        what = [str(data_dir / name) for name in there] + ["a record in the database"] * full
        raise NotEmpty(
            f"there is {' and '.join(what)} already: restore into an empty folder and database, or "
            "give --force, which moves them aside first"
        )
    _check_alone()
    stamp = timezone.now().strftime("%Y%m%dT%H%M%S%f")
    aside, schema = data_dir / f"before-restore-{stamp}", f"{ASIDE}{stamp.lower()}"
    with _files_aside(data_dir, aside, there):
        with _schema_aside(schema if full else ""):
            say("restoring the record")
            postgres_tools.run(
                "pg_restore",
                [*_RESTORE_WORDS, f"--dbname={connection_params()['dbname']}",
                 str(stage / archive.DUMP)],
                params=connection_params(),
            )  # fmt: skip
            say("migrating it to this version")
            call_command("migrate", interactive=False, verbosity=0)
            accounts = recovery_begin(made_at=manifest.made_at)
        say("putting the keystore in place")
        _files_in_place(stage, data_dir=data_dir)
        if new_passphrase is not None:
            place = passphrase_path(data_dir=data_dir, passphrase_file=arb.passphrase_file)
            if place.exists():
                aside.mkdir(mode=0o700, exist_ok=True)
                shutil.copy2(place, aside / "passphrase")
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(place, new_passphrase + b"\n", mode=0o600)
    return Restored(
        manifest=manifest,
        accounts=accounts,
        aside=str(aside) if aside.exists() else "",
        schema_aside=schema if full else "",
    )


def _record_is_there() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'S'))"
        )
        return bool(cursor.fetchone()[0])


def _check_alone() -> None:
    """Nobody else works on the database, whatever machine they are on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        others = cursor.fetchone()[0]
    if others:
        raise StackRuns(f"{others} other sessions use the database: stop every process first")


@contextmanager
def _files_aside(data_dir: Path, aside: Path, names: list[str]) -> Iterator[None]:
    """Move files away for good, or back when the block fails."""
    moved: list[str] = []
    try:
        for name in names:
            target = aside / name
            paths.private_folder(aside)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (data_dir / name).rename(target)
            moved.append(name)
        yield
    except BaseException:  # Ctrl-C too leaves all as it was
        for name in moved:
            back = data_dir / name
            if back.is_dir():
                shutil.rmtree(back)
            (aside / name).replace(back)
        if moved:
            shutil.rmtree(aside, ignore_errors=True)
        raise


@contextmanager
def _schema_aside(name: str) -> Iterator[None]:
    """An empty ``public``; the old one is kept under ``name``, and is back when the block fails."""
    if name:
        _execute("ALTER SCHEMA public RENAME TO {}", name)
        _execute("CREATE SCHEMA public")
    try:
        yield
    except BaseException as error:  # Ctrl-C too leaves all as it was
        connection.close()
        _execute("DROP SCHEMA public CASCADE")
        if name:
            _execute("ALTER SCHEMA {} RENAME TO public", name)
        else:
            _execute("CREATE SCHEMA public")
        if not isinstance(error, Exception):
            raise
        said = " ".join(str(error).split())[:400]
        raise RestoreFailed(f"nothing was restored, all is as it was: {said}") from None
    finally:
        connection.close()


def _execute(statement: str, *names: str) -> None:
    params = {
        key: value
        for key, value in connection_params().items()
        if key not in ("cursor_factory", "context")
    }
    with psycopg.connect(**params, autocommit=True) as session:
        session.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def _files_in_place(stage: Path, *, data_dir: Path) -> None:
    for name in _PLACES:
        source, target = stage / name, data_dir / name
        if source.exists():
            for folder in reversed(target.relative_to(data_dir).parents[:-1]):
                (data_dir / folder).mkdir(mode=0o700, exist_ok=True)
            source.rename(target)
            sync_folder(target.parent)
