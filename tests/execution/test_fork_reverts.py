"""A pair with a callback of its own name hands our contract's own reason on."""

import pytest

from arbsite.base.units import Gas, TokenAmount, Wei
from execution.kernel.plan import encode_execute
from execution.simulator import Simulator
from prices.kernel.lenders import LenderKind
from tests.execution.traded_market import EXECUTOR, PRICE_WEI, traded_market

pytestmark = pytest.mark.e2e


def test_a_loan_from_a_fork_that_earns_too_little_says_so():
    with traded_market() as traded:
        forks = {dex.key for dex in traded.local.market.dexes if dex.callback != "uniswapV2Call"}
        place = next(i for i, pool in enumerate(traded.local.market.pools) if pool.dex in forks)
        for share in (0.03, 0.05, 0.08, 0.12):
            traded.push(place, share=share)
            book, best = traded.best(kind=LenderKind.FIRST_POOL, hops=2)
            if book.pools[best.hops[0].pool].dex in forks:
                break
        plan = traded.plan(book, best)
        assert book.pools[best.hops[0].pool].dex in forks
        values = {name: getattr(plan, name) for name in type(plan).__slots__}
        greedy = type(plan)(**(values | {"min_profit": TokenAmount(plan.min_profit * 1_000)}))
        found = Simulator(traded.rpc).simulate(
            sender=EXECUTOR,
            to=traded.receiver,
            data=encode_execute(greedy),
            value_wei=Wei(0),
            gas_price_wei=PRICE_WEI,
            block_hash=best.block.hash,
            gas=Gas(600_000),
        )
    assert found.revert is not None
    assert found.revert.name == "ProfitTooLow"
    assert int(found.revert.values["got"]) == best.waterfall.expected_profit
