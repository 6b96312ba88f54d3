/* tests/unit/server/witness.h - who keeps books of a random life, and holds the driver of rollouts to its invariants.
 *
 * What it knows comes from what went in, and from what workers, disk and courier saw come out. D1 .. D8: docs/design.md,
 * "What a rollout's driver keeps". */
#ifndef TESTS_SERVER_WITNESS_H
#define TESTS_SERVER_WITNESS_H

#include <criterion/criterion.h>

#include <setjmp.h>

#include "server/made_plan.h"
#include "server/world.h"

/* At one weight. */
struct witness_hold {
    uint32_t weight_ppm;
    int64_t watched_ms; /* in force everywhere, while it held */
    uint64_t requests;  /* of the canary that ended since the weight was ordered */
    bool is_promoted;   /* somebody has ended the hold */
};

struct witness {
    struct witness_hold hold, hold_before; /* of the newest publication, and of the weight before */
    enum rollout_state state;
    uint64_t unseen; /* requests of the canary that ended since the last look */
    bool is_passed[MADE_STEPS_MOST];
    unsigned approvals; /* bits: at the gate it waits at */
    char revision[REVISION_MAX_BYTES + 1];
    uint64_t pair_hash, steps_hash;
    bool is_sticky;
    uint32_t beside_ppm; /* the other rollout's weight, and state */
    enum rollout_state beside_state;
    uint64_t evidence[TALLY_ARM_COUNT], stored[TALLY_ARM_COUNT];
};

struct life {
    uint64_t seed;
    struct rng rng;
    struct world w;
    struct made_plan plan;
    struct witness seen;
    bool may_crash;
    jmp_buf crash;
    struct text state;
    uint64_t raises, raises_by_promote, raises_beside, backs, restarts, crashes, faults, resets,
        states[ROLLOUT_STATE_COUNT];
};

#define HOLDS(condition, what)                                                                                         \
    cr_assert(condition, "life %llu: %s (now %s at %u ppm, before %s at %u ppm)", (unsigned long long)l->seed, what,   \
              rollout_state_names[now_of(l)->state], now_of(l)->weight_ppm, rollout_state_names[l->seen.state],        \
              l->seen.hold.weight_ppm)

static inline bool chance(struct life *l, uint32_t percent)
{
    return rng_below(&l->rng, 100) < percent;
}

static inline const struct progress *now_of(struct life *l)
{
    static const struct progress none;
    const struct rollout *r = world_rollout(&l->w);
    return r != NULL ? &r->progress : &none;
}

/* Whether it may be killed anywhere: nothing is freed then, so that no leak is looked for in it. */
bool witness_is_frail(const struct life *l);

/* For world.on_publish and world.on_instant; both may end the process. */
void witness_on_publish(void *arg);
void witness_on_instant(void *arg);
/* After each thing that befell. */
void witness_check(struct life *l);
/* After a boot: it goes on as it was, or (killed within a thing) as was written down. */
void witness_expect_resumed(struct life *l, const struct progress *before, bool is_crash, bool was_well);
/* Takes over what is now. */
void witness_note(struct life *l);

#endif
