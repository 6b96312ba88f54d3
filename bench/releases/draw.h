/* bench/releases/draw.h - random numbers of simulated traffic: uniform, binomial, log-normal. Also for unit tests.
 *
 * All from one struct rng, so that a seed says everything. */
#ifndef RELEASES_DRAW_H
#define RELEASES_DRAW_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"

/* In [0, 1). */
static inline double draw_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

static inline bool draw_chance(struct rng *rng, double p)
{
    return draw_unit(rng) < p;
}

/* By inversion: the probabilities of 0, 1, 2, ... are summed until they pass a uniform number. n at most 500, so that
   the first of them is no denormal. */
static inline uint32_t draw_binomial_small(struct rng *rng, uint32_t n, double p)
{
    double u = draw_unit(rng), odds = p / (1 - p), chance = exp(n * log1p(-p));
    uint32_t k = 0;
    while (u >= chance && k < n) {
        u -= chance;
        k++;
        chance *= odds * (n - k + 1) / k;
    }
    return k;
}

/* How many of n happen that each have the probability p. */
static inline uint32_t draw_binomial(struct rng *rng, uint32_t n, double p)
{
    if (p <= 0 || n == 0)
        return 0;
    if (p >= 1)
        return n;
    if (p > 0.5)
        return n - draw_binomial(rng, n, 1 - p);
    uint32_t k = 0;
    for (; n > 500; n -= 500)
        k += draw_binomial_small(rng, 500, p);
    return k + draw_binomial_small(rng, n, p);
}

/* Standard normal, by Box and Muller (1958); the second of the pair is not kept. */
static inline double draw_normal(struct rng *rng)
{
    double u = 1 - draw_unit(rng), v = draw_unit(rng);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

#endif
