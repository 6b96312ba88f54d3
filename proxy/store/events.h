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
/* What is asked for; empty and 0: any. */
struct event_filter {
    int64_t before_id;
    struct wall_time since, until; /* at or after; at or before */
    struct slice kind;
    struct slice route, rollout; /* named by the detail, or the subject */
    bool is_told;                /* by somebody: weir's own kinds have a dot */
    size_t limit;
};

/* Newest first. */
bool events_find(struct store *s, struct arena *arena, const struct event_filter *filter, struct event_row **out,
                 size_t *count) MUST_CHECK;
/* Another detail for a stored one, by itself; of one that is forgotten by now, nothing. */
bool events_amend(struct store *s, int64_t id, struct slice detail) MUST_CHECK;
/* NULL in *out: there is none of that id. */
bool events_get(struct store *s, struct arena *arena, int64_t id, struct event_row **out) MUST_CHECK;
/* Oldest first, ids above `after_id`, at most `limit`. */
bool events_since(struct store *s, struct arena *arena, int64_t after_id, size_t limit, struct event_row **out,
                  size_t *count) MUST_CHECK;

/* For store/ only, inside a transaction: sets the id, and forgets those beyond the bound. */
bool event_put(struct store *s, struct event_row *e) MUST_CHECK;

#endif
