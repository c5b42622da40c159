"""What the sender and the signer add to a transaction: measured while it is proven to be mined."""

import os
import time
from statistics import median

import pytest

from contracts.kernel.jsonrpc import hex_int
from tests.wallets.conftest import FEES
from wallets.models import Attempt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e]
SENDS = int(os.environ.get("PROVE_SENDS", "3"))


def test_each_stage_of_a_send_is_measured_and_each_is_mined_once(bench):
    first = bench.plan()
    bench.sender.send(first.pk, fees=FEES)  # opens the account, the signer's and the node's wires
    rows, outcomes, whole_us = [bench.plan() for _ in range(SENDS)], [], []
    for row in rows:
        started = time.perf_counter_ns()
        outcomes.append(bench.sender.send(row.pk, fees=FEES))
        whole_us.append((time.perf_counter_ns() - started) // 1_000)
    bench.mine(4)
    bench.settle()

    assert {bench.fresh(row).status for row in rows} == {"confirmed"}
    assert Attempt.objects.count() == SENDS + 1
    sent = bench.rpc.call("eth_getTransactionCount", [bench.executor.address, "latest"])
    assert hex_int(sent) == SENDS + 1
    for outcome, whole in zip(outcomes, whole_us, strict=True):
        assert {"sign", "persist", "submit"} <= set(outcome.stages_us)
        assert sum(outcome.stages_us.values()) <= whole

    stages = {
        name: median(outcome.stages_us[name] for outcome in outcomes) / 1_000
        for name in ("sign", "persist", "submit")
    }
    print({"sends": SENDS, "whole_ms": median(whole_us) / 1_000, **stages})
