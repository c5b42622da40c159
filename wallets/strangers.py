"""Someone else with one of our keys: a chain's nonce ahead of ours freezes the account (I6).

An engine looks at each block; whoever is about to give an account money looks first.
"""

from collections.abc import Mapping, Set

from django.db.models import Exists, OuterRef

from contracts.kernel.jsonrpc import Json, RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import selectors
from wallets.freezing import account_freeze
from wallets.models import NonceSequence, Wallet


def accounts_open(*, chain: Chain, rpc: HttpRpc) -> int:
    """Begin the nonce sequence of each wallet with a key that has none, at the chain's nonce.

    A key that was imported may have a past; what comes after this is ours, or a stranger's.
    Queries: 1, and 1 where there are any. Returns how many. Raises: RpcUnavailable, RpcError.
    """
    known = NonceSequence.objects.filter(chain=OuterRef("chain"), address=OuterRef("address"))
    rows = Wallet.objects.filter(chain=chain).exclude(source="watch").exclude(state="retired")
    new = list(rows.exclude(Exists(known)).values_list("address", flat=True))
    if not new:
        return 0
    mined = _mined(rpc, addresses=new)
    NonceSequence.objects.bulk_create(
        [NonceSequence(chain=chain, address=one, next_nonce=mined[one]) for one in new],
        ignore_conflicts=True,  # the sender opened it meanwhile
    )
    return len(new)


def strangers_look(*, chain: Chain, rpc: HttpRpc) -> list[str]:
    """Compare all of a chain's accounts with it, and freeze those that are behind.

    Queries: 3, and few for each that is frozen. Returns their addresses. Raises: RpcUnavailable,
    RpcError.
    """
    rows = NonceSequence.objects.filter(chain=chain, frozen="")
    addresses = list(rows.values_list("address", flat=True))
    if not addresses:
        return []
    mined = _mined(rpc, addresses=addresses)
    # A payload whose nonce was given back may land late: settling tells it from a stranger's.
    landing = {one.sequence_id for one in selectors.payloads_given_back(chain_key=chain.key)}
    return strangers_freeze(chain=chain, mined=mined, landing=landing)


def strangers_freeze(*, chain: Chain, mined: Mapping[str, int], landing: Set[int]) -> list[str]:
    """Freeze the accounts whose nonce on the chain is ahead of ours; returns their addresses.

    ``mined``: the chain's nonces by address, read before this is called; a nonce that is taken
    meanwhile only makes ours larger. ``landing``: sequences that may be ahead by a payload of ours.
    """
    frozen = []
    for sequence in NonceSequence.objects.filter(chain=chain, frozen=""):
        found = mined.get(sequence.address, 0)
        if found > sequence.next_nonce and sequence.pk not in landing:
            why = f"the chain's nonce is {found}, ours {sequence.next_nonce}"
            if account_freeze(chain_key=chain.key, address=sequence.address, why=why):
                frozen.append(sequence.address)
    return frozen


def _mined(rpc: HttpRpc, *, addresses: list[str]) -> dict[str, int]:
    """Each account's nonce in the newest block, in one batch. Raises: RpcUnavailable, RpcError."""
    asked: list[tuple[str, list[object]]] = [
        ("eth_getTransactionCount", [address, "latest"]) for address in addresses
    ]
    return dict(zip(addresses, map(_count, rpc.batch(asked)), strict=True))


def _count(answer: Json) -> int:
    if isinstance(answer, RpcError):
        raise answer
    return hex_int(answer)
