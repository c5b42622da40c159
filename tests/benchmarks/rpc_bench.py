"""P9 of the speed targets: the reserves of 245 pools over RPC, in one call and one by one.

Run it alone with ``python -m tests.benchmarks.rpc_bench``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

Entry = dict[str, object]
POOLS = 245
TARGET_MS = 3.0
TARGET_RATIO = 20.0
ROUNDS = 40
SINGLE_ROUNDS = 3


def measure() -> dict[str, Entry]:
    """``{"P9": ...}``: median milliseconds of one refresh, beside as many single calls."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from contracts.localchain.harness import local_market

    with local_market(traders=False, rival=False) as market:
        market.driver.step()
        return {"P9": _entry(market)}


def _entry(market: Any) -> Entry:
    from contracts.kernel import abi
    from prices.chain_state import read_head, read_market

    registry = _registry(market)
    head = read_head(market.rpc)
    data = abi.encode_call("getReserves()")

    def one_by_one() -> None:
        for pool in registry.pools:
            market.rpc.eth_call(to=pool.address, data=data, block={"blockHash": head.hash})

    def together() -> None:
        read = read_market(market.rpc, registry, head=head, quotes=False)
        assert len(read.reserves) == POOLS

    together()  # connections, and the query's own calldata
    one = median(_ms(together) for _ in range(ROUNDS))
    with_quotes = median(
        _ms(lambda: read_market(market.rpc, registry, head=head)) for _ in range(ROUNDS)
    )
    single = median(_ms(one_by_one) for _ in range(SINGLE_ROUNDS))
    return {
        "value": round(one, 2),
        "unit": f"ms for {POOLS} pools, one eth_call",
        "target": f"<= {TARGET_MS:g} ms and {TARGET_RATIO:g} times faster than single calls",
        "reference": {
            "single_calls_ms": round(single, 1),
            "times_faster": round(single / one, 1),
            "with_router_quotes_and_loan_caps_ms": round(with_quotes, 2),
        },
        "ok": one <= TARGET_MS and single / one >= TARGET_RATIO,
    }


def _registry(market: Any) -> Any:
    """The local market's pools, repeated up to the size measured."""
    from contracts.kernel import market_file
    from contracts.probe import probe_market
    from prices.registry import PoolRow, Registry, TokenRow

    parsed = market_file.parse(market.file)
    facts = probe_market(parsed, market.rpc, progress=lambda line: None)
    index = {token.address: i for i, token in enumerate(parsed.tokens)}
    tokens = tuple(
        TokenRow(
            pk=i, address=token.address, symbol=token.symbol, decimals=token.decimals,
            lendable=token.address in facts.lendable, atoken=facts.lendable.get(token.address, ""),
            risky=False, denied=False,
        )
        for i, token in enumerate(parsed.tokens)
    )  # fmt: skip
    found = [
        PoolRow(
            pk=i, address=pool.address, dex=pool.dex, router=pool.router, pair="", pair_pk=0,
            token0=index[pool.token0], token1=index[pool.token1], fee_bps=25,
            base_first=pool.base == pool.token0, quarantined="", proven=True, denied=False,
        )
        for i, pool in enumerate(facts.pools)
    ]  # fmt: skip
    pools = tuple(replace(found[i % len(found)], pk=i) for i in range(POOLS))
    return Registry(
        chain_key="local", chain_id=parsed.chain.chain_id, multicall3=parsed.chain.multicall3,
        aave_pool=parsed.chain.aave_pool, premium_bps=facts.premium_bps,
        premium_rounding=facts.premium_rounding, native=0, tokens=tokens, pools=pools,
    )  # fmt: skip


def _ms(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1_000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=1) + "\n")
