/* route/block.c - draws from the smallest block in which every weight is whole, without replacement. */
#include "route/block.h"

#include <string.h>

#include "base/check.h"

size_t block_bytes(uint32_t entry_count)
{
    return sizeof(struct block) + entry_count * sizeof(uint32_t);
}

void block_init(struct block *b, uint32_t entry_count)
{
    memset(b, 0, block_bytes(entry_count));
    b->entry_count = entry_count;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Divided by what they have in common: `ctl split` may have set 90/10, whose smallest block is of ten. */
static void block_fill(struct block *b, const uint32_t *weights, uint64_t weights_generation)
{
    uint32_t divisor = 0;
    for (uint32_t i = 0; i < b->entry_count; i++)
        divisor = common_divisor(divisor, weights[i]);
    CHECK(divisor > 0);
    b->left_total = 0;
    for (uint32_t i = 0; i < b->entry_count; i++) {
        b->left[i] = weights[i] / divisor;
        b->left_total += b->left[i];
    }
    b->weights_generation = weights_generation;
}

/* New weights drop the rest of the old block. That biases nothing: in a shuffled block each position has every entry
   with its share, so an early end is as fair as a whole block. */
uint32_t block_draw(struct block *b, const uint32_t *weights, uint64_t weights_generation, struct rng *rng)
{
    if (b->left_total == 0 || b->weights_generation != weights_generation)
        block_fill(b, weights, weights_generation);
    uint32_t ticket = rng_below(rng, b->left_total);
    uint32_t entry = 0;
    while (ticket >= b->left[entry])
        ticket -= b->left[entry++];
    b->left[entry]--;
    b->left_total--;
    return entry;
}
