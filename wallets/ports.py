"""What the sender needs of the outside, as Protocols: ways to submit, and someone who signs."""

from collections.abc import Set
from typing import Protocol

from wallets.kernel.bundles import Parcel
from wallets.relays.answers import Answer
from wallets.signer_client import Signed


class Relay(Protocol):
    """The public way to hand a signed transaction to the network."""

    @property
    def name(self) -> str:
        """What `submittedVia` shows."""

    def send(self, raw: bytes, *, timeout_s: float) -> str:
        """Hand over once, without retries; the hash as the endpoint gave it.

        Raises: RpcError when it refuses; RpcUnavailable, with ``sent`` False only when not one
            byte can have left; WrongChain.
        """


class PrivateWay(Protocol):
    """The way of what nobody is to see before it is mined."""

    @property
    def name(self) -> str:
        """What `submittedVia` shows: begins with ``bundle:`` where bytes go into bundles alone."""

    @property
    def shows_bundles_only(self) -> bool:
        """False for private RPCs: what one was given, the public may get."""

    @property
    def tip_recipients(self) -> Set[str]:
        """Whom its builders favour for being paid, in lower case."""

    def hand_over(self, parcel: Parcel, *, timeout_s: float) -> list[Answer]:
        """Hand over once to each relay; one answer each, at least one. Never raises."""

    def cancel(self, parcel: Parcel, *, timeout_s: float) -> list[Answer]:
        """Ask for a bundle back where that is known; no answer proves anything. Never raises."""


class SigningDesk(Protocol):
    """Who turns a committed attempt into bytes."""

    def sign(self, attempt_id: int) -> Signed:
        """Raises: SignRefused, SignerHalted, SignerUnavailable."""

    def wake(self) -> None:
        """Something is to be signed in a moment. Waits for nothing, never raises."""
