"""Makes the next wallet of a role on a chain, or one that is only watched."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from contracts import adapters as contracts_adapters
from wallets import services
from wallets.management.commands._keys import plain_errors, signer


class Command(BaseCommand):
    """`create_wallet --chain KEY --role ROLE [--label L] [--watch ADDRESS] [--json]`."""

    help = "Makes the next address of a role on a chain; with --watch one whose key is elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, role, label, watch, json."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument("--role", required=True, choices=["master", "executor", "gas_reserve"])
        parser.add_argument("--label", default="", help="a name of your own")
        parser.add_argument(
            "--watch", metavar="ADDRESS", help="watch-only: its key stays elsewhere"
        )
        parser.add_argument(
            "--json", action="store_true", help="print id, address and path as JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and print it."""
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            common = {"chain": chain, "role": options["role"], "label": options["label"][:60]}
            if options["watch"]:
                wallet = services.wallet_watch(address=options["watch"], **common)
            else:
                with signer() as client:
                    wallet = services.wallet_create(signer=client, **common)
        shown = {
            "id": wallet.pk,
            "address": wallet.address,
            "derivationPath": wallet.derivation_path,
        }
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        else:
            how = wallet.derivation_path or wallet.source
            self.stdout.write(f"{wallet.role} {wallet.address} ({how}) on {chain.key}")
