"""Sizes of executed cycles against brute force, from logs and reserves alone (MONEY 2)."""

from tests.contracts.localchain.brute import BPS, SYNC, Book


def books(live, blocks):
    """A brute-force book of ``live.market``, and the reserves as they stood at these blocks.

    ``live.rpc.call`` asks the node.
    """
    book, snapshots = Book(live), {}
    logs = live.rpc.call(
        "eth_getLogs", [{"fromBlock": "0x0", "toBlock": hex(max(blocks)), "topics": [SYNC]}]
    )
    logs.sort(key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))
    at = 0
    for block in sorted(blocks):
        while at < len(logs) and int(logs[at]["blockNumber"], 16) <= block:
            if logs[at]["address"].lower() in book.place:
                book.follow([logs[at]])
            at += 1
        snapshots[block] = [list(pair) for pair in book.reserves]
    return book, snapshots


def gain_of(book, path, *, borrows_from_aave):
    """x -> profit before gas along a path of ``{pool, tokenIn}``, and the path's hops."""
    pools = [book.place[hop["pool"].lower()] for hop in path]
    sides = [
        int(book.pools[pool].token1.lower() == hop["tokenIn"].lower())
        for pool, hop in zip(pools, path, strict=True)
    ]
    hops = list(zip(pools, sides, strict=True))

    def gain(amount):
        out = amount
        for pool, side in hops:
            reserve_in, reserve_out = book.reserves[pool][side], book.reserves[pool][1 - side]
            kept = out * (BPS - book.fees[pool])
            out = kept * reserve_out // (reserve_in * BPS + kept)
        premium = (amount * 5 + 5_000) // BPS if borrows_from_aave else 0
        return out - amount - premium

    return gain, hops


def highest(gain, most):
    """The largest gain over all sizes: it rises, then falls, but for steps of rounding."""
    low, high = 1, most
    while high - low > 64:
        third = (high - low) // 3
        if gain(low + third) < gain(high - third):
            low += third
        else:
            high -= third
    around = range(max(1, low - 64), high + 64)
    return max(gain(amount) for amount in around)


def slack(book, hops):
    """One unit of each intermediate token, valued in the borrow token, rounded up."""
    units, numerator, denominator = 0, 1, 1
    for pool, side in hops[:-1]:
        numerator *= book.reserves[pool][side]
        denominator *= book.reserves[pool][1 - side]
        units += -(-numerator // denominator)
    return units + 1


def assert_best_size(book, path, *, size, expected_profit, borrows_from_aave):
    """At the book's reserves the size earns what was expected, and no size earns more."""
    gain, hops = gain_of(book, path, borrows_from_aave=borrows_from_aave)
    assert gain(size) == expected_profit
    best = highest(gain, 20 * size)
    short = best - gain(size)
    assert short * 10_000 <= best or short <= slack(book, hops), (path, size, best)
