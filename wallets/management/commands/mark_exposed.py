"""Notes for ever that others may know a wallet's key, or the whole master seed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from contracts import adapters as contracts_adapters
from wallets import exposure, selectors
from wallets.management.commands._keys import plain_errors, signer


class Command(BaseCommand):
    """`mark_exposed --chain KEY --wallet ID REASON`, or `mark_exposed --seed main REASON`."""

    help = (
        "Notes that a key was pasted, stored in clear or shared. Where coin has value it signs "
        "nothing but moving away from then on; nothing takes the note back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, wallet, seed, reason."""
        parser.add_argument("--chain", help="chain key, such as bsc")
        parser.add_argument("--wallet", help="the wallet's id or address")
        parser.add_argument("--seed", choices=["main"], help="the master seed with all its wallets")
        parser.add_argument("reason", help="how it was exposed; it is kept and shown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Note it, say what is out of use now and what to do."""
        one = options["chain"] and options["wallet"]
        if bool(one) == bool(options["seed"]):
            raise CommandError("give --chain and --wallet, or --seed main")
        with plain_errors():
            if options["seed"]:
                with signer() as client:
                    hit = exposure.seed_expose(
                        seed=options["seed"], reason=options["reason"], signer=client
                    )
            else:
                chain = contracts_adapters.chain(options["chain"])
                wallet = selectors.wallet_find(chain_key=chain.key, name=options["wallet"])
                with signer() as client:
                    hit = exposure.wallet_expose(
                        wallet=wallet, reason=options["reason"], signer=client
                    )
        for wallet in hit:
            where = f"{wallet.role} {wallet.address} on {wallet.chain_id}"
            mend = f"move_away --chain {wallet.chain_id} --wallet {wallet.pk}"
            self.stdout.write(f"{where} is {wallet.state}: run `{mend}`")
        if not hit:
            self.stdout.write("It is noted; no wallet of it is in use where coin has value.")
