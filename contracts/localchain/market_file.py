"""The market file of the local chain, in the form that every chain's has."""

from typing import Any, Final

from contracts.localchain.deployed import Market

CONFIRMATIONS: Final = 3  # a restart takes back what was mined since the last saved state


def market_file(
    market: Market, *, key: str, chain_id: int, http_url: str, ws_url: str, block_time_ms: int
) -> dict[str, Any]:
    """What an importer needs to know of this chain, ready for JSON."""
    return {
        "chain": {
            "key": key,
            "name": "Local chain" if key == "local" else f"Local chain {key}",
            "chainId": chain_id,
            "nativeSymbol": "BNB",
            "local": True,
            "rpcHttp": [http_url],
            "rpcWs": [ws_url],
            "blockTimeMs": block_time_ms,
            "confirmations": CONFIRMATIONS,
            "feeModel": "legacy",
            "minGasPriceWei": str(market.min_gas_price_wei),
            "l1Fee": "none",
            "wrappedNative": market.wrapped_native,
            "aavePool": market.aave_pool,
            "multicall3": market.multicall,
            "relays": [],
        },
        "tokens": [
            {"symbol": token.symbol, "address": token.address, "decimals": token.decimals}
            for token in market.tokens
        ],
        "dexes": [
            {
                "key": dex.key,
                "name": dex.name,
                "kind": "uniswap_v2",
                "factory": dex.factory,
                "router": dex.router,
                "feeBps": dex.fee_bps,
                "callback": dex.callback,
            }
            for dex in market.dexes
        ],
        "pairs": [list(pair) for pair in market.pairs],
    }
