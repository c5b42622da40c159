"""Whether a relay answers as its entry says: the one thing that makes it usable.

Nothing of value is shown: a builder is offered an empty bundle for a block long past, which none
can carry, and its refusal is the answer. Whom it favours for a tip is not proven by that.
"""

import re
from typing import Final

from arbsite.base.errors import ArbError
from contracts.kernel.jsonrpc import RpcError
from contracts.kernel.relay_entry import RelayEntry
from contracts.rpc import RpcUnavailable
from wallets.kernel import bundles
from wallets.relays.bundle import BundleRelay
from wallets.relays.private_rpc import PrivateRpcRelay

TIMEOUT_S: Final = 5.0
METHOD_NOT_FOUND: Final = -32601
_UNKNOWN_METHOD: Final = re.compile(
    r"method.{0,40}(not|does not|un)|unknown method|not supported|unsupported", re.IGNORECASE
)
_NO_ENTRY: Final = re.compile(
    r"auth|forbidden|credential|signature check|api.?key|token|not allowed|permission",
    re.IGNORECASE,
)


def probe(relay: BundleRelay | PrivateRpcRelay) -> tuple[bool, str]:
    """(whether it may be used, what it answered in one line). Never raises."""
    try:
        said = relay.offer_nothing(timeout_s=TIMEOUT_S)
    except RpcError as error:
        return _judge(relay.entry, error)
    except (RpcUnavailable, ArbError) as error:
        return False, str(error)
    return True, f"it answers: {said}"


def _judge(entry: RelayEntry, error: RpcError) -> tuple[bool, str]:
    method = bundles.SEND[entry.dialect]
    if entry.kind == "private_rpc":
        return False, str(error)
    if error.code == METHOD_NOT_FOUND or _UNKNOWN_METHOD.search(error.message):
        return False, f"it knows no {method}: {error.message}"
    if _NO_ENTRY.search(error.message):
        return False, f"it does not let us in: {error.message}"
    return True, f"it refuses an empty bundle, as it should: {error.message}"
