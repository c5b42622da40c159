"""What every page's frame shows: chain, modes, the stop, alerts, and names for chain facts."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from arbsite.base.models import Alert
from arbsite.base.permissions import RANK, rank_of
from arbsite.console import health
from contracts.kernel.networks import Network, network_of
from contracts.models import Chain, Dex, Pool, Token

# (name of the page, address, icon, words, key after `g`)
PAGES: Final = (
    ("overview", "/", "layout-dashboard", "Overview", "o"),
    ("prices", "/prices/", "activity", "Prices", "p"),
    ("opportunities", "/opportunities/", "layers", "Opportunities", "x"),
    ("executions", "/executions/", "zap", "Executions", "e"),
    ("wallets", "/wallets/", "wallet", "Wallets", "w"),
    ("contracts", "/contracts/", "file-code", "Contracts", "c"),
    ("fast_mode", "/fast-mode/", "gauge", "Fast Mode", "f"),
)
# What a phone's tab bar has room for; the rest is under More.
ON_PHONE: Final = ("overview", "prices", "opportunities", "wallets")
# What the chip of modes says: words, tone, what they mean.
DRY_RUN: Final = ("DRY RUN", "amber", "Nothing is signed here: results are simulated")
SIGNING: Final = {
    Network.LOCAL: ("LOCAL CHAIN", "blue", "Embedded chain: coins of no value, all is signed"),
    Network.TESTNET: (
        "TESTNET LIVE",
        "blue",
        "Coins of no value: transactions are signed and sent",
    ),
    Network.MAINNET: ("MAINNET LIVE", "red", "Real money: transactions are signed and sent"),
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """The frame of a signed-in page; nothing for the sign-in page."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    rank = rank_of(user)
    return {
        "pages": PAGES,
        "on_phone": ON_PHONE,
        "blank": {},  # the row that a page's template of a row is drawn from
        "can_operate": rank >= RANK["operator"],
        "can_admin": rank >= RANK["admin"],
        "status": SimpleLazyObject(lambda: status_of(request)),
        "networks": SimpleLazyObject(networks),
        "facts": SimpleLazyObject(lambda: facts(chain_of(request))),
        "open_alerts": SimpleLazyObject(
            lambda: list(Alert.objects.filter(resolved_at__isnull=True)[:20])
        ),
    }


def chain_of(request: HttpRequest) -> str:
    """The chain that the page shows: ``?chain=``, else the last one chosen, else the first.

    The first is one that was ever watched, where there is one. Empty where no chain is
    registered yet. One query.
    """
    keys = [chain.key for chain, _ in _chains()]
    wanted = request.GET.get("chain") or request.session.get("chain", "")
    if wanted in keys:
        if request.GET.get("chain") and request.session.get("chain") != wanted:
            request.session["chain"] = wanted
        return str(wanted)
    return keys[0] if keys else ""


def _chains() -> list[tuple[Chain, bool]]:
    """Every chain of the registry, and whether it was ever watched; those that were first."""
    rows = [(chain, hasattr(chain, "monitor")) for chain in Chain.objects.select_related("monitor")]
    return sorted(rows, key=lambda row: (not row[1], not row[0].is_local, row[0].key))


def networks() -> list[dict[str, Any]]:
    """What the menu of networks lists. One query."""
    return [
        {
            "chain": chain.key,
            "name": chain.name,
            "network": network_of(eip155_id=chain.eip155_id, local=chain.is_local),
            "watched": watched,
        }
        for chain, watched in _chains()
    ]


def facts(chain_key: str) -> dict[str, Any]:
    """Names and decimals that formats need, by address. Four queries."""
    chain = Chain.objects.filter(key=chain_key).first()
    return {
        "chain": chain_key,
        "explorer": chain.explorer_url if chain else "",
        "native": {"symbol": chain.native_symbol, "decimals": 18} if chain else {},
        "tokens": {
            token.address: {"symbol": token.symbol, "decimals": token.decimals}
            for token in Token.objects.filter(chain_id=chain_key)
        }
        | ({"native": {"symbol": chain.native_symbol, "decimals": 18}} if chain else {}),
        "dexes": dict(Dex.objects.filter(chain_id=chain_key).values_list("key", "name")),
        "pools": {
            pool.address: {
                "pair": pool.pair.name,
                "dex": pool.dex.key,
                "base": pool.pair.base.address,
                "quote": pool.pair.quote.address,
            }
            for pool in Pool.objects.filter(chain_id=chain_key).select_related(
                "dex", "pair__base", "pair__quote"
            )
        },
    }


def status_of(request: HttpRequest) -> dict[str, Any]:
    """The status, with the page's chain and the words of its chips beside it."""
    key = chain_of(request)
    whole = health.status(shown=key)
    here = next((chain for chain in whole["chains"] if chain["chain"] == key), None)
    if here is None:
        return {**whole, "here": None, "mode": None}
    return {**whole, "here": here, "mode": mode_words(here)}


def mode_words(here: Mapping[str, Any]) -> tuple[str, str, str]:
    """What is signed on a chain, in words that cannot be mistaken for another network's."""
    return DRY_RUN if here["mode"] == "simulate" else SIGNING[Network(here["network"])]
