"""Moves away from a wallet out of use: its coin to safety, its rights taken from it."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from wallets.administration.leftovers import stays_behind
from wallets.administration.moving import wallet_move_away
from wallets.management.commands._office import add_wallet, at_work, simulated_only


class Command(BaseCommand):
    """`move_away --chain KEY --wallet ID [--json]`."""

    help = (
        "Sends the whole coin of an exposed or retired wallet to the chain's gas reserve, or to "
        "its treasury, and takes it from every contract. The kill switch stops none of it. Only "
        "native coin and rights move: tokens and owned contracts stay, and are listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, wallet, json."""
        add_wallet(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Move, print; exit non-zero when something is left."""
        with at_work(self, options) as (office, wallet):
            moved = wallet_move_away(office, wallet=wallet)
            stays = stays_behind(office.rpc, wallet=wallet)
        shown = {
            "wallet": wallet.address,
            "to": moved.to,
            "valueWei": str(moved.coin.value_wei) if moved.coin else "0",
            "txHash": (moved.coin.tx_hash or None) if moved.coin else None,
            "revoked": [one.tx_hash for one in moved.revoked],
            "left": list(moved.left),
            "stays": stays,
            "simulated": not office.may_sign,
        }
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        elif office.may_sign:
            self.stdout.write(f"{shown['valueWei']} wei went to {moved.to}")
            for one in moved.revoked:
                self.stdout.write(f"revoked by {one.tx_hash}")
        else:
            self.stdout.write(simulated_only(office.chain.key))
        if not options["json"]:
            for line in stays:
                self.stdout.write(line)
        if moved.left:
            raise CommandError("; ".join(moved.left))
