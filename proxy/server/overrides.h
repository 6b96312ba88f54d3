/* server/overrides.h - the weights set at run time: in memory as in the store, and as weights of a snapshot.
 *
 * Owner and thread: main. The store is the truth; when it fails, what was read last stays in force. */
#ifndef SERVER_OVERRIDES_H
#define SERVER_OVERRIDES_H

#include "base/text.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "store/overrides.h"

struct override_set {
    struct store *store; /* borrowed */
    struct arena arena;  /* of items */
    struct override *items;
    size_t count;
};

/* Reads what is stored; what cannot be read is logged, and the set is empty. */
void override_set_init(struct override_set *set, struct store *store);
void override_set_fini(struct override_set *set);

/* Stores an override, or its end (weights NULL). False with a sentence in `error`: nothing changed. */
bool override_set_put(struct override_set *set, const struct compiled_route *route, const uint32_t *weights,
                      struct slice by, struct slice reason, struct text *error) MUST_CHECK;

/* Ends those whose route is gone or got a rollout, or whose split the file changed: design.md, "Who owns the weights". Each is
   logged and in the audit log. */
void override_set_reconcile(struct override_set *set, const struct snapshot *snapshot);

/* Fills in the weights of a snapshot that has been reconciled. Everything goes to the arena. */
void override_set_apply(const struct override_set *set, const struct snapshot *snapshot, struct arena *arena,
                        struct weights *out);

/* What a split is in the file: the same for the same upstreams and weights in any order. 16 hex digits. Pure. */
void split_fingerprint(const struct route_config *route, char out[17]);

#endif
