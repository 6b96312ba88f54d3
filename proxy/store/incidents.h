/* store/incidents.h - each breach of a guardrail: what was seen, what was done, who was told, and how long it took.
 *
 * An incident is written when it begins and again, whole, whenever there is more to tell (who was told, exposure at zero). */
#ifndef STORE_INCIDENTS_H
#define STORE_INCIDENTS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

#define INCIDENTS_KEPT 1000 /* older ones are forgotten; their audit lines stay */

struct incident {
    struct slice id; /* its writer's choice, for good: "checkout-v2-1732561200000" */
    struct slice rollout, revision;
    struct slice guardrail, cause; /* which one, and a sentence */
    struct wall_time detected_at;
    int64_t detect_ms;                     /* from the first bad request to the verdict; -1: unknown */
    int64_t zero_exposure_ms;              /* from the verdict until no worker used the old weights; -1: not yet */
    struct slice evidence, timeline, told; /* JSON: an object, and two arrays; "" for none */
};

/* Newest first, detected before `before` (0: all), at most `limit`. */
bool incidents_list(struct store *s, struct arena *arena, struct wall_time before, size_t limit, struct incident **out,
                    size_t *count) MUST_CHECK;

/* NULL in *out: there is none of that id. */
bool incidents_find(struct store *s, struct arena *arena, struct slice id, struct incident **out) MUST_CHECK;

/* The one of that rollout that was written last, or waits to be; NULL in *out: there is none. */
bool incidents_newest(struct store *s, struct arena *arena, struct slice rollout, struct incident **out) MUST_CHECK;

/* For store/ only, inside a transaction: replaces the one with that id, and forgets those beyond the bound. */
bool incident_put(struct store *s, const struct incident *i) MUST_CHECK;

#endif
