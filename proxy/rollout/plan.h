/* rollout/plan.h - what a rollout does next: one event in, its new progress and a list of actions out. Pure.
 *
 * No clock, no store, no network: time comes with each event, and what is to be done is told to the driver
 * (server/rollout_events.c), which carries the actions out in their order. Thread: main.
 *
 * How the driver uses it. It sends a tick about once a second and a verdict after each look of the judge. For each event it
 * calls plan_next on a copy of the progress and carries out the actions:
 *   RECORD   audit line, transition and row in one transaction. If that fails and the action `must_hold`, the rest is
 *            dropped, the old progress stays, and the driver sends PLAN_STORE_FAILED; nothing has happened. Else it is a
 *            way back: the driver goes on, and records it as soon as the store works again.
 *   WEIGHT   publishes the pair's shares (route/weights.h), and sends PLAN_WEIGHT_IN_FORCE when every worker uses them.
 *   NOTIFY   tells those under `notify`.  WEBHOOK  asks the step's URL, and sends PLAN_WEBHOOK_ANSWER, unless a transition
 *            came first: the answer is to a question of before then.
 * With `should_save` it stores progress and evidence, without an audit line. After a reload, and after a restart with the
 * stored progress, it publishes progress->weight_ppm and sends a tick: a configuration that is not the one the progress was
 * made under is noticed by any event.
 *
 * Invariants (docs/rollouts.md says them to people; tests/unit/rollout/test_plan_properties.c holds them):
 *   P1 the weight rises only with PLAN_RECORD in front of it, from one weight of the plan to the next, when all gates
 *      between were passed, the hold at the weight before is over by the monotonic clock while somebody watched, and a
 *      fresh verdict held nothing back; or by PLAN_PROMOTE, which is a person's word instead of the hold and the verdict
 *   P2 no calendar that is closed and no store that fails lets a weight rise
 *   P3 a rollback is carried out from every state, whatever else holds, and its weight of 0 is the first action
 *   P4 every change of state or weight has its RECORD in the same list, which has one at most: a configuration that has
 *      changed is a transition of its own, and what else the event was about comes with the next
 *   P5 the weight is 0 or one of the plan's; PENDING, ROLLING_BACK, ROLLED_BACK and FAILED have 0, SUCCEEDED has all
 *   P6 ROLLED_BACK and FAILED end only by a new revision or pair, SUCCEEDED also by a person's rollback
 *   P7 nothing but a resume, a way back or a new revision leaves PAUSED, and the weight stays meanwhile
 *   P8 approvals are by different people, none of them who started it unless the step allows it */
#ifndef ROLLOUT_PLAN_H
#define ROLLOUT_PLAN_H

#include "rollout/progress.h"

/* Hold time counts only where events come at least this often: a stopped process watched nothing. */
#define PLAN_WATCH_GAP_MS 10000
/* A verdict older than this is none. */
#define PLAN_VERDICT_AGE_MS 10000
#define PLAN_SAVE_EVERY_MS  5000
#define PLAN_ASK_EVERY_MS   10000  /* a webhook that has not said yes; from question to question */
#define PLAN_ASK_MOST_MS    120000 /* one that fails: the longest pause behind an answer */

enum plan_event_kind {
    PLAN_TICK,
    PLAN_VERDICT,
    PLAN_WEIGHT_IN_FORCE, /* weight_ppm is used by every worker; what follows from it comes with the next tick */
    PLAN_WEBHOOK_ANSWER,  /* is_passed, or is_failed, or neither: not yet */
    PLAN_START,           /* these seven: a person, `who` */
    PLAN_APPROVE,
    PLAN_PROMOTE, /* ends the hold or the bake now */
    PLAN_PAUSE,
    PLAN_RESUME,
    PLAN_ROLLBACK,
    PLAN_ABORT,        /* a rollback that ends as FAILED */
    PLAN_STORE_FAILED, /* a record or save could not be stored */
    PLAN_STORE_WORKS,
    PLAN_EVENT_COUNT
};

/* What the judge said of all guardrails, as bits by their place in the configuration. */
struct plan_verdict {
    uint32_t breached, unknown;
    uint32_t held;            /* too little to say anything, or void: nothing goes on */
    bool is_not_worse;        /* proven by every comparison */
    uint64_t canary_requests; /* since the verdict before */
};

struct plan_event {
    enum plan_event_kind kind;
    struct mono_time mono;
    struct wall_time wall;
    struct slice who;     /* borrowed until the actions are carried out */
    bool is_stable_short; /* stable could not take all of the pair's requests now; looked at on the way back */
    bool is_asking;       /* a question to the step's webhook is under way: there is no other meanwhile */
    bool is_passed;       /* the webhook said yes */
    bool is_failed;       /* it did not say anything: no answer, or one about its own trouble */
    uint64_t draw;        /* at random: how much of a pause is waited, so that many who wait do not come back at once */
    uint32_t weight_ppm;
    struct plan_verdict verdict;
};

/* Why something happened. */
enum plan_cause {
    CAUSE_STARTED, /* by `who`; "weir" by itself */
    CAUSE_HOLD_OVER,
    CAUSE_APPROVED, /* one more approval; with a change of state: enough of them */
    CAUSE_WEBHOOK_PASSED,
    CAUSE_OPENED, /* what a step waited for between two others has come: calendar or verdict */
    CAUSE_PROMOTED,
    CAUSE_BAKED,
    CAUSE_PAUSED, /* by a person */
    CAUSE_RESUMED,
    CAUSE_BREACH,   /* guardrail */
    CAUSE_UNKNOWN,  /* guardrail: no answer */
    CAUSE_ROLLBACK, /* by a person */
    CAUSE_ABORT,
    CAUSE_WEBHOOK_FAILED, /* its time is over */
    CAUSE_IN_FORCE,       /* weight 0 reached every worker */
    CAUSE_NEW_REVISION,
    CAUSE_NEW_PAIR,
    CAUSE_NEW_STEPS,
    CAUSE_REMOVED,  /* the configuration has it no more: written down by the driver, outside of the plan */
    CAUSE_MISMATCH, /* of no transition: the split does not have its share. The driver's alone, for who is told */
    PLAN_CAUSE_COUNT
};

extern const char *const plan_cause_names[PLAN_CAUSE_COUNT];
/* The same as people read it: "the hold is over". */
extern const char *const plan_cause_words[PLAN_CAUSE_COUNT];
/* Of a name, as it is stored and told; NULL when it is none. */
const char *plan_cause_say(struct slice name);

#define PLAN_NO_GUARDRAIL UINT32_MAX

/* For the audit log and for who is told. */
struct plan_transition {
    enum rollout_state from, to;
    int32_t step;
    uint32_t from_weight_ppm, weight_ppm;
    enum plan_cause cause;
    struct slice who;     /* "weir" when nobody did it */
    uint32_t guardrail;   /* BREACH, UNKNOWN: its place; else PLAN_NO_GUARDRAIL */
    bool is_stable_short; /* a way back onto a stable that cannot take it: to be said loudly */
};

enum plan_action_kind { PLAN_DO_RECORD, PLAN_DO_WEIGHT, PLAN_DO_NOTIFY, PLAN_DO_WEBHOOK };

struct plan_action {
    enum plan_action_kind kind;
    struct plan_transition transition; /* RECORD, NOTIFY */
    bool must_hold;                    /* RECORD: what follows happens only if it was stored */
    uint32_t weight_ppm;               /* WEIGHT */
    uint32_t step;                     /* WEBHOOK */
};

#define PLAN_ACTIONS_MAX 12u

struct plan_actions {
    uint32_t count;
    struct plan_action items[PLAN_ACTIONS_MAX];
    bool should_save;
    int64_t wake_in_ms; /* the next tick is useful then, at the latest; -1: whenever */
    char refusal[200];  /* PLAN_REFUSED: why, as one line */
};

/* REFUSED: a person asked for what cannot be done now; nothing changed (409). */
enum plan_answer { PLAN_DONE, PLAN_REFUSED };

/* `after` may be `before`. What is not of this state is passed over: a late answer, a verdict of a rollout that is over. */
enum plan_answer plan_next(const struct rollout_config *config, const struct progress *before,
                           const struct plan_event *event, struct progress *after, struct plan_actions *out);

/* After a restart: progress that was read from the store, made ready for its first event. Its weight is to be published. */
void plan_restore(struct progress *p, struct mono_time now);

/* Rules and hooks of the route that name the canary go to stable: after a rollback. */
static inline bool plan_withdraws(const struct progress *p)
{
    return p->state == ROLLOUT_ROLLING_BACK || p->state == ROLLOUT_ROLLED_BACK || p->state == ROLLOUT_FAILED;
}

#endif
