"""The market as it stands on the chain: addresses and first reserves, kept beside the state."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from arbsite.base.units import Bps, TokenAmount, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    symbol: str
    address: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dex:
    """``traders`` are the accounts whose noise goes through this exchange's router alone."""

    key: str
    name: str
    factory: str
    router: str
    fee_bps: Bps
    callback: str
    traders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pair contract; reserves are those at birth, raw units, in the pair's own order."""

    dex: str
    address: str
    token0: str
    token1: str
    first_reserve0: TokenAmount
    first_reserve1: TokenAmount


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Everything on the chain that the market's own people need to know."""

    seed: int
    min_gas_price_wei: Wei
    wrapped_native: str
    aave_pool: str
    multicall: str
    rival: str
    rival_contract: str
    tokens: tuple[Token, ...]
    lent: tuple[str, ...]
    dexes: tuple[Dex, ...]
    pairs: tuple[tuple[str, str], ...]
    pools: tuple[Pool, ...]

    def token(self, symbol: str) -> Token:
        return next(token for token in self.tokens if token.symbol == symbol)

    def dex(self, key: str) -> Dex:
        return next(dex for dex in self.dexes if dex.key == key)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Raises: KeyError or TypeError when ``stored`` is not what `to_json` gave."""
        return cls(
            **stored
            | {
                "tokens": tuple(Token(**token) for token in stored["tokens"]),
                "lent": tuple(stored["lent"]),
                "dexes": tuple(
                    Dex(**dex | {"traders": tuple(dex["traders"])}) for dex in stored["dexes"]
                ),
                "pairs": tuple((base, quote) for base, quote in stored["pairs"]),
                "pools": tuple(Pool(**pool) for pool in stored["pools"]),
            }
        )
