"""How the commands that touch files and record end when one of them says no: in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.db import DatabaseError

from arbsite.base.errors import ArbError


@contextmanager
def plain_endings(*, file: Path, database: str) -> Iterator[None]:
    """Raises: CommandError, for our own errors, the file system's and the database's.

    ``file`` is blamed where the system names none; ``database`` begins what it said.
    """
    try:
        yield
    except ArbError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename or file}: {error.strerror or error}") from None
    except DatabaseError as error:
        said = " ".join(str(error).split())[:300]
        raise CommandError(f"{database}: {said}") from None
