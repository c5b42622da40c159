"""A market where nothing pays until a test makes it pay: no traders, no rival."""

from contracts.kernel.abi import encode_call
from contracts.localchain.chain import Sending
from wallets.models import Transaction

SOLD_BPS = 80  # of a pool's first reserve: moves its price by more than two fees, and not by four
OPEN = ("planned", "simulated", "signed", "submitted", "unknown")
SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"


def sell(place):
    """Somebody sells into a pool, now one of its tokens and now the other; that block's number."""
    market, chain = place.market.market, place.market.chain
    pool = market.pools[0]
    dex, forth = market.dex(pool.dex), place.sold % 2 == 0
    place.sold += 1
    path = [pool.token0, pool.token1] if forth else [pool.token1, pool.token0]
    amount = (pool.first_reserve0 if forth else pool.first_reserve1) * SOLD_BPS // 10_000
    seller = dex.traders[0]
    chain.forget_nonces()
    data = encode_call(SWAP, amount, 0, path, seller, 2**256 - 1)
    price = market.min_gas_price_wei
    chain.send([Sending(sender=seller, to=dex.router, data=data, gas=250_000, gas_price=price)])
    return place.market.driver.step().number


def settled(place):
    """Mine a block and settle what it brought; whether nothing is out any more."""
    place.market.driver.step()
    place.settle()
    return not Transaction.objects.filter(status__in=OPEN).exists()
