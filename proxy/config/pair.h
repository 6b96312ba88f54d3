/* config/pair.h - the weights of a split whose pair a rollout shares out. Pure.
 *
 * A rollout moves weight between two entries, stable and canary; what both have together, and what all others have, stays
 * (design.md, "Who owns the weights"). Here because two ask: the load, whether every step can be had exactly, and the
 * weights in force (route/weights.h). */
#ifndef CONFIG_PAIR_H
#define CONFIG_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes to `out` the weights with which the canary has `share_ppm` of the pair, reduced by what they have in common.
   False when their sum would be more than SPLIT_SUM_MAX, which no block can hold; then *out_sum (or NULL) says what it
   would be, and `out` has the nearest weights that can be had: a share that is not 0 or all stays so. `weights` and
   `out` may be the same. The pair's weights are not both 0. */
bool pair_share(const uint32_t *weights, size_t count, size_t stable, size_t canary, uint32_t share_ppm, uint32_t *out,
                uint64_t *out_sum);

#endif
