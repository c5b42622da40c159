"""This process's signer client and senders, built from settings once each."""

import threading
from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from arbsite.base.units import Wei
from contracts import adapters as contracts_adapters
from contracts.kernel.fees import FeeModel
from contracts.kernel.jsonrpc import hex_int
from contracts.kernel.relay_entry import RelayEntry
from contracts.models import Chain
from contracts.rpc import HttpRpc
from wallets import push, relay_book
from wallets.kernel import policy
from wallets.relays.bundle import BundleRelay
from wallets.relays.fan_out import FanOut
from wallets.relays.private_rpc import PrivateRpcRelay
from wallets.relays.public import PublicRelay
from wallets.sender import ChainFacts, Sender
from wallets.signer_client import SignerClient

_LOCK_TIMEOUT: Final = "5s"  # longer than any hand-over: a sender never waits without end
# Longer than any transaction of ours: a process that was stopped in the middle of one keeps an
# account locked for no longer. PostgreSQL 17 and newer.
_TRANSACTION_TIMEOUT: Final = "15s"
_HAS_TRANSACTION_TIMEOUT: Final = 170_000
_senders: Final[dict[tuple[str, str], Sender]] = {}
_ways: Final[dict[str, tuple[tuple[RelayEntry, ...], tuple[str, ...], FanOut]]] = {}
_signers: Final[dict[str, SignerClient]] = {}
_lock: Final = threading.Lock()


def connect(
    *, name: str = "arb-sender", transaction_timeout: str = _TRANSACTION_TIMEOUT
) -> "psycopg.Connection[Any]":
    """A database connection outside Django's: autocommit, read committed.

    Its statements are few and the same each time, and somebody waits for them: each is parsed once
    and planned once. Django's own never are, for the sake of poolers between. None of its
    transactions outlives ``transaction_timeout``, as PostgreSQL writes it.
    """
    params: dict[str, Any] = dict(django_connection.get_connection_params())
    params.pop("cursor_factory", None)
    params.pop("context", None)
    params["application_name"] = name
    params["prepare_threshold"] = 0
    connection = psycopg.connect(**params, autocommit=True)
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    connection.execute(
        "SELECT set_config('lock_timeout', %s, false),"
        " set_config('plan_cache_mode', 'force_generic_plan', false)",
        (_LOCK_TIMEOUT,),
    )
    if connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        connection.execute(
            "SELECT set_config('transaction_timeout', %s, false)", (transaction_timeout,)
        )
    return connection


def signer_socket() -> Path:
    """Where the signer listens."""
    return Path(settings.SIGNER_SOCKET)


def signer() -> SignerClient:
    """The client of this host's signer."""
    path = str(signer_socket())
    with _lock:
        return _signers.setdefault(path, SignerClient(path))


def chain_facts(chain: Chain) -> ChainFacts:
    """What the sender needs of a chain's row."""
    floor = Wei(chain.min_gas_price_wei)
    return ChainFacts(
        key=chain.key,
        eip155_id=chain.eip155_id,
        fee_model=FeeModel(chain.fee_model),
        min_gas_price_wei=floor,
        fee_cap_wei=policy.limits_of(is_local=chain.is_local, min_gas_price_wei=floor).fee_wei,
    )


def private_way(chain: Chain) -> FanOut | None:
    """The chain's private way: every relay that answered its probe, or None. One query.

    Rebuilt when entries, probes or credentials changed.
    """
    rpc = contracts_adapters.rpc(chain)
    entries = relay_book.relays_usable(chain=chain)
    credentials = tuple(settings.ARB.relay_auth.get(entry.name, "") for entry in entries)
    with _lock:
        held = _ways.get(chain.key)
        if held is not None and held[:2] == (entries, credentials):
            return held[2]
        if not entries:
            _ways.pop(chain.key, None)
            return None
        made = FanOut(
            [
                relay_of(entry, chain_id=chain.eip155_id, credential=credential, rpc=rpc)
                for entry, credential in zip(entries, credentials, strict=True)
            ]
        )
        _ways[chain.key] = entries, credentials, made
        return made


def relay_of(
    entry: RelayEntry, *, chain_id: int, credential: str, rpc: HttpRpc
) -> BundleRelay | PrivateRpcRelay:
    """One relay. ``rpc``: who knows the newest block."""
    if entry.kind == "private_rpc":
        return PrivateRpcRelay(entry, chain_id=chain_id, credential=credential)

    def head() -> int:
        return hex_int(rpc.call("eth_blockNumber", timeout_s=1.0))

    return BundleRelay(entry, chain_id=chain_id, credential=credential, head=head)


def sender(chain: Chain) -> Sender:
    """The chain's sender. Rebuilt when registry, endpoints, relays or the signer's socket changed.

    Two queries at most.
    """
    facts, rpc = chain_facts(chain), contracts_adapters.rpc(chain)
    key = (str(chain.key), str(signer_socket()))
    relay = PublicRelay(contracts_adapters.rpc_send(chain))
    private = private_way(chain)
    with _lock:
        held = _senders.get(key)
        same = held is not None and held.serves(rpc=rpc, relay=relay, private=private)
        if held is not None and same and held.chain == facts:
            return held
        made = _senders[key] = Sender(
            chain=facts,
            connect=connect,
            signer=_signers.setdefault(str(signer_socket()), SignerClient(signer_socket())),
            rpc=rpc,
            relay=relay,
            private=private,
            notify=push.transaction_changed,
        )
        if held is not None:
            held.close()  # whoever has it still may go on with it: it opens what it needs
        return made
