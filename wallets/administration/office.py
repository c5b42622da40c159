"""What administration works with on one chain: node, sender, settlement, patience, a voice."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from django.conf import settings

from arbsite.base.errors import Rejected
from arbsite.base.models import User
from contracts import adapters as contracts_adapters
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import adapters, receipts, selectors
from wallets.models import Wallet
from wallets.sender import Sender

PATIENCE_S: Final = 180.0


class NoGasReserve(Rejected):
    """The chain has no wallet that may pay for and own contracts."""

    def __init__(self, chain_key: str) -> None:
        super().__init__(
            f"{chain_key} has no active gas reserve wallet with a key: run "
            f"`create_wallet --chain {chain_key} --role gas_reserve` and send it gas"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One chain's administration. ``may_sign`` False: calls are simulated and recorded only.

    ``settle`` books what was mined and is called until a call has a receipt; ``say`` gets one
    line per step; ``treasury`` is the configured one, "" where there is none.
    """

    chain: Chain
    rpc: HttpRpc
    sender: Sender
    settle: Callable[[], object]
    may_sign: bool
    treasury: str = ""
    say: Callable[[str], None] = lambda line: None
    patience_s: float = PATIENCE_S
    by: User | None = None
    via: str = "shell"


def office_open(
    chain: Chain,
    *,
    say: Callable[[str], None] = lambda line: None,
    by: User | None = None,
    via: str = "shell",
) -> Office:
    """The office of a registered chain, from this process's adapters and settings."""
    rpc = contracts_adapters.rpc(chain)
    sender = adapters.sender(chain)
    return Office(
        chain=chain,
        rpc=rpc,
        sender=sender,
        settle=partial(receipts.settle, chain=chain, rpc=rpc, sender=sender),
        may_sign=settings.ARB.may_sign(chain_key=chain.key, is_local=chain.is_local),
        treasury=settings.ARB.treasuries.get(chain.key, ""),
        say=say,
        by=by,
        via=via,
    )


def reserve_of(office: Office) -> Wallet:
    """The chain's first gas reserve wallet. Raises: NoGasReserve."""
    found = selectors.wallets_that_send(chain_key=office.chain.key, role="gas_reserve")
    if not found:
        raise NoGasReserve(office.chain.key)
    return found[0]


def treasury_of(office: Office) -> str:
    """Where profits are swept: as configured, else the master wallet, else the gas reserve.

    Raises: NoGasReserve.
    """
    if office.treasury:
        return office.treasury
    masters = Wallet.objects.filter(chain=office.chain, role="master", state="active")
    master = masters.order_by("id").first()
    return str((master or reserve_of(office)).address)
