/* server/outcome_memory.h - which ids of outcomes were told: each counts once, over restarts too.
 *
 *   POST /api/v1/outcomes --> outcome_memory_add ---> known, and pending of its rollout
 *   evidence is stored -----> what is pending goes with it, in one transaction --> outcome_pending_stored
 *   restart ----------------> outcome_memory_init --> known again
 *
 * So a kill forgets an id exactly when it forgets its outcome: told again it counts then, once. Only where the store could not
 * be written for so long that more than RECENT_COUNT ids wait, or evidence waits in the journal alone, does a kill part them.
 *
 * Owner: the rollouts. Thread: main. */
#ifndef SERVER_OUTCOME_MEMORY_H
#define SERVER_OUTCOME_MEMORY_H

#include "stats/recent.h"
#include "store/outcome_ids.h"

/* Those of one rollout that are not stored yet. All zero is an empty one. */
struct outcome_pending {
    uint64_t *hashes; /* owned, oldest first; NULL before the first */
    uint32_t count;   /* RECENT_COUNT at most: then the older half is given up */
};

/* Into *known, which is all zero. What the store cannot tell is logged, and not known. */
void outcome_memory_init(struct recent *known, struct store *store);
void outcome_memory_add(struct recent *known, struct outcome_pending *pending, uint64_t hash);

/* To be stored with the rollout's evidence; valid until the next call. */
struct outcome_ids outcome_pending_ids(const struct outcome_pending *p);
/* They were. */
void outcome_pending_stored(struct outcome_pending *p);
void outcome_pending_fini(struct outcome_pending *p);

#endif
