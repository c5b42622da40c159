"""Raw logs and block headers of a node, decoded into typed events; what is malformed is refused.

A node's answer is hostile input: every field is checked for type, form and range, and nothing but
`MalformedEvent` leaves the decoders. Addresses and hashes come out in lower case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from arbsite.base.errors import Rejected
from arbsite.base.units import BlockNumber, TokenAmount, Wei

SYNC_TOPIC: Final = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
SWAP_TOPIC: Final = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
# Aave V3: ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)
RESERVE_DATA_UPDATED_TOPIC: Final = (
    "0x804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a"
)
UINT112_MAX: Final = 2**112 - 1
_SYNC_TOPICS: Final = [SYNC_TOPIC]

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_WORD_BYTES: Final = 32
_QUANTITY_CHARS: Final = 66
_HEIGHT_MAX: Final = 2**63 - 1
_SHOWN: Final = 80


class MalformedEvent(Rejected):
    """A log or header that is not what the node's protocol promises."""

    def __init__(self, field: str, value: object) -> None:
        self.field = field
        shown = "".join(c if c.isprintable() else " " for c in str(value)[:_SHOWN])
        super().__init__(f"the node sent a malformed {field}: {shown or 'nothing'}")


class SyncEvent(NamedTuple):
    """The reserves of a V2 pair after a change, raw token units in the pair's own order."""

    pool: str
    reserve0: TokenAmount
    reserve1: TokenAmount
    block_number: BlockNumber
    block_hash: str
    log_index: int
    removed: bool


@dataclass(frozen=True, slots=True)
class SwapEvent:
    """One trade of a V2 pair, raw token units in the pair's own order."""

    pool: str
    amount0_in: TokenAmount
    amount1_in: TokenAmount
    amount0_out: TokenAmount
    amount1_out: TokenAmount
    to: str
    block_number: BlockNumber
    block_hash: str
    transaction_hash: str
    log_index: int
    removed: bool


@dataclass(frozen=True, slots=True)
class ReserveDataUpdated:
    """Aave changed the rates of one reserve: what was learned of it must be read again."""

    aave_pool: str
    asset: str
    block_number: BlockNumber
    block_hash: str
    log_index: int
    removed: bool


class NewHead(NamedTuple):
    """A block header. ``base_fee_wei`` is None before EIP-1559; ``timestamp_s`` is Unix time."""

    number: BlockNumber
    hash: str
    parent_hash: str
    timestamp_s: int
    base_fee_wei: Wei | None
    gas_used: int
    gas_limit: int


def decode_sync(log: object) -> SyncEvent:
    """A V2 ``Sync(uint112,uint112)`` log.

    Raises: MalformedEvent for anything else, reserves beyond 112 bits included.
    """
    fields = _fields(log, name="log")
    if fields.get("topics") != _SYNC_TOPICS:  # as every node writes it
        _topics(fields, topic=SYNC_TOPIC, count=1)
    raw = _data(fields, size=2 * _WORD_BYTES)
    reserve0 = int.from_bytes(raw[:_WORD_BYTES], "big")
    reserve1 = int.from_bytes(raw[_WORD_BYTES:], "big")
    if reserve0 > UINT112_MAX or reserve1 > UINT112_MAX:
        raise MalformedEvent("Sync log: a reserve beyond 112 bits", fields.get("data"))
    return SyncEvent(
        _address(fields.get("address"), name="log address"),
        TokenAmount(reserve0),
        TokenAmount(reserve1),
        *_position(fields),
    )


def decode_swap(log: object) -> SwapEvent:
    """A V2 ``Swap(address,uint256,uint256,uint256,uint256,address)`` log.

    Raises: MalformedEvent for anything else.
    """
    fields = _fields(log, name="log")
    _, _, to = _topics(fields, topic=SWAP_TOPIC, count=3)
    in0, in1, out0, out1 = _words(fields, count=4)
    number, block_hash, index, removed = _position(fields)
    return SwapEvent(
        pool=_address(fields.get("address"), name="log address"),
        amount0_in=TokenAmount(in0),
        amount1_in=TokenAmount(in1),
        amount0_out=TokenAmount(out0),
        amount1_out=TokenAmount(out1),
        to=_topic_address(to),
        block_number=number,
        block_hash=block_hash,
        transaction_hash=_word(fields.get("transactionHash"), "transaction hash"),
        log_index=index,
        removed=removed,
    )


def decode_reserve_data_updated(log: object) -> ReserveDataUpdated:
    """An Aave V3 ``ReserveDataUpdated`` log. Raises: MalformedEvent for anything else."""
    fields = _fields(log, name="log")
    _, asset = _topics(fields, topic=RESERVE_DATA_UPDATED_TOPIC, count=2)
    _words(fields, count=5)
    number, block_hash, index, removed = _position(fields)
    return ReserveDataUpdated(
        aave_pool=_address(fields.get("address"), name="log address"),
        asset=_topic_address(asset),
        block_number=number,
        block_hash=block_hash,
        log_index=index,
        removed=removed,
    )


def decode_head(header: object) -> NewHead:
    """A header as ``newHeads`` and ``eth_getBlockBy*`` give it.

    Raises: MalformedEvent for anything else.
    """
    fields = _fields(header, name="block header")
    base_fee = fields.get("baseFeePerGas")
    return NewHead(
        number=BlockNumber(_height(fields.get("number"), "block number")),
        hash=_word(fields.get("hash"), "block hash"),
        parent_hash=_word(fields.get("parentHash"), "parent hash"),
        timestamp_s=_height(fields.get("timestamp"), "block timestamp"),
        base_fee_wei=None if base_fee is None else Wei(_quantity(base_fee, "base fee")),
        gas_used=_height(fields.get("gasUsed"), "gas used"),
        gas_limit=_height(fields.get("gasLimit"), "gas limit"),
    )


def log_topic(log: object) -> str | None:
    """The first topic of a log, or None for an anonymous one: says which decoder to call.

    Raises: MalformedEvent when it is no log.
    """
    topics = _fields(log, name="log").get("topics")
    if not isinstance(topics, list):
        raise MalformedEvent("log topics", topics)
    return _word(topics[0], "log topic") if topics else None


def _fields(value: object, *, name: str) -> Mapping[str, object]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise MalformedEvent(name, value)
    return value


def _address(value: object, *, name: str) -> str:
    if type(value) is not str or _ADDRESS.fullmatch(value) is None:
        raise MalformedEvent(name, value)
    return value.lower()


def _word(value: object, name: str) -> str:
    if type(value) is not str or _WORD.fullmatch(value) is None:
        raise MalformedEvent(name, value)
    return value.lower()


def _quantity(value: object, name: str) -> int:
    # int() alone takes "_", "+", spaces and digits of other scripts.
    if (
        type(value) is str
        and value[:2] == "0x"
        and len(value) <= _QUANTITY_CHARS
        and value.isascii()
        and value.isalnum()
    ):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise MalformedEvent(name, value)


def _height(value: object, name: str) -> int:
    number = _quantity(value, name)
    if number > _HEIGHT_MAX:
        raise MalformedEvent(name, value)
    return number


def _topics(fields: Mapping[str, object], *, topic: str, count: int) -> list[str]:
    topics = fields.get("topics")
    if not isinstance(topics, list) or len(topics) != count:
        raise MalformedEvent("list of log topics", topics)
    words = [_word(each, "log topic") for each in topics]
    if words[0] != topic:
        raise MalformedEvent("log: another event was expected, topic", words[0])
    return words


def _topic_address(topic: str) -> str:
    if int(topic[2:26], 16):
        raise MalformedEvent("log topic: an address was expected,", topic)
    return "0x" + topic[26:]


def _words(fields: Mapping[str, object], *, count: int) -> list[int]:
    raw = _data(fields, size=_WORD_BYTES * count)
    return [
        int.from_bytes(raw[at : at + _WORD_BYTES], "big") for at in range(0, len(raw), _WORD_BYTES)
    ]


def _data(fields: Mapping[str, object], *, size: int) -> bytes:
    data = fields.get("data")
    if type(data) is not str or len(data) != 2 + 2 * size or data[:2] != "0x":
        raise MalformedEvent("log data", data)
    try:
        raw = bytes.fromhex(data[2:])
    except ValueError:
        raise MalformedEvent("log data", data) from None
    if len(raw) != size:  # it skips spaces
        raise MalformedEvent("log data", data)
    return raw


def _position(fields: Mapping[str, object]) -> tuple[BlockNumber, str, int, bool]:
    removed = fields.get("removed", False)
    if not isinstance(removed, bool):
        raise MalformedEvent("log's removed flag", removed)
    return (
        BlockNumber(_height(fields.get("blockNumber"), "log block number")),
        _word(fields.get("blockHash"), "log block hash"),
        _height(fields.get("logIndex"), "log index"),
        removed,
    )
