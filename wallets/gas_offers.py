"""What a payload without urgency offers for its gas, as a node has it now."""

from arbsite.base.units import Wei
from contracts.kernel.fees import FeeModel, GasFees, fees_offered
from contracts.kernel.jsonrpc import RpcError, hex_int
from contracts.rpc import HttpRpc
from wallets.send_facts import ChainFacts


def fees_asked(rpc: HttpRpc, *, chain: ChainFacts) -> GasFees:
    """One request. Raises: RpcError, RpcUnavailable."""
    eip1559 = chain.fee_model is FeeModel.EIP1559
    head, price = rpc.batch(
        [
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_maxPriorityFeePerGas" if eip1559 else "eth_gasPrice", []),
        ]
    )
    if isinstance(head, RpcError):
        raise head
    if not isinstance(head, dict):
        raise RpcError(0, "the node gave no latest block")
    bid = Wei(0) if isinstance(price, RpcError) else Wei(hex_int(price))
    base_fee = Wei(hex_int(head.get("baseFeePerGas"))) if eip1559 else None
    return fees_offered(
        model=chain.fee_model,
        base_fee_wei=base_fee,
        min_gas_price_wei=chain.min_gas_price_wei,
        bid_wei=bid,
    )
