"""Plans and receipts of fixed values."""

from arbsite.base.units import BlockNumber, Bps, TokenAmount
from execution.kernel.plan import LenderCode, Plan, PlanHop
from execution.kernel.pnl import SETTLED_TOPIC
from execution.kernel.receipt import TRANSFER_TOPIC

RECEIVER = "0x" + "aa" * 20
TOKEN = "0x" + "bb" * 20
LENDER = "0x" + "cc" * 20
PAIRS = tuple("0x" + f"{n:02x}" * 20 for n in (1, 2, 3))
BLOCK_HASH = "0x" + "12" * 32
TX_HASH = "0x" + "34" * 32


def make_plan(**changes):
    values = {
        "lender_kind": LenderCode.AAVE,
        "lender": LENDER,
        "token": TOKEN,
        "amount": TokenAmount(10**18),
        "min_profit": TokenAmount(5_000),
        "deadline_s": 1_800_000_000,
        "last_block": BlockNumber(1_003),
        "hops": (
            PlanHop(pair=PAIRS[0], fee_bps=Bps(25), zero_for_one=True),
            PlanHop(pair=PAIRS[1], fee_bps=Bps(30), zero_for_one=False),
        ),
    }
    return Plan(**(values | changes))


def topic(address):
    return "0x" + "0" * 24 + address[2:]


def words(*values):
    return "0x" + b"".join(value.to_bytes(32, "big") for value in values).hex()


def transfer(*, source, target, amount, token=TOKEN):
    return {
        "address": token,
        "topics": [TRANSFER_TOPIC, topic(source), topic(target)],
        "data": words(amount),
    }


def settled(*, profit, amount=10**18, premium=0, token=TOKEN, lender=LENDER, by=RECEIVER):
    return {
        "address": by,
        "topics": [SETTLED_TOPIC, topic(token), topic(lender)],
        "data": words(amount, premium, profit),
    }


def trade_logs(*, profit, amount=10**18, premium=0):
    """A loan from the lender, walked and repaid, and the receiver's own word on it."""
    return [
        transfer(source=LENDER, target=RECEIVER, amount=amount),
        transfer(source=RECEIVER, target=PAIRS[0], amount=amount),
        transfer(source=PAIRS[1], target=RECEIVER, amount=amount + premium + profit),
        transfer(source=RECEIVER, target=LENDER, amount=amount + premium),
        settled(profit=profit, amount=amount, premium=premium),
    ]


def make_receipt(*, status=1, logs=(), gas_used=200_000, price_wei=50_000_000, **more):
    return {
        "status": hex(status),
        "transactionHash": TX_HASH,
        "blockNumber": hex(1_001),
        "blockHash": BLOCK_HASH,
        "gasUsed": hex(gas_used),
        "effectiveGasPrice": hex(price_wei),
        "logs": list(logs),
        **more,
    }
