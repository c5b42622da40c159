"""The real Aave V3 (3.0.2) on the embedded chain, in the order in which its parts need another.

The two proxies are created by the addresses provider with its nonces 1 and 2, so the Pool's
address is known before it exists; the tokens' implementations need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eth_abi import encode

from arbsite.base.units import TokenAmount
from contracts.kernel.abi import encode_call
from contracts.localchain.artifacts import aave
from contracts.localchain.builder import Builder
from contracts.localchain.chain import created_at
from contracts.localchain.market import FLASH_PREMIUM_BPS

RAY: Final = 10**27
LOGIC: Final = "protocol/libraries/logic/"
INIT_RESERVES: Final = (
    "initReserves((address,address,address,uint8,address,address,address,address,"
    "string,string,string,string,string,string,bytes)[])"
)
RESERVE_GAS: Final = 3_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """A token to be lent, and how much of it the builder supplies, raw units."""

    symbol: str
    address: str
    decimals: int
    supplied: TokenAmount


def deploy(reserves: Sequence[Reserve], *, build: Builder) -> str:
    """Queue the whole of Aave with these reserves open for flash loans; the Pool's address."""
    libraries = _libraries(build)
    owner = build.sender
    provider = build.create(
        aave("protocol/configuration/PoolAddressesProvider").creation
        + encode(["string", "address"], ["Local market", owner])
    )
    build.call(provider, encode_call("setACLAdmin(address)", owner))
    acl = build.create(
        aave("protocol/configuration/ACLManager").creation + encode(["address"], [provider])
    )
    build.call(provider, encode_call("setACLManager(address)", acl))
    for role in ("addPoolAdmin", "addAssetListingAdmin", "addEmergencyAdmin"):
        build.call(acl, encode_call(f"{role}(address)", owner))
    _facts(provider, build=build)
    pool, configurator = _proxies(provider, libraries, build=build)
    _open(reserves, provider=provider, pool=pool, configurator=configurator, build=build)
    return pool


def _libraries(build: Builder) -> dict[str, str]:
    """BorrowLogic goes first: FlashLoanLogic is linked to it."""
    libraries: dict[str, str] = {}
    for name in (
        "BorrowLogic",
        "FlashLoanLogic",
        "SupplyLogic",
        "LiquidationLogic",
        "EModeLogic",
        "BridgeLogic",
        "PoolLogic",
        "ConfiguratorLogic",
    ):
        libraries[name] = build.create(aave(LOGIC + name).linked(libraries))
    return libraries


def _facts(provider: str, *, build: Builder) -> None:
    oracle = build.create(aave("mocks/oracle/PriceOracle").creation)
    build.call(provider, encode_call("setPriceOracle(address)", oracle))
    data = build.create(
        aave("misc/AaveProtocolDataProvider").creation + encode(["address"], [provider])
    )
    build.call(provider, encode_call("setPoolDataProvider(address)", data))


def _proxies(provider: str, libraries: dict[str, str], *, build: Builder) -> tuple[str, str]:
    pool_code = build.create(
        aave("protocol/pool/Pool").linked(libraries) + encode(["address"], [provider])
    )
    configurator_code = build.create(aave("protocol/pool/PoolConfigurator").linked(libraries))
    # The Pool first: the configurator's initialisation asks the provider for it.
    build.call(provider, encode_call("setPoolImpl(address)", pool_code), gas=2_500_000)
    build.call(
        provider, encode_call("setPoolConfiguratorImpl(address)", configurator_code), gas=2_500_000
    )
    return created_at(provider, nonce=1), created_at(provider, nonce=2)


def _open(
    reserves: Sequence[Reserve], *, provider: str, pool: str, configurator: str, build: Builder
) -> None:
    kinds = ("AToken", "StableDebtToken", "VariableDebtToken")
    a_token, stable, variable = (
        build.create(aave(f"protocol/tokenization/{kind}").creation + encode(["address"], [pool]))
        for kind in kinds
    )
    # Rates of no consequence here: nobody borrows over a block.
    rates = [RAY * 8 // 10, 0, RAY * 4 // 100, RAY * 75 // 100, 0, 0, 0, 0, RAY // 5]
    strategy = build.create(
        aave("protocol/pool/DefaultReserveInterestRateStrategy").creation
        + encode(["address", *["uint256"] * 9], [provider, *rates])
    )
    for reserve in reserves:
        entry = (
            *(a_token, stable, variable),
            reserve.decimals,
            strategy,
            reserve.address,
            *(build.sender, "0x" + "00" * 20),
            *(f"Aave {reserve.symbol}", f"a{reserve.symbol}"),
            *(f"Aave variable debt {reserve.symbol}", f"variableDebt{reserve.symbol}"),
            *(f"Aave stable debt {reserve.symbol}", f"stableDebt{reserve.symbol}"),
            b"",
        )
        build.call(configurator, encode_call(INIT_RESERVES, [entry]), gas=RESERVE_GAS)
        for switch in ("setReserveFlashLoaning", "setReserveBorrowing"):
            data = encode_call(f"{switch}(address,bool)", reserve.address, True)
            build.call(configurator, data)
        build.call(reserve.address, encode_call("approve(address,uint256)", pool, reserve.supplied))
        supply = encode_call(
            "supply(address,uint256,address,uint16)",
            *(reserve.address, reserve.supplied, build.sender, 0),
        )
        build.call(pool, supply, gas=400_000)
    premium = encode_call("updateFlashloanPremiumTotal(uint128)", FLASH_PREMIUM_BPS)
    build.call(configurator, premium)
