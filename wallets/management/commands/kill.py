"""The kill switch from a shell: stop."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbsite.base.errors import ArbError
from contracts import adapters as contracts_adapters
from contracts.models import Chain
from wallets import adapters, receipts, selectors
from wallets.kill import EVERYWHERE, kill_engage
from wallets.management.commands._keys import plain_errors


class Command(BaseCommand):
    """`kill [--chain KEY] REASON`."""

    help = (
        "Stops executions, funding, deployments, sweeps and bumps, lists what is out already, and "
        "cancels it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, reason, json."""
        parser.add_argument("--chain", help="one chain only; without it all of them")
        parser.add_argument("--json", action="store_true", help="print the proof as JSON")
        parser.add_argument("reason", help="why; it is kept and shown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Engage, print the proof; exit non-zero when something unknown may be in flight."""
        with plain_errors():
            scope = EVERYWHERE
            if options["chain"]:
                scope = contracts_adapters.chain(options["chain"]).key
            proof = kill_engage(reason=options["reason"], scope=scope)
        if options["json"]:
            self.stdout.write(json.dumps(proof.as_json()))
        else:
            where = "everywhere" if scope == EVERYWHERE else f"on {scope}"
            self.stdout.write(f"The kill switch is engaged {where}.")
            for step in proof.steps:
                self.stdout.write(f"  {step.at:%H:%M:%S.%f} {step.name} ({step.took_ms:.0f} ms)")
            for item in proof.sent:
                self.stdout.write(
                    f"  {item.state}: {item.kind} nonce {item.nonce} {item.hash} "
                    f"via {item.submitted_via or 'nothing known'}"
                )
        self._end_what_may_land(scope, say=not options["json"])
        if not proof.complete:
            raise CommandError(proof.detail)

    def _end_what_may_land(self, scope: str, *, say: bool) -> None:
        """Cancels and bundles taken back, from here: an engine may be what is broken."""
        chains = Chain.objects.all() if scope == EVERYWHERE else Chain.objects.filter(key=scope)
        for chain in chains:
            if not selectors.transactions_open(chain_key=chain.key):
                continue
            try:
                receipts.settle(
                    chain=chain, rpc=contracts_adapters.rpc(chain), sender=adapters.sender(chain)
                )
            except ArbError as error:
                self.stderr.write(f"{chain.key}: nothing more was ended from here: {error}")
                continue
            if say:
                left = sum(i.state == "mayLand" for i in selectors.sent_items(scope=chain.key))
                self.stdout.write(
                    f"{chain.key}: cancels are out; {left} payloads may still land until one is "
                    "mined."
                )
