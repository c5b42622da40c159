"""Takes a private key from standard input into the keystore."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from contracts import adapters as contracts_adapters
from wallets import services
from wallets.management.commands._keys import (
    add_exposure,
    exposure_asked,
    plain_errors,
    secret_read,
    signer,
)


class Command(BaseCommand):
    """`import_key --chain KEY --role ROLE [--label L] [--exposed | --not-exposed]`.

    The key comes on standard input.
    """

    help = (
        "Reads a private key from standard input into the keystore and makes its wallet. "
        "The key is never taken from the command line and never shown."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, role, label, whether it was exposed."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument("--role", required=True, choices=["executor", "gas_reserve"])
        parser.add_argument("--label", default="", help="a name of your own")
        add_exposure(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, keep, print the address."""
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            exposed = exposure_asked(options["exposed"], what="this key", tell=self.stderr)
            with signer() as client:
                wallet = services.wallet_import(
                    chain=chain,
                    role=options["role"],
                    private_key=secret_read("The private key", size=1000),
                    signer=client,
                    exposed=exposed,
                    label=options["label"][:60],
                )
        self.stdout.write(f"{wallet.role} {wallet.address} (imported) on {chain.key}")
        if wallet.state == "exposed":
            self.stdout.write(
                f"It is exposed: run `move_away --chain {chain.key} --wallet {wallet.pk}`."
            )
