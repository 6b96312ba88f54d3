/* config/pair.c - shares out a pair in whole numbers. */
#include "config/pair.h"

#include "base/check.h"
#include "config/model.h"

#define WHOLE_PPM UINT64_C(1000000)

static uint64_t divisor_of(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Scaled so that the pair can be cut where the share says: by what makes `share / 1,000,000 * pair` whole. Sums stay far
   below 2^64: weights of a split add up to at most SPLIT_SUM_MAX. */
static uint64_t entry_of(const uint32_t *weights, size_t i, size_t stable, size_t canary, uint32_t share_ppm)
{
    uint64_t pair = (uint64_t)weights[stable] + weights[canary];
    if (i == canary)
        return pair * share_ppm;
    return i == stable ? pair * (WHOLE_PPM - share_ppm) : weights[i] * WHOLE_PPM;
}

/* To the nearest of SPLIT_SUM_MAX parts; what had a share keeps at least one part, at the cost of the largest. */
static void round_down(uint64_t *exact, size_t count, uint64_t sum, uint32_t *out)
{
    size_t largest = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t part = (exact[i] * SPLIT_SUM_MAX + sum / 2) / sum;
        out[i] = (uint32_t)(part == 0 && exact[i] > 0 ? 1 : part);
        total += out[i];
        largest = exact[i] > exact[largest] ? i : largest;
    }
    if (total > SPLIT_SUM_MAX)
        out[largest] -= (uint32_t)(total - SPLIT_SUM_MAX);
}

bool pair_share(const uint32_t *weights, size_t count, size_t stable, size_t canary, uint32_t share_ppm, uint32_t *out,
                uint64_t *out_sum)
{
    uint64_t exact[SPLIT_MAX_ENTRIES], divisor = 0, sum = 0;
    CHECK(count <= SPLIT_MAX_ENTRIES && stable < count && canary < count && stable != canary);
    CHECK(share_ppm <= WHOLE_PPM && (weights[stable] > 0 || weights[canary] > 0));
    for (size_t i = 0; i < count; i++) {
        exact[i] = entry_of(weights, i, stable, canary, share_ppm);
        divisor = divisor_of(exact[i], divisor);
    }
    for (size_t i = 0; i < count; i++)
        sum += exact[i] /= divisor;
    if (out_sum != NULL)
        *out_sum = sum;
    if (sum > SPLIT_SUM_MAX) {
        round_down(exact, count, sum, out);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)exact[i];
    return true;
}
