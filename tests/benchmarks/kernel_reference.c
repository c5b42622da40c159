/* The search's algorithm in C: what the same work costs without an interpreter or a run-time compiler. */
#include <stddef.h>
#include <stdint.h>

/* Full re-evaluation: the best rate of every directed pair (edges of pair p are edges[offsets[p]]
 * to edges[offsets[p+1]-1]), then every 2- and 3-hop ring; returns how many pass their bounds. */
size_t full(const double *rates, const uint32_t *edges, const uint32_t *offsets, size_t pairs,
            const uint32_t *rings, size_t threes, const double *bound, double *best,
            uint32_t *found) {
    size_t passing = 0;
    for (size_t p = 0; p < 2 * pairs; p++) {
        double top = 0.0;
        for (uint32_t i = offsets[p]; i < offsets[p + 1]; i++)
            if (rates[edges[i]] > top) top = rates[edges[i]];
        best[p] = top;
    }
    for (size_t p = 0; p < pairs; p++)
        if (best[2 * p] * best[2 * p + 1] > bound[p]) found[passing++] = (uint32_t)p;
    for (size_t t = 0; t < threes; t++)
        if (best[rings[3 * t]] * best[rings[3 * t + 1]] * best[rings[3 * t + 2]] > bound[pairs + t])
            found[passing++] = (uint32_t)(pairs + t);
    return passing;
}

/* One pool changed: refresh its pair, then the ring through it that is furthest over its bound. */
double touched(const double *rates, const uint32_t *edges, const uint32_t *offsets, size_t pairs,
               uint32_t pair, const uint32_t *rings, const uint32_t *through_offsets,
               const uint32_t *through, const double *bound, double *best, uint32_t *at) {
    for (uint32_t p = 2 * pair; p < 2 * pair + 2; p++) {
        double top = 0.0;
        for (uint32_t i = offsets[p]; i < offsets[p + 1]; i++)
            if (rates[edges[i]] > top) top = rates[edges[i]];
        best[p] = top;
    }
    double margin = best[2 * pair] * best[2 * pair + 1] - bound[pair];
    *at = pair;
    for (uint32_t i = through_offsets[pair]; i < through_offsets[pair + 1]; i++) {
        uint32_t r = through[i];
        const uint32_t *hops = rings + 3 * (r - pairs);
        double over = best[hops[0]] * best[hops[1]] * best[hops[2]] - bound[r];
        if (over > margin) { margin = over; *at = r; }
    }
    return margin;
}

/* The cost of a call from Python alone. */
double nothing(const double *rates, const uint32_t *edges, const uint32_t *offsets, size_t pairs,
               uint32_t pair, const uint32_t *rings, const uint32_t *through_offsets,
               const uint32_t *through, const double *bound, double *best, uint32_t *at) {
    (void)edges, (void)offsets, (void)pairs, (void)pair, (void)rings, (void)through_offsets;
    (void)through, (void)bound, (void)best, (void)at;
    return rates[0];
}
