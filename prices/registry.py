"""One chain's registry as the book wants it: tokens and pools by index. Reads the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from arbsite.base.units import Bps
from contracts.models import Chain, Pool, Token
from prices.kernel.book import PoolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A token by its index in the book."""

    pk: int
    address: str
    symbol: str
    decimals: int
    lendable: bool
    atoken: str
    risky: bool
    denied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """A pool by its index in the book. ``base_first``: whether token0 is the pair's base."""

    pk: int
    address: str
    dex: str
    router: str
    pair: str
    pair_pk: int
    token0: int
    token1: int
    fee_bps: int
    base_first: bool
    quarantined: str
    proven: bool
    denied: bool


@dataclass(frozen=True)
class Registry:
    """An immutable picture; a new one is loaded when the registry changes."""

    chain_key: str
    chain_id: int
    multicall3: str
    aave_pool: str
    premium_bps: int | None
    premium_rounding: str
    native: int
    tokens: tuple[TokenRow, ...]
    pools: tuple[PoolRow, ...]

    @cached_property
    def specs(self) -> tuple[PoolSpec, ...]:
        """The pools as the book takes them."""
        return tuple(
            PoolSpec(
                address=pool.address.lower(),
                token0=pool.token0,
                token1=pool.token1,
                fee_bps=Bps(pool.fee_bps),
                dex=pool.dex,
            )
            for pool in self.pools
        )

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What others derive from this picture once."""
        return {}

    @cached_property
    def lendable(self) -> frozenset[int]:
        """Tokens that cycles may begin and end in."""
        return frozenset(i for i, token in enumerate(self.tokens) if token.lendable)

    @cached_property
    def risky_tokens(self) -> frozenset[int]:
        """Tokens that no simulated round trip has proven, or that the operator denied."""
        return frozenset(i for i, t in enumerate(self.tokens) if t.risky or t.denied)

    @cached_property
    def risky_pools(self) -> frozenset[int]:
        """Pools whose fee is not proven, or whose pair the operator denied."""
        return frozenset(i for i, p in enumerate(self.pools) if p.denied or not p.proven)

    @cached_property
    def addresses(self) -> list[str]:
        """Pool contracts, lower case, for a log filter."""
        return [spec.address for spec in self.specs]


def registry_load(chain: Chain) -> Registry:
    """Read a chain's tokens and pools of enabled exchanges. Three queries."""
    tokens = [_token(row) for row in Token.objects.filter(chain=chain).order_by("pk")]
    index = {token.pk: i for i, token in enumerate(tokens)}
    rows = (
        Pool.objects.filter(chain=chain, dex__enabled=True)
        .select_related("dex", "pair")
        .order_by("pk")
    )
    native = next(
        (i for i, token in enumerate(tokens) if token.address == chain.wrapped_native), -1
    )
    return Registry(
        chain_key=chain.key,
        chain_id=chain.eip155_id,
        multicall3=chain.multicall3,
        aave_pool=chain.aave_pool,
        premium_bps=chain.aave_premium_bps,
        premium_rounding=chain.aave_premium_rounding,
        native=native,
        tokens=tuple(tokens),
        pools=tuple(_pool(row, index) for row in rows),
    )


def _token(row: Token) -> TokenRow:
    return TokenRow(
        pk=row.pk,
        address=row.address,
        symbol=row.symbol,
        decimals=row.decimals,
        lendable=row.lendable,
        atoken=row.atoken,
        risky=row.risk != "proven",
        denied=row.denied,
    )


def _pool(row: Pool, index: dict[int, int]) -> PoolRow:
    return PoolRow(
        pk=row.pk,
        address=row.address,
        dex=row.dex.key,
        router=row.dex.router,
        pair=row.pair.name,
        pair_pk=row.pair_id,
        token0=index[row.token0_id],
        token1=index[row.token1_id],
        fee_bps=row.fee_bps,
        base_first=row.pair.base_id == row.token0_id,
        quarantined=row.quarantined,
        proven=row.fee_proven_at is not None,
        denied=row.pair.denied,
    )


def base_and_quote(registry: Registry, pool: PoolRow) -> tuple[TokenRow, TokenRow]:
    """The pair's first and second token."""
    sides: Sequence[TokenRow] = (registry.tokens[pool.token0], registry.tokens[pool.token1])
    return (sides[0], sides[1]) if pool.base_first else (sides[1], sides[0])
