"""The hot loop of one chain, until SIGTERM."""

import asyncio
import signal
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite import wiring
from arbsite.base.errors import ArbError
from contracts import adapters


class Command(BaseCommand):
    """`run_engine --chain KEY`: leads the chain, or stands by while another engine does."""

    help = "Runs the engine of one chain: feed, search, simulation, execution, settlement."

    def add_arguments(self, parser: CommandParser) -> None:
        """--chain."""
        parser.add_argument("--chain", required=True, help="the chain's key, such as local or bsc")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop; exit 0 then."""
        try:
            chain = adapters.chain(options["chain"])
        except ArbError as error:
            raise CommandError(str(error)) from None
        uvloop.run(self._run(wiring.engine(chain)))

    async def _run(self, engine: Any) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stopping.set)
        await engine.run()
