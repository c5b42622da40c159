"""The keystore's passphrase: a private file that the signer alone reads and replaces."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from arbsite.base.errors import Rejected
from arbsite.base.files import write_atomic


class WrongPassphrase(Rejected):
    """The passphrase opens nothing, or its file cannot be used."""


class PassphraseKept(Rejected):
    """The passphrase's file cannot be replaced; the one in it stays valid."""


def passphrase_path(*, data_dir: Path, passphrase_file: str = "") -> Path:
    """Where the passphrase lies: the named file, else one of the data folder's secrets."""
    return Path(passphrase_file) if passphrase_file else data_dir / "secrets/keystore_passphrase"


def passphrase_read(*, data_dir: Path, passphrase_file: str = "") -> bytes:
    """The passphrase from its file, or one generated once into the data folder (0600).

    Raises: WrongPassphrase when the named file is unreadable, empty, or open to other users.
    """
    named = passphrase_path(data_dir=data_dir, passphrase_file=passphrase_file)
    if not passphrase_file and not named.exists():
        named.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(named.parent / ".lock"):
            if not named.exists():
                write_atomic(named, secrets.token_hex(32) + "\n", mode=0o600)
    try:
        mode = named.stat().st_mode
        text = named.read_bytes().strip()
    except OSError as error:
        raise WrongPassphrase(
            f"cannot read the passphrase file {named} ({error.strerror})"
        ) from None
    if mode & 0o077:
        raise WrongPassphrase(f"{named} is open to other users: run `chmod 600 {named}`")
    if not text:
        raise WrongPassphrase(f"the passphrase file {named} is empty")
    return text


def passphrase_replace(path: Path, new: bytes) -> None:
    """Put ``new`` in the place of the passphrase, whole or not at all. Raises: PassphraseKept."""
    try:
        # Where the name is a link, what it names is replaced.
        write_atomic(path.resolve(), new + b"\n", mode=0o600)
    except OSError as error:
        raise PassphraseKept(
            f"cannot write the passphrase file {path} ({error.strerror}): the passphrase in it "
            "stays valid; let the signer's user write there and run the command again"
        ) from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path``, waiting for it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
