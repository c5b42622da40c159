"""What a worker does with requests about keys that others may know. See `acting`."""

from typing import Any

from arbsite.base.errors import Rejected
from wallets import exposure, listing, render, wishes
from wallets.administration.calls import succeeded
from wallets.administration.leftovers import stays_behind
from wallets.administration.moving import MovedAway, wallet_move_away
from wallets.administration.office import Office
from wallets.models import Request, Wallet


class LeftBehind(Rejected):
    """A part of moving away could not be done; the rest was."""

    def __init__(self, moved: MovedAway) -> None:
        coin_wei = int(moved.coin.value_wei) if moved.coin else 0
        super().__init__(f"{coin_wei} wei went to {moved.to}, but {'; '.join(moved.left)}")


def request_expose(row: Request, *, wallet: Wallet, signer: exposure.Noting) -> None:
    """Note the key as exposed, and end the request.

    State, audit and outcome are one commit; the keystore's note before it may be made twice.
    Raises: as `exposure.wallet_expose`; Overtaken.
    """

    def end(hit: list[Wallet]) -> None:
        wishes.request_done(
            row,
            result={
                "walletId": hit[0].pk,
                "wallet": hit[0].address,
                "state": hit[0].state,
                "outOfUse": [{"id": one.pk, "chain": one.chain_id} for one in hit],
            },
        )

    exposure.wallet_expose(
        wallet=wallet,
        reason=row.args["reason"],
        signer=signer,
        by=row.requested_by,
        via="api",
        within=end,
    )


def request_move_away(office: Office, row: Request, *, wallet: Wallet) -> dict[str, Any]:
    """Move a wallet's coin and rights away; the request's result, with what stays behind.

    What an earlier run of it moved is told as well: what this one found may be nothing.
    Raises: LeftBehind; Retryable while a right is still being taken away; as `wallet_move_away`.
    """
    moved = wallet_move_away(office, wallet=wallet, key=f"{row.key}move:")
    if moved.waits is not None:
        raise moved.waits
    if moved.left:
        raise LeftBehind(moved)
    mine = {one.pk: one for one in listing.transactions_of(row)}
    mine |= {one.pk: one for one in (moved.coin, *moved.revoked) if one is not None}
    coin = [
        one
        for one in mine.values()
        if one.kind == "rescue" and (one is moved.coin or succeeded(one))
    ]
    return {
        "walletId": wallet.pk,
        "wallet": wallet.address,
        "to": moved.to,
        "valueWei": str(sum(int(one.value_wei) for one in coin)),
        "simulated": not office.may_sign,
        "stays": stays_behind(office.rpc, wallet=wallet),
        "transactions": [render.sent(one) for one in mine.values()],
    }
