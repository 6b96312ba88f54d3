/* route/block.c - draws from the smallest block in which every weight is whole, without replacement. */
#include "route/block.h"

#include <stddef.h>

#include "base/check.h"
#include "base/divisor.h"

size_t block_bytes(uint32_t entry_count)
{
    size_t used = offsetof(struct block, left) + entry_count * sizeof(uint16_t);
    return (used + _Alignof(struct block) - 1) & ~(_Alignof(struct block) - 1);
}

/* Divided by what they have in common: `ctl split` may have set 90/10, whose smallest block is of ten. */
static void block_fill(struct block *b, uint32_t entry_count, const uint32_t *weights, uint64_t weights_generation)
{
    uint32_t divisor = 0, total = 0;
    for (uint32_t i = 0; i < entry_count; i++)
        divisor = common_divisor(divisor, weights[i]);
    CHECK(divisor > 0);
    for (uint32_t i = 0; i < entry_count; i++) {
        b->left[i] = (uint16_t)(weights[i] / divisor);
        total += weights[i] / divisor;
    }
    CHECK(total <= UINT16_MAX);
    b->left_total = (uint16_t)total;
    b->weights_generation = weights_generation;
}

/* New weights drop the rest of the old block. That biases nothing: in a shuffled block each position has every entry
   with its share, so an early end is as fair as a whole block. */
uint32_t block_draw(struct block *b, uint32_t entry_count, const uint32_t *weights, uint64_t weights_generation,
                    struct rng *rng)
{
    if (b->left_total == 0 || b->weights_generation != weights_generation)
        block_fill(b, entry_count, weights, weights_generation);
    uint32_t ticket = rng_below(rng, b->left_total);
    uint32_t entry = 0;
    while (ticket >= b->left[entry])
        ticket -= b->left[entry++];
    b->left[entry]--;
    b->left_total--;
    return entry;
}
