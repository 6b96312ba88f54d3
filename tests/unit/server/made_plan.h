/* tests/unit/server/made_plan.h - random plans of a rollout, as a configuration says them. */
#ifndef TESTS_SERVER_MADE_PLAN_H
#define TESTS_SERVER_MADE_PLAN_H

#include "base/hash.h"
#include "base/text.h"
#include "config/model_rollout.h"

#define MADE_STEPS_MOST 8
/* A freeze of those that have one: 2026-11-25T12:00:08Z to 12:00:35Z. */
#define MADE_FREEZE_BEGIN_MS INT64_C(1795608008000)
#define MADE_FREEZE_END_MS   INT64_C(1795608035000)

struct made_step {
    enum step_kind kind;
    uint32_t percent;
    int64_t hold_ms;
    uint64_t min_requests;
    uint32_t approve_count;
    bool is_starter_allowed;
};

struct made_plan {
    struct made_step steps[MADE_STEPS_MOST];
    uint32_t count;
    unsigned revision, beside_revision;
    char canary; /* c or d */
    bool is_frozen, is_by_itself, is_gone;
    bool is_windowed; /* open from 11:00 to 13:00, each day */
    bool is_sticky;   /* the route is, by a header */
    int64_t bake_ms;
};

/* Other steps for it, with bake, freeze, windows and way to start. */
void made_steps(struct made_plan *m, struct rng *rng);
/* The whole configuration, appended: a route "shop" of which s and the canary are the pair, and x has 40 %; and beside
   it a rollout "q" of another. */
void made_write(const struct made_plan *m, struct text *out);

#endif
