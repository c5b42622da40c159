"""One backup as one file: what its members are, how they are written whole and proven whole.

A tar of plain members beside a manifest that names each with its size and SHA-256. Nothing in it
is trusted before all of it was read and compared.
"""

import hashlib
import io
import json
import os
import re
import secrets
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from arbsite.base.errors import Halt, Rejected
from arbsite.base.files import TEMP_SUFFIX, sync_folder

VERSION: Final = 1
MANIFEST: Final = "manifest.json"
DUMP: Final = "record.dump"
KEYSTORE: Final = "keystore/keystore.json"
PASSPHRASE: Final = "passphrase"  # noqa: S105  a member's name
JOURNAL: Final = "signer/journal.jsonl"
# A member's place in the data folder; the record and the passphrase have homes of their own.
_NAME: Final = re.compile(r"keystore/keystore\.json|signer/journal\.jsonl|local/[\w./-]+", re.ASCII)
_MANIFEST_MAX: Final = 4 * 1024 * 1024
_BLOCK: Final = 1024 * 1024


class BackupExists(Rejected):
    """Backups are never overwritten."""


class BackupUnusable(Halt):
    """The file is no backup of this program, is damaged, or was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself. ``made_at``: ISO 8601 UTC; ``migrations``: those applied."""

    made_at: str
    product: str
    postgres_major: int
    migrations: tuple[str, ...]
    members: Mapping[str, tuple[int, str]]  # name: (bytes, SHA-256)

    def as_json(self) -> dict[str, Any]:
        """The file's text, as it is written."""
        return {
            "version": VERSION,
            "madeAt": self.made_at,
            "product": self.product,
            "postgresMajor": self.postgres_major,
            "migrations": list(self.migrations),
            "members": {
                name: {"bytes": size, "sha256": digest}
                for name, (size, digest) in sorted(self.members.items())
            },
        }


def digest_of(path: Path) -> tuple[int, str]:
    """(bytes, SHA-256) of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
    return size, found.hexdigest()


def temporary(beside: Path) -> Path:
    """A private name beside a file that is to come."""
    return beside.with_name(f".{beside.name}.{secrets.token_hex(6)}{TEMP_SUFFIX}")


def write(file: Path, *, manifest: Manifest, members: Mapping[str, Path]) -> None:
    """Write the backup (0600): temporary, synced, renamed. Raises: BackupExists, OSError."""
    temp = temporary(file)
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                text = json.dumps(manifest.as_json(), indent=1).encode()
                _add(tar, MANIFEST, io.BytesIO(text), size=len(text))
                for name, path in sorted(members.items()):
                    with path.open("rb") as source:
                        _add(tar, name, source, size=path.stat().st_size)
            raw.flush()
            os.fsync(raw.fileno())
        try:
            os.link(temp, file)  # unlike a rename it never replaces
        except FileExistsError:
            raise BackupExists(f"{file} exists: name another file") from None
        sync_folder(file.parent)
    finally:
        temp.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, source: BinaryIO, *, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    tar.addfile(entry, source)


def unpack(file: Path, *, into: Path) -> Manifest:
    """Unpack every member into an empty private folder and prove each. Touches nothing else.

    Raises: BackupUnusable, naming what is wrong.
    """
    try:
        with tarfile.open(file, mode="r:") as tar:
            manifest = _manifest(tar, file)
            seen = _members(tar, file, manifest=manifest, into=into)
    except FileNotFoundError:
        raise BackupUnusable(f"there is no file {file}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BackupUnusable(f"{file} is no backup, or is cut short ({error})") from None
    missing = sorted(set(manifest.members) - seen)
    if missing:
        raise BackupUnusable(f"{file} lacks {', '.join(missing)}: it was cut short")
    return manifest


def _manifest(tar: tarfile.TarFile, file: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isfile() or first.size > _MANIFEST_MAX:
        raise BackupUnusable(f"{file} is no backup of this program: it does not begin as one")
    source = tar.extractfile(first)
    try:
        document = json.loads(source.read() if source else b"")
        if document["version"] != VERSION:
            raise BackupUnusable(
                f"{file} is a backup of format {document['version']!r}, this program reads "
                f"{VERSION}: restore it with the version that made it"
            )
        return Manifest(
            made_at=str(document["madeAt"]),
            product=str(document["product"]),
            postgres_major=int(document["postgresMajor"]),
            migrations=tuple(str(name) for name in document["migrations"]),
            members={
                str(name): (int(facts["bytes"]), str(facts["sha256"]))
                for name, facts in document["members"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupUnusable(f"the manifest of {file} is damaged") from None


def _members(tar: tarfile.TarFile, file: Path, *, manifest: Manifest, into: Path) -> set[str]:
    seen: set[str] = set()
    for entry in tar:
        if entry.name == MANIFEST and not seen:
            continue
        if entry.name not in manifest.members or entry.name in seen or not entry.isfile():
            raise BackupUnusable(f"{file} holds {entry.name[:80]!r}, which its manifest does not")
        check_name(entry.name)
        target = into / entry.name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = tar.extractfile(entry)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as out:
            while source and (block := source.read(_BLOCK)):
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if digest_of(target) != manifest.members[entry.name]:
            raise BackupUnusable(f"{entry.name} in {file} is not what was written: it is damaged")
        seen.add(entry.name)
    return seen


def check_name(name: str) -> str:
    """The same name. Raises: BackupUnusable unless it is one that a backup has."""
    plain = ".." not in name.split("/") and "//" not in name
    if name not in (DUMP, PASSPHRASE) and not (plain and _NAME.fullmatch(name)):
        raise BackupUnusable(f"a backup has no member called {name[:80]!r}")
    return name
