/* stats/histogram.h - durations in log-linear buckets: three to an octave from 64 us to 67 s. Pure.
 *
 * Bucket 0 holds what is shorter than 64 us, the last what takes 2^26 us (67 s) or longer, and bucket 1 + 3o + k, for
 * o in [0, 20) and k in [0, 3), holds [2^o (1 + k/3), 2^o (1 + (k+1)/3)) times 64 us. A bucket is at most a third of
 * its lower bound wide, so an estimate from inside the right bucket is less than a third off, and by less than a sixth
 * when values are spread evenly in it. */
#ifndef STATS_HISTOGRAM_H
#define STATS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_FIRST_BITS   6u /* log2 of the lowest bound in us */
#define HISTOGRAM_OCTAVE_COUNT 20u
#define HISTOGRAM_BUCKET_COUNT (HISTOGRAM_OCTAVE_COUNT * 3 + 2)

/* A sum of workers' cells, or a test's. The total is the sum of the buckets: a count of its own could disagree with
   them. */
struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
    uint64_t sum_us;
};

/* The bucket of a duration: no division, no table, no loop. */
static inline unsigned histogram_bucket(uint64_t us)
{
    if (us >> HISTOGRAM_FIRST_BITS == 0)
        return 0;
    unsigned bits = 63u - (unsigned)__builtin_clzll(us);
    unsigned octave = bits - HISTOGRAM_FIRST_BITS;
    if (octave >= HISTOGRAM_OCTAVE_COUNT)
        return HISTOGRAM_BUCKET_COUNT - 1;
    uint64_t in_octave = us - ((uint64_t)1 << bits);
    return 1 + octave * 3 + (unsigned)(in_octave * 3 >> bits);
}

/* Lower bound in us, inclusive; of HISTOGRAM_BUCKET_COUNT: UINT64_MAX. Each bucket ends where the next begins. */
uint64_t histogram_lower_bound_us(unsigned bucket);

/* For one owner; workers count in cells of their own (stats/counters.h). */
void histogram_add(struct histogram *h, uint64_t us);
void histogram_merge(struct histogram *into, const struct histogram *from);
uint64_t histogram_count(const struct histogram *h);
/* The value below which a share q in [0, 1] lies, interpolated inside its bucket; 0 when the histogram is empty; the
   bound of the last bucket when it lies there. */
uint64_t histogram_quantile_us(const struct histogram *h, double q);

#endif
