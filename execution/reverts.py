"""A revert in words: its name, its values, what it means, and what to do next."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from contracts.kernel.abi import artifact, decode_revert, error_table, selector
from contracts.kernel.jsonrpc import RpcError, clean_text, hex_bytes
from execution.kernel.revert_words import (
    AAVE_CODES,
    ERRORS,
    FOREIGN_ERRORS,
    NO_REASON,
    PAIR_TEXTS,
    PANIC_ACTION,
    PANICS,
    REFUSALS,
    REFUSED,
    TEXT_PARTS,
    UNKNOWN,
    Words,
)

CONTRACTS: Final = ("FlashLoanReceiver", "MultiDexRouter")
MAX_REVERT_BYTES: Final = 4_096
MAX_VALUE: Final = 200
UNDECODED: Final = "unknown error"  # what `decode_revert` calls data that it cannot name


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Why a call failed. ``name`` and ``values`` are bounded and printable, whoever wrote them."""

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    meaning: str
    next_action: str

    def as_json(self) -> dict[str, object]:
        """As it is stored and shown."""
        return {
            "name": self.name,
            "values": dict(self.values),
            "meaning": self.meaning,
            "nextAction": self.next_action,
        }

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.values.items())
        return (
            f"{self.name}({values}): {self.meaning}" if values else f"{self.name}: {self.meaning}"
        )


def explain_revert(data: bytes) -> Explained:
    """What revert data says. Never raises, whatever the bytes."""
    # Real reasons are short; what is longer is cut before anything decodes it.
    revert = decode_revert(data[:MAX_REVERT_BYTES], errors=_errors())
    if revert.name == "Error":
        return explain_text(revert.values[0])
    if revert.name == "Panic":
        code = revert.values[0]
        return Explained(
            name="Panic",
            values={"code": code},
            meaning=PANICS.get(code, "A contract panicked with a code that is not known here."),
            next_action=PANIC_ACTION,
        )
    if not data:
        return _explained(revert.name, {}, NO_REASON)
    names = _argument_names().get(data[:4])
    if revert.name == UNDECODED or names is None:
        return _explained(revert.name, {"data": _bounded(revert.values[0])}, UNKNOWN)
    values = dict(zip(names, (_bounded(value) for value in revert.values), strict=True))
    return _explained(revert.name, values, ERRORS.get(revert.name, UNKNOWN))


def explain_text(text: str) -> Explained:
    """What a revert string says: a pair's, a router's, a token's, or a number of Aave's."""
    shown = _bounded(text)
    if shown in AAVE_CODES:
        name, words = AAVE_CODES[shown]
        return _explained(f"Aave {name}", {"code": shown}, words)
    prefix, separator, rest = shown.rpartition(": ")
    if separator and rest in PAIR_TEXTS:
        return _explained(rest, {"by": prefix, "text": shown}, PAIR_TEXTS[rest])
    if shown in PAIR_TEXTS:  # some forks leave their prefix out
        return _explained(shown, {"text": shown}, PAIR_TEXTS[shown])
    lowered = shown.lower()
    words = next((words for part, words in TEXT_PARTS if part in lowered), UNKNOWN)
    return _explained("Error", {"text": shown}, words)


def explain_refusal(message: str, *, name: str = "refused by the node") -> Explained:
    """What it means that a node refused to simulate, or ended a call, with these words."""
    shown = _bounded(message)
    lowered = shown.lower()
    words = next((words for part, words in REFUSALS if part in lowered), REFUSED)
    return _explained(name, {"message": shown}, words)


def explain_error(error: RpcError) -> Explained:
    """What a node's error to a call says: a contract's revert, or the node's own refusal."""
    data = revert_data(error)
    return explain_refusal(error.message) if data is None else explain_revert(data)


def revert_data(error: RpcError) -> bytes | None:
    """The bytes a contract reverted with, empty where it gave none, None where it is no revert."""
    data = error.data
    if isinstance(data, dict):  # some providers wrap the node's own error
        data = data.get("data") or data.get("result")
    if isinstance(data, str):
        with suppress(RpcError):
            return hex_bytes(data.removeprefix("Reverted ").strip())
    return b"" if error.code == 3 or "revert" in error.message.lower() else None


def _explained(name: str, values: Mapping[str, str], words: Words) -> Explained:
    return Explained(name=name, values=values, meaning=words.meaning, next_action=words.next_action)


def _bounded(value: str) -> str:
    return clean_text(value)[:MAX_VALUE].strip()


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    """Selector -> (name, types) of every error that is known; ours win."""
    table: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for signature in FOREIGN_ERRORS:
        name, types = signature.rstrip(")").split("(")
        table[selector(signature)] = (name, tuple(types.split(",")) if types else ())
    for contract in CONTRACTS:
        table |= error_table(artifact(contract)["abi"])
    return table


@cache
def _argument_names() -> dict[bytes, tuple[str, ...]]:
    """Selector -> argument names; foreign errors are numbered."""
    names = {
        key: tuple(f"value{at}" for at in range(1, len(types) + 1))
        for key, (_, types) in _errors().items()
    }
    for contract in CONTRACTS:
        for item in artifact(contract)["abi"]:
            if item.get("type") == "error":
                types = ",".join(arg["type"] for arg in item["inputs"])
                names[selector(f"{item['name']}({types})")] = tuple(
                    str(arg["name"]) for arg in item["inputs"]
                )
    return names
