"""Reading off a node what an EVM in this process must know; every answer is checked."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final

from eth_utils.crypto import keccak

from arbsite.base.errors import Rejected
from arbsite.base.units import Wei
from contracts.kernel.abi import artifact
from contracts.kernel.events import RESERVE_DATA_UPDATED_TOPIC, log_topic
from contracts.kernel.jsonrpc import Json, RpcError, clean_text, hex_bytes, hex_int
from execution.blocks import PinnedBlock
from execution.evm import Account
from execution.kernel.slots import Place
from execution.known_state import Header, Traced
from execution.simulator import Rpc

TIMEOUT_S: Final = 5.0
SLOTS_AT_ONCE: Final = 500
_NO_SUCH_METHOD: Final = (-32601, -32604, -32004)
# An init code that returns how many bytes address 0x0b gives for the sum of two points at infinity:
# 128 since Prague, none before. It begins with TLOAD, which is invalid before Cancun.
_FORK_PROBE: Final = "0x5f5c505f5f6101005f600b5afa503d5f5260205ff3"


class Unlearnable(Rejected):
    """A node does not trace, or its trace is none. ``lasting``: nor will it soon."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        self.lasting = lasting
        super().__init__(f"the path cannot be learned: {why}; the node simulates it")


def has_cancun_rules(rpc: Rpc) -> bool:
    """Whether the chain runs Cancun's rules: neither those before nor those after."""
    (answer,) = rpc.batch([("eth_call", [{"data": _FORK_PROBE}, "latest"])], timeout_s=TIMEOUT_S)
    try:
        return hex_bytes(answer) == bytes(32)
    except RpcError:
        return False


def trace(
    rpc: Rpc, request: dict[str, str], *, block: PinnedBlock, stamp_s: int
) -> tuple[dict[str, Traced], Header]:
    """Every account and slot that the call reads as in the block after that one, and the header.

    ``stamp_s``: the time of that next block; a pair writes its price slots only in a new second.
    Raises: Unlearnable, RpcUnavailable.
    """
    options = {
        "tracer": "prestateTracer",
        "blockOverrides": {"number": hex(block.number + 1), "time": hex(stamp_s)},
    }
    found, header = rpc.batch(
        [
            ("debug_traceCall", [request, {"blockHash": block.hash}, options]),
            ("eth_getBlockByHash", [block.hash, False]),
        ],
        timeout_s=TIMEOUT_S,
    )
    if isinstance(found, RpcError):
        # Anything else may be of this block alone, which another has taken the place of.
        lasting = found.code in _NO_SUCH_METHOD or "method" in found.message.lower()
        raise Unlearnable(found.message, lasting=lasting)
    try:
        if not isinstance(header, Mapping):
            raise Unlearnable("the block is gone", lasting=False)
        return _prestate(found), _header(header)
    except (RpcError, ValueError, TypeError, AttributeError) as error:
        raise Unlearnable(clean_text(error), lasting=True) from None


def _prestate(found: Json) -> dict[str, Traced]:
    if not isinstance(found, Mapping) or not found:
        raise ValueError("the trace names no account")
    return {_address(address): _traced(each) for address, each in found.items()}


def _traced(each: Mapping[str, Json]) -> Traced:
    nonce = each.get("nonce") or 0
    account = Account(
        Wei(hex_int(each.get("balance") or "0x0")),
        nonce if isinstance(nonce, int) else hex_int(nonce),
        hex_bytes(each.get("code") or "0x"),
    )
    storage = each.get("storage") or {}
    return Traced(account, {_word(slot): _word(value) for slot, value in storage.items()})


def _header(header: Mapping[str, Json]) -> Header:
    prevrandao = hex_bytes(header.get("mixHash") or "0x" + "00" * 32)
    return Header(_address(header["miner"]), prevrandao[:32], hex_int(header["gasLimit"]))


def _address(text: Json) -> str:
    if len(hex_bytes(text)) != 20:
        raise ValueError("an address of another length")
    return str(text).lower()


def _word(text: Json) -> int:
    word = hex_bytes(text)
    if len(word) != 32:
        raise ValueError("a word of another length")
    return int.from_bytes(word)


def read_places(
    rpc: Rpc, places: Sequence[Place], senders: Iterable[str], *, block_hash: str
) -> tuple[dict[Place, int], dict[str, Wei]]:
    """Slots and balances at one block. Raises: RpcError for one without answer, RpcUnavailable."""
    at = {"blockHash": block_hash}
    senders = sorted(senders)
    calls: list[tuple[str, list[object]]] = [("eth_getBalance", [each, at]) for each in senders]
    calls += [("eth_getStorageAt", [account, f"0x{slot:064x}", at]) for account, slot in places]
    answers: list[Json] = []
    for start in range(0, len(calls), SLOTS_AT_ONCE):
        answers += rpc.batch(calls[start : start + SLOTS_AT_ONCE], timeout_s=TIMEOUT_S)
    for answer in answers:
        if isinstance(answer, RpcError):
            raise answer
    balances, words = answers[: len(senders)], answers[len(senders) :]
    return (
        dict(zip(places, (int.from_bytes(hex_bytes(word)) for word in words), strict=True)),
        {sender: Wei(hex_int(held)) for sender, held in zip(senders, balances, strict=True)},
    )


def changed_groups(rpc: Rpc, watched: Iterable[str], *, block_hash: str) -> set[str]:
    """What the block's logs say of the watched contracts: a lent asset whose reserve changed, or a
    receiver that said anything. Raises: RpcError, RpcUnavailable."""
    topics = [RESERVE_DATA_UPDATED_TOPIC, *_receiver_topics()]
    query = {"blockHash": block_hash, "address": sorted(watched), "topics": [topics]}
    (logs,) = rpc.batch([("eth_getLogs", [query])], timeout_s=TIMEOUT_S)
    if isinstance(logs, RpcError):
        raise logs
    groups = set()
    for log in logs or ():
        if log_topic(log) == RESERVE_DATA_UPDATED_TOPIC:
            groups.add("0x" + str(log["topics"][1])[-40:].lower())
        else:
            groups.add(str(log["address"]).lower())
    return groups


@cache
def _receiver_topics() -> tuple[str, ...]:
    """The first topic of everything our receiver can say."""
    events = (item for item in artifact("FlashLoanReceiver")["abi"] if item["type"] == "event")
    return tuple(
        "0x" + keccak(text=f"{e['name']}({','.join(arg['type'] for arg in e['inputs'])})").hex()
        for e in events
    )
