"""Lets a frozen account send again, after a human looked."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from contracts import adapters as contracts_adapters
from contracts.kernel.jsonrpc import hex_int
from wallets import reserve_book, selectors
from wallets.freezing import wallet_unfreeze
from wallets.management.commands._keys import plain_errors


class Command(BaseCommand):
    """`unfreeze --chain KEY --wallet ID REASON`."""

    help = (
        "Takes up the chain's nonce, and a reserve's balance, after a foreign transaction or a "
        "restored backup."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Chain, wallet, reason."""
        parser.add_argument("--chain", required=True, help="chain key, such as bsc")
        parser.add_argument("--wallet", required=True, help="the wallet's id or address")
        parser.add_argument("reason", help="what you found; it is kept and shown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask the chain, adopt its nonce, say so."""
        with plain_errors():
            chain = contracts_adapters.chain(options["chain"])
            wallet = selectors.wallet_find(chain_key=chain.key, name=options["wallet"])
            rpc = contracts_adapters.rpc(chain)
            found, pending = (
                hex_int(rpc.call("eth_getTransactionCount", [wallet.address, tag]))
                for tag in ("latest", "pending")
            )
            wallet_unfreeze(
                wallet=wallet,
                chain_nonce=found,
                pending_nonce=pending,
                reason=options["reason"],
            )
            reserve_book.book_accept(reserve=wallet, reason=options["reason"])
        self.stdout.write(f"{wallet.address} sends again, from the chain's nonce {found}.")
