/* route/shadows.h - which of a route's shadows a request meets, and why not the others.
 *
 * Pure, like the decision itself: what becomes of a copy is shadow/'s business. `weir explain` asks the same function
 * that the server does. */
#ifndef ROUTE_SHADOWS_H
#define ROUTE_SHADOWS_H

#include "base/hash.h"

#include "config/model.h"
#include "http/message.h"
#include "route/condition.h"

/* A shadow ready to run. */
struct compiled_shadow {
    const struct shadow_config *config;
    struct condition_program *when;  /* NULL: always */
    uint32_t method_mask;            /* bit per enum method; OTHER: compare names */
    uint32_t slot;                   /* in any array with a place for each shadow of all routes */
    struct compiled_shadow *control; /* a copy of those that are compared goes there, too; NULL: no control */
    uint32_t series;                 /* what its copies count in: set before the table is published (front/series.h) */
};

enum shadow_miss {
    SHADOW_MET, /* then the share decides */
    SHADOW_MISSES_METHOD,
    SHADOW_MISSES_CONDITION,
    SHADOW_MISSES_TUNNEL /* an upgrade or CONNECT: what follows is no message, and cannot be copied as one */
};

/* Compiled from its configuration, but for slot and series. */
struct condition_compiler;
void shadow_compile(struct arena *arena, struct condition_compiler *conditions, const struct shadow_config *config,
                    struct compiled_shadow *out);
/* Gives it, and its control, the slots from `first` on; the next that is free. */
uint32_t shadow_set_slots(struct compiled_shadow *shadow, uint32_t first);

enum shadow_miss shadow_meets(const struct compiled_shadow *shadow, const struct route_request *request);

#define SHADOW_VIA_COMMENT "(shadow)" /* behind our name in the Via of a copy */

/* Is the request a copy that a proxy made? Told by x-shadow, or by the comment in Via, which configuration cannot take
   away: a copy that meets another weir is not copied there again. */
bool shadow_is_copy(const struct message *m);

/* Draws without replacement from the smallest block in which the share is whole, as route/block.h does. All zero is a
   block that is used up. */
struct share {
    uint32_t left, hits_left;
};

bool share_draw(struct share *share, uint32_t share_ppm, struct rng *rng);

#endif
