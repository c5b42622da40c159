"""Why a mined transaction reverted, as its node tells: by trace, or by replay."""

from contextlib import suppress
from typing import Final

from contracts.kernel.jsonrpc import Json, RpcError, hex_bytes
from execution.kernel.revert_words import VAGUE
from execution.reverts import Explained, explain_error, explain_refusal, explain_revert
from execution.simulator import Rpc

TRACE_DEPTH: Final = 64


def revert_of_mined(
    rpc: Rpc, *, tx_hash: str, request: dict[str, str], block_hash: str, timeout_s: float = 5.0
) -> Explained:
    """Why a mined transaction reverted: by the node's trace, else by replay on its own block.

    ``request``: `call_object` of what was mined, gas limit included. A replay meets the state
    after the block, not the one inside it, so its words may differ from the true ones.
    Raises: RpcUnavailable.
    """
    replay_at = {"blockHash": block_hash, "requireCanonical": False}
    traced, replayed = rpc.batch(
        [
            ("debug_traceTransaction", [tx_hash, {"tracer": "callTracer"}]),
            ("eth_call", [request, replay_at]),
        ],
        timeout_s=timeout_s,
    )
    if isinstance(traced, dict) and traced.get("error"):
        return _explain_trace(traced)
    return explain_error(replayed) if isinstance(replayed, RpcError) else explain_revert(b"")


def _explain_trace(frame: dict[str, Json]) -> Explained:
    """The reason of a failed call; where it is vague, that of the last call in it that failed."""
    found = _explain_frame(frame)
    for _ in range(TRACE_DEPTH):
        inner = [
            each
            for each in frame.get("calls") or ()
            if isinstance(each, dict) and each.get("error")
        ]
        if not inner or found.name not in VAGUE:
            break
        frame = inner[-1]
        found = _explain_frame(frame)
    return found


def _explain_frame(frame: dict[str, Json]) -> Explained:
    output = frame.get("output")
    data = b""
    if isinstance(output, str):
        with suppress(RpcError):
            data = hex_bytes(output)
    words = str(frame.get("error"))
    if data or "revert" in words.lower():
        return explain_revert(data)
    return explain_refusal(words, name="failed without a reason")
