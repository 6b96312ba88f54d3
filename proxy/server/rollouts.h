/* server/rollouts.h - clock and hands of the rollouts: what rollout/ decides is carried out here.
 *
 *   workers' counts --> evidence_feed --> evidence --> judge --> verdict --+
 *   timer ----------------------------------------------------- tick -----+--> plan_next --> RECORD   store/deed.h
 *   admin API --------------------------------------- a person's word -----+              --> WEIGHT   publisher
 *   webhooks, settled weights ----------------------------------------------+              --> NOTIFY, WEBHOOK  courier
 *
 * Ten times a second everything that is exposed is looked at: from the request that makes the evidence enough to weight 0 in
 * every worker it takes that tenth and a turn of each worker's loop.
 *
 * Owner and thread: main; all calls are made there. A rollout is found again by its name over reloads, and over restarts in
 * the store. */
#ifndef SERVER_ROLLOUTS_H
#define SERVER_ROLLOUTS_H

#include "base/list.h"
#include "json/json.h"
#include "net/timer.h"
#include "outbound/courier.h"
#include "rollout/judge.h"
#include "rollout/plan.h"
#include "route/snapshot.h"
#include "route/weights.h"
#include "server/evidence_feed.h"
#include "server/guardrail_specs.h"
#include "server/monitors.h"
#include "server/notices.h"
#include "server/outcome_memory.h"
#include "store/events.h"
#include "store/incidents.h"
#include "store/rollouts.h"
#include "store/store.h"

struct publisher;
struct stats;

#define ROLLOUT_MAGIC 0x524f4c4cu

/* What is measured elsewhere than in the tallies, for one guardrail, and since when it has something against the canary. */
struct rollout_sampler {
    struct mono_time asked_at;    /* PROMETHEUS: the last query; SHADOW_MISMATCH: where the window began */
    uint64_t ticket;              /* PROMETHEUS: of the query under way; 0: none is */
    uint64_t different, compared; /* SHADOW_MISMATCH: totals at the window's beginning */
    struct mono_time clear_at;    /* the last look that found nothing against the canary; 0: there was no look */
    uint64_t clear_requests;      /* of the canary, counted up to then */
};

/* What an incident tells, as far as it is known. */
struct rollout_breach {
    struct wall_time at;      /* 0: there was none of this revision, and none since the start of the process */
    struct mono_time mono;    /* 0: it was in an earlier process */
    int64_t detect_us;        /* since the guardrail's clear_at */
    int64_t zero_exposure_us; /* it took until no worker used the old weights; -1: not yet */
    bool is_way_back; /* its run was taken back, by it or by somebody: else the weight's end says nothing of it */
    char *id, *revision, *guardrail, *reason, *evidence; /* owned; evidence is JSON */
    struct json *told;                                   /* owned: an array, of notices that have ended */
};

#define ROLLOUT_MOMENTS_MAX 48u

/* A line of the timeline. */
struct rollout_moment {
    struct wall_time at;
    char what[200];
};

/* An incident as the store takes it, with the texts that it points to. */
struct incident_form {
    struct incident row;
    struct text timeline, told;
};

/* The webhook of a step, and what it said. It is forgotten with the process; what the store keeps is in the transition that it led to. */
struct rollout_gate {
    uint32_t step;        /* of the plan, from 0 */
    uint64_t ticket;      /* of the question under way; 0: none is, or a transition came first */
    uint64_t asked_count; /* since it was reached; 0: not yet */
    struct wall_time at;  /* of the last answer, or of giving up; 0: none yet */
    uint16_t status;      /* 0: no head came */
    struct text failure;  /* why no whole answer came; "": it did */
};

/* The pair's requests since the process began, at one moment: what `rollout NAME plan` takes today's traffic from. */
struct rollout_traffic {
    struct mono_time at; /* 0: not noted yet */
    uint32_t stable_series, canary_series;
    uint64_t stable_requests, stable_errors, canary_requests;
};

/* What POST /api/v1/outcomes told of it: since the process began, for /metrics, ... */
struct rollout_outcomes {
    uint64_t counted, repeated, left_out;
    uint64_t told[TALLY_ARM_COUNT][TALLY_EVENT_COUNT]; /* of this evidence and its columns: never more than requests */
    struct outcome_pending pending;                    /* ... and since the evidence was stored */
};

struct rollout {
    uint32_t magic;
    struct list link;
    char *name;
    bool is_back;   /* an earlier configuration of this process did not have it */
    uint64_t id;    /* a ticket: the one under which it waits for its weights to be in force */
    bool is_loaded; /* else the store could not be asked where it stands: it is pending, and nothing is done with it */
    struct rollout_gate gate; /* the last one reached */
    struct rollouts *all;
    const struct rollout_config *config; /* of the current snapshot */
    const struct compiled_route *route;
    struct progress progress;
    struct guardrail_specs specs;
    struct evidence evidence;
    struct evidence_feed *feed;
    struct judge_result judged;
    bool is_feed_new;  /* no weights that count in it were published yet */
    bool is_void_told; /* people know that the split is mismatched */
    struct rollout_sampler samplers[GUARDRAILS_MAX];
    uint64_t judged_requests; /* of the canary, that a verdict has told of */
    uint64_t breach_counts[GUARDRAILS_MAX];
    struct rollout_traffic traffic[2]; /* the older and the newer note, a minute apart */
    struct mono_time sampled_at;       /* by the second */
    struct rollout_outcomes outcomes;
    uint32_t weighted_ppm;        /* the weight published last, ... */
    struct wall_time weighted_at; /* ... and since when; 0: never */
    struct mono_time retry_at;    /* the store failed: it is asked again then */
    int64_t retry_ms;             /* and so long after the time before; doubles, 0 while the store works */
    struct wall_time changed_at;  /* of the last transition */
    struct rollout_breach breach; /* the last one */
    struct rollout_moment moments[ROLLOUT_MOMENTS_MAX]; /* of this revision, the newest, oldest first */
    uint32_t moment_count;
};

struct rollouts {
    struct loop *loop;
    struct publisher *publisher; /* all borrowed */
    struct store *store;
    struct stats *stats;
    struct monitors *monitors;
    uint32_t worker_count;
    struct list items;      /* struct rollout, in the order of the configuration */
    struct list ending;     /* struct evidence_feed: of rollouts that are gone, until they are over */
    uint64_t newest_ticket; /* never used again: an answer that comes late is nobody's */
    struct timer timer;
    struct notices notices;
    struct recent told; /* ids of outcomes, of all rollouts: server/outcome_memory.h */
    bool is_configured; /* once at least */
    bool is_trimmed;    /* what earlier processes left stored of rollouts that are gone was looked through */
    /* The rest of the world: the server's, or a test's own. */
    void (*publish)(void *arg);                                   /* weights of the current snapshot, anew */
    bool (*send)(void *arg, const struct courier_errand *errand); /* courier_send */
    struct wall_time (*wall)(void *arg);
    void (*publish_event)(void *arg,
                          const struct event_row *event); /* a stored one, to who follows them; may be NULL */
    void *arg;
};

void rollouts_init(struct rollouts *all);
/* The workers have ended, or another process is about to take over: what they counted and how long was held goes into the
   store, so that nothing is lost where nobody was killed. Their snapshot is still there. */
void rollouts_save(struct rollouts *all);
/* After the workers have ended. */
void rollouts_fini(struct rollouts *all);

/* A snapshot is about to be published: its rollouts take over from those of the one before, or from the store. */
void rollouts_configure(struct rollouts *all, const struct snapshot *snapshot);
/* Weights are about to be published for that snapshot: those that rollouts own, over what was set there. */
void rollouts_apply(struct rollouts *all, const struct snapshot *snapshot, struct arena *arena,
                    struct weights *weights);
/* They were published: what changed with the configuration is acted upon from now on. */
void rollouts_begin(struct rollouts *all);
/* No worker decides by the weights of that generation any more. */
void rollouts_on_weights_unused(struct rollouts *all, uint64_t generation);
/* A monitor's check of an upstream ended. */
void rollouts_on_monitor(struct rollouts *all, const struct monitor_status *status);

struct rollout *rollouts_find(struct rollouts *all, struct slice name);
/* The rollout that owns weights of this route; NULL: none does. */
const struct rollout *rollouts_owner(struct rollouts *all, struct slice route);

/* A person's word. */
struct rollout_word {
    enum plan_event_kind kind; /* START .. ABORT */
    struct slice who, role, reason;
};

enum rollout_answer { ROLLOUT_DONE, ROLLOUT_REFUSED, ROLLOUT_NOT_STORED };
/* Else than DONE with a sentence; nothing has changed then. */
enum rollout_answer rollout_say(struct rollout *r, const struct rollout_word *word, struct text *error);

/* Where it stands, as the admin API shows it. */
void rollout_describe(const struct rollout *r, struct json *object);
/* rollout_plan.c: what it would do if it were started now; config is the whole that it belongs to. */
void rollout_describe_plan(struct rollout *r, const struct config *config, struct json *object);

struct metrics_facts;
/* Rollouts and monitors; into the arena. */
void rollouts_fill_metrics(struct rollouts *all, struct arena *arena, struct metrics_facts *facts);

/* ---- for the files of rollouts alone ------------------------------------------------------------------------------------ */

static inline struct wall_time rollouts_wall(const struct rollouts *all)
{
    return all->wall(all->arg);
}

/* Of those who answer with the end of time: 0, which is shown as no time. */
static inline struct wall_time wall_or_none(struct wall_time t)
{
    return t.unix_ms == INT64_MAX ? (struct wall_time){ 0 } : t;
}

/* Whose it is: the number of the rollout, of its newest question to a gate, or of a query under way. NULL: nobody's any
   more. */
struct rollout *rollouts_find_ticket(struct rollouts *all, uint64_t ticket);

/* rollout_events.c: one event through the plan, and what follows. `word` NULL: nobody's. */
enum rollout_answer rollout_event(struct rollout *r, struct plan_event *event, const struct rollout_word *word,
                                  struct text *error);
/* What is known of the same stable's durations is no evidence, and stays. */
void rollout_forget_evidence(struct rollout *r, bool is_same_stable);
/* Whether it has anything to be judged. */
bool rollout_is_watched(const struct rollout *r);
/* What marks of exposures say of the revision and the pair, the same over restarts. */
uint64_t rollout_tag(const struct rollout *r);
/* rollouts.c: what workers need to know of it beside the rules. */
void rollout_fill_sheet(const struct rollout_config *config, const struct guardrail_specs *specs,
                        struct tally_sheet *sheet);
/* Evidence belongs to a revision and a pair. */
static inline bool rollout_begins_anew(const struct plan_transition *t)
{
    return t->cause == CAUSE_NEW_REVISION || t->cause == CAUSE_NEW_PAIR || t->cause == CAUSE_REMOVED;
}
/* Tells the plan when every worker uses what was published last. */
void rollout_await_force(struct rollout *r);

/* rollout_store.c */
bool rollout_record(struct rollout *r, const struct plan_transition *t, const struct rollout_word *word,
                    bool must_hold);
bool rollout_save(struct rollout *r);
/* Of one that is over and the configuration's no more: where it stands, without its evidence. */
bool rollout_save_brief(struct rollout *r);
/* The split does not have its share (sample ratio mismatch): log, audit, and those under `notify`. */
void rollout_tell_void(struct rollout *r);
/* Saves, and tells the plan when the store fails, or works again. */
void rollout_try_save(struct rollout *r);
/* Each try at a store that is locked keeps the main thread for STORE_BUSY_MS: at once, then after 100 ms, 200 ms and so on, at
   most ROLLOUT_RETRY_MOST_MS. What somebody asks for, and the way back, do not wait for that. */
#define ROLLOUT_RETRY_MOST_MS 5000
bool rollout_may_retry(struct rollout *r, struct mono_time now);
/* Progress and evidence from the store; as new where there is nothing, FAILED where it cannot be read. False: the store
   cannot be asked now, and nothing has changed. */
bool rollout_load(struct rollout *r) MUST_CHECK;
/* What a row says of it, but for its approvals. False: it cannot be read. */
bool rollout_read_progress(const struct rollout_row *row, struct progress *p) MUST_CHECK;

/* rollout_removed.c: the configuration has it no more; and of all that are stored, those that it does not have. Of the latter
   only those under way are read whole at each reload, the others once in a process. */
void rollout_end_removed(struct rollout *r);
/* It was loaded. One that is back and under way was gone while the store could not be asked: that is made up for. */
void rollout_end_returned(struct rollout *r);
void rollouts_end_removed(struct rollouts *all);

/* rollout_incident.c */
/* The judge calls for a way back, by this guardrail: what is known at this moment. */
void rollout_note_breach(struct rollout *r, uint32_t guardrail);
/* Recorded: after a breach of the same run a way back has an end that people wait for. */
void rollout_note_way_back(struct rollout *r, const struct plan_transition *t);
void rollout_write_judgement(const struct rollout *r, uint32_t guardrail, struct json *object);
/* It was judged. */
void rollout_note_clear(struct rollout *r, struct mono_time now);
/* For the timeline; the newest is taken back when it could not be recorded. */
void rollout_note_moment(struct rollout *r, struct wall_time at, struct slice why, struct slice to,
                         uint32_t weight_ppm);
void rollout_forget_moment(struct rollout *r);
/* On a way back, why stable may not be able to take the load. */
void rollout_note_short_stable(struct rollout *r, struct wall_time at);
/* The transition belongs to the breach that was noted last. */
bool rollout_is_of_incident(const struct rollout *r, const struct plan_transition *t);
/* All zero without a breach. Borrows from the rollout. */
void incident_form_init(struct incident_form *form, const struct rollout *r);
void incident_form_fini(struct incident_form *form);
/* After a restart: the newest incident of the revision, which the process before may not have told to its end. */
void rollout_take_up_incident(struct rollout *r, struct arena *arena);
/* No worker uses weights of before the breach any more. */
void rollout_record_end_of_exposure(struct rollout *r);
void rollouts_on_told(void *arg, const struct notice *notice, enum notice_end end, const char *result);
void rollout_breach_fini(struct rollout_breach *breach);

/* rollout_samples.c: what guardrails watch elsewhere, about once a second. */
void rollout_sample(struct rollout *r, struct mono_time now);
/* Whether stable could not take the pair's requests now: no endpoint of it is healthy, for the workers and for monitors, or it
   has too few connections. Then with a line why; `why` may be NULL. */
bool rollout_is_stable_short(const struct rollout *r, struct text *why);
/* `stable_is_short` and why. */
void rollout_write_short_stable(const struct rollout *r, struct json *object);

/* rollout_plan.c: notes the traffic once a minute; to be called more often. */
void rollout_note_traffic(struct rollout *r, struct mono_time now);
/* Of the pair, today: as the plan takes it. */
double rollout_requests_per_s(struct rollout *r);

/* rollout_tell.c: those under `notify`, and the gate of a step. */
void rollout_notify(struct rollout *r, const struct plan_transition *t, const struct rollout_word *word);
void rollout_ask_webhook(struct rollout *r, uint32_t step);
/* The rollout moved: an answer that is still to come is of before. A gate that it has reached is a new one. */
void rollout_note_move(struct rollout *r, const struct plan_transition *t);
/* "status 200", or why there was no answer; "no answer yet". */
void rollout_say_gate(const struct rollout *r, struct text *out);
void rollout_write_gate(const struct rollout *r, struct json *object);

#endif
