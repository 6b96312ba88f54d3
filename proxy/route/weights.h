/* route/weights.h - the weights in force: the second small immutable object, published beside the snapshot.
 *
 * Not part of the snapshot, so that setting a weight compiles nothing and a reload carries it over. Owner: the main
 * thread (server/publisher.h); a worker reads it through its binding, from one turn's border to another's. */
#ifndef ROUTE_WEIGHTS_H
#define ROUTE_WEIGHTS_H

#include <stdint.h>

#include "route/sticky.h"
#include "route/table.h"

struct drill_order;
struct tally_sheet;

/* The weights of one route that differ from its file. */
struct weights_override {
    const uint32_t *weights;   /* per split entry, or NULL: the file's */
    struct sticky_pair pair;   /* of a rollout, else none; looked at only beside weights */
    bool is_withdrawn;         /* the rollout was rolled back: rules and scripts that name the canary lead to stable */
    struct tally_sheet *sheet; /* stats/sheet.h: of a rollout; NULL: nobody judges this split */
};

/* Belongs to one route table: overrides is indexed like table->routes. Immutable once published. */
struct weights {
    uint64_t generation; /* grows with each publication and is never reused */
    uint32_t route_count;
    struct weights_override *overrides; /* NULL: none anywhere */
    const struct drill_order *drill;    /* stats/drill.h: of the drills under way; NULL: there is none */
};

/* The weights in force for a route, per split entry. */
static inline const uint32_t *weights_of(const struct weights *w, const struct compiled_route *route)
{
    if (w != NULL && w->overrides != NULL && w->overrides[route->index].weights != NULL)
        return w->overrides[route->index].weights;
    return route->file_weights;
}

/* The pair whose shares a rollout moves, or NULL. Its members' weights add up to the pair's, however they are shared
   out. */
static inline const struct sticky_pair *weights_pair_of(const struct weights *w, const struct compiled_route *route)
{
    if (w == NULL || w->overrides == NULL || w->overrides[route->index].weights == NULL)
        return NULL;
    const struct sticky_pair *pair = &w->overrides[route->index].pair;
    return pair->stable == UINT32_MAX ? NULL : pair;
}

/* The pair whose canary was rolled back, or NULL. */
static inline const struct sticky_pair *weights_withdrawn_of(const struct weights *w,
                                                             const struct compiled_route *route)
{
    const struct sticky_pair *pair = weights_pair_of(w, route);
    return pair != NULL && w->overrides[route->index].is_withdrawn ? pair : NULL;
}

/* What a rollout makes of its route: the canary (an entry of the split, as stable is) has canary_ppm of what both have in
   the file; all others keep theirs. Weights go to the arena. A load has made sure that each step can be had exactly
   (config/pair.h); where the split was changed since, the nearest weights are taken, and never nothing for something. */
void weights_override_share(struct weights_override *out, struct arena *arena, const struct compiled_route *route,
                            uint32_t stable, uint32_t canary, uint32_t canary_ppm, bool is_withdrawn);

/* What the requests that this split assigns are counted in, or NULL. */
static inline struct tally_sheet *weights_sheet_of(const struct weights *w, const struct compiled_route *route)
{
    return w != NULL && w->overrides != NULL && route != NULL ? w->overrides[route->index].sheet : NULL;
}

#endif
