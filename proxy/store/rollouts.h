/* store/rollouts.h - where each rollout stands, how it came there, and who approved what.
 *
 * The store keeps what rollout/ decides and looks into none of it: states are that folder's words, `detail` is its JSON. A row
 * goes in by a deed (store/deed.h), with the audit line and the transition that made it; progress alone, which changes
 * nothing that anybody decided, by rollouts_save_progress. */
#ifndef STORE_ROLLOUTS_H
#define STORE_ROLLOUTS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "store/outcome_ids.h"
#include "store/store.h"

#define TRANSITIONS_KEPT 20000 /* of all rollouts; older ones are forgotten, their audit lines stay */
#define ROLLOUTS_KEPT    1000  /* of those that no configuration has and that are over: the newest */

/* Where a rollout stands: what a restart goes on from. */
struct rollout_row {
    struct slice name, revision;
    struct slice state;                      /* a word of rollout/ */
    int64_t step;                            /* from 0; -1 before the first */
    uint32_t weight_ppm;                     /* the canary's share of the pair in force, 0..1,000,000 */
    int64_t hold_left_ms;                    /* what is left of the step's hold; 0: nothing */
    struct slice started_by;                 /* "" before the start */
    struct wall_time started_at, changed_at; /* 0: not started */
    struct slice detail;                     /* JSON: whatever else is needed to go on; "" for none */
};

struct transition_row {
    int64_t id, audit_id; /* given when it is written */
    struct slice rollout, revision;
    struct wall_time at, recorded_at; /* recorded_at is given when it is written */
    struct slice from_state, to_state;
    int64_t step;
    uint32_t weight_ppm; /* from then on */
    struct slice who, reason;
    struct slice detail; /* JSON; "" for none */
};

/* One person's word for one step of one revision: a second one of the same person replaces the first. */
struct approval_row {
    struct slice rollout, revision;
    int64_t step;
    struct slice who;
    struct wall_time at;
    struct slice reason;
};

/* A rollout with the approvals of its revision, oldest first. */
struct rollout_stored {
    struct rollout_row row;
    struct approval_row *approvals;
    size_t approval_count;
};

/* All that is worth reading of a rollout that may be nobody's: `detail` may have 100 KiB and more. */
struct rollout_brief {
    struct slice name, state;
};

/* All of them, in the arena, those that changed last first; behind them such as were never written. In both what waits to be
   written counts as written. */
bool rollouts_list(struct store *s, struct arena *arena, struct rollout_brief **out, size_t *count) MUST_CHECK;
/* One, in the arena; NULL: there is none. */
bool rollouts_load(struct store *s, struct arena *arena, struct slice name, struct rollout_stored **out) MUST_CHECK;
/* Replaces the row, which was saved by a deed before, without a word in the audit log: for hold_left_ms and detail, now and
   then. When it fails, or has nothing to replace, the next one tells more. */
bool rollouts_save_progress(struct store *s, const struct rollout_row *row,
                            const struct outcome_ids *outcomes) MUST_CHECK;
/* Forgets rollouts that the configuration has no more, with their approvals, all or none; their transitions stay. */
bool rollouts_forget(struct store *s, const struct rollout_brief *rows, size_t count) MUST_CHECK;
/* Of one rollout, newest first, at most `limit`. */
bool transitions_list(struct store *s, struct arena *arena, struct slice rollout, size_t limit,
                      struct transition_row **out, size_t *count) MUST_CHECK;

/* ---- for store/ only: inside a transaction ------------------------------------------------------------------------------ */

bool rollout_put(struct store *s, const struct rollout_row *row) MUST_CHECK;
bool transition_put(struct store *s, const struct transition_row *t, int64_t audit_id) MUST_CHECK;
bool approval_put(struct store *s, const struct approval_row *a) MUST_CHECK;

#endif
