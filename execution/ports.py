"""What the engine's desk needs of the outside besides a simulator, as Protocols."""

from collections.abc import Sequence, Set
from contextlib import AbstractContextManager
from typing import Any, Protocol

from arbsite.base.rows import Statement
from contracts.kernel.fees import GasFees
from wallets.beginning import Intent
from wallets.sender import SendOutcome


class Begun(Protocol):
    """What is begun and not committed; see `wallets.beginning.Beginning`."""

    def write(self, intent: Intent, rows: Sequence[Statement]) -> None:
        """Write a transaction's rows, with nonce and attempt, and wait for nothing."""

    def answers(self) -> Sequence[Any]:
        """The one row of each question."""

    def commit(self, *, mends: Sequence[Statement] = ()) -> None:
        """From here on it has its nonce; ``mends`` change its rows before."""

    def send(self) -> SendOutcome:
        """Sign and hand over what was committed."""


class Sending(Protocol):
    """Who takes a nonce, has it signed, and hands it over, once."""

    @property
    def tip_recipients(self) -> Set[str]:
        """See `wallets.sender.Sender.tip_recipients`."""

    def wake(self) -> None:
        """Something will be begun in a moment."""

    def begin(
        self,
        nonce_of: str | None,
        *,
        payer: str = "",
        asks: Sequence[Statement] = (),
        fees: GasFees,
    ) -> AbstractContextManager[Begun]:
        """See `wallets.sender.Sender.begin`."""

    def fees_now(self) -> GasFees:
        """What a payload without urgency offers now."""
