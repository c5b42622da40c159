"""What a builder is told of a bundle: parameters by dialect. No I/O.

A bundle here is one payload. Nothing in it may revert, so the list of hashes that may is left out:
the default excludes the whole bundle, and a bundle that would revert costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sha3 import keccak_256

from contracts.kernel.relay_entry import Auth, Dialect, RelayEntry
from wallets.kernel.relay_auth import soul_point_signature

SEND: Final[Mapping[Dialect, str]] = {
    Dialect.FLASHBOTS: "eth_sendBundle",
    Dialect.MAX_BLOCK: "eth_sendBundle",
    Dialect.BLOXROUTE: "blxr_submit_bundle",
}
CANCEL: Final = "eth_cancelBundle"
CALL: Final = "eth_callBundle"
NETWORKS: Final[Mapping[int, str]] = {1: "Mainnet", 56: "BSC-Mainnet"}  # bloXroute's names
Params = Sequence[object] | Mapping[str, object]
_ID_SALT: Final = b"replacement of "


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One signed payload on its way. ``last_block`` is in its calldata; None where it has none.

    ``gas_price_wei``: what its includer gets of each gas at least. ``tip_to``: whom it pays
    besides, "" where that is not known, None where it pays nobody.
    """

    raw: bytes
    hash: str
    last_block: int | None
    gas_price_wei: int
    tip_to: str | None = None

    def replacement_id(self, *, block: int) -> str:
        """A UUID of version 4's form that whoever lacks the bytes cannot guess, nor cancel by.

        One for each block: of two bundles with the same id the later one replaces the earlier.
        """
        digest = keccak_256(_ID_SALT + block.to_bytes(8, "big") + self.raw).digest()
        return str(UUID(bytes=bytes(digest[:16]), version=4))


NOTHING: Final = Parcel(raw=b"", hash="", last_block=1, gas_price_wei=0)  # what a probe offers


def send_params(
    entry: RelayEntry, parcel: Parcel, *, block: int, chain_id: int, credential: str
) -> Params:
    """Parameters of a submission, good for ``block``: exactly it, or no later than it.

    The last block is always named: builders that are told none keep a bundle for 100 blocks.
    Sources: docs/relays.md. Raises: BadKey where the credential is to sign and is no key.
    """
    if entry.dialect is Dialect.BLOXROUTE:
        named: dict[str, Any] = {
            "txs": [parcel.raw.hex()] if parcel.raw else [],
            "blockchain_network": NETWORKS.get(chain_id, ""),
            "max_block_number": hex(block),
            **entry.flags,
        }
        if entry.builders:
            named["mev_builders"] = dict.fromkeys(entry.builders, "")
        return named
    bundle: dict[str, Any] = {"txs": ["0x" + parcel.raw.hex()] if parcel.raw else []}
    if entry.dialect is Dialect.FLASHBOTS:
        bundle |= {"blockNumber": hex(block), "replacementUuid": parcel.replacement_id(block=block)}
    else:
        bundle["maxBlockNumber"] = block
    if entry.auth is Auth.SOUL_POINT and credential:
        bundle["48spSign"] = soul_point_signature([parcel.raw], key=credential)
    return [{**bundle, **entry.flags}]


def call_params(raws: Sequence[bytes], *, block: int, state_block: int | str) -> list[object]:
    """Parameters of a simulation at a builder: ``block`` on the state after ``state_block``."""
    state = hex(state_block) if isinstance(state_block, int) else state_block
    return [
        {
            "txs": ["0x" + raw.hex() for raw in raws],
            "blockNumber": hex(block),
            "stateBlockNumber": state,
        }
    ]


def cancel_params(parcel: Parcel, *, block: int) -> list[object]:
    """Parameters that take back what was sent for one block."""
    return [{"replacementUuid": parcel.replacement_id(block=block)}]
