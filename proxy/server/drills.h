/* server/drills.h - clock and hands of a drill: a failing release rehearsed on a copy of a rollout, or, live, on the rollout.
 *
 *   timer --> requests by the courier --> a listener --> worker: arm by the order in the weights, counted in its sheet
 *   timer --> evidence_feed --> evidence --> judge --> the guardrail under trial alone --> plan_next --> WEIGHT  publisher
 *   settled weights --------------------------------------------------------------------> plan_next
 *
 * Evidence, judge, plan, weights and their publication are those of a release (rollout/drill.h says what they are given). The
 * rehearsal has progress and evidence of its own: no row, weight, count or notice of the rollout is touched, and no upstream
 * hears of it. What is left of a drill when the process dies is its row, which the next start calls interrupted.
 *
 * Owner and thread: main. One drill at a time for a rollout; it ends with a reload and a drain. One that is over lives on until the
 * last of its requests is back. */
#ifndef SERVER_DRILLS_H
#define SERVER_DRILLS_H

#include "rollout/drill.h"
#include "server/rollouts.h"
#include "server/sockets.h"
#include "stats/metrics.h"
#include "store/drills.h"
#include "store/events.h"

#define DRILL_UNDER_WAY_MOST 32u /* requests; the courier has others to run, ... */
#define DRILLS_MOST          4u  /* ... so that no more than these run at once */

/* What is asked for. */
struct drill_wish {
    struct drill_settings settings;
    struct slice guardrail; /* this one alone; "": all */
    bool has_fault;
    enum drill_fault fault; /* those alone that watch this */
    uint32_t step;          /* from 1, at whose weight; ... */
    uint32_t weight_ppm;    /* ... or of that weight; ... */
    bool is_all_steps;      /* ... or one after the other; none of these: the first that has a weight */
    bool is_live;           /* the canary of the rollout fails for real users */
};

/* One guardrail at the weight of one step. Live: at the rollout's own. */
struct drill_case {
    uint32_t step; /* from 1 */
    uint32_t guardrail;
    bool is_wanted;
    struct drill_trial trial;
    struct drill_place place;
    char reason[JUDGE_REASON_BYTES]; /* the judge's, when the trial ended */
};

/* A request under way. */
struct drill_errand {
    uint64_t ticket; /* 0: none */
    struct mono_time sent;
    bool is_bad;
};

struct drill {
    struct list link; /* running or ended of all */
    struct drills *all;
    uint64_t serial;
    struct timer timer;
    char *id, *rollout, *revision, *who, *reason, *cause; /* owned; cause: why it was aborted, or NULL */
    const char *role;
    struct wall_time begun_at, ended_at;
    const char *state; /* as in the store */
    struct drill_wish wish;
    struct slice listener; /* whose address its requests go to; "": live */

    const struct rollout_config *source; /* of the snapshot, as all that follows: a reload ends the drill */
    struct rollout_config config;        /* the rehearsal's */
    struct step_config steps[2];
    struct guardrail_specs specs;
    struct drill_script scripts[GUARDRAILS_MAX];
    struct drill_case *cases; /* step by step, the guardrails of each in their order; live: one each */
    uint32_t case_count;
    uint32_t at;    /* the one under trial */
    bool is_ending; /* the last one is over; requests may be under way */

    /* The trial under way. */
    struct progress progress;
    struct evidence evidence;
    struct evidence_feed *feed; /* NULL: none */
    struct judge_result judged;
    struct mono_time begun, looked, sampled;
    uint64_t sent_count;
    struct mono_time live_until;               /* live: workers let nothing fail from then on */
    struct mono_time published;                /* live: from then on a worker may let the canary fail */
    uint64_t requests_before[TALLY_ARM_COUNT]; /* live: of the rollout, then */
    struct mono_time failing_since;            /* live: in force in every worker; 0: not yet */

    struct drill_mark *mark;
    char token[DRILL_TOKEN_BYTES + 1];
    char connect_to[80];
    bool is_tls;
    uint32_t under_way;
    struct drill_errand errands[DRILL_UNDER_WAY_MOST];
};

enum drill_end { DRILL_END_PASSED, DRILL_END_FAILED, DRILL_END_ABORTED, DRILL_END_INTERRUPTED, DRILL_END_COUNT };

/* For /metrics, what became of the drills of a rollout. The newest is known over restarts, the counts are not. */
struct drill_mark {
    struct list link;
    char *rollout; /* owned */
    uint64_t end_counts[DRILL_END_COUNT], request_count;
    struct wall_time last_at;
    struct arena arena; /* of the next */
    struct metrics_drilled *guardrails;
    size_t guardrail_count;
};

struct drills {
    struct rollouts *rollouts; /* borrowed, as the next two */
    const struct socket_set *sockets;
    void (*publish_event)(void *arg, const struct event_row *event);
    void *arg;
    struct list running;
    struct list ended; /* that were cut short: workers know their tokens until their last request is back */
    uint32_t running_count;
    uint64_t newest_serial, newest_ticket;
    struct list marks;
    struct rng rng;
};

void drills_init(struct drills *all);
/* What runs is aborted. While the store is open, and before the courier ends, which gives back what is under way. */
void drills_fini(struct drills *all);
/* Those that the process before has left running. */
void drills_settle(struct drills *all);

enum drill_answer { DRILL_BEGUN, DRILL_REFUSED, DRILL_NOT_STORED };
/* Else than BEGUN with a sentence; nothing was done then. */
enum drill_answer drills_start(struct drills *all, struct rollout *r, const struct drill_wish *wish, struct slice who,
                               const char *role, struct slice reason, struct text *error);
/* Those under way end here, for this cause. False: there is none. Nothing is published. */
bool drills_abort(struct drills *all, const char *cause);
/* The one of this rollout that is under way; NULL: none is. */
struct drill *drills_find(struct drills *all, struct slice rollout);
/* A person's word: a live one is over when this returns, a rehearsal when its requests are back. False with a sentence: none
   of this rollout is under way. */
bool drills_stop(struct drills *all, const struct rollout *r, struct slice who, const char *role, struct slice reason,
                 struct text *error) MUST_CHECK;

/* Weights are about to be published: what workers need to know of a drill. */
void drills_apply(struct drills *all, struct arena *arena, struct weights *weights);
void drills_on_weights_unused(struct drills *all, uint64_t generation);

/* drill_metrics.c: into the arena. */
void drills_fill_metrics(struct drills *all, struct arena *arena, struct metrics_facts *facts);

/* drill_store.c: who, when, and what was found so far; the detail is in the arena, all else the drill's. */
void drill_row_of(const struct drill *d, struct arena *arena, struct drill_row *row);

/* ---- for the files of drills alone --------------------------------------------------------------------------------------- */

/* drill_store.c: with the audit line. False: nothing is written. */
bool drill_record_begin(struct drill *d) MUST_CHECK;
void drill_record_end(struct drill *d);
void drill_record_stop(struct drill *d, struct slice who, const char *role, struct slice reason);
/* drill_describe.c: what was asked for and found. */
void drill_write_detail(const struct drill *d, struct json *object);

/* drill_metrics.c: a rollout's, begun with what the store has of it. */
struct drill_mark *drill_mark_of(struct drills *all, struct slice rollout);
/* It has ended so. */
void drill_mark_end(struct drills *all, const struct drill_row *row);
void drill_marks_fini(struct drills *all);

/* drill_cases.c: which guardrails at which steps; false with a sentence: there is none. */
bool drill_choose(struct drill *d, struct rollout *r, struct text *error) MUST_CHECK;
static inline struct drill_case *drill_case_now(struct drill *d)
{
    return &d->cases[d->at];
}

/* One that has ended goes when its last request is back. */
void drill_let_go(struct drill *d);

/* drill_send.c: a listener that takes its requests; false with a sentence: there is none. */
bool drill_find_listener(struct drill *d, struct text *error) MUST_CHECK;
/* As many as are due. */
void drill_send(struct drill *d, struct mono_time now);

/* drill_live.c: begin just before it is published; look says true when it is over. */
bool drill_live_is_possible(const struct drill *d, const struct rollout *r, struct text *error) MUST_CHECK;
void drill_live_begin(struct drill *d, struct mono_time now);
bool drill_live_look(struct drill *d, struct mono_time now);

#endif
