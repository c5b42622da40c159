"""Makes a backup: the record, the encrypted keystore and what else a start elsewhere needs."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from arbsite.base.conf import ArbConfig
from arbsite.base.errors import Rejected
from arbsite.stack import archive, paths, postgres, postgres_tools
from arbsite.stack.archive import Manifest
from arbsite.stack.binaries import postgres_major
from arbsite.stack.lock import is_held
from wallets.passphrase import passphrase_path

# Of the local chain what its node starts from; it writes the copy whole.
_LOCAL: Final = ("local/state/market.json", "local/state/chain.good.json")
# What an earlier restore moved aside is not part of the record.
ASIDE: Final = "before_restore_"
_DUMP_WORDS: Final = (
    "--format=custom", f"--exclude-schema={ASIDE}*", "--no-owner", "--no-privileges",
)  # fmt: skip


class NothingToSave(Rejected):
    """There is no record yet."""


def backup(
    file: Path, *, arb: ArbConfig, with_passphrase: bool, say: Callable[[str], None]
) -> Manifest:
    """Write one private file with all that a restore needs; the stack may run meanwhile.

    The local chain's state is taken first and the keystore last: the record never knows less than
    the one, nor more keys than the other.

    Raises: BackupExists, NothingToSave; ToolFailed; OSError.
    """
    if file.exists():
        raise archive.BackupExists(f"{file} exists: name another file")
    with (
        record_running(arb),
        tempfile.TemporaryDirectory(dir=file.parent, prefix=".arb-backup-") as folder,
    ):
        stage = Path(folder)
        migrations = migrations_applied()
        if not migrations:
            raise NothingToSave("the database holds no record: there is nothing to back up")
        members = dict(_copied(_LOCAL, data_dir=arb.data_dir, stage=stage))
        say("dumping the record")
        dump = stage / archive.DUMP
        postgres_tools.run("pg_dump", [*_DUMP_WORDS, f"--file={dump}"], params=connection_params())
        members[archive.DUMP] = dump
        others = (archive.KEYSTORE, archive.JOURNAL)
        members |= _copied(others, data_dir=arb.data_dir, stage=stage)
        if with_passphrase:
            source = passphrase_path(data_dir=arb.data_dir, passphrase_file=arb.passphrase_file)
            members[archive.PASSPHRASE] = Path(shutil.copyfile(source, stage / archive.PASSPHRASE))
        say("writing and syncing the file")
        manifest = Manifest(
            made_at=timezone.now().isoformat(timespec="seconds"),
            product=_product(),
            postgres_major=postgres_major(),
            migrations=tuple(migrations),
            members={name: archive.digest_of(path) for name, path in members.items()},
        )
        archive.write(file, manifest=manifest, members=members)
    return manifest


@contextmanager
def record_running(arb: ArbConfig) -> Iterator[None]:
    """PostgreSQL answers inside the block: the stack's, the operator's, or one just for this."""
    held = is_held(paths.Layout(arb.data_dir).run / "postgres.lock")
    if not arb.embedded_database or held:
        yield
        return
    connection.close()
    with postgres.running(arb.data_dir):
        try:
            yield
        finally:
            connection.close()


def connection_params() -> dict[str, Any]:
    """How this process reaches its database, as libpq names it."""
    found: dict[str, Any] = dict(connection.get_connection_params())
    return found


def migrations_applied() -> list[str]:
    """Names of the migrations in the record, such as ``wallets.0001_initial``, sorted."""
    return sorted(
        f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()
    )


def _copied(names: tuple[str, ...], *, data_dir: Path, stage: Path) -> Iterator[tuple[str, Path]]:
    """Copies of what is there: a file that goes on growing is taken as it stood."""
    for name in names:
        source, target = data_dir / name, stage / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            yield name, Path(shutil.copyfile(source, target))


def _product() -> str:
    try:
        return version("arbsite")
    except PackageNotFoundError:
        return "0"
