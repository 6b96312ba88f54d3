/* rollout/drill.h - a drill: what a rehearsal does to each guardrail in turn, and what it makes of what follows. Pure.
 *
 * A drill rehearses a failing release, one trial a guardrail. In a trial a rehearsal copy of the rollout is started, at the
 * weight of one of its steps, and gets requests that all come to a good end; then those of its canary fail in the way that this
 * guardrail watches. The same judge and plan as of a release decide; here is only what they are given, and what is noted.
 *
 *    WARMING --enough good answers--> FAILING --breach--> RETURNING --weight 0 in force--> CHECKING --enough answers--> DONE
 *       |                               |  \--pauses instead-------------------------------------------------------->  ^
 *       \--breach: FALSE_ALARM          \--its time is over: SILENT          \--its time is over: STUCK               /
 *        \____________________________________________________________________________________________________________/
 *
 * Owner: the driver (server/drills.h). Time is a parameter. */
#ifndef ROLLOUT_DRILL_H
#define ROLLOUT_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/text.h"
#include "config/model_rollout.h"
#include "rollout/guardrail.h"
#include "stats/drill.h"

#define DRILL_WARM_ANSWERS  40u   /* before anything fails */
#define DRILL_CHECK_ANSWERS 20u   /* sent after the way back, to see that none meets the canary */
#define DRILL_LOST_MOST     20u   /* requests without an answer, and none with one: they do not arrive at all */
#define DRILL_RETURN_MS     10000 /* for the way back, and for the look afterwards */
#define DRILL_SAMPLE_MS     1000  /* between two simulated samples, as a rollout takes them */

enum drill_fault {
    DRILL_ERROR,   /* the canary's answers are errors */
    DRILL_CONNECT, /* no connection to it can be made */
    DRILL_LATENCY, /* its answers take longer */
    DRILL_EVENT,   /* fewer of them bring a business event; more, where more is worse */
    DRILL_SAMPLE,  /* what somebody else measures is bad: a simulated value in its place */
    DRILL_FAULT_COUNT
};

extern const char *const drill_fault_names[DRILL_FAULT_COUNT];
bool drill_fault_read(struct slice name, enum drill_fault *out);

/* What is asked for. */
struct drill_settings {
    uint32_t rate;      /* requests a second */
    uint32_t share_ppm; /* of the canary's requests that fail */
    int64_t delay_ms;   /* LATENCY: how much longer it takes; 0: well beyond what the guardrail allows */
    int64_t timeout_ms; /* a guardrail has so long to fire */
};

/* What is done to one guardrail. */
struct drill_script {
    enum drill_fault fault;
    uint16_t bad_status;            /* ERROR: 0 where no status is an error, so that the connection fails */
    uint64_t good_us, bad_us;       /* LATENCY; good_us of all answers else */
    uint32_t event;                 /* EVENT: its bit */
    bool is_event_good;             /* EVENT: good answers have it */
    double good_sample, bad_sample; /* SAMPLE */
};

/* `g` is `config` as the judge knows it; `slo` NULL but for WATCH_SLO. */
void drill_script_init(struct drill_script *s, const struct rollout_config *rollout,
                       const struct guardrail_config *config, const struct guardrail *g, const struct slo_config *slo,
                       int64_t delay_ms);
/* One request: what it comes to on either side. `draw`: 32 random bits, for how long good answers take. */
void drill_script_request(const struct drill_script *s, bool is_bad, uint32_t draw, struct drill_request *out);

/* ---- a trial -------------------------------------------------------------------------------------------------------------- */

enum drill_stage { DRILL_WARMING, DRILL_FAILING, DRILL_RETURNING, DRILL_CHECKING, DRILL_DONE };

/*   fired         the breach was noticed, and followed by what the guardrail's on_breach says
 *   silent        the canary failed all that time, and nobody noticed
 *   false_alarm   it breached while every answer was good
 *   exposed       somebody met the canary after weight 0 was in force
 *   stuck         weight 0 did not come into force, or could not be seen to
 *   unreached     requests did not come back
 *   not_rehearsed a drill cannot make it fire: it has neither passed nor failed
 *   not_drilled   it was not asked for, or the drill ended before its turn */
enum drill_result {
    DRILL_NOT_DRILLED,
    DRILL_FIRED,
    DRILL_SILENT,
    DRILL_FALSE_ALARM,
    DRILL_EXPOSED,
    DRILL_STUCK,
    DRILL_UNREACHED,
    DRILL_NOT_REHEARSED,
    DRILL_RESULT_COUNT
};

extern const char *const drill_result_names[DRILL_RESULT_COUNT];

/* Times are 0 until it has happened. */
struct drill_trial {
    enum drill_stage stage;
    enum drill_result result; /* DONE */
    bool is_paused;           /* FIRED, and the plan paused in place of going back */
    struct mono_time failing; /* from when on requests were made to fail */
    struct mono_time bad;     /* the first that did was sent, or the first bad sample taken */
    struct mono_time breach, unexposed;
    uint32_t answers, lost;    /* of this stage's requests; lost: without an answer */
    uint32_t requests;         /* sent while it failed, until the breach: all ... */
    uint32_t bad_requests;     /* ... and those of the canary that failed */
    uint32_t checked, exposed; /* sent after the way back, and how many of these met the canary */
};

/* What the driver sees at a look. */
struct drill_view {
    bool is_breached; /* the plan goes back, or has paused, because of this guardrail */
    bool is_paused;
    bool is_in_force; /* the newest weight, in every worker */
};

void drill_trial_begin(struct drill_trial *t);
/* Came back from the canary or from stable; `is_bad`: it was to fail there. */
void drill_trial_on_answer(struct drill_trial *t, bool is_canary, bool is_bad, struct mono_time sent);
void drill_trial_on_loss(struct drill_trial *t);
/* A simulated sample was given. */
void drill_trial_on_sample(struct drill_trial *t, bool is_bad, struct mono_time now);
/* Some times a second, after the judge has looked. */
void drill_trial_look(struct drill_trial *t, const struct drill_settings *settings, const struct drill_view *view,
                      struct mono_time now);
/* Whether requests are to fail on the canary now. */
static inline bool drill_trial_is_failing(const struct drill_trial *t)
{
    return t->stage == DRILL_FAILING;
}

/* FIRED: what the release would have waited; -1: that did not happen. */
int64_t drill_trial_detect_us(const struct drill_trial *t);
int64_t drill_trial_rollback_us(const struct drill_trial *t);

/* Of all trials of a drill. */
struct drill_sum {
    uint32_t fired, failed, not_rehearsed;
};

void drill_sum_add(struct drill_sum *sum, enum drill_result result);
/* All that were rehearsed have fired, and at least one was. */
static inline bool drill_sum_is_passed(const struct drill_sum *sum)
{
    return sum->failed == 0 && sum->fired > 0;
}

/* ---- what is made of it --------------------------------------------------------------------------------------------------- */

/* Where a trial was, and what was to be expected there. */
struct drill_place {
    uint32_t weight_ppm;
    double planned_s; /* forecast_fault_seconds at the drill's rate; INFINITY: never */
};

/* What is done to the canary is worse than this guardrail allows, were all of its requests such. */
bool drill_script_is_beyond(const struct drill_script *s, const struct guardrail *g);
/* False: no drill can make it fire at this weight, and the sentence says why. */
bool drill_can_rehearse(const struct guardrail *g, uint32_t weight_ppm, struct text *why);
/* It fired, but only after more than twice the time that was planned (a median), beside what looking takes. */
bool drill_trial_is_late(const struct drill_trial *t, double planned_s);
/* A sentence for what did not fire: why, and what it would have needed. Nothing for what has. */
void drill_explain(const struct drill_trial *t, const struct drill_script *s, const struct guardrail *g,
                   const struct drill_settings *settings, const struct drill_place *place, struct text *out);

#endif
