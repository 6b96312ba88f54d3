/* rollout/outcomes.h - business outcomes that are told afterwards, as evidence. Pure.
 *
 *   outcomes_add       what POST /api/v1/outcomes told of requests that were counted when they ended
 *   outcomes_settle    before each look of the judge: what is complete goes to the comparisons
 *
 *   invariants
 *   O1 an outcome is charged with the share that its request was assigned under
 *   O2 those of one moment are compared together, and when is no matter of who tells what (rollout/outcome_slots.h)
 *   O3 sticky: a user's first of a kind alone is compared, whether a header told it or a call; by cohorts, as
 *      evidence.h says
 *
 * Owner: the rollout's driver on the main thread. */
#ifndef ROLLOUT_OUTCOMES_H
#define ROLLOUT_OUTCOMES_H

#include "rollout/evidence.h"

struct evidence_outcome {
    enum tally_arm arm;
    uint32_t column;
    uint64_t count;      /* requests with it; of a user: 1 */
    struct mono_time at; /* when they were passed on; may be before the clock began */
    uint32_t share_ppm;  /* the canary's of the pair, then */
    uint32_t fresh_from_ppm;
    bool has_user; /* sticky: who had met the canary before has no name */
    uint64_t user;
};

/* Absolute rules count it at once. False: it will be in no comparison, since it is late, of an older cohort of users, not
   the user's first, or nothing compares it. */
bool outcomes_add(struct evidence *e, const struct evidence_outcome *o, struct mono_time now);
void outcomes_settle(struct evidence *e, struct mono_time now);

#endif
