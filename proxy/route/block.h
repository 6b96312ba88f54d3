/* route/block.h - unsticky splits: draws without replacement, exact at each block's end, random inside.
 *
 * Independent draws at 5 % leave 20 requests without a canary one time in three; a fixed order of 19 and 1 can line up
 * with a client that comes in step. A shuffled block does neither: its share is exact at its end, and its order follows
 * no pattern.
 *
 * Owner and thread: the worker's; one for each route that draws. Shares are exact per worker, and so in all. */
#ifndef ROUTE_BLOCK_H
#define ROUTE_BLOCK_H

#include <stdint.h>

#include "base/hash.h"
#include "config/model.h"

/* What is left of the current block of one split, on one worker. Drawing entry i with probability left[i] /
   left_total and taking it out is the same as walking a shuffled block, without storing the order. All zero is a block
   that is used up. Small numbers, since a block has at most 10,000 draws: with two entries it is 16 bytes, and four
   stand in a cache line. */
struct block {
    uint64_t weights_generation; /* of the weights it was filled from; another one refills it */
    uint16_t left_total;
    uint16_t left[]; /* per split entry */
};

/* A multiple of 8, so that blocks may stand one behind the other. */
size_t block_bytes(uint32_t entry_count);
/* The index of the entry drawn. weights: entry_count of them, sum > 0; divided by what they have in common at most
   UINT16_MAX. */
uint32_t block_draw(struct block *b, uint32_t entry_count, const uint32_t *weights, uint64_t weights_generation,
                    struct rng *rng);

#endif
