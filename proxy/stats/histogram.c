/* stats/histogram.c - bounds, merging and quantiles of histograms. */
#include "stats/histogram.h"

#include "base/check.h"

uint64_t histogram_lower_bound_us(unsigned bucket)
{
    CHECK(bucket <= HISTOGRAM_BUCKET_COUNT);
    if (bucket == 0)
        return 0;
    if (bucket == HISTOGRAM_BUCKET_COUNT)
        return UINT64_MAX;
    unsigned octave = (bucket - 1) / 3, third = (bucket - 1) % 3;
    uint64_t begin = (uint64_t)1 << (octave + HISTOGRAM_FIRST_BITS);
    return begin + (begin * third + 2) / 3; /* rounded up: the first whole microsecond inside */
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->buckets[histogram_bucket(us)]++;
    h->sum_us += us;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        into->buckets[i] += from->buckets[i];
    into->sum_us += from->sum_us;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        count += h->buckets[i];
    return count;
}

/* The n values of a bucket are taken to lie in the middles of n equal parts of it. */
static uint64_t interpolate_us(unsigned bucket, uint64_t rank_in_bucket, uint64_t n)
{
    uint64_t low = histogram_lower_bound_us(bucket);
    if (bucket == HISTOGRAM_BUCKET_COUNT - 1)
        return low; /* it has no upper bound to interpolate towards */
    double width = (double)(histogram_lower_bound_us(bucket + 1) - low);
    return low + (uint64_t)(width * ((double)rank_in_bucket - 0.5) / (double)n);
}

uint64_t histogram_quantile_us(const struct histogram *h, double q)
{
    CHECK(q >= 0 && q <= 1);
    uint64_t count = histogram_count(h);
    if (count == 0)
        return 0;
    /* Rank r in [1, count]: the least with r / count >= q. */
    double exact_rank = q * (double)count;
    uint64_t rank = (uint64_t)exact_rank; /* from 1, the nearest rank not below */
    rank += (double)rank < exact_rank;
    if (rank == 0)
        rank = 1;
    if (rank > count) /* counts beyond 2^53 */
        rank = count;
    unsigned bucket = 0;
    while (rank > h->buckets[bucket])
        rank -= h->buckets[bucket++];
    return interpolate_us(bucket, rank, h->buckets[bucket]);
}
