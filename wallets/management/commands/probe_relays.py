"""Try a chain's relays: one that does not answer as its entry says is given nothing."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from contracts import adapters as contracts_adapters
from wallets import adapters, relay_book
from wallets.management.commands._keys import plain_errors
from wallets.relays.probe import probe


class Command(BaseCommand):
    """`probe_relays --chain KEY`."""

    help = "Asks each relay of a chain how it answers; only those that do are used afterwards."

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, json."""
        parser.add_argument("--chain", required=True, help="the chain's key, such as bsc")
        parser.add_argument("--json", action="store_true", help="print the relays as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Probe, keep, print; exit non-zero when there are relays and none may be used."""
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            credentials = settings.ARB.relay_auth
            for entry in relay_book.entries_of(chain):
                if not relay_book.may_be_asked(chain, entry):
                    continue
                relay = adapters.relay_of(
                    entry,
                    chain_id=chain.eip155_id,
                    credential=credentials.get(entry.name, ""),
                    rpc=contracts_adapters.rpc(chain),
                )
                ok, detail = probe(relay)
                relay.close()
                relay_book.probe_record(chain=chain, entry=entry, ok=ok, detail=detail)
            shown = relay_book.relays_shown(chain=chain, with_credential=list(credentials))
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        else:
            for row in shown:
                self.stdout.write(
                    f"{row['name']} ({row['kind']}, {row['url']}): {row['state']}: {row['detail']}"
                )
            self.stdout.write("A running engine goes by it within a second.")
        if shown and not any(row["state"] == "verified" for row in shown):
            raise CommandError(f"no relay of {chain.key} may be used")
