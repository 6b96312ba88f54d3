/* store/outcome_ids.h - ids of business outcomes that were counted, as hashes, so that each counts once over restarts too.
 *
 * They go with the evidence that has the outcomes (store/deed.h, store/rollouts.h), in one transaction: a kill loses both or
 * neither. */
#ifndef STORE_OUTCOME_IDS_H
#define STORE_OUTCOME_IDS_H

#include <stdint.h>

#include "store/store.h"

#define OUTCOME_IDS_KEPT 32768 /* the newest; as many as the process itself is sure to know */

/* Hashes, oldest first. Borrowed by whom it is given to. */
struct outcome_ids {
    const uint64_t *hashes;
    size_t count;
};

/* Each of those kept, oldest first. */
bool outcome_ids_each(struct store *s, void (*each)(void *arg, uint64_t hash), void *arg) MUST_CHECK;

/* For store/ only, inside a transaction: behind those that are there, and forgets what is beyond the bound. */
bool outcome_ids_put(struct store *s, const struct outcome_ids *ids) MUST_CHECK;

#endif
