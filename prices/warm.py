"""`python -m prices.warm`: compile the search for this machine, so that no start waits for it.

Without it the first engine does so before its first event. Nothing is read or kept but numba's
cache beside the code, or in the user's cache folder where that cannot be written.
"""

import sys
import time

from arbsite.base.units import Bps
from prices.kernel.book import PoolBook, PoolSpec
from prices.kernel.lenders import FIRST_POOL
from prices.kernel.search import Search
from prices.kernel.sizing import Hop, best_size


def main() -> int:
    """Compile or load every function once; print what it took."""
    sys.stdout.write("compiling the search, once per machine ...\n")
    sys.stdout.flush()
    began = time.monotonic()
    warm()
    sys.stdout.write(f"the search is compiled ({time.monotonic() - began:.1f} s)\n")
    return 0


def warm() -> None:
    """Search a market of four tokens, every pair of which trades; size a coarse cycle."""
    pairs = [(low, high) for high in range(4) for low in range(high)]
    pools = [
        PoolSpec(address=f"0x{at:040x}", token0=low, token1=high, fee_bps=Bps(30))
        for at, (low, high) in enumerate(pairs)
    ]
    book = PoolBook(tokens=[f"0x{token:040x}" for token in range(4)], pools=pools)
    Search(book, lendable=range(4), max_hops=4, most=1)
    best_size([Hop(10**9, 10**9, 10), Hop(10**9, 11 * 10**8, 10)], lender=FIRST_POOL)


if __name__ == "__main__":
    sys.exit(main())
