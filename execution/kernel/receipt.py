"""A mined transaction's receipt, read strictly: what it did to a token, and what it cost."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from arbsite.base.errors import Retryable
from arbsite.base.units import BlockNumber, Gas, Wei, mul_div_floor
from contracts.kernel.fees import arbitrum_gas_split

TRANSFER_TOPIC: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_WORD: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HEIGHT_MAX: Final = 2**63 - 1
_OPERATOR_SCALE: Final = 10**6  # Isthmus: the scalar is in millionths of a wei per gas
_JOVIAN_FACTOR: Final = 100  # Jovian: the scalar is in hundreds of wei per gas


class L1FeeModel(StrEnum):
    """How a chain charges for the L1, as market files name it."""

    NONE = "none"
    OP_STACK = "op_stack"
    ARBITRUM = "arbitrum"


class BadReceipt(Retryable):
    """A node's receipt is not whole. Nothing is booked from it; another node is asked."""

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        super().__init__(
            f"the receipt's {name} cannot be read: {str(value)[:80]!r}; ask another endpoint"
        )


@dataclass(frozen=True, slots=True)
class Log:
    """One event. Address and topics in lower case."""

    address: str
    topics: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What of a receipt counts. Wei and gas; hashes in lower case.

    ``gas_cost_wei`` and ``l1_fee_wei`` never overlap: their sum is what the sender paid besides
    the value.
    """

    succeeded: bool
    tx_hash: str
    block_number: BlockNumber
    block_hash: str
    gas_used: Gas
    gas_price_wei: Wei
    gas_cost_wei: Wei
    l1_fee_wei: Wei
    logs: tuple[Log, ...]


def read_receipt(raw: object, *, l1_fee: L1FeeModel) -> Receipt:
    """A receipt as ``eth_getTransactionReceipt`` gives it, on a chain of that L1 fee.

    Source: op-geth's receipt fields for the L1 and operator fees (Isthmus; Jovian where the
    receipt has ``daFootprintGasScalar``), Nitro's ``gasUsedForL1``.
    Raises: BadReceipt for a missing or malformed field, the chain's L1 fields included.
    """
    if not isinstance(raw, Mapping):
        raise BadReceipt("form", raw)
    status = _quantity(raw, "status")
    if status not in (0, 1):
        raise BadReceipt("status", status)
    gas_used = Gas(_height(raw, "gasUsed"))
    price = Wei(_quantity(raw, "effectiveGasPrice"))
    gas_cost, l1_fee_wei = _costs(raw, gas_used=gas_used, price=price, l1_fee=l1_fee)
    logs = raw.get("logs")
    if not isinstance(logs, list):
        raise BadReceipt("logs", logs)
    return Receipt(
        succeeded=status == 1,
        tx_hash=_matched(_WORD, raw.get("transactionHash"), name="transactionHash"),
        block_number=BlockNumber(_height(raw, "blockNumber")),
        block_hash=_matched(_WORD, raw.get("blockHash"), name="blockHash"),
        gas_used=gas_used,
        gas_price_wei=price,
        gas_cost_wei=gas_cost,
        l1_fee_wei=l1_fee_wei,
        logs=tuple(_log(each) for each in logs),
    )


def transferred(receipt: Receipt, *, token: str, account: str) -> int:
    """Transfer logs of ``token`` to ``account`` minus those from it, raw units; 0 for a revert.

    Raises: BadReceipt for a Transfer of the token that is not an ERC-20's.
    """
    token, account = token.lower(), account.lower()
    total = 0
    for log in receipt.logs:
        if log.address != token or not log.topics or log.topics[0] != TRANSFER_TOPIC:
            continue
        if len(log.topics) != 3 or len(log.data) != 32:
            raise BadReceipt("Transfer log", log.topics)
        amount = int.from_bytes(log.data, "big")
        source, target = address_in(log.topics[1]), address_in(log.topics[2])
        total += amount * ((target == account) - (source == account))
    return total


def address_in(topic: str) -> str:
    """The address that an indexed topic holds, lower case. Raises: BadReceipt."""
    if int(topic[2:26], 16):
        raise BadReceipt("address topic", topic)
    return "0x" + topic[26:]


def _costs(
    raw: Mapping[str, object], *, gas_used: Gas, price: Wei, l1_fee: L1FeeModel
) -> tuple[Wei, Wei]:
    if l1_fee is L1FeeModel.ARBITRUM:
        part = Gas(_height(raw, "gasUsedForL1"))
        if part > gas_used:
            raise BadReceipt("gasUsedForL1", part)
        return arbitrum_gas_split(gas_used=gas_used, gas_used_for_l1=part, price_wei=price)
    gas_cost = Wei(gas_used * price)
    if l1_fee is L1FeeModel.NONE:
        return gas_cost, Wei(0)
    # The node leaves both operator fields out while the fee is zero.
    scalar = _quantity(raw, "operatorFeeScalar", default=0)
    constant = _quantity(raw, "operatorFeeConstant", default=0)
    if raw.get("daFootprintGasScalar") is not None:
        scaled = gas_used * scalar * _JOVIAN_FACTOR
    else:
        scaled = mul_div_floor(gas_used, scalar, _OPERATOR_SCALE)
    return gas_cost, Wei(_quantity(raw, "l1Fee") + scaled + constant)


def _log(raw: object) -> Log:
    if not isinstance(raw, Mapping):
        raise BadReceipt("log", raw)
    topics = raw.get("topics")
    if not isinstance(topics, list) or len(topics) > 4:
        raise BadReceipt("log topics", topics)
    return Log(
        _matched(_ADDRESS, raw.get("address"), name="log address"),
        tuple(_matched(_WORD, topic, name="log topic") for topic in topics),
        bytes.fromhex(_matched(_DATA, raw.get("data"), name="log data")[2:]),
    )


def _quantity(raw: Mapping[str, object], name: str, *, default: int | None = None) -> int:
    value = raw.get(name)
    if value is None and default is not None:
        return default
    return int(_matched(_QUANTITY, value, name=name), 16)


def _height(raw: Mapping[str, object], name: str) -> int:
    number = _quantity(raw, name)
    if number > _HEIGHT_MAX:
        raise BadReceipt(name, number)
    return number


def _matched(pattern: re.Pattern[str], value: object, *, name: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise BadReceipt(name, value)
    return value.lower()
