"""What moving away leaves behind: tokens of the chain's list, and contracts that it owns.

Only native coin and rights move. A token is sent by its holder's key, and a contract's ownership by
its owner's: both are a person's work, with a wallet that can do more than this product's may.
"""

from typing import Final

from arbsite.base.errors import ArbError
from arbsite.base.formats import decimal_text
from contracts.kernel import abi
from contracts.kernel.abi import Call
from contracts.kernel.jsonrpc import clean_text
from contracts.models import Deployment, Token
from contracts.rpc import HttpRpc
from wallets.administration.observe import ask_all
from wallets.models import Wallet

_NAMES: Final = {"receiver": "FlashLoanReceiver", "router": "MultiDexRouter"}


def stays_behind(rpc: HttpRpc, *, wallet: Wallet) -> list[str]:
    """One sentence for each thing that stays with a wallet whose money was moved away.

    Tokens are those of the chain's list, read at the newest block; what cannot be read is said to
    be unknown. Never raises for a node's sake. Queries: 2.
    """
    owned = Deployment.objects.filter(chain=wallet.chain, owner=wallet.address, active=True)
    found = [
        f"It stays the owner of {_NAMES.get(one.kind, one.kind)} {one.address}: have another gas "
        "reserve deploy a new one."
        for one in owned.order_by("id")
    ]
    try:
        return found + _tokens(rpc, wallet=wallet)
    except ArbError as error:
        return [*found, f"Whether it holds tokens is not known: {error}."]


def _tokens(rpc: HttpRpc, *, wallet: Wallet) -> list[str]:
    tokens = list(Token.objects.filter(chain=wallet.chain).order_by("id"))
    asked = abi.encode_call("balanceOf(address)", wallet.address)
    calls = [Call(token.address, asked) for token in tokens]
    found = []
    for token, answer in zip(tokens, ask_all(rpc, wallet.chain, calls, "latest"), strict=True):
        name = f"{clean_text(token.symbol)} ({token.address})"
        if not answer:
            found.append(f"Whether it holds {name} is not known: the token does not say.")
        elif raw := abi.decode_uint(answer):
            found.append(f"{decimal_text(raw, token.decimals)} {name} stays: send it with its key.")
    return found
