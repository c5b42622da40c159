"""Submission to one builder, as a bundle of one payload: what it shows, it shows in a block alone.

Nothing here retries, and a builder is never asked of another address than its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from arbsite.base.errors import Rejected
from contracts.kernel.jsonrpc import Json, RpcError, clean_text
from contracts.kernel.relay_entry import Dialect, RelayEntry
from contracts.rpc import HttpRpc, RpcUnavailable
from wallets.kernel import bundles, relay_auth
from wallets.kernel.bundles import Parcel

WORDS_MAX: Final = 200
TAKEN: Final = "taken"  # without a word


class NoLastBlock(Rejected):
    """A payload without a last block would live in a bundle for as long as a builder likes."""


class BundleRelay:
    """One builder. ``head``: the newest block's number, asked for builders that take exact ones."""

    shows_bundles_only = True

    def __init__(
        self,
        entry: RelayEntry,
        *,
        chain_id: int,
        credential: str,
        head: Callable[[], int],
    ) -> None:
        self.entry = entry
        self.name = entry.name
        self._chain_id = chain_id
        self._credential = credential
        self._head = head
        # A builder need not know eth_chainId: that the bytes fit the chain is in their signature.
        self._rpc = HttpRpc([entry.url], headers=self._headers)

    def send(self, parcel: Parcel, *, timeout_s: float) -> str:
        """Hand over once for each block it may land in; what the builder said, or `TAKEN`.

        Raises: NoLastBlock, NoCredential, BadKey and RpcUnavailable with ``sent`` False before a
            byte left; RpcError when it refuses; RpcUnavailable.
        """
        deadline = time.monotonic() + timeout_s
        taken, left_us = "", False
        failed: RpcError | RpcUnavailable | None = None
        for block in self._blocks(parcel):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            try:
                said = self._submit(parcel, block=block, timeout_s=left_s)
                taken = taken or _words(said) or TAKEN
            except RpcError as error:
                failed, left_us = failed or error, True
            except RpcUnavailable as error:
                # What may have arrived outweighs what was refused for another block.
                left_us = left_us or error.sent
                failed = RpcUnavailable(error.why, endpoint=error.endpoint, sent=left_us)
        if not taken:
            raise failed or RpcUnavailable("no time left", endpoint=self.name, sent=False)
        return taken

    def _submit(self, parcel: Parcel, *, block: int, timeout_s: float) -> Json:
        params = bundles.send_params(
            self.entry,
            parcel,
            block=block,
            chain_id=self._chain_id,
            credential=self._credential,
        )
        return self._rpc.call(bundles.SEND[self.entry.dialect], params, timeout_s=timeout_s)

    def cancel(self, parcel: Parcel, *, timeout_s: float) -> str:
        """Ask the builder to forget a payload in every block that may still carry it. A courtesy:
        nothing is proven by its answer.

        Raises: as `send`; Rejected where the builder has no such request.
        """
        if not self.entry.cancels:
            raise Rejected(f"{self.name} takes no bundle back: it ends by its last block")
        deadline = time.monotonic() + timeout_s
        said: list[str] = []
        failed: RpcError | RpcUnavailable | None = None
        for block in self._blocks(parcel):
            params = bundles.cancel_params(parcel, block=block)
            left_s = max(deadline - time.monotonic(), 0.001)
            try:
                said.append(_words(self._rpc.call(bundles.CANCEL, params, timeout_s=left_s)))
            except (RpcError, RpcUnavailable) as error:
                failed = failed or error  # it may know the others
        if failed is not None and not said:
            raise failed
        return said[0]

    def simulate(
        self, raws: Sequence[bytes], *, block: int, state_block: int | str, timeout_s: float
    ) -> Mapping[str, Json]:
        """What the builder says that these would do in ``block``. Raises: as `send`."""
        params = bundles.call_params(raws, block=block, state_block=state_block)
        answer = self._rpc.call(bundles.CALL, params, timeout_s=timeout_s)
        if not isinstance(answer, dict):
            raise RpcError(0, f"{self.name} gave no simulation")
        return answer

    def offer_nothing(self, *, timeout_s: float) -> str:
        """Offer an empty bundle for a block long past, to hear how it is refused. As `send`."""
        said = self._submit(bundles.NOTHING, block=1, timeout_s=timeout_s)
        return _words(said) or TAKEN

    def close(self) -> None:
        """Close kept connections."""
        self._rpc.close()

    def _blocks(self, parcel: Parcel) -> list[int]:
        """Blocks to ask for; for most builders the last one says it all."""
        if parcel.last_block is None:
            raise NoLastBlock(f"{self.name} takes bundles, and this payload has no last block")
        if self.entry.dialect is not Dialect.FLASHBOTS:
            return [parcel.last_block]
        try:
            head = self._head()
        except RpcUnavailable as error:
            raise RpcUnavailable(error.why, endpoint=error.endpoint, sent=False) from None
        last = min(parcel.last_block, head + self.entry.window_blocks)
        if last <= head:
            raise NoLastBlock(f"block {parcel.last_block} is past: no bundle can carry it")
        return list(range(head + 1, last + 1))

    def _headers(self, body: bytes) -> dict[str, str]:
        return relay_auth.auth_headers(self.entry, body, credential=self._credential)


def _words(said: Json) -> str:
    """A builder's answer as one short line: a hash, an object with one, null, or 200."""
    if isinstance(said, dict):
        said = said.get("bundleHash") or said.get("result") or ""
    return clean_text(said)[:WORDS_MAX] if said is not None else ""
