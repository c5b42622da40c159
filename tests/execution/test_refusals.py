"""Errors on the way to a transaction, in the contract's words."""

import pytest

from contracts.rpc import RpcUnavailable
from execution.refusals import refusal
from execution.simulator import StateGone
from wallets.ledger import Killed, NotSendable


@pytest.mark.parametrize(
    ("error", "reason", "stops_all"),
    [
        (StateGone("0x1", why="pruned"), "superseded", True),
        (Killed("engaged"), "killed", False),
        (
            RpcUnavailable("no answer", endpoint="http://node", sent=True),
            "simulation_failed",
            False,
        ),
        # No way to send it, or no nonce for it: no simulation said so, and none is counted.
        (NotSendable("transaction 1 is private: no public way for it"), "not_armed", False),
    ],
)
def test_what_stood_in_the_way_is_named(error, reason, stops_all):
    acted = refusal(error, chain_key="local")
    assert (acted.reason, acted.stops_all) == (reason, stops_all)
    assert str(error) == acted.detail
