"""Runs the signer until it is told to stop."""

import ctypes
import logging
import os
import pwd
import resource
import signal
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from arbsite.base.turns import take_turns
from contracts.models import Chain
from wallets import adapters, kill
from wallets.management.commands._keys import plain_errors
from wallets.signer import open_signer
from wallets.signer_server import SignerServer

logger = logging.getLogger(__name__)
_PR_SET_DUMPABLE: Final = 4


class Command(BaseCommand):
    """`run_signer [--socket PATH] [--for-user NAME]`: the one process with key material."""

    help = (
        "Opens the keystore and signs what is committed in the record, for this host's processes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--socket, --for-user."""
        parser.add_argument(
            "--socket", metavar="PATH", help="listen here instead of in the stack's own folder"
        )
        parser.add_argument(
            "--for-user",
            action="append",
            default=[],
            metavar="NAME",
            help="a system user, besides this one, whose processes may ask (repeatable)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        peers = _peers(options["for_user"])
        path = Path(options["socket"]) if options["socket"] else adapters.signer_socket()
        _keep_memory_private()
        take_turns()
        with plain_errors():
            signer = open_signer(
                data_dir=settings.ARB.data_dir,
                passphrase_file=settings.ARB.passphrase_file,
                connect=partial(adapters.connect, name="arb-signer"),
                live_chains=settings.ARB.live_chains,
                treasuries=settings.ARB.treasuries,
            )
            server = SignerServer(signer=signer, path=path, peer_uids=peers)
            _ensure_switch()
            server.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        logger.info("signer ready", extra={"live": ",".join(sorted(settings.ARB.live_chains))})
        server.serve()
        logger.info("signer stopped")


def _peers(names: list[str]) -> frozenset[int]:
    """The user ids that are served. Raises: CommandError for a name that is no user's."""
    found = {os.geteuid()}
    for name in names:
        try:
            found.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            raise CommandError(f"--for-user {name[:40]}: this machine has no such user") from None
    return frozenset(found)


def _ensure_switch() -> None:
    try:
        kill.kill_rows_ensure(chain_keys=list(Chain.objects.values_list("key", flat=True)))
    except OperationalError:
        # Missing rows count as engaged: nothing is signed until they can be read.
        logger.warning("PostgreSQL is away: the signer refuses until it is back")
    finally:
        connection.close()


def _keep_memory_private() -> None:
    """No core file, and no other process of this user reads our memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
