"""All private ways of a chain as one: the same bytes to each relay at once, each answer kept.

Where builders are among them it is builders alone: a bundle that would revert costs nothing, and
its nonce can be given back. A public endpoint is never among them.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Final, Protocol

from arbsite.base.errors import ArbError
from contracts.kernel.jsonrpc import RpcError
from contracts.kernel.relay_entry import RelayEntry, tip_recipients
from contracts.rpc import RpcUnavailable
from wallets.kernel.bundles import Parcel
from wallets.kernel.lifecycle import BUNDLE
from wallets.relays import answers
from wallets.relays.answers import Answer
from wallets.relays.bundle import BundleRelay

VIA_MAX: Final = 80  # its column
_THREADS_EACH: Final = 8


class Single(Protocol):
    """One relay."""

    entry: RelayEntry
    name: str
    shows_bundles_only: bool

    def send(self, parcel: Parcel, *, timeout_s: float) -> str:
        """See `BundleRelay.send` and `PrivateRpcRelay.send`."""

    def close(self) -> None:
        """Close kept connections."""


class FanOut:
    """Hands a payload to every relay it is made of. Thread-safe."""

    def __init__(self, relays: Sequence[Single]) -> None:
        if not relays:
            raise ValueError("a private way has at least one relay")
        builders = [relay for relay in relays if relay.shows_bundles_only]
        self.relays: Sequence[Single] = builders or relays
        self.shows_bundles_only = bool(builders)
        self.entries = tuple(relay.entry for relay in relays)
        self.tip_recipients = tip_recipients(relay.entry for relay in self.relays)
        names = "+".join(relay.name for relay in self.relays)
        prefix = BUNDLE if builders else "private:"
        short = names if len(prefix + names) <= VIA_MAX else f"{len(self.relays)} relays"
        self.name = prefix + short
        self._pool = ThreadPoolExecutor(
            max_workers=_THREADS_EACH * len(self.relays), thread_name_prefix="relay"
        )

    def hand_over(self, parcel: Parcel, *, timeout_s: float) -> list[Answer]:
        """One answer a relay. No relay is written to after ``timeout_s``. Never raises."""
        deadline = time.monotonic() + timeout_s
        if len(self.relays) == 1:
            return [_one(self.relays[0], parcel, deadline)]
        asked = {self._pool.submit(_one, relay, parcel, deadline): relay for relay in self.relays}
        done, late = wait(asked, timeout=max(0.0, deadline - time.monotonic()))
        told = [future.result() for future in done]
        for future in late:
            # Not begun and never to begin, or its bytes may be out: which of the two is known.
            outcome = answers.NOT_SENT if future.cancel() else answers.UNKNOWN
            told.append(
                Answer(relay=asked[future].name, outcome=outcome, detail="no answer in time")
            )
        return sorted(told, key=lambda answer: answer.relay)

    def cancel(self, parcel: Parcel, *, timeout_s: float) -> list[Answer]:
        """Ask builders that know how to forget a bundle: a courtesy, no proof. Never raises."""
        able = [r for r in self.relays if isinstance(r, BundleRelay) and r.entry.cancels]
        return [_guarded(r.name, partial(r.cancel, parcel, timeout_s=timeout_s)) for r in able]

    def close(self) -> None:
        """End its threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for relay in self.relays:
            relay.close()


def _one(relay: Single, parcel: Parcel, deadline: float) -> Answer:
    least = relay.entry.min_gas_price_wei
    if parcel.gas_price_wei < least:
        why = f"pays {parcel.gas_price_wei} wei per gas, {relay.name} takes {least} or more"
        return Answer(relay=relay.name, outcome=answers.NOT_SENT, detail=why)
    if parcel.tip_to is not None and not _is_paid(relay.entry, parcel.tip_to):
        why = f"it pays {parcel.tip_to or 'nobody that is known'}, not whom {relay.name} names"
        return Answer(relay=relay.name, outcome=answers.NOT_SENT, detail=why)
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        return Answer(relay=relay.name, outcome=answers.NOT_SENT, detail="no time left")
    return _guarded(relay.name, partial(relay.send, parcel, timeout_s=left_s))


def _is_paid(entry: RelayEntry, tip_to: str) -> bool:
    """Whether a tip to that address is a tip to this builder: who is not paid is not asked."""
    return bool(tip_to) and entry.tip_recipient.lower() == tip_to.lower()


def _guarded(name: str, ask: Callable[[], str]) -> Answer:
    started = time.perf_counter_ns()
    try:
        outcome, detail = answers.ACCEPTED, ask()
    except RpcUnavailable as error:
        outcome = answers.UNKNOWN if error.sent else answers.NOT_SENT
        detail = str(error)
    except RpcError as error:
        outcome, detail = answers.REFUSED, error.message
    except ArbError as error:  # a credential, another chain, no last block: not one byte went out
        outcome, detail = answers.NOT_SENT, str(error)
    took_us = (time.perf_counter_ns() - started) // 1_000
    return Answer(relay=name, outcome=outcome, detail=detail, took_us=took_us)
