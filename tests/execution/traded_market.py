"""The local market with our contracts on it, its pools pushed apart, and its book as we read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode as abi_encode

from arbsite.base.units import BlockNumber, Bps, Gas, TokenAmount, Wei
from contracts.kernel.abi import artifact, decode_result, encode_call
from contracts.localchain.chain import Sending, account, created_at
from contracts.localchain.harness import LocalMarket, local_market
from contracts.localchain.traders import FOREVER
from execution.kernel.plan import Validity, plan_from
from prices.kernel.book import BlockRef, PoolBook, PoolSpec
from prices.kernel.costs import Costs, Policy, native_rates
from prices.kernel.lenders import FIRST_POOL, Lender, LenderKind, pair_lender
from prices.kernel.opportunity import Evaluation, evaluate
from prices.kernel.waterfall import Verdict
from tests.prices.kernel.builders import GAS
from tests.prices.kernel.every_cycle import find_cycles

OWNER = account("test owner")
EXECUTOR = account("test executor")
TREASURY = account("test treasury")
PRICE_WEI = Wei(500_000_000)
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
VALIDITY = Validity(blocks=3, seconds=60)


@dataclass
class TradedMarket:
    """``router`` and ``receiver`` are ours. Everything is sent by accounts the node lets send."""

    local: LocalMarket
    router: str
    receiver: str

    @property
    def rpc(self):
        return self.local.rpc

    def send(self, to: str | None, data: bytes, *, sender: str = OWNER, gas: int = 6_000_000):
        """Mine one transaction; its receipt."""
        [tx_hash] = self.local.chain.send(
            [Sending(sender=sender, to=to, data=data, gas=gas, gas_price=PRICE_WEI)]
        )
        self.local.chain.mine()
        return self.rpc.call("eth_getTransactionReceipt", [tx_hash])

    def must(self, to: str | None, data: bytes, *, gas: int = 6_000_000) -> dict[str, Any]:
        receipt = self.send(to, data, gas=gas)
        assert receipt["status"] == "0x1"
        return receipt

    def head(self) -> dict[str, Any]:
        return self.rpc.call("eth_getBlockByNumber", ["latest", False])

    def push(self, pool_index: int, *, share: float) -> None:
        """Sell that share of the pool's first reserve of token0 into it."""
        pool = self.local.market.pools[pool_index]
        dex = self.local.market.dex(pool.dex)
        amount = int(pool.first_reserve0 * share)
        data = encode_call(SWAP, amount, 0, [pool.token0, pool.token1], TREASURY, FOREVER)
        receipt = self.send(dex.router, data, sender=dex.traders[0], gas=300_000)
        assert receipt["status"] == "0x1"

    def book(self) -> PoolBook:
        """Every pool at the head, read through our own router."""
        market = self.local.market
        head = self.head()
        tokens = [token.address.lower() for token in market.tokens]
        specs = [
            PoolSpec(
                address=pool.address.lower(),
                token0=tokens.index(pool.token0.lower()),
                token1=tokens.index(pool.token1.lower()),
                fee_bps=market.dex(pool.dex).fee_bps,
                dex=pool.dex,
            )
            for pool in market.pools
        ]
        data = encode_call("reserves(address[])", [pool.address for pool in market.pools])
        answer = self.rpc.eth_call(to=self.router, data=data, block={"blockHash": head["hash"]})
        (rows,) = decode_result(["(uint112,uint112,uint32)[]"], answer)
        book = PoolBook(tokens=tokens, pools=specs)
        block = BlockRef(BlockNumber(int(head["number"], 16)), head["hash"], head["parentHash"])
        book.load(
            block, {i: (TokenAmount(row[0]), TokenAmount(row[1])) for i, row in enumerate(rows)}
        )
        return book

    def lenders(self, book: PoolBook, *, kind: LenderKind) -> dict[int, list[Lender]]:
        market = self.local.market
        lent = {book.tokens.index(market.token(each).address.lower()) for each in market.lent}
        if kind is LenderKind.FIRST_POOL:
            return {token: [FIRST_POOL] for token in lent}
        if kind is LenderKind.AAVE_V3:
            aave = Lender(kind=kind, address=market.aave_pool.lower(), premium_bps=Bps(5))
            return {token: [aave] for token in lent}
        return {
            token: [
                pair_lender(
                    address=pool.address,
                    fee_bps=pool.fee_bps,
                    reserve=book.reserve0[at] if pool.token0 == token else book.reserve1[at],
                )
                for at, pool in enumerate(book.pools)
                if token in (pool.token0, pool.token1)
            ]
            for token in lent
        }

    def policy(self, book: PoolBook) -> Policy:
        return Policy(
            min_profit_threshold_bps=Bps(1),
            implausible_bps=Bps(9_000),
            contract_min_profit={i: TokenAmount(1) for i in range(len(book.tokens))},
        )

    def best(self, *, kind: LenderKind, hops: int) -> tuple[PoolBook, Evaluation]:
        """The executable opportunity with the largest net for that lender and length."""
        book = self.book()
        lenders = self.lenders(book, kind=kind)
        cycles = find_cycles(book.pools, lendable=list(lenders))
        native = book.tokens.index(self.local.market.wrapped_native.lower())
        costs = Costs(
            gas_price_wei=PRICE_WEI,
            l1_fee_wei=Wei(0),
            gas=GAS,
            native_rates=native_rates(book, native=native),
        )
        found = (
            evaluate(
                book,
                cycles=cycles,
                cycle=cycle,
                lenders=lenders,
                costs=costs,
                policy=self.policy(book),
            )
            for cycle in range(len(cycles))
            if len(cycles.path(cycle)) == hops
        )
        paying = [each for each in found if each and each.verdict is Verdict.EXECUTABLE]
        assert paying, "the pushed pools give no opportunity of this kind"
        return book, max(paying, key=lambda each: each.net_wei or 0)

    def plan(self, book: PoolBook, evaluation: Evaluation):
        return plan_from(
            evaluation,
            book=book,
            policy=self.policy(book),
            max_slippage_bps=Bps(50),
            validity=VALIDITY,
            block_timestamp_s=int(self.head()["timestamp"], 16),
        )


def creation(name: str, types: list[str], *values: object) -> bytes:
    code = bytes.fromhex(artifact(name)["bytecode"].removeprefix("0x"))
    return code + abi_encode(types, values)


@contextmanager
def traded_market(*, seed: int = 4_711) -> Iterator[TradedMarket]:
    """A still market, our contracts deployed, listed and authorised, three pools pushed apart."""
    with local_market(seed=seed, traders=False, rival=False, states_kept=256) as local:
        local.chain.open_accounts([OWNER, EXECUTOR], balance_wei=Wei(10**20))
        nonce = local.chain.next_nonce(OWNER)
        router, receiver = (created_at(OWNER, nonce=nonce + step) for step in (0, 1))
        traded = TradedMarket(local=local, router=router, receiver=receiver)
        traded.must(None, creation("MultiDexRouter", []))
        types = ["address", "address", "address"]
        traded.must(None, creation("FlashLoanReceiver", types, OWNER, TREASURY, router))
        market = local.market
        calls = [
            encode_call("setExecutor(address,bool)", EXECUTOR, True),
            encode_call("setLender(address,bool)", market.aave_pool, True),
            *(encode_call("setMinProfit(address,uint256)", t.address, 1) for t in market.tokens),
            *(encode_call("setFactory(address,bool)", dex.factory, True) for dex in market.dexes),
        ]
        for dex in market.dexes:
            pairs = [pool.address for pool in market.pools if pool.dex == dex.key]
            calls.append(encode_call("registerPools(address,address[])", dex.factory, pairs))
        for call in calls:
            traded.must(receiver, call, gas=Gas(8_000_000))
        for pool_index in (0, 5, 9):
            traded.push(pool_index, share=0.04)
        yield traded
