"""This process's RPC clients, one per chain and use, built from settings once."""

import threading
from collections.abc import Sequence
from typing import Final

from django.conf import settings

from arbsite.base.errors import Rejected, shown
from contracts.models import Chain
from contracts.rpc import HttpRpc, is_loopback

_clients: Final[dict[tuple[str, str], HttpRpc]] = {}
_lock: Final = threading.Lock()


class UnknownChain(Rejected):
    """No chain of that key is registered."""


class NotLoopback(Rejected):
    """An endpoint of a local chain is not on this machine."""


def chain(key: str) -> Chain:
    """The registered chain. Raises: UnknownChain naming what there is."""
    found = Chain.objects.filter(key=key).first()
    if found is None:
        known = ", ".join(Chain.objects.values_list("key", flat=True)) or "none"
        raise UnknownChain(f"chain {shown(key)} is not registered (registered: {known})")
    return found


def http_urls(chain: Chain) -> list[str]:
    """Endpoints for reads: from the environment, else from the market file."""
    configured = settings.ARB.rpc.get(chain.key)
    return _allowed(chain, configured.http if configured and configured.http else chain.rpc_http)


def ws_urls(chain: Chain) -> list[str]:
    """Endpoints for the feed: from the environment, else from the market file."""
    configured = settings.ARB.rpc.get(chain.key)
    return _allowed(chain, configured.ws if configured and configured.ws else chain.rpc_ws)


def send_urls(chain: Chain) -> list[str]:
    """Endpoints for submission: the dedicated one, else those for reads."""
    configured = settings.ARB.rpc.get(chain.key)
    if configured and configured.send:
        return _allowed(chain, configured.send)
    return http_urls(chain)


def calls_per_s(chain: Chain) -> int | None:
    """What this process may ask of each endpoint; None without a bound."""
    configured = settings.ARB.rpc.get(chain.key)
    return configured.calls_per_s if configured else None


def _allowed(chain: Chain, urls: Sequence[str]) -> list[str]:
    """The endpoints, refused where a local chain would be asked of another machine.

    What is signed for a local chain asks for no permission, so it must never leave.
    """
    if chain.is_local and not all(is_loopback(url) for url in urls):
        raise NotLoopback(
            f"chain {chain.key} is local, but an RPC endpoint of it is not on this machine: "
            f"correct RPC_{chain.key.upper()}_HTTP, _WS and _SEND"
        )
    return list(urls)


def rpc(chain_: Chain) -> HttpRpc:
    """The chain's client for reads."""
    return _client(chain_, "http", http_urls(chain_))


def rpc_send(chain_: Chain) -> HttpRpc:
    """The chain's client for submission; its connection stays its own."""
    return _client(chain_, "send", send_urls(chain_))


def _client(chain_: Chain, use: str, urls: list[str]) -> HttpRpc:
    with _lock:
        client = _clients.get((chain_.key, use))
        held = [endpoint.url for endpoint in client.endpoints] if client else []
        if client is None or held != urls or client.chain_id != chain_.eip155_id:
            client = HttpRpc(urls, chain_id=chain_.eip155_id, calls_per_s=calls_per_s(chain_))
            _clients[chain_.key, use] = client
        return client
