"""Every wallet's native balance on a chain, read in one call at one block, kept and thinned."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from arbsite.base.units import Wei
from contracts.kernel import abi
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import push
from wallets.models import Balance, Wallet

_GET_BALANCE: Final = "getEthBalance(address)"
FULL_FOR: Final = timedelta(days=1)
KEEP: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancesRead:
    """What one reading found: how many wallets, at which block (None without wallets)."""

    wallets: int
    block_number: int | None


def balances_refresh(*, chain: Chain, rpc: HttpRpc) -> BalancesRead:
    """Read and record all balances at the newest block.

    One `eth_call` to Multicall3 where the chain has it, one batch else. Twice at one block is
    recorded once. Queries: 2. Raises: RpcUnavailable, RpcError, BadAnswer.
    """
    wallets = list(Wallet.objects.filter(chain=chain).exclude(state="retired").order_by("id"))
    if not wallets:
        return BalancesRead(wallets=0, block_number=None)
    head = rpc.call("eth_getBlockByNumber", ["latest", False])
    number, block_hash = hex_int(head["number"]), str(head["hash"])
    found = _read(chain=chain, rpc=rpc, wallets=wallets, number=number)
    with transaction.atomic():
        Balance.objects.bulk_create(
            [
                Balance(
                    wallet=wallet,
                    block_number=number,
                    block_hash=block_hash,
                    balance_wei=balance_wei,
                )
                for wallet, balance_wei in zip(wallets, found, strict=True)
            ],
            ignore_conflicts=True,
        )
        transaction.on_commit(lambda: push.wallet_changed(0), robust=True)
    return BalancesRead(wallets=len(wallets), block_number=number)


_FORGET: Final = """
DELETE FROM wallets_balance b WHERE at < %s AND EXISTS (
    SELECT 1 FROM wallets_balance newer WHERE newer.wallet_id = b.wallet_id AND newer.at > b.at)
"""
_THIN: Final = """
DELETE FROM wallets_balance b USING (
    SELECT id, row_number() OVER (
               PARTITION BY wallet_id, date_trunc('hour', at) ORDER BY at DESC, id DESC) AS place
      FROM wallets_balance WHERE at < %s) old
 WHERE b.id = old.id AND old.place > 1
"""


def balances_prune() -> int:
    """Forget what is 90 days old, and of what is a day old all but the last of each hour.

    A wallet's newest balance is never among it. Idempotent. Queries: 2. Returns how many went.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_THIN, [now - FULL_FOR])
        thinned = cursor.rowcount
        cursor.execute(_FORGET, [now - KEEP])
        return int(thinned + cursor.rowcount)


def _read(*, chain: Chain, rpc: HttpRpc, wallets: list[Wallet], number: int) -> list[Wei]:
    if chain.multicall3:
        calls = [
            abi.Call(chain.multicall3, abi.encode_call(_GET_BALANCE, wallet.address))
            for wallet in wallets
        ]
        answer = rpc.eth_call(to=chain.multicall3, data=abi.encode_multicall(calls), block=number)
        rows = abi.decode_multicall(answer, count=len(calls))
        if not all(rows):
            raise abi.BadAnswer(
                f"{chain.multicall3} does not answer getEthBalance, so it is no Multicall3: "
                "correct `multicall3` in the chain's market file and import it again"
            )
        return [Wei(abi.decode_uint(row or b"")) for row in rows]
    answers = rpc.batch([("eth_getBalance", [w.address, hex(number)]) for w in wallets])
    for one in answers:
        if isinstance(one, RpcError):
            raise one
    return [Wei(hex_int(one)) for one in answers]
