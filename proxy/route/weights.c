/* route/weights.c - the weights that a rollout makes of its route's split. */
#include "route/weights.h"

#include "config/pair.h"

void weights_override_share(struct weights_override *out, struct arena *arena, const struct compiled_route *route,
                            uint32_t stable, uint32_t canary, uint32_t canary_ppm, bool is_withdrawn)
{
    size_t count = route->config->split_count;
    uint32_t *weights = arena_zalloc_array(arena, count, sizeof *weights);
    (void)pair_share(route->file_weights, count, stable, canary, canary_ppm, weights, NULL);
    *out = (struct weights_override){ .weights = weights,
                                      .pair = { stable, canary, canary_ppm },
                                      .is_withdrawn = is_withdrawn };
}
