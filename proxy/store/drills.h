/* store/drills.h - each drill: who asked for it, and what it found.
 *
 * A drill is written as running, with the audit line that it was asked for, before anything is done; and again, whole, when it
 * has ended. One that still runs when a process begins was interrupted with the one before. */
#ifndef STORE_DRILLS_H
#define STORE_DRILLS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/store.h"

#define DRILLS_KEPT 1000 /* older ones are forgotten; their audit lines stay */

struct drill_row {
    struct slice id; /* its writer's choice, for good: "checkout-v2-1732561200000" */
    struct slice rollout, revision;
    struct slice who, reason;
    struct slice state;                  /* "running", "passed", "failed", "aborted", "interrupted" */
    struct wall_time begun_at, ended_at; /* ended_at 0: it runs */
    struct slice detail;                 /* a JSON object: what was asked for and found */
};

/* Which of them; "": whatever. */
struct drill_filter {
    struct slice rollout, state;
    struct slice before; /* the id of one: only older ones */
};

/* Newest first, at most `limit`. */
bool drills_list(struct store *s, struct arena *arena, const struct drill_filter *filter, size_t limit,
                 struct drill_row **out, size_t *count) MUST_CHECK;
/* Those that run, by what is written. */
bool drills_running(struct store *s, struct arena *arena, size_t limit, struct drill_row **out,
                    size_t *count) MUST_CHECK;

/* For store/ only, inside a transaction: replaces the one with that id, and forgets those beyond the bound. */
bool drill_put(struct store *s, const struct drill_row *d) MUST_CHECK;

#endif
