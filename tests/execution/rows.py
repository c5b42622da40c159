"""Rows of a small chain for the executing side: contract, executor, opportunities acted on."""

from django.utils import timezone

from contracts.models import Chain, Deployment, Token
from execution import fast_mode, limits
from execution.kernel.plan import encode_execute
from execution.models import Execution, FastMode
from prices.models import GasUse, Monitor, Opportunity
from tests.execution.kernel.builders import (
    BLOCK_HASH,
    RECEIVER,
    TOKEN,
    make_plan,
    make_receipt,
    trade_logs,
)
from wallets import kill
from wallets.models import Assignment, Attempt, NonceSequence, Transaction, Wallet

EXECUTOR = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
RATE = (600, 1)  # units of the token per wei


def make_hash(n):
    return f"0x{n:064x}"


def make_chain(**changes) -> Chain:
    facts = {
        "key": "local", "name": "Local chain", "eip155_id": 31337, "native_symbol": "BNB",
        "is_local": True, "block_time_ms": 1000, "confirmations": 3, "fee_model": "legacy",
        "min_gas_price_wei": 50_000_000, "wrapped_native": "0x" + "11" * 20,
    }  # fmt: skip
    chain = Chain.objects.create(**{**facts, **changes})
    kill.kill_rows_ensure(chain_keys=[chain.key])
    Monitor.objects.create(chain=chain)
    Token.objects.create(chain=chain, address=TOKEN, symbol="USDT", decimals=18, lendable=True)
    return chain


def make_desk_rows(chain) -> tuple[Deployment, Wallet]:
    wallet = Wallet.objects.create(
        chain=chain, role="executor", address=EXECUTOR, source="imported"
    )
    deployment = Deployment.objects.create(
        chain=chain, kind="receiver", address=RECEIVER, owner=EXECUTOR, code_hash=make_hash(9)
    )
    Assignment.objects.create(
        wallet=wallet, deployment=deployment, authorized_at=timezone.now(), desired=True
    )
    return deployment, wallet


def make_sent(chain, *, n=1, status="submitted", kind="execution", **changes) -> Transaction:
    wallet = Wallet.objects.filter(chain=chain).first() or make_desk_rows(chain)[1]
    sent = Transaction.objects.create(
        chain=chain, wallet=wallet, kind=kind, idempotency_key=f"t{n}", to=RECEIVER,
        data=encode_execute(make_plan()), status=status, gas_limit=300_000, **changes,
    )  # fmt: skip
    sequence, _ = NonceSequence.objects.get_or_create(chain=chain, address=wallet.address)
    Attempt.objects.create(
        transaction=sent, sequence=sequence, nonce=n, gas_limit=300_000, tx_type=0,
        max_fee_wei=1, tip_fee_wei=1, hash="0x" + "34" * 32 if n == 1 else make_hash(n),
        raw=b"\x01",
    )  # fmt: skip
    return sent


def make_execution(chain, *, n=1, sent=None, **changes) -> Execution:
    deployment = Deployment.objects.filter(chain=chain).first()
    facts = {
        "kind": "arbitrage", "key": f"k{n}", "automatic": True, "deployment": deployment,
        "borrow_token": Token.objects.get(chain=chain, address__iexact=TOKEN),
        "lender_kind": "aave_v3", "native_rate_num": RATE[0], "native_rate_den": RATE[1],
        "path": [{"pool": "0x" + f"{p:02x}" * 20} for p in (1, 2)],
    }  # fmt: skip
    return Execution.objects.create(chain=chain, transaction=sent, **{**facts, **changes})


def mine(sent, *, block=1_001, block_hash=BLOCK_HASH, profit=6_000_001, status="included", **more):
    """The receipt of a mined trade, as the settling of receipts leaves it."""
    ok = more.pop("ok", True)
    raw = make_receipt(status=int(ok), logs=trade_logs(profit=profit) if ok else (), **more)
    raw |= {"blockNumber": hex(block), "blockHash": block_hash}
    Transaction.objects.filter(pk=sent.pk).update(
        status=status, receipt=raw, block_number=block, block_hash=block_hash,
        gas_used=int(raw["gasUsed"], 16), gas_price_wei=int(raw["effectiveGasPrice"], 16),
        tx_hash=raw["transactionHash"],
    )  # fmt: skip


def unmine(sent):
    """As a reorg leaves it."""
    Transaction.objects.filter(pk=sent.pk).update(
        status="submitted", receipt=None, block_number=None, block_hash="", gas_used=None,
        gas_price_wei=None,
    )  # fmt: skip


def make_opportunity(chain, *, pk=1, **changes) -> Opportunity:
    now = timezone.now()
    facts = {
        "cycle": f"cycle{pk}", "mode": "stream", "block_number": 1_000, "block_hash": BLOCK_HASH,
        "last_block_number": 1_000, "pools": [1, 2], "zero_for_one": [True, False],
        "amounts": [1, 1, 1], "reserves": [1, 1, 1, 1],
        "borrow_token": Token.objects.get(chain=chain), "borrow_amount": 10**18,
        "lender_kind": "first_pool", "spread_bps": 80, "steps": [0] * 8, "net_profit": 1,
        "gas_estimate": 200_000, "gas_price_wei": 1, "tip_wei": 0, "verdict": "executable",
        "spread_class": "real", "detected_at": now, "changed_at": now,
    }  # fmt: skip
    return Opportunity.objects.create(id=pk, chain=chain, **{**facts, **changes})


def make_gas_use(chain, *, largest, lender="first_pool", hops=2, source="receipt"):
    return GasUse.objects.create(
        chain=chain, lender_kind=lender, hops=hops, pool_kind="uniswap_v2", samples=1,
        total_gas=largest, largest_gas=largest, source=source,
    )  # fmt: skip


def armed(chain):
    fast_mode.fast_mode_ensure(chain=chain)
    return fast_mode.fast_mode_set(chain=chain, state="armed", reason="a test")


def change(chain, **changes):
    """The next version of the chain's limits."""
    mode = FastMode.objects.select_related("config", "chain").get(chain=chain)
    return limits.limits_change(mode=mode, changes=changes)
