/* store/events.h - what happened and may explain a change in the metrics: deployments that somebody told, configurations that
 * came into force, weights that were set. Not the audit log: whoever forgets an event forgets no proof. */
#ifndef STORE_EVENTS_H
#define STORE_EVENTS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

#define EVENTS_KEPT 10000 /* older ones are forgotten */

struct event_row {
    int64_t id; /* given when it is written, growing; 0: not written */
    struct wall_time at;
    struct slice kind;    /* "deploy", "config.applied", ... */
    struct slice subject; /* an upstream, a route, a rollout; "" for none */
    struct slice text;    /* one line for people */
    struct slice who;
    struct slice detail; /* a JSON object; "" for none */
};

/* Stores one by itself, and sets its id. One that stands in the audit log goes in by a deed (store/deed.h). */
bool events_append(struct store *s, struct event_row *e) MUST_CHECK;
/* Newest first, ids below `before_id` (0: all), at most `limit`. */
bool events_list(struct store *s, struct arena *arena, int64_t before_id, size_t limit, struct event_row **out,
                 size_t *count) MUST_CHECK;
/* Oldest first, ids above `after_id`, at most `limit`. */
bool events_since(struct store *s, struct arena *arena, int64_t after_id, size_t limit, struct event_row **out,
                  size_t *count) MUST_CHECK;

/* For store/ only, inside a transaction: sets the id, and forgets those beyond the bound. */
bool event_put(struct store *s, struct event_row *e) MUST_CHECK;

#endif
