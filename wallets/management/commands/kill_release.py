"""The kill switch from a shell: release."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from contracts import adapters as contracts_adapters
from wallets import kill
from wallets.management.commands._keys import plain_errors


class Command(BaseCommand):
    """`kill_release [--chain KEY] REASON`."""

    help = "Releases the kill switch; what was planned before stays unsent."

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, reason."""
        parser.add_argument("--chain", help="one chain's switch; without it the one of all chains")
        parser.add_argument("reason", help="why; it is kept and shown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Release and say what else still stops."""
        with plain_errors():
            scope = kill.EVERYWHERE
            if options["chain"]:
                scope = contracts_adapters.chain(options["chain"]).key
            state = kill.kill_release(reason=options["reason"], scope=scope)
        self.stdout.write(f"Released {scope} (epoch {state.epoch}).")
