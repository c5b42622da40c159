"""Someone else with one of our keys: a chain's nonce ahead of ours freezes the account (I6).

An engine looks at each block; whoever is about to give an account money looks first.
"""

import logging
from collections.abc import Mapping, Sequence, Set

from django.db.models import Exists, OuterRef

from contracts.kernel.jsonrpc import Json, RpcError, hex_int
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import selectors
from wallets.chain_view import Unproven, View, spent_in
from wallets.freezing import account_freeze
from wallets.models import Attempt, NonceSequence, Wallet

logger = logging.getLogger(__name__)


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


def sequences_landing(*, rpc: HttpRpc, view: View, watched: Sequence[Attempt]) -> set[int]:
    """Sequences that the chain is ahead of by payloads of ours whose nonce was given back.

    Where the node has no such payload by its hash, which an index that lags has not either, the
    block that spent the nonce decides; where the node cannot show that, it is a stranger's until a
    human looked. Calls: none for most. Raises: RpcUnavailable.
    """
    landing = {one.sequence_id for one in watched if one.hash in view.known}
    for sequence in {one.sequence for one in watched if one.sequence_id not in landing}:
        ours = [one for one in watched if one.sequence_id == sequence.pk]
        try:
            if _is_ours(rpc, sequence=sequence, view=view, ours=ours):
                landing.add(sequence.pk)
        except Unproven as error:
            logger.warning("not told apart", extra={"address": sequence.address, "why": str(error)})
        except RpcError as error:  # of the head itself: whoever asks next round is answered
            logger.warning("asked again", extra={"address": sequence.address, "why": str(error)})
            landing.add(sequence.pk)
    return landing


def _is_ours(rpc: HttpRpc, *, sequence: NonceSequence, view: View, ours: Sequence[Attempt]) -> bool:
    """Whether payloads of ours spent an account's nonces from our next one on, or may have."""
    for nonce in range(sequence.next_nonce, view.mined_nonce.get(sequence.address, 0)):
        hashes = {one.hash for one in ours if one.nonce == nonce}
        if not hashes:
            return False
        at_head = rpc.call("eth_getTransactionCount", [sequence.address, hex(view.head)])
        if hex_int(at_head) <= nonce:
            return True  # the count was that of a later block, or of one that is gone
        there = spent_in(rpc=rpc, address=sequence.address, nonce=nonce, at=view.head)
        if not hashes & there:
            header = rpc.call("eth_getBlockByNumber", [hex(view.head), False])
            is_same = isinstance(header, dict) and str(header["hash"]) == view.blocks[view.head]
            return not is_same  # read across a reorg: it says nothing
    return True


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
