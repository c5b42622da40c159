"""Writing the registry: a market file becomes rows in one transaction, or none."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from arbsite.base import audit
from arbsite.base.errors import ArbError, Rejected
from arbsite.base.models import User
from contracts.kernel.jsonrpc import hex_int
from contracts.kernel.market_file import BadMarketFile, ChainEntry, MarketFile
from contracts.models import Chain, Dex, Pair, Pool, RpcHealth, Token
from contracts.probe import MarketFacts, read_pools, settled_block
from contracts.proving import PoolFact, SwapProof, prove_swap
from contracts.rpc import HttpRpc, RpcUnavailable, WrongChain, WsRpc, mask_url


class PinnedFact(Rejected):
    """A re-import would change what rows already written rest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import left in the registry."""

    chain: str
    tokens: int
    dexes: int
    pairs: int
    pools: int
    left_out: tuple[str, ...]
    empty: tuple[str, ...]
    fees_unproven: tuple[str, ...]
    checked: bool


def market_import(
    *, market: MarketFile, facts: MarketFacts | None, by: User | None = None
) -> ImportReport:
    """Write a market file that was probed (or, offline, not); idempotent.

    Tokens, exchanges and pairs that the file no longer names stay; nothing is deleted.
    Raises: BadMarketFile or PinnedFact, with nothing written.
    """
    with transaction.atomic():
        chain = _chain_write(market.chain, facts)
        _check_pinned(chain, market, facts)
        tokens = {
            entry.address: Token.objects.update_or_create(
                chain=chain,
                address=entry.address,
                defaults={
                    "symbol": entry.symbol,
                    "decimals": entry.decimals,
                    **_lending(entry.address, facts),
                },
            )[0]
            for entry in market.tokens
        }
        dexes = {
            entry.key: Dex.objects.update_or_create(
                chain=chain,
                key=entry.key,
                defaults={
                    "name": entry.name,
                    "kind": entry.kind,
                    "factory": entry.factory,
                    "router": entry.router,
                    "fee_bps": entry.fee_bps,
                    "callback": entry.callback,
                },
            )[0]
            for entry in market.dexes
        }
        pairs = {
            frozenset((entry.base, entry.quote)): Pair.objects.update_or_create(
                chain=chain,
                base=tokens[entry.base],
                quote=tokens[entry.quote],
                defaults={"name": entry.name},
            )[0]
            for entry in market.pairs
        }
        for fact in facts.pools if facts else ():
            _pool_write(chain, fact, dexes, pairs, tokens)
        report = ImportReport(
            chain=chain.key,
            tokens=len(tokens),
            dexes=len(dexes),
            pairs=len(pairs),
            pools=chain.pools.count(),
            left_out=tuple(facts.left_out) if facts else (),
            empty=tuple(facts.empty) if facts else (),
            fees_unproven=tuple(
                entry.key for entry in market.dexes if facts and entry.key not in facts.fees_proven
            ),
            checked=facts is not None,
        )
        registry_touch(chain_key=chain.key)
        audit.record(
            verb="import_market",
            target=chain.key,
            actor=by,
            via="command",
            after={"pools": report.pools, "pairs": report.pairs, "checked": report.checked},
        )
    return report


def _lending(address: str, facts: MarketFacts | None) -> dict[str, object]:
    if facts is None:
        return {}
    return {"lendable": address in facts.lendable, "atoken": facts.lendable.get(address, "")}


def _check_pinned(chain: Chain, market: MarketFile, facts: MarketFacts | None) -> None:
    """Refuse what no chain changes, and what only a look at the chain may change.

    A local chain may have begun anew at the same addresses.
    """
    known = {token.address: token for token in chain.tokens.all()}
    for i, entry in enumerate(market.tokens):
        old = known.get(entry.address)
        if old and old.decimals != entry.decimals and facts is None:
            raise PinnedFact(
                f"tokens[{i}].decimals ({entry.symbol}): {old.decimals} is registered, not "
                f"{entry.decimals}: import it without --offline"
            )
    if chain.is_local:
        return
    factories = dict(chain.dexes.values_list("key", "factory"))
    for i, dex in enumerate(market.dexes):
        if factories.get(dex.key, dex.factory) != dex.factory:
            raise PinnedFact(
                f"dexes[{i}].factory ({dex.key}): {factories[dex.key]} is registered: give the "
                "other factory a key of its own"
            )


def registry_touch(*, chain_key: str) -> None:
    """Have whoever watches this chain load its registry anew, within a second.

    Call it after any write to tokens, exchanges, pairs or pools that a watcher must take.
    """
    Chain.objects.filter(key=chain_key).update(registry_revision=F("registry_revision") + 1)


def token_deny(
    *, token: Token, denied: bool, by: User | None = None, request: HttpRequest | None = None
) -> None:
    """Refuse, or allow again, everything that crosses a token."""
    _deny(row=token, verb="token", denied=denied, by=by, request=request)


def pair_deny(
    *, pair: Pair, denied: bool, by: User | None = None, request: HttpRequest | None = None
) -> None:
    """Refuse, or allow again, everything that crosses a pair's pools."""
    _deny(row=pair, verb="pair", denied=denied, by=by, request=request)


def _deny(
    *, row: Token | Pair, verb: str, denied: bool, by: User | None, request: HttpRequest | None
) -> None:
    with transaction.atomic():
        changed = type(row).objects.filter(pk=row.pk).exclude(denied=denied).update(denied=denied)
        if changed:
            registry_touch(chain_key=row.chain_id)
        audit.record(
            verb=f"{verb}_{'deny' if denied else 'allow'}",
            target=f"{row.chain_id} {row}",
            actor=by,
            via="api" if request else "system",
            request=request,
            before={"denied": row.denied},
            after={"denied": denied},
        )
    row.denied = denied


def _chain_write(entry: ChainEntry, facts: MarketFacts | None) -> Chain:
    twin = (
        Chain.objects.filter(eip155_id=entry.chain_id, is_local=False)
        .exclude(key=entry.key)
        .first()
    )
    if twin and not entry.local:
        raise BadMarketFile(
            "chain.chainId", f"{entry.chain_id} is already chain {twin.key}: use that key"
        )
    old = Chain.objects.select_for_update().filter(key=entry.key).first()
    if old and (old.eip155_id != entry.chain_id or old.is_local != entry.local):
        raise PinnedFact(
            f"chain {entry.key} is registered with chain id {old.eip155_id} "
            f"(local: {str(old.is_local).lower()}): give the other network a key of its own"
        )
    values: dict[str, object] = {
        "name": entry.name,
        "eip155_id": entry.chain_id,
        "native_symbol": entry.native_symbol,
        "is_local": entry.local,
        "rpc_http": list(entry.rpc_http),
        "rpc_ws": list(entry.rpc_ws),
        "block_time_ms": entry.block_time_ms,
        "confirmations": entry.confirmations,
        "fee_model": entry.fee_model,
        "min_gas_price_wei": entry.min_gas_price_wei,
        "l1_fee": entry.l1_fee,
        "explorer_url": entry.explorer_url,
        "wrapped_native": entry.wrapped_native,
        "aave_pool": entry.aave_pool,
        "multicall3": entry.multicall3,
        "relays": [relay.as_json() for relay in entry.relays],
    }
    if facts:
        values |= {
            "checked_at": timezone.now(),
            "aave_premium_bps": facts.premium_bps,
            "aave_premium_rounding": facts.premium_rounding,
        }
    return Chain.objects.update_or_create(key=entry.key, defaults=values)[0]


def _pool_write(
    chain: Chain,
    fact: PoolFact,
    dexes: dict[str, Dex],
    pairs: dict[frozenset[str], Pair],
    tokens: dict[str, Token],
) -> None:
    dex = dexes[fact.dex]
    old = Pool.objects.filter(chain=chain, address=fact.address).first()
    if old and old.dex_id != dex.pk:
        raise BadMarketFile(f"dexes ({fact.dex})", f"pool {fact.address} belongs to {old.dex.key}")
    Pool.objects.update_or_create(
        chain=chain,
        address=fact.address,
        defaults={
            "dex": dex,
            "pair": pairs[frozenset((fact.base, fact.quote))],
            "token0": tokens[fact.token0],
            "token1": tokens[fact.token1],
            "fee_bps": dex.fee_bps,
        },
    )


def rpc_health_measure(*, chain: Chain, kind: str, rpc: HttpRpc) -> int:
    """Ask each endpoint for its block number and keep what was seen. Returns how many answered."""
    answered = 0
    for position, endpoint in enumerate(rpc.endpoints):
        block, error, latency_us = None, "", None
        try:
            block = rpc.ping(endpoint, timeout_s=3)
            latency_us = int((endpoint.last_ms or 0) * 1000)
            answered += 1
        except (RpcUnavailable, WrongChain, Rejected) as problem:
            error = str(problem)[:200]
        _health_write(chain, kind, position, endpoint.shown, block, latency_us, error)
    RpcHealth.objects.filter(chain=chain, kind=kind, position__gte=len(rpc.endpoints)).delete()
    return answered


def ws_health_measure(*, chain: Chain, urls: Sequence[str]) -> int:
    """Ask each WebSocket endpoint for its block number and keep what was seen.

    Returns: how many answered.
    """
    answered = 0
    for position, url in enumerate(urls):
        block, error, latency_us = None, "", None
        started = time.monotonic()
        try:
            block = asyncio.run(_ws_block(url, chain_id=chain.eip155_id))
            latency_us = int((time.monotonic() - started) * 1e6)
            answered += 1
        except ArbError as problem:
            error = str(problem)[:200]
        _health_write(chain, "ws", position, mask_url(url), block, latency_us, error)
    RpcHealth.objects.filter(chain=chain, kind="ws", position__gte=len(urls)).delete()
    return answered


async def _ws_block(url: str, *, chain_id: int) -> int:
    ws = await WsRpc.connect(url, timeout_s=3)
    try:
        found = hex_int(await ws.call("eth_chainId"))
        if found != chain_id:
            raise WrongChain(endpoint=ws.shown, expected=chain_id, found=found)
        return hex_int(await ws.call("eth_blockNumber"))
    finally:
        await ws.close()


def _health_write(
    chain: Chain,
    kind: str,
    position: int,
    shown: str,
    block: int | None,
    latency_us: int | None,
    error: str,
) -> None:
    RpcHealth.objects.update_or_create(
        chain=chain,
        kind=kind,
        position=position,
        defaults={
            "endpoint": shown,
            "ok": block is not None,
            "latency_us": latency_us,
            "block_number": block,
            "error": error,
            "checked_at": timezone.now(),
        },
    )


@dataclass(slots=True)
class _Proofs:
    """What the simulated swaps of a chain's pools showed, by row ids."""

    sold: set[int] = field(default_factory=set)
    bought: set[int] = field(default_factory=set)
    taxed: dict[int, str] = field(default_factory=dict)
    pools_good: set[int] = field(default_factory=set)
    pools_bad: set[int] = field(default_factory=set)

    def take(self, pool: Pool, token_in: int, token_out: int, proof: SwapProof) -> None:
        """One way through one pool."""
        if proof is SwapProof.UNTRIED:
            return
        if proof is SwapProof.EXACT:
            self.sold.add(token_in)
            self.bought.add(token_out)
            self.pools_good.add(pool.pk)
            return
        self.pools_bad.add(pool.pk)
        if proof is SwapProof.TAXED_IN:
            self.taxed[token_in] = f"less than was sent arrives at pool {pool.address}"
        elif proof is SwapProof.TAXED_OUT:
            self.taxed[token_out] = f"less than pool {pool.address} sent arrives"


def tokens_prove(*, chain: Chain, rpc: HttpRpc) -> int:
    """Prove every pool's fee and every token's honesty by simulated swaps, both ways.

    A pool is proven when no swap through it failed and one gave the computed output to the unit.
    A token is risky when any pool shows that it taxes, proven when it was sold and bought exactly;
    a pool that enforces another fee is the pool's fault alone.

    Returns: how many tokens are proven now. Raises: RpcError, RpcUnavailable.
    """
    pools = list(chain.pools.select_related("token0", "token1", "dex"))
    block = settled_block(rpc)
    facts = read_pools(pools, rpc, block=block)
    proofs = _Proofs()
    for pool, fact in zip(pools, facts, strict=True):
        for way in (True, False):
            proof = prove_swap(
                fact, fee_bps=pool.fee_bps, pools=facts, rpc=rpc, block=block, zero_for_one=way
            )
            sides = (pool.token0_id, pool.token1_id)
            proofs.take(pool, *(sides if way else sides[::-1]), proof)
    return _proofs_write(chain, proofs)


def _proofs_write(chain: Chain, proofs: _Proofs) -> int:
    now = timezone.now()
    proven = (proofs.sold & proofs.bought) - proofs.taxed.keys()
    good = proofs.pools_good - proofs.pools_bad
    with transaction.atomic():
        pools, tokens = chain.pools.all(), chain.tokens.all()
        changed = pools.filter(pk__in=good, fee_proven_at=None).count()
        changed += pools.filter(pk__in=proofs.pools_bad).exclude(fee_proven_at=None).count()
        changed += tokens.filter(pk__in=proven).exclude(risk="proven").count()
        changed += tokens.filter(pk__in=proofs.taxed).exclude(risk="risky").count()
        pools.filter(pk__in=good).update(fee_proven_at=now)
        pools.filter(pk__in=proofs.pools_bad).update(fee_proven_at=None)
        tokens.filter(pk__in=proven).update(risk="proven", risk_detail="", proven_at=now)
        for pk, why in proofs.taxed.items():
            tokens.filter(pk=pk).update(risk="risky", risk_detail=why[:200], proven_at=None)
        if changed:
            registry_touch(chain_key=chain.key)
    return len(proven)
