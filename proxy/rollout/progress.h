/* rollout/progress.h - where a rollout stands: all that a restart needs to go on from. Pure.
 *
 * Plain values without pointers, so that a copy is a whole. Written by rollout/plan.c alone. Owner: the driver on the main
 * thread. Most members are columns of the store's row (store/rollouts.h); the rest goes into its `detail`. */
#ifndef ROLLOUT_PROGRESS_H
#define ROLLOUT_PROGRESS_H

#include "base/clock.h"
#include "base/text.h"
#include "config/formats.h"
#include "config/model_rollout.h"

/*                     start                 hold over, judged, calendar open
 *          PENDING ----------> RUNNING <------------------------------ HOLDING
 *             ^                 |  |  \------------------------------->   |
 *             |        next is  |  | next is a webhook   next is a weight |
 *             |        approve  v  v                                      | no step is left
 *             |   AWAITING_APPROVAL, AWAITING_WEBHOOK                     v
 *             |                                                 BAKING --------> SUCCEEDED
 *             |   each of RUNNING .. BAKING <---> PAUSED                             |
 *             |   each of these, at any time ----> ROLLING_BACK <--------------------/  (a person's only)
 *             |                                        |  weight 0 in force everywhere
 *             |   a new revision                       v
 *             \---------------------------- ROLLED_BACK, FAILED, SUCCEEDED, and any other */
enum rollout_state {
    ROLLOUT_PENDING,           /* not started; weight 0 */
    ROLLOUT_RUNNING,           /* between steps: the next waits for its calendar, or a verdict */
    ROLLOUT_HOLDING,           /* at a step's weight, until its hold is over and nothing speaks against the next */
    ROLLOUT_AWAITING_APPROVAL, /* at the weight of the step before */
    ROLLOUT_AWAITING_WEBHOOK,  /* likewise */
    ROLLOUT_PAUSED,            /* as it was, until somebody resumes it */
    ROLLOUT_BAKING,            /* all steps done, guardrails still on */
    ROLLOUT_SUCCEEDED,         /* the canary has all of the pair */
    ROLLOUT_ROLLING_BACK,      /* weight 0 is ordered, and not yet in force everywhere */
    ROLLOUT_ROLLED_BACK,       /* weight 0: a guardrail or somebody took it back */
    ROLLOUT_FAILED,            /* weight 0: somebody aborted it, or a gate said no */
    ROLLOUT_STATE_COUNT
};

extern const char *const rollout_state_names[ROLLOUT_STATE_COUNT];
/* False when it is no state's name. */
bool rollout_state_read(struct slice name, enum rollout_state *out);
/* ROLLED_BACK and FAILED: nothing but a new revision goes on from here. */
bool rollout_state_is_over(enum rollout_state state);
/* Steps are under way, or held: RUNNING to BAKING. */
bool rollout_state_is_active(enum rollout_state state);

#define PERSON_BYTES 72u /* a name and its NUL: "unix:" and 64 characters are the longest */

struct progress {
    enum rollout_state state;
    enum rollout_state paused_from; /* PAUSED */
    bool is_failure;                /* ROLLING_BACK: ends as FAILED */
    int32_t step;                   /* the weight that is held, or the last gate reached; -1 before the first */
    uint32_t weight_ppm;            /* the canary's share of the pair that is ordered */
    int64_t hold_ms, left_ms;       /* of the hold, of the bake, or of the webhook's time: whole, and what is left */
    uint64_t step_requests;         /* of the canary, since the step's weight was in force */
    char revision[REVISION_MAX_BYTES + 1];
    char started_by[PERSON_BYTES];
    struct wall_time started_at;
    uint64_t pair_hash, steps_hash; /* of the configuration that this was made under */
    uint32_t accepted;              /* bits of guardrails whose breach somebody resumed over, while it lasts */
    uint32_t approval_count;        /* at this gate */
    char approvals[APPROVALS_MAX][PERSON_BYTES];

    /* Not stored: known anew after a restart. */
    bool is_in_force;                       /* every worker uses weight_ppm */
    bool is_judged;                         /* judged_at is set, and that verdict held nothing back */
    bool is_proven;                         /* the newest verdict proved that the canary is not worse */
    bool is_store_down;                     /* the store failed last: nothing but a way back */
    uint32_t alarms;                        /* bits of guardrails that called for a pause in the newest verdict */
    struct mono_time judged_at, counted_at; /* of the newest verdict; up to when left_ms is counted down */
    int64_t ask_in_ms;                      /* AWAITING_WEBHOOK: until it is asked again; 0: now */
    uint32_t ask_failures;                  /* of this webhook, since it answered last */
    int64_t unsaved_ms;                     /* counted down since the last save */
};

/* Before anything is stored: pending, under this configuration. */
void progress_init(struct progress *p, const struct rollout_config *config);

/* What the configuration is made of, as far as a rollout under way has to notice when it changes. */
uint64_t progress_pair_hash(const struct rollout_config *config);
uint64_t progress_steps_hash(const struct rollout_config *config);
/* Whether it was made under this configuration: revision, pair and steps. */
bool progress_fits(const struct progress *p, const struct rollout_config *config);

/* Members that have no column of their own, as one JSON object of numbers; and back. False when it is not one of these: a
   rollout that cannot be read is not gone on with. */
void progress_write_detail(const struct progress *p, struct text *out);
bool progress_read_detail(struct slice detail, struct progress *p);

/* Copies a name; false when it is longer than a name may be. */
bool person_copy(char out[PERSON_BYTES], struct slice name);

#endif
