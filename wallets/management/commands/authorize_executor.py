"""Lets an executor wallet trade through the chain's receiver."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from wallets.administration.authorise import executor_authorise
from wallets.management.commands._office import add_wallet, at_work, simulated_only


class Command(BaseCommand):
    """`authorize_executor --chain KEY --wallet ID|ADDRESS [--json]`."""

    help = "Authorises an executor wallet on the chain's FlashLoanReceiver, from its owner."

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, wallet, json."""
        add_wallet(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Authorise and print."""
        with at_work(self, options) as (office, wallet):
            outcome = executor_authorise(office, wallet=wallet)
        one = outcome.transaction_
        shown = {
            "wallet": wallet.address,
            "contract": outcome.deployment.address,
            "txHash": (one.tx_hash or None) if one else None,
            "simulated": outcome.assignment is None,
        }
        if options["json"]:
            self.stdout.write(json.dumps(shown))
        elif outcome.assignment is None:
            self.stdout.write(
                f"{wallet.address} on {outcome.deployment.address}: "
                + simulated_only(office.chain.key)
            )
        else:
            how = f"transaction {one.tx_hash}" if one else "as it was already"
            self.stdout.write(
                f"{wallet.address} may execute on {outcome.deployment.address} ({how})"
            )
