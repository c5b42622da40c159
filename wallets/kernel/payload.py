"""What is signed and sent: RLP, signing payloads and signatures, byte-equal to eth-account."""

from functools import lru_cache
from typing import Final

import msgspec
from coincurve import PrivateKey
from sha3 import keccak_256

LEGACY: Final = 0
EIP1559: Final = 2


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction before its signature. Fees in wei per gas; a legacy one has both equal."""

    chain_id: int
    tx_type: int
    nonce: int
    max_fee_wei: int
    tip_fee_wei: int
    gas_limit: int
    to: bytes  # 20 bytes, or none for a deployment
    value_wei: int
    data: bytes

    def __post_init__(self) -> None:
        if self.chain_id <= 0:
            raise ValueError("nothing is signed without a chain id (EIP-155)")
        if self.tx_type not in (LEGACY, EIP1559):
            raise ValueError(f"transaction type {self.tx_type} is not one we sign")
        if len(self.to) not in (0, 20):
            raise ValueError(f"an address has 20 bytes, not {len(self.to)}")
        if self.tx_type == LEGACY and self.max_fee_wei != self.tip_fee_wei:
            raise ValueError("a legacy transaction has one gas price")
        if self.tip_fee_wei > self.max_fee_wei:
            raise ValueError("the tip passes the maximum fee")
        if min(self.nonce, self.tip_fee_wei, self.gas_limit, self.value_wei) < 0:
            raise ValueError("a transaction's numbers are not negative")


def rlp_bytes(value: bytes) -> bytes:
    """RLP of a byte string. Source: yellow paper, appendix B."""
    size = len(value)
    if size == 1 and value[0] < 0x80:
        return value
    if size < 56:
        return bytes((0x80 + size,)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0xB7 + len(length),)) + length + value


def rlp_int(value: int) -> bytes:
    """RLP of a non-negative integer: big-endian without leading zeros."""
    if value == 0:
        return b"\x80"
    if value < 0x80:
        return bytes((value,))
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((0x80 + len(raw),)) + raw  # integers of a transaction have at most 32 bytes


def rlp_list(body: bytes) -> bytes:
    """RLP of a list whose items are already encoded and joined."""
    size = len(body)
    if size < 56:
        return bytes((0xC0 + size,)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0xF7 + len(length),)) + length + body


@lru_cache(maxsize=256)
def skeleton(
    chain_id: int, tx_type: int, gas_limit: int, to: bytes, value_wei: int
) -> tuple[bytes, bytes, bytes]:
    """What payloads of one kind have in common, encoded once, with two holes in it: nonce and fees
    between the first and second part, data between the second and third."""
    middle = rlp_int(gas_limit) + rlp_bytes(to) + rlp_int(value_wei)
    if tx_type == LEGACY:
        return b"", middle, b""
    return rlp_int(chain_id), middle, b"\xc0"  # no access list


def _unsigned_body(payload: Payload) -> bytes:
    before, middle, after = skeleton(
        payload.chain_id, payload.tx_type, payload.gas_limit, payload.to, payload.value_wei
    )
    fees = rlp_int(payload.max_fee_wei)
    if payload.tx_type == EIP1559:
        fees = rlp_int(payload.tip_fee_wei) + fees
    return b"".join((before, rlp_int(payload.nonce), fees, middle, rlp_bytes(payload.data), after))


def signing_digest(payload: Payload) -> bytes:
    """The 32 bytes that are signed. Source: EIP-155, EIP-1559."""
    return _digest(payload, _unsigned_body(payload))


def sign(payload: Payload, key: PrivateKey) -> tuple[bytes, bytes]:
    """(raw bytes, hash). Deterministic (RFC 6979): the same payload gives the same bytes."""
    body = _unsigned_body(payload)
    signature = key.sign_recoverable(_digest(payload, body), hasher=None)
    r = rlp_int(int.from_bytes(signature[:32], "big"))
    s = rlp_int(int.from_bytes(signature[32:64], "big"))
    parity = signature[64]
    if payload.tx_type == LEGACY:
        raw = rlp_list(body + rlp_int(35 + 2 * payload.chain_id + parity) + r + s)
    else:
        raw = b"\x02" + rlp_list(body + rlp_int(parity) + r + s)
    return raw, transaction_hash(raw)


def transaction_hash(raw: bytes) -> bytes:
    """The hash under which a node knows these bytes."""
    return bytes(keccak_256(raw).digest())


def _digest(payload: Payload, body: bytes) -> bytes:
    if payload.tx_type == LEGACY:
        unsigned = rlp_list(body + rlp_int(payload.chain_id) + b"\x80\x80")
    else:
        unsigned = b"\x02" + rlp_list(body)
    return bytes(keccak_256(unsigned).digest())
