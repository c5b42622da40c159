"""Files written whole or not at all: temp, fsync, rename; plain Python."""

import os
import secrets
from pathlib import Path

TEMP_SUFFIX = ".arb-tmp"


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: a reader, or a power cut, meets the old file or the new one.

    Text is stored as UTF-8. ``mode`` is exact, whatever the umask. The folder must exist.

    Raises:
        OSError: the folder is missing, full or not ours; ``path`` is then as it was.
    """
    content = data.encode() if isinstance(data, str) else data
    temp = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMP_SUFFIX}")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temp.replace(path)
    except BaseException:  # Ctrl-C too leaves no half of a file
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def leftovers(folder: Path) -> list[Path]:
    """Temp files that a killed writer left in ``folder`` (not below it)."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.endswith(TEMP_SUFFIX))
