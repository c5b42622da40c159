"""The float64 search over pairs of tokens, compiled to machine code. It finds; integers decide.

Only `prices.kernel.search` calls these. They take whole buffers, so that a call from Python stays
cheap: ``rates`` is the book's (one row each of marginal price, price after fee, depth; by edge),
``table`` holds the graph as uint32 behind a header of offsets, ``levels`` what moves with prices as
float64. A directed pair 2q runs from the lower token of pair q to the higher, 2q + 1 back. A ring
is a cycle of directed pairs; ring ids count the pairs themselves (2 hops), then the rings of 3,
then those of 4 hops.

Nothing runs in parallel. All of it stands in one file, however long: numba's cache on disk looks at
the file that a function stands in, and not at those that it calls.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any, Final

import numba
import numpy as np

# Header of ``table``: counts, then where each region begins.
PAIRS: Final = 0
THREES: Final = 1  # how many rings of 3 hops
FOURS: Final = 2
EPOCH: Final = 3
EDGES: Final = 4  # edges by directed pair
EDGE_OFFSETS: Final = 5
PAIR_OF_POOL: Final = 6
USABLE: Final = 7  # by pair: whether its ring of 2 hops counts
RINGS3: Final = 8
RINGS4: Final = 9
THROUGH_OFFSETS: Final = 10  # rings of 3 and 4 hops through each pair
THROUGH: Final = 11
TOKEN_IN: Final = 12  # by directed pair
POOL_STAMPS: Final = 13
RING_STAMPS: Final = 14
HEADER: Final = 16

# Header of ``levels``, then by directed pair: best after fee, best marginal, depth with room to
# grow, depth; by ring: its break-even rate; by token: what is owed per unit borrowed, and wei per
# raw unit (0: no loans).
MIN_PROFIT: Final = 0
COST_WEI: Final = 1  # of 2, 3 and 4 hops
DROPPED: Final = 4  # how many candidates did not fit into the answer
MARGIN: Final = 5  # of the best ring that `touch` saw
LEVELS: Final = 8
# Break-even rates are kept for costs and depths kinder than now, so that they hold while both
# move: `Search` makes them anew when gas or a native rate left a quarter either way, and
# 0.4 < 0.8^2 / 1.25^2.
COST_SLACK: Final = 0.4
DEPTH_SLACK: Final = 1.25
_ROUND: Final = 1e-12  # products of a few float64 ratios are off by parts in 1e15
_SURE: Final = 1.000_001  # more than any rounding of an estimated profit
_NEVER: Final = np.inf
_EXACT: Final = 1e15  # float64 holds every integer up to there
_MANY: Final = 64  # rings, from which on what each can net at most is asked first
_AHEAD: Final = 4  # of those, the likeliest that say what the others have to beat


def machine_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code, kept on disk where numba finds a folder to write, else made at each start."""
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        compiled = numba.njit(error_model="numpy")(function)
    return compiled


@machine_code
def _order(rates_after, edges, start, stop):
    """Have the edges of one directed pair in falling rate after fee; one that moved is put in its
    place, the others stay."""
    for at in range(start + 1, stop):
        edge = edges[at]
        rate = rates_after[edge]
        to = at
        while to > start and rates_after[edges[to - 1]] < rate:
            edges[to] = edges[to - 1]
            to -= 1
        edges[to] = edge


@machine_code
def order(rates, table):
    """`_order` of every directed pair: once before single pools are followed by `touch`."""
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    for directed in range(2 * np.int64(table[PAIRS])):
        _order(rates[1], edges, offsets[directed], offsets[directed + 1])


@machine_code
def _refresh_directed(rates, table, levels, directed):
    """Best rates of one directed pair, whose edges are in order afterwards. Returns: whether its
    depth outgrew what bounds stand on."""
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    pairs = table[PAIRS]
    marginal_of, after_of, depth_of = rates[0], rates[1], rates[2]
    _order(after_of, edges, offsets[directed], offsets[directed + 1])
    marginal = after_fee = depth = 0.0
    for at in range(offsets[directed], offsets[directed + 1]):
        edge = edges[at]
        marginal = max(marginal, marginal_of[edge])
        after_fee = max(after_fee, after_of[edge])
        depth = max(depth, depth_of[edge])
    levels[LEVELS + directed] = after_fee
    levels[LEVELS + 2 * pairs + directed] = marginal
    levels[LEVELS + 6 * pairs + directed] = depth
    deep = LEVELS + 4 * pairs + directed
    if depth > levels[deep]:
        levels[deep] = depth * DEPTH_SLACK
        return True
    return False


@machine_code
def _ring_into(table, ring, hops):
    """The directed pairs of a ring. Returns: how many."""
    pairs, threes = table[PAIRS], table[THREES]
    if ring < pairs:
        hops[0] = 2 * ring
        hops[1] = 2 * ring + 1
        return 2
    if ring < pairs + threes:
        at = table[RINGS3] + 3 * (ring - pairs)
        for hop in range(3):
            hops[hop] = table[at + hop]
        return 3
    at = table[RINGS4] + 4 * (ring - pairs - threes)
    for hop in range(4):
        hops[hop] = table[at + hop]
    return 4


@machine_code
def _break_even(table, levels, ring, hops):
    """The rate after fees below which no pools of a ring can pay, whatever its size.

    A loop of rate r and depth D borrowed at w per unit earns D (sqrt r - sqrt w)^2 at most; its
    depth is below that of its first pool, and below what its last one holds.
    """
    pairs = table[PAIRS]
    count = _ring_into(table, ring, hops)
    tokens = table[table[TOKEN_IN] :]
    deep = levels[LEVELS + 4 * pairs :]
    rings = pairs + table[THREES] + table[FOURS]
    terms = levels[LEVELS + 8 * pairs + rings :]
    cost_wei = levels[COST_WEI + count - 2] * COST_SLACK
    least = _NEVER
    for hop in range(count):
        token = tokens[hops[hop]]
        wei_per_unit = terms[2 * token + 1]
        if wei_per_unit == 0.0:
            continue
        before = hops[hop - 1] if hop else hops[count - 1]
        depth = min(deep[hops[hop]], deep[before ^ 1])
        if depth > 0.0:
            owed = sqrt(terms[2 * token] + levels[MIN_PROFIT])
            # Less one unit: Aave may round its premium down by half of one.
            cost = max(cost_wei / wei_per_unit - 1.0, 0.0)
            least = min(least, owed + sqrt(cost / depth))
    bound = least * least * (1.0 - _ROUND)
    if count == 2 and not table[table[USABLE] + ring]:
        bound = _NEVER
    levels[LEVELS + 8 * pairs + ring] = bound
    return bound


@machine_code
def _break_even_through(table, levels, pair):
    """Break-even rates of all rings through a pair whose depth outgrew what they stood on."""
    offsets = table[table[THROUGH_OFFSETS] :]
    through = table[table[THROUGH] :]
    hops = np.zeros(4, dtype=np.int64)
    _break_even(table, levels, pair, hops)
    for at in range(offsets[pair], offsets[pair + 1]):
        _break_even(table, levels, through[at], hops)


@machine_code
def break_even(table, levels):
    """Every ring's break-even rate, from the costs and terms in ``levels``."""
    hops = np.zeros(4, dtype=np.int64)
    for ring in range(table[PAIRS] + table[THREES] + table[FOURS]):
        _break_even(table, levels, ring, hops)


@machine_code
def refresh(rates, table, levels):
    """Best rate after fees of every directed pair."""
    pairs = 2 * np.int64(table[PAIRS])
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    best = levels[LEVELS : LEVELS + pairs]
    rate_of = rates[1]
    start = offsets[0]
    for directed in range(pairs):
        stop = offsets[directed + 1]
        top = 0.0
        for at in range(start, stop):
            top = max(top, rate_of[edges[at]])
        best[directed] = top
        start = stop


@machine_code
def refresh_marginal(rates, table, levels):
    """Best marginal rate and depth of every directed pair, the latter also with room to grow."""
    pairs = 2 * np.int64(table[PAIRS])
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    marginal = levels[LEVELS + pairs : LEVELS + 2 * pairs]
    deep = levels[LEVELS + 2 * pairs : LEVELS + 3 * pairs]
    depth = levels[LEVELS + 3 * pairs : LEVELS + 4 * pairs]
    rate_of, depth_of = rates[0], rates[2]
    start = offsets[0]
    for directed in range(pairs):
        stop = offsets[directed + 1]
        top = most = 0.0
        for at in range(start, stop):
            edge = edges[at]
            top = max(top, rate_of[edge])
            most = max(most, depth_of[edge])
        marginal[directed] = top
        depth[directed] = most
        deep[directed] = most * DEPTH_SLACK
        start = stop


@machine_code
def passing(table, levels, found):
    """Rings whose best rates multiply to more than break-even, into ``found``. Returns: how many.

    ``found`` has room for every ring.
    """
    pairs = np.int64(table[PAIRS])
    threes, fours = np.int64(table[THREES]), np.int64(table[FOURS])
    best = levels[LEVELS : LEVELS + 2 * pairs]
    bound = levels[LEVELS + 8 * pairs :]
    count = 0
    for pair in range(pairs):
        found[count] = pair
        count += best[2 * pair] * best[2 * pair + 1] > bound[pair]
    rings = table[table[RINGS3] : table[RINGS3] + 3 * threes].reshape((threes, 3))
    bound3 = bound[pairs:]
    for ring in range(threes):
        product = best[rings[ring, 0]] * best[rings[ring, 1]] * best[rings[ring, 2]]
        found[count] = pairs + ring
        count += product > bound3[ring]
    rings = table[table[RINGS4] : table[RINGS4] + 4 * fours].reshape((fours, 4))
    bound4 = bound[pairs + threes :]
    for ring in range(fours):
        product = best[rings[ring, 0]] * best[rings[ring, 1]]
        product *= best[rings[ring, 2]] * best[rings[ring, 3]]
        found[count] = pairs + threes + ring
        count += product > bound4[ring]
    return count


@machine_code
def touch(rates, table, levels, pool):
    """Take a pool's new rates. Returns: the ring through its pair that is furthest over break-even.

    ``levels[MARGIN]`` then says by how much; at most 0: nothing through this pool can pay.
    """
    pairs, threes = table[PAIRS], table[THREES]
    pair = table[table[PAIR_OF_POOL] + pool]
    outgrown = _refresh_directed(rates, table, levels, 2 * pair)
    outgrown |= _refresh_directed(rates, table, levels, 2 * pair + 1)
    offsets = table[table[THROUGH_OFFSETS] :]
    through = table[table[THROUGH] :]
    if outgrown:
        _break_even_through(table, levels, pair)
    best = levels[LEVELS:]
    bound = levels[LEVELS + 8 * pairs :]
    rings3 = table[table[RINGS3] :]
    rings4 = table[table[RINGS4] :]
    top = np.int64(pair)
    margin = best[2 * pair] * best[2 * pair + 1] - bound[pair]
    for at in range(offsets[pair], offsets[pair + 1]):
        ring = through[at]
        if ring < pairs + threes:
            row = 3 * (ring - pairs)
            product = best[rings3[row]] * best[rings3[row + 1]] * best[rings3[row + 2]]
        else:
            row = 4 * (ring - pairs - threes)
            product = best[rings4[row]] * best[rings4[row + 1]]
            product *= best[rings4[row + 2]] * best[rings4[row + 3]]
        if product - bound[ring] > margin:
            margin = product - bound[ring]
            top = np.int64(ring)
    levels[MARGIN] = margin
    return top


@machine_code
def through(table, levels, pools, found):
    """As `passing`, of the rings through any of these pools, each once; stamps both.

    What `expand` gives afterwards crosses one of these pools.
    """
    pairs, threes = table[PAIRS], table[THREES]
    epoch = table[EPOCH] + np.uint32(1)
    table[EPOCH] = epoch
    pool_stamps = table[table[POOL_STAMPS] :]
    ring_stamps = table[table[RING_STAMPS] :]
    offsets = table[table[THROUGH_OFFSETS] :]
    members = table[table[THROUGH] :]
    best = levels[LEVELS:]
    bound = levels[LEVELS + 8 * pairs :]
    rings3 = table[table[RINGS3] :]
    rings4 = table[table[RINGS4] :]
    count = 0
    for pool in pools:
        pool_stamps[pool] = epoch
        pair = table[table[PAIR_OF_POOL] + pool]
        if ring_stamps[pair] == epoch:
            continue  # another pool of this pair brought all its rings
        ring_stamps[pair] = epoch
        if best[2 * pair] * best[2 * pair + 1] > bound[pair]:
            found[count] = pair
            count += 1
        for at in range(offsets[pair], offsets[pair + 1]):
            ring = members[at]
            if ring_stamps[ring] == epoch:
                continue
            ring_stamps[ring] = epoch
            if ring < pairs + threes:
                row = 3 * (ring - pairs)
                product = best[rings3[row]] * best[rings3[row + 1]] * best[rings3[row + 2]]
            else:
                row = 4 * (ring - pairs - threes)
                product = best[rings4[row]] * best[rings4[row + 1]]
                product *= best[rings4[row + 2]] * best[rings4[row + 3]]
            if product > bound[ring]:
                found[count] = ring
                count += 1
    return count


@machine_code
def _sink(ranks, paths, count):
    """Restore the heap (least first) below its root."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= count:
            return
        if child + 1 < count and ranks[child + 1] < ranks[child]:
            child += 1
        if ranks[at] <= ranks[child]:
            return
        ranks[at], ranks[child] = ranks[child], ranks[at]
        for hop in range(4):
            paths[at, hop], paths[child, hop] = paths[child, hop], paths[at, hop]
        at = child


@machine_code
def _push(levels, ranks, paths, count, rank, path, hops):
    """Keep the best that fit. Returns: how many are kept."""
    room = len(ranks)
    if count == room:
        levels[DROPPED] += 1.0
        if room == 0 or rank <= ranks[0]:
            return count
        at = 0
    else:
        at = count
        count += 1
    ranks[at] = rank
    for hop in range(4):
        paths[at, hop] = path[hop] if hop < hops else -1
    if at == 0:
        _sink(ranks, paths, count)
        return count
    while at:  # rise
        parent = (at - 1) // 2
        if ranks[parent] <= ranks[at]:
            break
        ranks[at], ranks[parent] = ranks[parent], ranks[at]
        for hop in range(4):
            paths[at, hop], paths[parent, hop] = paths[parent, hop], paths[at, hop]
        at = parent
    return count


@machine_code
def _net_wei(rates, tokens, terms, levels, hops, path, count, rate):
    """The most that a path of pools can net, in wei, over its tokens that are lent; or -inf.

    An upper bound: without caps, with the kindest lender, never below what integers give. Where
    the least profit by size is out of reach it is -inf, since nothing would be executed.
    """
    least = levels[MIN_PROFIT]
    most = -_NEVER
    for start in range(count):
        token = tokens[hops[start]]
        wei_per_unit = terms[2 * token + 1]
        if wei_per_unit == 0.0:
            continue
        flat = 0.0  # 1 / depth of the whole path, seen from its start
        moved = 1.0
        at = start
        for _ in range(count):
            edge = path[at]
            flat += moved / rates[2, edge]
            moved *= rates[1, edge]
            at += 1
            if at == count:  # a remainder costs as much as all the rest
                at = 0
        cost = levels[COST_WEI + count - 2]
        owed = terms[2 * token]
        wanted = owed + least
        if rate < wanted * (1.0 - _ROUND):
            continue
        gain = (rate - wanted) / (sqrt(rate) + sqrt(wanted))
        # One unit more than the estimate: Aave may round its premium down.
        if (gain * gain / flat * _SURE + 1.0) * wei_per_unit < cost / _SURE:
            continue
        gain = (rate - owed) / (sqrt(rate) + sqrt(owed))
        most = max(most, (gain * gain / flat * _SURE + 1.0) * wei_per_unit - cost / _SURE)
    return most


@machine_code
def _least_rate(tokens, best, deep, terms, cost, hops, count, rank, moved, moved_depth):
    """The rate after fees below which no pools of a ring can have a rank above that one.

    `_net_wei` turned round. No path of the ring is deeper than one of the deepest pool of every
    pair, and what comes into a hop of a path of rate r is at least r over the best rates from that
    hop on: with F for these hops at r = 1, 1 / depth is at least r F, and what r can earn of the
    rest, (1 - sqrt(owed / r))^2 / F, grows with r.
    ``cost``: in wei, as `_net_wei` takes it. ``moved``: the directed pair that must be crossed by
    a pool of at most that depth, or -1.
    """
    least = _NEVER
    for start in range(count):
        token = tokens[hops[start]]
        wei_per_unit = terms[2 * token + 1]
        if wei_per_unit == 0.0:
            continue
        # 1 / depth of the whole path as one fraction: a division costs ten multiplications.
        over, under = 0.0, 1.0
        ahead = 1.0
        at = start
        for _ in range(count):  # from the last hop before the start, back to it
            at = (at if at else count) - 1
            hop = hops[at]
            ahead *= best[hop]
            depth = ahead * (moved_depth if hop == moved else deep[hop])
            over = over * depth + under
            under *= depth
        lost = max(rank + cost - wei_per_unit, 0.0) * over / (wei_per_unit * _SURE * under)
        kept = 1.0 - sqrt(lost)
        if kept > 0.0:
            least = min(least, terms[2 * token] / (kept * kept))
    return least * (1.0 - _ROUND)


@machine_code
def _moved_pair(stamps, epoch, hops, count):
    """The one directed pair of a ring that pools stamped by `through` are of; -1 where there is
    more than one such pair, or the ring takes it both ways."""
    moved = np.int64(-1)
    for hop in range(count):
        if stamps[hops[hop] >> 1] == epoch:
            if moved >= 0:
                return np.int64(-1)
            moved = hops[hop]
    return moved


@machine_code
def _moved_depth(rates, table, directed):
    """The depth of the deepest pool of a directed pair that `through` stamped."""
    epoch = table[EPOCH]
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    stamps = table[table[POOL_STAMPS] :]
    depth = 0.0
    for at in range(offsets[directed], offsets[directed + 1]):
        if stamps[edges[at] >> 1] == epoch:
            depth = max(depth, rates[2, edges[at]])
    return depth


@machine_code
def _expand(rates, table, levels, rings, touched, pair, ranks, paths, kept):
    """`expand`, with so many paths in the answer already; ``levels[DROPPED]`` is added to."""
    pairs = table[PAIRS]
    epoch = table[EPOCH]
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    # Regions are cut once: each cut is counted, and costs a dozen multiplications.
    stamps, ring_stamps = table[table[POOL_STAMPS] :], table[table[RING_STAMPS] :]
    tokens = table[table[TOKEN_IN] :]
    best, deep = levels[LEVELS:], levels[LEVELS + 6 * pairs :]
    bound = levels[LEVELS + 8 * pairs :]
    terms = levels[LEVELS + 8 * pairs + (pairs + table[THREES] + table[FOURS]) :]
    hops = np.zeros(4, dtype=np.int64)
    path = np.zeros(4, dtype=np.int64)
    at = np.zeros(4, dtype=np.int64)
    done = np.ones(5)
    ahead = np.ones(5)
    moved = depth_for = np.int64(-1)
    depth_of = 0.0
    for ring in rings:
        count = _ring_into(table, ring, hops)
        ahead[count - 1] = 1.0
        for hop in range(count - 1, 0, -1):
            ahead[hop - 1] = ahead[hop] * best[hops[hop]]
        least = bound[ring] * (1.0 - _ROUND)
        if kept == len(ranks) and kept:
            if touched:
                if pair < 0:
                    moved = _moved_pair(ring_stamps, epoch, hops, count)
                elif count == 2:
                    moved = np.int64(-1)  # taken both ways
                else:
                    moved = hops[0]
                    for hop in range(1, count):
                        moved = hops[hop] if hops[hop] >> 1 == pair else moved
                if moved >= 0 and moved != depth_for:
                    depth_for, depth_of = moved, _moved_depth(rates, table, moved)
            cost = levels[COST_WEI + count - 2] / _SURE
            needed = _least_rate(
                tokens, best, deep, terms, cost, hops, count, ranks[0], moved, depth_of
            )
            if needed > least:
                least = needed
                levels[DROPPED] += 1.0
            if best[hops[0]] * ahead[0] <= least:
                continue
        depth = 0
        at[0] = offsets[hops[0]]
        while depth >= 0:
            if at[depth] == offsets[hops[depth] + 1]:
                depth -= 1
                continue
            edge = edges[at[depth]]
            at[depth] += 1
            rate = done[depth] * rates[1, edge]
            if rate * ahead[depth] <= least:
                depth -= 1  # the other edges of this pair are no better
                continue
            path[depth] = edge
            if depth + 1 < count:
                depth += 1
                done[depth] = rate
                at[depth] = offsets[hops[depth]]
                continue
            if count == 2 and path[0] >> 1 == path[1] >> 1:
                continue
            if touched:
                crossed = False
                for hop in range(count):
                    crossed |= stamps[path[hop] >> 1] == epoch
                if not crossed:
                    continue
            rank = _net_wei(rates, tokens, terms, levels, hops, path, count, rate)
            if rank > -_NEVER:
                kept = _push(levels, ranks, paths, kept, rank, path, count)
    return kept


@machine_code
def expand(rates, table, levels, rings, touched, pair, ranks, paths):
    """The paths of pools of these rings that may pay, ranked by the most that they can net in wei.

    Edges are `order`ed. ``touched``: only those that cross a pool which `through` stamped;
    ``pair``: the one pair of those pools, or -1 where they are of several. ``paths``: edges from
    the ring's smallest token on, -1 behind the last. A heap with the least first; the best are kept
    where not all fit, and ``levels[DROPPED]`` says whether, and very roughly how many, did not.
    Returns: how many are kept.
    """
    levels[DROPPED] = 0.0
    return _expand(rates, table, levels, rings, touched, pair, ranks, paths, 0)


@machine_code
def _through_one(rates, table, levels, pool, pair, found):
    """`touch` and `through` of one pool in one walk over the rings of its pair."""
    pairs, threes = table[PAIRS], table[THREES]
    outgrown = _refresh_directed(rates, table, levels, 2 * pair)
    outgrown |= _refresh_directed(rates, table, levels, 2 * pair + 1)
    if outgrown:
        _break_even_through(table, levels, pair)
    table[EPOCH] += np.uint32(1)
    table[table[POOL_STAMPS] + pool] = table[EPOCH]
    offsets = table[table[THROUGH_OFFSETS] :]
    members = table[table[THROUGH] :]
    best, bound = levels[LEVELS:], levels[LEVELS + 8 * pairs :]
    rings3, rings4 = table[table[RINGS3] :], table[table[RINGS4] :]
    count = 0
    if best[2 * pair] * best[2 * pair + 1] > bound[pair]:
        found[0] = pair
        count = 1
    for at in range(offsets[pair], offsets[pair + 1]):
        ring = members[at]
        if ring < pairs + threes:
            row = 3 * (ring - pairs)
            product = best[rings3[row]] * best[rings3[row + 1]] * best[rings3[row + 2]]
        else:
            row = 4 * (ring - pairs - threes)
            product = best[rings4[row]] * best[rings4[row + 1]]
            product *= best[rings4[row + 2]] * best[rings4[row + 3]]
        if product > bound[ring]:
            found[count] = ring
            count += 1
    return count


@machine_code
def _facts_of_rings(rates, table, levels, rings, pool, pair, facts):
    """By ring of 3 hops through a pool, a row for each fact, seen from the pool's pair on: rate,
    depth, what is owed for the token that goes in and its wei a unit, of each hop. Of other rings
    nothing. Of the pool's own hop the rate and depth are the pool's, of the others the pair's best.
    """
    pairs, threes = table[PAIRS], table[THREES]
    edges, offsets = table[table[EDGES] :], table[table[EDGE_OFFSETS] :]
    tokens, rings3 = table[table[TOKEN_IN] :], table[table[RINGS3] :]
    best, deep = levels[LEVELS:], levels[LEVELS + 6 * pairs :]
    terms = levels[LEVELS + 8 * pairs + (pairs + threes + table[FOURS]) :]
    own = np.zeros((2, 2))  # by direction, rate and depth of the pool: it is never crossed without
    for side in range(2):
        for at in range(offsets[2 * pair + side], offsets[2 * pair + side + 1]):
            if edges[at] >> 1 == pool:
                own[side, 0], own[side, 1] = rates[1, edges[at]], rates[2, edges[at]]
    for at in range(len(rings)):
        ring = np.int64(rings[at])
        if ring < pairs or ring >= pairs + threes:
            continue
        row = 3 * (ring - np.int64(pairs))
        one, two, three = rings3[row], rings3[row + 1], rings3[row + 2]
        if two >> 1 == pair:
            one, two, three = two, three, one
        elif three >> 1 == pair:
            one, two, three = three, one, two
        facts[0, at], facts[1, at] = own[one & 1, 0], own[one & 1, 1]
        facts[2, at], facts[3, at] = terms[2 * tokens[one]], terms[2 * tokens[one] + 1]
        facts[4, at], facts[5, at] = best[two], deep[two]
        facts[6, at], facts[7, at] = terms[2 * tokens[two]], terms[2 * tokens[two] + 1]
        facts[8, at], facts[9, at] = best[three], deep[three]
        facts[10, at], facts[11, at] = terms[2 * tokens[three]], terms[2 * tokens[three] + 1]


@machine_code
def _most_of_three(facts, cost, most):
    """The most that any paths of these rings can net, in wei: `_net_wei` of the best of each pair.

    `_least_rate` says why none is above it. One ring after the other without a branch, so that the
    processor takes several at once.
    """
    a, deep_a, owed_a, wei_a = facts[0], facts[1], facts[2], facts[3]
    b, deep_b, owed_b, wei_b = facts[4], facts[5], facts[6], facts[7]
    c, deep_c, owed_c, wei_c = facts[8], facts[9], facts[10], facts[11]
    for at in range(len(most)):
        ab, bc, ca = a[at] * b[at], b[at] * c[at], c[at] * a[at]
        rate = ab * c[at]
        root = sqrt(rate)
        gain_a = max(rate - owed_a[at], 0.0) / (root + sqrt(owed_a[at]))
        gain_b = max(rate - owed_b[at], 0.0) / (root + sqrt(owed_b[at]))
        gain_c = max(rate - owed_c[at], 0.0) / (root + sqrt(owed_c[at]))
        flat_a = 1.0 / (rate * deep_a[at]) + 1.0 / (bc * deep_b[at]) + 1.0 / (c[at] * deep_c[at])
        flat_b = 1.0 / (rate * deep_b[at]) + 1.0 / (ca * deep_c[at]) + 1.0 / (a[at] * deep_a[at])
        flat_c = 1.0 / (rate * deep_c[at]) + 1.0 / (ab * deep_a[at]) + 1.0 / (b[at] * deep_b[at])
        net_a = (gain_a * gain_a / (flat_a * rate) * _SURE + 1.0) * wei_a[at]
        net_b = (gain_b * gain_b / (flat_b * rate) * _SURE + 1.0) * wei_b[at]
        net_c = (gain_c * gain_c / (flat_c * rate) * _SURE + 1.0) * wei_c[at]
        most[at] = max(net_a, max(net_b, net_c)) * _SURE - cost


@machine_code
def _expand_many(rates, table, levels, pool, pair, rings, ranks, paths):
    """`expand` of many rings through one pool: first the few that can net most, then only those
    that can net more than what these do."""
    pairs, threes = table[PAIRS], table[THREES]
    facts = np.ones((12, len(rings)))
    _facts_of_rings(rates, table, levels, rings, pool, pair, facts)
    most = np.empty(len(rings))
    _most_of_three(facts, levels[COST_WEI + 1] / _SURE, most)
    for at in range(len(rings)):
        if rings[at] < pairs or rings[at] >= pairs + threes:
            most[at] = _NEVER  # of these it says nothing: they are looked at after the first few
    first = np.empty(_AHEAD, dtype=rings.dtype)
    ahead = 0
    while ahead < _AHEAD:
        top = -1
        for at in range(len(rings)):
            if most[at] < _NEVER and (top < 0 or most[at] > most[top]):
                top = at
        if top < 0 or most[top] == -_NEVER:
            break
        first[ahead] = rings[top]
        ahead += 1
        most[top] = -_NEVER
    kept = _expand(rates, table, levels, first[:ahead], True, pair, ranks, paths, 0)
    least = ranks[0] if kept == len(ranks) else -_NEVER
    left = 0
    for at in range(len(rings)):
        if most[at] > least:
            rings[left] = rings[at]
            left += 1
    levels[DROPPED] += len(rings) - ahead - left
    return _expand(rates, table, levels, rings[:left], True, pair, ranks, paths, kept)


@machine_code
def react(rates, table, levels, pools, found, ranks, paths):
    """`touch`, `through` and `expand` for a few pools, in one call from Python.

    Where no ring through any of them is over break-even it ends after the first.
    """
    if len(pools) == 1:
        pair = np.int64(table[table[PAIR_OF_POOL] + pools[0]])
        count = _through_one(rates, table, levels, pools[0], pair, found)
        levels[DROPPED] = 0.0
        if count < _MANY or len(ranks) == 0:
            return expand(rates, table, levels, found[:count], True, pair, ranks, paths)
        return _expand_many(rates, table, levels, pools[0], pair, found[:count], ranks, paths)
    hope = False
    for pool in pools:
        touch(rates, table, levels, pool)
        hope |= levels[MARGIN] > 0.0
    levels[DROPPED] = 0.0
    if not hope:
        return 0
    count = through(table, levels, pools, found)
    return expand(rates, table, levels, found[:count], True, np.int64(-1), ranks, paths)


@machine_code
def over(rates, table, levels, least_marginal, ranks, paths):
    """The paths of pools whose marginal rates multiply to that much, ranked by rate after fees.

    ``ranks`` and ``paths`` as with `expand`, of every ring that has a token that is lent or not.
    """
    pairs = table[PAIRS]
    total = pairs + table[THREES] + table[FOURS]
    edges = table[table[EDGES] :]
    offsets = table[table[EDGE_OFFSETS] :]
    usable = table[table[USABLE] :]
    best = levels[LEVELS:]
    marginal_best = levels[LEVELS + 2 * pairs :]
    hops = np.zeros(4, dtype=np.int64)
    path = np.zeros(4, dtype=np.int64)
    at = np.zeros(4, dtype=np.int64)
    done, done_marginal = np.ones(5), np.ones(5)
    ahead, ahead_marginal = np.ones(5), np.ones(5)
    levels[DROPPED] = 0.0
    prune = least_marginal * (1.0 - _ROUND)
    kept = 0
    for ring in range(total):
        if ring < pairs and not usable[ring]:
            continue
        count = _ring_into(table, ring, hops)
        ahead[count - 1] = ahead_marginal[count - 1] = 1.0
        for hop in range(count - 1, 0, -1):
            ahead[hop - 1] = ahead[hop] * best[hops[hop]]
            ahead_marginal[hop - 1] = ahead_marginal[hop] * marginal_best[hops[hop]]
        if marginal_best[hops[0]] * ahead_marginal[0] < prune:
            continue
        full = kept == len(ranks) and kept > 0
        if full and best[hops[0]] * ahead[0] < ranks[0] * (1.0 - _ROUND):
            levels[DROPPED] += 1.0
            continue
        depth = 0
        at[0] = offsets[hops[0]]
        while depth >= 0:
            if at[depth] == offsets[hops[depth] + 1]:
                depth -= 1
                continue
            edge = edges[at[depth]]
            at[depth] += 1
            marginal = done_marginal[depth] * rates[0, edge]
            if marginal * ahead_marginal[depth] < prune:
                continue
            rate = done[depth] * rates[1, edge]
            if kept == len(ranks) and rate * ahead[depth] < ranks[0] * (1.0 - _ROUND):
                levels[DROPPED] += 1.0
                continue
            path[depth] = edge
            if depth + 1 < count:
                depth += 1
                done[depth] = rate
                done_marginal[depth] = marginal
                at[depth] = offsets[hops[depth]]
                continue
            if marginal < least_marginal or (count == 2 and path[0] >> 1 == path[1] >> 1):
                continue
            kept = _push(levels, ranks, paths, kept, rate, path, count)
    return kept


@machine_code
def best_output(hops, amount, owed, limit, wide):
    """Which output of which hop to ask for, where several tokens of a cycle are coarse.

    ``hops``: a row each of reserve in, reserve out and what of 1 the fee leaves. Tries the least
    inputs for every output within ``wide`` units of what ``amount`` gives, of every hop whose
    units float64 can tell apart. Returns: hop (from 1) and output, or 0 and 0.
    """
    count = len(hops)
    best = -_NEVER
    best_hop, best_out = 0, 0.0
    here = amount
    for hop in range(count):
        kept = here * hops[hop, 2]
        here = np.floor(kept * hops[hop, 1] / (hops[hop, 0] + kept))
        if here > _EXACT:
            continue
        for step in range(-wide, wide + 1):
            needed = here + step
            for before in range(hop, -1, -1):
                left = hops[before, 1] - needed
                if needed < 1.0 or left < 1.0:
                    needed = -1.0
                    break
                needed = np.ceil(hops[before, 0] * needed / (left * hops[before, 2]))
            if needed < 1.0 or needed > limit:
                continue
            out = here + step
            for after in range(hop + 1, count):
                kept = out * hops[after, 2]
                out = np.floor(kept * hops[after, 1] / (hops[after, 0] + kept))
            profit = out - needed * owed
            if profit > best:
                best, best_hop, best_out = profit, hop + 1, here + step
    return best_hop, best_out
