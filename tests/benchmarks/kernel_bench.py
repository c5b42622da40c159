"""P1 and P4 of the speed targets: the exact size beside its references, in one run.

Each function gives entries of ``bench.json``; a missed target says so. Run it alone with
``python -m tests.benchmarks.kernel_bench``.
"""

import random
import sys
from fractions import Fraction
from math import isqrt, prod
from statistics import median

from prices.kernel.lenders import FIRST_POOL
from prices.kernel.sizing import Hop, best_size, least_input, walk
from tests.benchmarks.search_bench import Entry, best_of, entry

USD = (600.0, 1.0, 60_000.0, 3_000.0, 0.02, 1.9, 12.0, 0.5)
# Dollars a whole token, and its decimals: what of both goes together in real markets.
TOKENS = (
    (600.0, 18),
    (1.0, 18),
    (1.0, 6),
    (60_000.0, 8),
    (60_000.0, 18),
    (3_000.0, 18),
    (0.2, 8),
    (2.0, 18),
    (0.00002, 18),
    (5.0, 9),
    (1.0, 12),
)


# P1: one cycle, integers in, integers out.


def make_hops(rng: random.Random, *, decimals: tuple[int, ...]) -> list[Hop]:
    """A cycle that pays more than its fees, over tokens of those decimals."""
    prices = [rng.choice(USD) for _ in decimals]
    count = len(decimals)
    hops = []
    for at in range(count):
        worth = 10 ** rng.uniform(4, 7)
        gain = 1 + rng.uniform(0.004, 0.02)
        after = (at + 1) % count
        hops.append(
            Hop(
                int(worth / prices[at] * 10 ** decimals[at]),
                int(worth * gain / prices[after] * 10 ** decimals[after]),
                rng.choice((10, 17, 20, 25, 30)),
            )
        )
    return hops


def plain_closed_form(hops: list[Hop]) -> tuple[int, int]:
    """The reference: the closed form and its output, with no check of any neighbour."""
    n = d = 1
    e = 0
    for reserve_in, reserve_out, fee in hops:
        keep = 10_000 - fee
        e = reserve_in * 10_000 * e + keep * n
        n *= keep * reserve_out
        d *= reserve_in * 10_000
    amount = (isqrt(n * d) - d) // e
    return amount, n * amount // (d + e * amount)


def p1() -> dict[str, Entry]:
    """Median over 40 cycles each; the coarse ones hold a token of 6 or 8 decimals."""
    rng = random.Random(1)  # noqa: S311 - reproducible cycles
    shapes = {"P1": ((18, 18), (18, 18, 18)), "P1 coarse": ((18, 6), (18, 8, 6))}
    out = {}
    for name, kinds in shapes.items():
        measured, reference = [], []
        for decimals in kinds:
            cycles = []
            while len(cycles) < 40:
                hops = make_hops(rng, decimals=decimals)
                if best_size(hops, lender=FIRST_POOL) is not None:
                    cycles.append(hops)
            measured.append(
                median(
                    best_of(lambda h=h: best_size(h, lender=FIRST_POOL), rounds=40, loops=25)
                    for h in cycles
                )
            )
            reference.append(
                median(
                    best_of(lambda h=h: plain_closed_form(h), rounds=40, loops=25) for h in cycles
                )
            )
        out[name] = entry(
            [round(value, 2) for value in measured],
            "us per cycle of 2 and 3 pools",
            [3.0, 4.0],
            f"plain closed form, no neighbours tried: {[round(v, 2) for v in reference]}",
            measured[0] <= 3.0 and measured[1] <= 4.0,
        )
    return out


# P4: the screen and the size against the integer optimum.


def integer_optimum(hops: list[Hop], *, centre: int) -> int:
    """The best profit among the exact real-valued optimum's neighbourhood in every hop's output."""
    tries = {centre + step for step in range(-20, 21)}
    amounts = walk(hops, centre)
    for hop in range(1, len(amounts)):
        for output in range(amounts[hop] - 40, amounts[hop] + 41):
            least = least_input(hops, hop=hop, output=output)
            if least is not None:
                tries.add(least)
    return max(walk(hops, each)[-1] - each for each in tries if each > 0)


def p4(*, cases: int = 6_000) -> dict[str, Entry]:
    """Random cycles near break-even: 2 to 5 hops, 6 to 18 decimals, pools of $1,000 to $10 M.

    The second entry keeps to cycles with at most one token of fewer than 18 decimals.
    """
    return {
        "P4": p4_entry(cases, coarse=5),
        "P4 one coarse token": p4_entry(cases, coarse=1),
    }


def p4_entry(cases: int, *, coarse: int) -> Entry:
    rng = random.Random(4)  # noqa: S311 - reproducible cycles
    missed = 0
    losses = []
    for _ in range(cases):
        tokens = [rng.choice(TOKENS) for _ in range(rng.randrange(2, 6))]
        if sum(places < 18 for _, places in tokens) > coarse:
            continue
        hops = near_break_even(rng, tokens=tokens)
        rate = prod(hop.reserve_out / hop.reserve_in * (1 - hop.fee_bps / 10_000) for hop in hops)
        centre = real_optimum(hops)
        best = integer_optimum(hops, centre=centre) if centre else 0
        price, places = tokens[0]
        if best * price / 10**places <= 1.0:
            continue
        missed += rate <= 1.0 - 1e-12
        found = best_size(hops, lender=FIRST_POOL)
        losses.append((1 - (found.profit if found else 0) / best, best * price / 10**places))
    worst = max(loss for loss, _ in losses)
    over = sum(loss > 1e-8 for loss, _ in losses)
    dollars = max(loss * usd for loss, usd in losses)
    return entry(
        [missed, float(f"{worst:.2g}")],
        f"missed of {len(losses)} cycles over $1, and worst relative loss "
        f"(over 1e-8 in {over}; at most ${dollars:.6f})",
        [0, 1e-8],
        "best of 41 inputs and 81 outputs a hop around the exact real-valued optimum",
        missed == 0 and worst <= 1e-8,
    )


def near_break_even(rng: random.Random, *, tokens: list[tuple[float, int]]) -> list[Hop]:
    hops = []
    for at, (price, places) in enumerate(tokens):
        worth = 10 ** rng.uniform(3, 7)
        fee = rng.choice((10, 17, 20, 25, 30))
        gain = (1 + rng.uniform(-0.001, 0.004)) / (1 - fee / 10_000)
        price_after, places_after = tokens[(at + 1) % len(tokens)]
        hops.append(
            Hop(
                int(worth / price * 10**places),
                int(worth * gain / price_after * 10**places_after),
                fee,
            )
        )
    return hops


def real_optimum(hops: list[Hop]) -> int:
    """By bisection on the exact derivative, so it shares nothing with the closed form."""
    n = d = 1
    e = 0
    for reserve_in, reserve_out, fee in hops:
        keep = 10_000 - fee
        n, d, e = (
            n * keep * reserve_out,
            d * reserve_in * 10_000,
            e * reserve_in * 10_000 + keep * n,
        )
    low, high = 0, hops[0].reserve_in * 4

    def rising(amount: int) -> bool:
        return Fraction(n * d, (d + e * amount) ** 2) > 1

    if not rising(0):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rising(middle) else (low, middle)
    return low


def measure() -> dict[str, Entry]:
    """All entries, in order."""
    return {**p1(), **p4()}


def main() -> int:
    entries = measure()
    for name, row in entries.items():
        met = "met" if row["ok"] else "MISSED"
        sys.stdout.write(
            f"{name:20} {met:7} {row['value']} {row['unit']}; "
            f"target {row['target']}; {row['reference']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
