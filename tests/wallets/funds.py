"""What tests of gas money share: an office on the bench, balances set and read, a day gone by."""

from django.db import connections

from contracts.kernel.jsonrpc import hex_int
from wallets import funding
from wallets.administration.office import Office

COIN = 10**18
LOW = COIN // 100


def office_of(bench, **changes):
    facts = {
        "chain": bench.chain, "rpc": bench.rpc, "sender": bench.sender, "settle": bench.settle,
        "may_sign": True, "via": "schedule",
    }  # fmt: skip
    return Office(**{**facts, **changes})


def balance_of(bench, wallet):
    return hex_int(bench.rpc.call("eth_getBalance", [wallet.address, "latest"]))


def drain(bench, wallet, *, to=LOW):
    """Set a balance, and mine: a block has one balance."""
    bench.rpc.call("anvil_setBalance", [wallet.address, hex(to)])
    bench.mine()


def mined(bench, blocks=4):
    bench.mine(blocks)
    bench.settle()
    funding.fundings_close(chain=bench.chain)


def run_and_hang_up(office, _):
    """One trigger, in a thread of its own."""
    try:
        return funding.funding_run(office, older_than_s=0)
    finally:
        connections.close_all()


def reason_for(report, wallet):
    [found] = [d for d in report.decisions if d.wallet_id == wallet.pk]
    return found.reason
