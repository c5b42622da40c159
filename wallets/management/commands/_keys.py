"""What the key commands share: the signer, running or for this command alone, and plain errors."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from getpass import getpass
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.db import OperationalError

from arbsite.base.errors import ArbError
from wallets import adapters
from wallets.signer import Signer, open_signer
from wallets.signer_client import SignerClient, SignerUnavailable
from wallets.signer_server import SignerServer


@contextmanager
def signer() -> Iterator[SignerClient]:
    """A signer's client. Raises: CommandError in one line, which never repeats what was typed."""
    make = partial(
        open_signer,
        data_dir=settings.ARB.data_dir,
        passphrase_file=settings.ARB.passphrase_file,
        connect=partial(adapters.connect, name="arb-signer"),
        live_chains=settings.ARB.live_chains,
        treasuries=settings.ARB.treasuries,
    )
    with plain_errors(), _session(path=adapters.signer_socket(), make=make) as client:
        yield client


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn our own errors, and a record that is away, into the command's one line."""
    try:
        yield
    except ArbError as error:
        raise CommandError(str(error)) from None
    except OperationalError:
        raise CommandError("PostgreSQL cannot be reached: start it with `up`") from None


@contextmanager
def _session(*, path: Path, make: Callable[[], Signer]) -> Iterator[SignerClient]:
    """The running signer's client; where none runs, one in this process for as long as the block.

    Raises: what ``make`` raises; SignerRuns when one is just starting.
    """
    client = SignerClient(path, timeout_s=30.0)
    try:
        client.status()
    except SignerUnavailable:
        if settings.SIGNER_ELSEWHERE:
            raise  # the keys are another user's: a signer of ours would begin a keystore of its own
        server = SignerServer(signer=make(), path=path)
        server.start()
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        try:
            yield client
        finally:
            client.close()
            server.stop()
            thread.join()
    else:
        try:
            yield client
        finally:
            client.close()


def secret_read(prompt: str, *, size: int = -1) -> str:
    """A secret from standard input; on a terminal it is asked for and not echoed."""
    return getpass(f"{prompt} (not shown): ") if sys.stdin.isatty() else sys.stdin.read(size)


def add_exposure(parser: CommandParser) -> None:
    """--exposed, --not-exposed: the answer to `exposure_asked`, given beforehand."""
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument(
        "--exposed",
        action="store_true",
        default=None,
        help="it was pasted, stored in clear or shared: it only moves away where coin has value",
    )
    answer.add_argument("--not-exposed", action="store_false", dest="exposed", help="it never was")


def exposure_asked(given: bool | None, *, what: str, tell: OutputWrapper) -> bool:
    """Whether a secret was ever known to others: as given, else asked on a terminal.

    Where nobody can answer it counts as not exposed, which is said, with what to do if it was.
    """
    if given is not None:
        return given
    if not sys.stdin.isatty():
        tell.write(
            f"Nobody said whether {what} was ever pasted, stored in clear or shared: it counts as "
            "not exposed. If it was, run `mark_exposed` now (or give --exposed, --not-exposed)."
        )
        return False
    while True:
        answer = input(f"Was {what} ever pasted, stored in clear or shared? [yes/no] ").strip()
        if answer.lower() in ("y", "yes", "n", "no"):
            return answer.lower().startswith("y")
