"""A drill of the kill switch from a shell: stopped, seen to be stopped, released."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from contracts import adapters as contracts_adapters
from wallets import adapters
from wallets.drill import kill_drill
from wallets.management.commands._keys import plain_errors


class Command(BaseCommand):
    """`kill_drill --chain KEY`."""

    help = "Engages one chain's kill switch, sees signer and sender refuse, and releases it again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, json."""
        parser.add_argument("--chain", required=True, help="the chain's key, such as local")
        parser.add_argument("--json", action="store_true", help="print the drill as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Drill and print; exit non-zero unless everything refused."""
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            drill = kill_drill(
                chain=chain, rpc=contracts_adapters.rpc(chain), sender=adapters.sender(chain)
            )
        if options["json"]:
            self.stdout.write(json.dumps(drill.as_json()))
        else:
            for step in drill.proof.steps:
                self.stdout.write(f"  {step.at:%H:%M:%S.%f} {step.name} ({step.took_ms:.0f} ms)")
            self.stdout.write(f"  the signer refused: {drill.signer or 'NO, it signed'}")
            self.stdout.write(f"  the hand-over refused: {drill.hand_over or 'NO'}")
            after = "released" if drill.released else "left engaged: somebody used it meanwhile"
            self.stdout.write(f"  {after}, after {drill.took_ms:.0f} ms in all")
        if not drill.passed:
            raise CommandError("the drill failed: keep Fast Mode off and look why")
