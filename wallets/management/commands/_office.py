"""What commands share that act for one wallet of a chain, with a signer where they may sign."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from contracts import adapters as contracts_adapters
from wallets import selectors
from wallets.administration.office import Office, office_open
from wallets.management.commands._keys import plain_errors, signer
from wallets.models import Wallet


def add_wallet(parser: CommandParser) -> None:
    """--chain, --wallet, --json."""
    parser.add_argument("--chain", required=True, help="chain key, such as bsc")
    parser.add_argument(
        "--wallet", required=True, metavar="ID|ADDRESS", help="the wallet's id or address"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


@contextmanager
def at_work(command: BaseCommand, options: Mapping[str, Any]) -> Iterator[tuple[Office, Wallet]]:
    """The office of the chain that the options name, which says its steps, and their wallet.

    Raises: CommandError in one line, for whatever of ours is raised within.
    """
    with plain_errors():
        chain = contracts_adapters.chain(options["chain"])
        wallet = selectors.wallet_find(chain_key=chain.key, name=options["wallet"])
        office = office_open(chain, say=lambda line: command.stderr.write(f"  {line}"), via="shell")
        with signer() if office.may_sign else nullcontext():
            yield office, wallet


def simulated_only(chain_key: str) -> str:
    """What a command says where nothing was signed."""
    return f"simulated and recorded, nothing was signed: add {chain_key} to ARB_LIVE to sign"
