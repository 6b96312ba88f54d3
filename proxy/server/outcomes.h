/* server/outcomes.h - business outcomes that are told afterwards: POST /api/v1/outcomes, brought to the evidence.
 *
 * A call is checked whole before any of it is counted. What it may not do is make evidence of what is none: so outcomes name
 * the exposure that they came of (stats/mark.h), or a time at which there was one share only; a repeated id counts once;
 * and there are never more of an event than requests.
 *
 * In the audit log is one line a minute for each (who, rollout, reason), written before the first outcome of that minute
 * takes effect; the next one tells how many there were. Owner: the server. Thread: main. */
#ifndef SERVER_OUTCOMES_H
#define SERVER_OUTCOMES_H

#include "admin/control.h"
#include "base/clock.h"

struct rollouts;

#define OUTCOME_INTERVALS                                                                                              \
    16u /* of the audit log at once; with more the one that ends first is given up, and begins anew */
#define OUTCOME_INTERVAL_MS 60000
#define OUTCOME_FUTURE_MS   5000 /* by so much other clocks may be ahead */
#define OUTCOME_SETTLED_MS  1000 /* behind a new weight, and of other clocks: what was passed on in it is left out */

struct outcome_interval {
    uint64_t key; /* who, rollout, reason */
    struct mono_time until;
    uint64_t counted;
};

/* Who tells, and why. */
struct outcome_teller {
    struct slice who, role, reason;
};

struct outcome_desk {
    struct rollouts *rollouts; /* borrowed */
    struct outcome_interval intervals[OUTCOME_INTERVALS];
};

void outcome_desk_init(struct outcome_desk *d, struct rollouts *rollouts);
/* As admin/control.h says. */
bool outcome_desk_take(struct outcome_desk *d, const struct outcome_item *items, size_t count,
                       const struct outcome_teller *teller, struct outcome_summary *out,
                       struct outcome_failure *failure) MUST_CHECK;

#endif
