"""Build the market of a plan on an empty embedded chain: tokens, exchanges, pools, people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eth_abi import encode
from eth_utils import keccak

from arbsite.base.units import TokenAmount, Wei
from contracts.kernel.abi import encode_call
from contracts.localchain import aave
from contracts.localchain.artifacts import own, uniswap
from contracts.localchain.builder import Builder
from contracts.localchain.chain import LocalChain, account, created_by_salt
from contracts.localchain.deployed import Dex, Market, Pool, Token
from contracts.localchain.market import (
    MIN_GAS_PRICE_WEI,
    NATIVE,
    USD,
    DexPlan,
    MarketPlan,
    PoolPlan,
    TokenPlan,
    worth,
)
from contracts.localchain.traders import FOREVER, TRADERS_PER_DEX

BUILDER: Final = account("builder")
RIVAL: Final = account("rival")
WHOLE: Final = 10**18
BUILDER_WEI: Final = Wei(10**10 * WHOLE)
TRADER_WEI: Final = Wei(3 * 10**8 * WHOLE)
TRADER_WRAPPED_WEI: Final = Wei(10**8 * WHOLE)
TRADER_MICRO_USD: Final = 10**12 * USD
RIVAL_MICRO_USD: Final = 10**9 * USD
LENT_MICRO_USD: Final = 20_000_000 * USD
POOLS_PER_CALL: Final = 12
GAS_PER_POOL: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    plan: DexPlan
    factory: str
    router: str
    pair_code_hash: bytes
    traders: tuple[str, ...]


def deploy(plan: MarketPlan, *, chain: LocalChain) -> Market:
    """Deploy and fund all of ``plan``. About 300 transactions in a handful of blocks.

    Raises: ChainRefused when any transaction fails.
    """
    traders = {
        dex.key: tuple(account(f"trader {dex.key} {i}") for i in range(TRADERS_PER_DEX))
        for dex in plan.dexes
    }
    everyone = [trader for pair in traders.values() for trader in pair]
    chain.open_accounts([BUILDER], balance_wei=BUILDER_WEI)
    chain.open_accounts([*everyone, RIVAL], balance_wei=TRADER_WEI)
    build = Builder(chain, sender=BUILDER)
    rival = Builder(chain, sender=RIVAL)
    tokens = _tokens(plan, build=build)
    exchanges = [
        _exchange(dex, wrapped=tokens[NATIVE], traders=traders[dex.key], build=build)
        for dex in plan.dexes
    ]
    multicall = build.create(own("Multicall").creation)
    rival_contract = rival.create(own("RivalTrader").creation)
    _fund(plan, tokens, everyone=everyone, rival_contract=rival_contract, build=build)
    pools = _pools(plan, tokens, exchanges, build=build)
    lender = _lender(plan, tokens, build=build)
    rival.flush()
    build.flush()
    _name_wrapped(plan.token(NATIVE), address=tokens[NATIVE], chain=chain)
    _open_desks(exchanges, pools, wrapped=tokens[NATIVE], chain=chain)
    return Market(
        seed=plan.seed,
        min_gas_price_wei=MIN_GAS_PRICE_WEI,
        wrapped_native=tokens[NATIVE],
        aave_pool=lender,
        multicall=multicall,
        rival=RIVAL,
        rival_contract=rival_contract,
        tokens=tuple(
            Token(symbol=token.symbol, address=tokens[token.symbol], decimals=token.decimals)
            for token in plan.tokens
        ),
        lent=tuple(token.symbol for token in plan.tokens if token.lent),
        dexes=tuple(
            Dex(
                key=found.plan.key,
                name=found.plan.name,
                factory=found.factory,
                router=found.router,
                fee_bps=found.plan.fee_bps,
                callback=found.plan.callback,
                traders=found.traders,
            )
            for found in exchanges
        ),
        pairs=plan.pairs,
        pools=pools,
    )


def _tokens(plan: MarketPlan, *, build: Builder) -> dict[str, str]:
    """The wrapped coin is WETH9's own bytecode; the rest are plain tokens of ours."""
    addresses = {}
    for token in plan.tokens:
        if token.symbol == NATIVE:
            code = uniswap("WETH9").creation
        else:
            code = own("MarketToken").creation + encode(
                ["string", "string", "uint8", "address"],
                [token.name, token.symbol, token.decimals, BUILDER],
            )
        addresses[token.symbol] = build.create(code)
    return addresses


def _exchange(dex: DexPlan, *, wrapped: str, traders: tuple[str, ...], build: Builder) -> _Exchange:
    if dex.genuine:
        factory = build.create(
            uniswap("UniswapV2Factory").creation + encode(["address"], [BUILDER])
        )
        router = build.create(
            uniswap("UniswapV2Router02").creation
            + encode(["address", "address"], [factory, wrapped])
        )
        pair_code = uniswap("UniswapV2Pair").creation
    else:
        callback = f"{dex.callback}(address,uint256,uint256,bytes)"
        factory = build.create(
            own("ForkFactory").creation + encode(["uint16", "string"], [dex.fee_bps, callback])
        )
        router = build.create(
            own("ForkRouter").creation
            + encode(["address", "address", "uint256"], [factory, wrapped, dex.fee_bps])
        )
        pair_code = own("ForkPair").creation
    return _Exchange(
        plan=dex,
        factory=factory,
        router=router,
        pair_code_hash=bytes(keccak(pair_code)),
        traders=traders,
    )


def _fund(
    plan: MarketPlan,
    tokens: dict[str, str],
    *,
    everyone: Sequence[str],
    rival_contract: str,
    build: Builder,
) -> None:
    """Traders get more than they can ever sell; the rival a capital of its own."""
    wrapped_wei = worth(plan.token(NATIVE), micro_usd=RIVAL_MICRO_USD)
    build.call(tokens[NATIVE], encode_call("deposit()"), value=Wei(wrapped_wei))
    build.call(
        tokens[NATIVE], encode_call("transfer(address,uint256)", rival_contract, wrapped_wei)
    )
    mint = "mint(address[],uint256)"
    for token in plan.tokens:
        if token.symbol == NATIVE:
            continue
        address = tokens[token.symbol]
        sold = worth(token, micro_usd=TRADER_MICRO_USD)
        build.call(address, encode_call(mint, list(everyone), sold), gas=1_000_000)
        if token.lent:
            capital = worth(token, micro_usd=RIVAL_MICRO_USD)
            build.call(address, encode_call(mint, [rival_contract], capital))


def _pools(
    plan: MarketPlan, tokens: dict[str, str], exchanges: Sequence[_Exchange], *, build: Builder
) -> tuple[Pool, ...]:
    by_key = {found.plan.key: found for found in exchanges}
    seeder = build.create(own("LiquiditySeeder").creation)
    needed = dict.fromkeys(tokens, 0)
    for pool in plan.pools:
        needed[pool.token_a] += pool.amount_a
        needed[pool.token_b] += pool.amount_b
    for symbol, amount in needed.items():
        if symbol == NATIVE:
            build.call(tokens[symbol], encode_call("deposit()"), value=Wei(amount))
            data = encode_call("transfer(address,uint256)", seeder, amount)
        else:
            data = encode_call("mint(address[],uint256)", [seeder], amount)
        build.call(tokens[symbol], data)
    for start in range(0, len(plan.pools), POOLS_PER_CALL):
        lots = [
            (
                by_key[pool.dex].factory,
                tokens[pool.token_a],
                tokens[pool.token_b],
                pool.amount_a,
                pool.amount_b,
            )
            for pool in plan.pools[start : start + POOLS_PER_CALL]
        ]
        data = encode_call("seed((address,address,address,uint256,uint256)[])", lots)
        build.call(seeder, data, gas=GAS_PER_POOL * len(lots))
    return tuple(_pool(pool, tokens, by_key[pool.dex]) for pool in plan.pools)


def _pool(pool: PoolPlan, tokens: dict[str, str], exchange: _Exchange) -> Pool:
    sides = [(tokens[pool.token_a], pool.amount_a), (tokens[pool.token_b], pool.amount_b)]
    (token0, reserve0), (token1, reserve1) = sorted(sides, key=lambda side: int(side[0], 16))
    salt = keccak(bytes.fromhex(token0[2:] + token1[2:]))
    address = created_by_salt(
        exchange.factory, salt=bytes(salt), init_code_hash=exchange.pair_code_hash
    )
    return Pool(
        dex=pool.dex,
        address=address,
        token0=token0,
        token1=token1,
        first_reserve0=reserve0,
        first_reserve1=reserve1,
    )


def _lender(plan: MarketPlan, tokens: dict[str, str], *, build: Builder) -> str:
    lent = [token for token in plan.tokens if token.lent]
    amounts = {token.symbol: TokenAmount(worth(token, micro_usd=LENT_MICRO_USD)) for token in lent}
    for token in lent:
        if token.symbol == NATIVE:
            value = Wei(amounts[token.symbol])
            build.call(tokens[token.symbol], encode_call("deposit()"), value=value)
        else:
            data = encode_call("mint(address[],uint256)", [BUILDER], amounts[token.symbol])
            build.call(tokens[token.symbol], data)
    reserves = [
        aave.Reserve(
            symbol=token.symbol,
            address=tokens[token.symbol],
            decimals=token.decimals,
            supplied=amounts[token.symbol],
        )
        for token in lent
    ]
    return aave.deploy(reserves, build=build)


def _name_wrapped(token: TokenPlan, *, address: str, chain: LocalChain) -> None:
    """WETH9 names itself Wrapped Ether in its constructor; its names are short strings in slots."""
    for slot, text in ((0, token.name), (1, token.symbol)):
        word = text.encode().ljust(31, b"\0") + bytes([2 * len(text)])
        chain.admin("anvil_setStorageAt", address, hex(slot), "0x" + word.hex())


def _open_desks(
    exchanges: Sequence[_Exchange], pools: Sequence[Pool], *, wrapped: str, chain: LocalChain
) -> None:
    """Each trader wraps coin and lets its exchange's router take what that exchange trades."""
    desks = [Builder(chain, sender=trader) for found in exchanges for trader in found.traders]
    routers = [found for found in exchanges for _ in found.traders]
    for desk, found in zip(desks, routers, strict=True):
        traded = {
            side
            for pool in pools
            if pool.dex == found.plan.key
            for side in (pool.token0, pool.token1)
        }
        if wrapped in traded:
            desk.call(wrapped, encode_call("deposit()"), value=TRADER_WRAPPED_WEI)
        approval = encode_call("approve(address,uint256)", found.router, FOREVER)
        for token in sorted(traded):
            desk.call(token, approval)
    Builder.flush_together(desks)
