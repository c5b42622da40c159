"""A small market of real bytecode on a chain of its own, for counting the gas of whole trades."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eth_abi.abi import encode
from eth_utils import to_checksum_address

from arbsite.base.units import TokenAmount, Wei
from contracts.kernel.abi import decode_address, decode_uint, encode_call
from contracts.localchain import aave
from contracts.localchain.anvil import Anvil, free_port
from contracts.localchain.artifacts import own, uniswap
from contracts.localchain.builder import Builder
from contracts.localchain.chain import LocalChain, Sending

EXPORTED = Path(__file__).resolve().parents[3] / "contracts" / "abi"
OWNER = "0x00000000000000000000000000000000000A11CE"
EXECUTOR = to_checksum_address("0x" + "e4ec" * 10)
TREASURY = to_checksum_address("0x" + "7e45" * 10)
UNIT = 10**18
DEPTH = 1_000_000 * UNIT
FOREVER = 2**64 - 1
FEE_BPS = 30
AAVE, OUTSIDE_PAIR, FIRST_POOL = 0, 1, 2
EXECUTE = "execute((uint8,address,address,uint256,uint256,uint64,uint64,bytes32[]))"


def bytecode(name: str) -> bytes:
    """The exported creation code of one of our contracts."""
    exported = json.loads((EXPORTED / f"{name}.json").read_text())
    return bytes.fromhex(exported["bytecode"][2:])


@dataclass(kw_only=True)
class GasMarket:
    """Tokens A to D; Uniswap V2 pairs A/B twice, B/C, C/A and a second C/A, C/D, D/A; Aave lending
    A."""

    chain: LocalChain
    receiver: str = ""
    router: str = ""
    lender: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)

    def view(self, to: str, signature: str, *args: object) -> bytes:
        """What a view call answers."""
        return self.chain.rpc.eth_call(to=to, data=encode_call(signature, *args))

    def hop(self, pool: str, token_in: str) -> bytes:
        """The word of one crossing."""
        pair = self.pools[pool]
        token0 = decode_address(self.view(pair, "token0()"))
        zero_for_one = token0.lower() == self.tokens[token_in].lower()
        word = int(pair, 16) | FEE_BPS << 160 | zero_for_one << 176
        return word.to_bytes(32, "big")

    def balance(self, token: str, holder: str) -> int:
        """Raw units."""
        return decode_uint(self.view(self.tokens[token], "balanceOf(address)", holder))

    def plan(self, kind: int, lender: str, path: Sequence[bytes]) -> bytes:
        """Calldata of a trade of 1,000 A."""
        return encode_call(
            EXECUTE,
            (kind, lender, self.tokens["A"], 1_000 * UNIT, UNIT, FOREVER, FOREVER, list(path)),
        )

    def trade(self, data: bytes) -> dict[str, str]:
        """Mine one trade alone in its block, seconds after the last one; its receipt."""
        sending = Sending(
            sender=EXECUTOR, to=self.receiver, data=data, gas=2_000_000, gas_price=Wei(10**9)
        )
        head = self.chain.admin("eth_getBlockByNumber", "latest", False)
        self.chain.send([sending])
        number = self.chain.mine(timestamp=int(head["timestamp"], 16) + 3)
        (receipt,) = self.chain.receipts(number)
        return receipt


@contextmanager
def gas_market() -> Iterator[GasMarket]:
    """Builds the market in which buying B on the second A/B pair and selling it on the first pays.

    Every pair was traded in before, as on a chain with a past: its price sums are not zero.
    """
    with Anvil(port=free_port(), chain_id=31337) as node:
        chain = LocalChain(node.rpc)
        chain.open_accounts([OWNER, EXECUTOR], balance_wei=Wei(10**24))
        build = Builder(chain, sender=OWNER)
        market = GasMarket(chain=chain)
        factories = _exchanges(market, build=build)
        _receiver(market, factories, build=build)
        _fourth_token(market, factories[0], build=build)
        _age(market, build=build)
        yield market


def _exchanges(market: GasMarket, *, build: Builder) -> list[str]:
    for symbol in "ABC":
        _token(market, symbol, build=build)
    reserve = aave.Reserve(
        symbol="A", address=market.tokens["A"], decimals=18, supplied=TokenAmount(10 * DEPTH)
    )
    market.lender = aave.deploy([reserve], build=build)
    factories = []
    for number, symbols in enumerate((("AB", "BC", "CA"), ("AB", "CA"))):
        factory = build.create(uniswap("UniswapV2Factory").creation + encode(["address"], [OWNER]))
        factories.append(factory)
        for pair in symbols:
            _pair(market, factory, f"{pair}{number}", build=build)
    build.flush()
    return factories


def _token(market: GasMarket, symbol: str, *, build: Builder) -> None:
    code = own("MarketToken").creation + encode(
        ["string", "string", "uint8", "address"], [symbol, symbol, 18, OWNER]
    )
    market.tokens[symbol] = build.create(code)
    _mint(market, symbol, OWNER, 100 * DEPTH, build=build)


def _pair(market: GasMarket, factory: str, name: str, *, build: Builder) -> None:
    first, second = name[:2]
    one, two = market.tokens[first], market.tokens[second]
    create = encode_call("createPair(address,address)", one, two)
    build.call(factory, create, gas=4_000_000)
    build.flush()
    found = decode_address(market.view(factory, "getPair(address,address)", one, two))
    market.pools[name] = found
    _mint(market, first, found, DEPTH, build=build)
    # The second A/B pair gives 5 % more B than the others are worth.
    _mint(market, second, found, DEPTH * (105 if name == "AB1" else 100) // 100, build=build)
    build.call(found, encode_call("mint(address)", OWNER), gas=400_000)


def _fourth_token(market: GasMarket, factory: str, *, build: Builder) -> None:
    """After all else, so that no address of the shorter paths depends on it."""
    _token(market, "D", build=build)
    added = ("CD0", "DA0")
    for name in added:
        _pair(market, factory, name, build=build)
    listed = [market.pools[name] for name in added]
    register = encode_call("registerPools(address,address[])", factory, listed)
    build.call(market.receiver, register, gas=1_000_000)
    build.flush()


def _mint(market: GasMarket, symbol: str, holder: str, amount: int, *, build: Builder) -> None:
    build.call(market.tokens[symbol], encode_call("mint(address[],uint256)", [holder], amount))


def _receiver(market: GasMarket, factories: Sequence[str], *, build: Builder) -> None:
    market.router = build.create(bytecode("MultiDexRouter"))
    arguments = encode(["address"] * 3, [OWNER, TREASURY, market.router])
    market.receiver = build.create(bytecode("FlashLoanReceiver") + arguments)
    for setter, what in (
        ("setExecutor", EXECUTOR),
        ("setLender", market.lender),
        *(("setFactory", factory) for factory in factories),
    ):
        build.call(market.receiver, encode_call(f"{setter}(address,bool)", what, True))
    build.call(
        market.receiver, encode_call("setMinProfit(address,uint256)", market.tokens["A"], UNIT)
    )
    for number, factory in enumerate(factories):
        pairs = [pair for name, pair in market.pools.items() if name.endswith(str(number))]
        register = encode_call("registerPools(address,address[])", factory, pairs)
        build.call(market.receiver, register, gas=1_000_000)
    build.flush()


def _age(market: GasMarket, *, build: Builder) -> None:
    """Touch each pair in blocks of their own, so that both price sums are already written."""
    for _ in range(2):
        market.chain.admin("evm_increaseTime", 60)
        for pair in market.pools.values():
            build.call(pair, encode_call("sync()"))
        build.flush()
