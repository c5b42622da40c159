"""P8 of the speed targets: signing one transaction, beside eth-account, byte for byte.

Run it alone with ``python -m tests.benchmarks.signing_bench``.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

from coincurve import PrivateKey
from eth_account import Account

from wallets.kernel.payload import EIP1559, LEGACY, Payload, sign

Entry = dict[str, object]
KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
TARGET = 8.0
ROUNDS = 60
PER_ROUND = 20


def run() -> dict[str, Entry]:
    """``{"P8": ...}``: how many times faster than eth-account, the worse of the two kinds."""
    measured = {name: _measure(tx_type) for name, tx_type in (("eip1559", 2), ("legacy", 0))}
    value = min(theirs / ours for ours, theirs in measured.values())
    return {
        "P8": {
            "value": round(value, 1),
            "unit": "times faster than eth-account",
            "target": f">= {TARGET:g}",
            "reference": {
                name: {"ours_us": round(ours, 1), "eth_account_us": round(theirs, 1)}
                for name, (ours, theirs) in measured.items()
            },
            "ok": value >= TARGET,
        }
    }


def _measure(tx_type: int) -> tuple[float, float]:
    """(ours, theirs), median microseconds; interleaved, so that noise meets both."""
    key, ours, theirs = PrivateKey(KEY), [], []
    for round_number in range(ROUNDS):
        payload = _payload(tx_type, nonce=round_number)
        fields = _fields(payload)
        assert sign(payload, key)[0] == bytes(Account.sign_transaction(fields, KEY).raw_transaction)
        ours.append(_microseconds(lambda p=payload: sign(p, key)))
        theirs.append(_microseconds(lambda f=fields: Account.sign_transaction(f, KEY)))
    return median(ours), median(theirs)


def _microseconds(act: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    for _ in range(PER_ROUND):
        act()
    return (time.perf_counter_ns() - started) / PER_ROUND / 1_000


def _payload(tx_type: int, *, nonce: int) -> Payload:
    return Payload(
        chain_id=56,
        tx_type=tx_type,
        nonce=nonce,
        max_fee_wei=3 * 10**9,
        tip_fee_wei=3 * 10**9 if tx_type == LEGACY else 10**9,
        gas_limit=340_000,
        to=b"\x42" * 20,
        value_wei=0,
        data=bytes(range(256)) + b"\0" * 132,
    )


def _fields(payload: Payload) -> dict[str, object]:
    fields: dict[str, object] = {
        "chainId": payload.chain_id,
        "nonce": payload.nonce,
        "gas": payload.gas_limit,
        "to": payload.to,
        "value": payload.value_wei,
        "data": payload.data,
    }
    if payload.tx_type == EIP1559:
        fields |= {
            "type": 2,
            "maxFeePerGas": payload.max_fee_wei,
            "maxPriorityFeePerGas": payload.tip_fee_wei,
        }
    else:
        fields["gasPrice"] = payload.max_fee_wei
    return fields


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=1)
    sys.stdout.write("\n")
