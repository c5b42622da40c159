"""Rings of three and four pairs over a graph of tokens, compiled: hubs have thousands of pairs.

The graph is given by token: ``other[starts[t] : starts[t + 1]]`` are its neighbours, ascending,
and ``pair`` which pair each of them is. Both functions fill ``out`` as far as it has rows and
return how many rings there are, or some number beyond ``limit`` where there are more.
"""

import numpy as np

from prices.kernel.compiled import machine_code


@machine_code
def _pair_between(starts, other, pair, low, high):
    """The pair of two tokens, or -1."""
    left, right = np.int64(starts[low]), np.int64(starts[low + 1])
    while left < right:
        middle = (left + right) // 2
        if other[middle] < high:
            left = middle + 1
        else:
            right = middle
    if left < starts[low + 1] and other[left] == high:
        return np.int64(pair[left])
    return np.int64(-1)


@machine_code
def triangles(starts, other, pair, lent, out, limit):
    """Every three tokens that trade with each other, in both directions, smallest token first."""
    count = 0
    for lowest in range(len(starts) - 1):
        low = np.int64(lowest)
        for at in range(starts[low], starts[low + 1]):
            middle = np.int64(other[at])
            if middle < low:
                continue
            # Walk the token with fewer pairs; look the third up at the other.
            few, many = low, middle
            if starts[middle + 1] - starts[middle] < starts[low + 1] - starts[low]:
                few, many = middle, low
            for far in range(starts[few], starts[few + 1]):
                high = np.int64(other[far])
                if high <= middle or not (lent[low] or lent[middle] or lent[high]):
                    continue
                closing = _pair_between(starts, other, pair, many, high)
                if closing < 0:
                    continue
                a = np.int64(pair[at])
                b = np.int64(pair[far]) if few == middle else closing
                c = closing if few == middle else np.int64(pair[far])
                if count + 2 <= len(out):
                    out[count, 0], out[count, 1], out[count, 2] = 2 * a, 2 * b, 2 * c + 1
                    out[count + 1, 0] = 2 * c
                    out[count + 1, 1] = 2 * b + 1
                    out[count + 1, 2] = 2 * a + 1
                count += 2
                if count > limit:
                    return count
    return count


@machine_code
def squares(starts, other, pair, lent, out, limit):
    """Every ring of four tokens, in both directions, smallest token first.

    Two ways of two steps from the smallest token to one and the same far token make a ring.
    """
    tokens = len(starts) - 1
    last_of = np.full(tokens, -1, dtype=np.int64)  # far token -> its newest way, by smallest token
    seen_from = np.full(tokens, -1, dtype=np.int64)
    # Ways of one smallest token: the token between, the directed pairs to it and on from it, and
    # the way found before to the same far token.
    ways_at_once = np.int64(0)
    for first in range(tokens):
        ways = np.int64(0)
        for at in range(starts[first], starts[first + 1]):
            middle = np.int64(other[at])
            if middle > first:
                ways += np.int64(starts[middle + 1] - starts[middle])
        ways_at_once = max(ways_at_once, ways)
    via = np.empty(ways_at_once, dtype=np.int64)
    near = np.empty(ways_at_once, dtype=np.int64)
    away = np.empty(ways_at_once, dtype=np.int64)
    before = np.empty(ways_at_once, dtype=np.int64)
    count = 0
    for first in range(tokens):
        ways = np.int64(0)
        for at in range(starts[first], starts[first + 1]):
            middle = np.int64(other[at])
            if middle < first:
                continue
            for on in range(starts[middle], starts[middle + 1]):
                far = np.int64(other[on])
                if far <= first:
                    continue
                if seen_from[far] != first:
                    seen_from[far] = first
                    last_of[far] = -1
                via[ways] = middle
                near[ways] = 2 * np.int64(pair[at])
                away[ways] = 2 * np.int64(pair[on]) + (middle > far)
                before[ways] = last_of[far]
                earlier = last_of[far]
                last_of[far] = ways
                while earlier >= 0:
                    back = via[earlier]
                    if lent[first] or lent[middle] or lent[far] or lent[back]:
                        if count + 2 <= len(out):
                            out[count, 0], out[count, 1] = near[ways], away[ways]
                            out[count, 2], out[count, 3] = away[earlier] ^ 1, near[earlier] ^ 1
                            out[count + 1, 0], out[count + 1, 1] = near[earlier], away[earlier]
                            out[count + 1, 2], out[count + 1, 3] = away[ways] ^ 1, near[ways] ^ 1
                        count += 2
                        if count > limit:
                            return count
                    earlier = before[earlier]
                ways += 1
    return count
