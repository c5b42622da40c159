"""What the engine's desk needs of the outside besides a simulator, as Protocols."""

from collections.abc import Set
from typing import Protocol

from contracts.kernel.fees import GasFees
from wallets.sender import SendOutcome


class Sending(Protocol):
    """Who takes a nonce, has it signed, and hands it over, once."""

    @property
    def tip_recipients(self) -> Set[str]:
        """See `wallets.sender.Sender.tip_recipients`."""

    def send(
        self,
        transaction_id: int,
        *,
        fees: GasFees,
        leader_epoch: int | None = None,
        account: str = "",
    ) -> SendOutcome:
        """See `wallets.sender.Sender.send`."""

    def fees_now(self) -> GasFees:
        """What a payload without urgency offers now."""
