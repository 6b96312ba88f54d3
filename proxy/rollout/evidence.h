/* rollout/evidence.h - what is known about a canary so far: from workers' counts to windows and e-processes. Pure.
 *
 * Owner: the rollout's driver on the main thread. Time is a parameter. One struct for one revision of a canary: it is
 * dropped when the revision changes, and never at a new weight, a reload or a restart, since starting again would spend
 * the allowed false alarms again (evidence_save, evidence_load).
 *
 *   evidence_init                             a new revision
 *   evidence_begin_generation(share)          before each publication of weights; then evidence_rules for the workers
 *   evidence_add_counts, _add_first, _add_sample    what workers and samplers report
 *   evidence_learn_thresholds                 now and then true: publish the weights again, with evidence_rules
 *   judge(...)                                rollout/judge.h reads it
 *
 *   invariants
 *   V1 a count is charged with the share of the generation that it was assigned under, or with none
 *   V2 thresholds of a generation were learnt from stable requests that ended before its publication
 *   V3 sticky: each key gives at most one first request, and one first event a column, to one cohort
 *   V4 a cohort is compared only while its canary users had never met the canary before: share > share_most before it
 *   V5 proof that a canary is not worse is never drawn from what was not counted (unmailed)
 *
 * Sticky cohorts. Raising the share from r1 to r2 exposes the users between: these against the still unexposed are a
 * random comparison with the share (r2 - r1) / (1 - r1), and the seen-set begins anew. A lower weight exposes nobody, so
 * nothing is compared until a weight goes above the highest so far; absolute rules go on.
 *
 * First events have one flaw in one direction. With a relative risk above 1 the canary's users run out of first events
 * sooner, so late ones come from stable's: the ratio of first events sinks towards 1 as everybody has had one. That only
 * delays a breach, but would fake the proof of "at most R times as bad" for any R above 1. Proofs on sticky routes are
 * therefore taken from each user's first *request*, which is a single draw and depletes nothing. */
#ifndef ROLLOUT_EVIDENCE_H
#define ROLLOUT_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "base/text.h"
#include "rollout/guardrail.h"
#include "rollout/outcome_slots.h"
#include "stats/eprocess.h"
#include "stats/histogram.h"
#include "stats/seen.h"
#include "stats/tally.h"
#include "stats/window.h"

#define EVIDENCE_SEEN_BITS        (1u << 20) /* 128 KiB: 100,000 users at 3 % left out; beyond, power fades */
#define EVIDENCE_GENERATIONS      64u        /* remembered; reports of older ones are counted as late, and dropped */
#define EVIDENCE_NO_GENERATION    UINT64_MAX
#define EVIDENCE_QUANTILES        3u   /* columns that one guardrail may average over */
#define EVIDENCE_THRESHOLDS_FROM  200u /* stable requests before a first quantile is believed */
#define EVIDENCE_THRESHOLDS_EVERY 500u /* stable requests between two learnings */
/* That they are learnt from: enough that fifty are beyond a p99, and few enough that a stable which changes is followed
   within some thousand. */
#define EVIDENCE_THRESHOLDS_KEPT 5000u
/* And so far apart at least: each learning is a generation, and those are remembered for as long as a slow request may
   take. */
#define EVIDENCE_THRESHOLDS_MS 10000
/* What is held back for a canary that turns bad late (stats/eprocess.h): a tenth delays what is bad from the start by 2 %
   of its requests, and is given out at every raise of the weight and every ten seconds. */
#define EVIDENCE_RESERVE   0.1
#define EVIDENCE_REFILL_MS 10000
#define EVIDENCE_SRM_ALPHA 0.001 /* probability that a split as it should be is ever called mismatched */

/* One direction of one comparative guardrail. For several quantiles: the mean of their e-values, which is one. */
struct comparison_test {
    struct eprocess_ratio ratios[EVIDENCE_QUANTILES]; /* RATIO, LATENCY_RATIO */
    struct eprocess_points points;                    /* POINTS */
    double log_e, log_e_most;                         /* ln E, and its greatest so far */
};

struct guardrail_state {
    struct window window;                         /* of canary requests; SAMPLE: not used */
    struct window short_window;                   /* BURN */
    struct window slow_window, slow_short_window; /* BURN of an SLO about both: of answers that were slow */
    struct comparison_test worse;                 /* for a breach */
    struct comparison_test proof;                 /* for "not worse" */
    uint64_t events[TALLY_ARM_COUNT];             /* that were compared; of the first column */
    uint64_t failures_in_a_row;                   /* CONNECT_FAILURES; SAMPLE: bad samples */
    bool is_unknown;                              /* SAMPLE: the last answer could not be had */
    double sample;                                /* the last one that was known */
    struct mono_time sampled;                     /* when it came */
    uint64_t sample_count;                        /* known ones so far */
    struct outcome_slots outcomes;                /* RATIO: that were told, and are not compared yet */
};

struct evidence_generation {
    uint64_t generation;
    uint32_t cohort;       /* sticky: number of its cohort */
    double share;          /* of the canary in the pair */
    double compared_share; /* of the canary among those compared; 0: nobody is */
};

/* Embedded, some 100 KiB. */
struct evidence {
    const struct guardrail *guardrails; /* borrowed; columns assigned */
    uint32_t guardrail_count;
    bool is_sticky;
    struct guardrail_state states[GUARDRAILS_MAX];

    struct evidence_generation generations[EVIDENCE_GENERATIONS]; /* ring */
    uint32_t generation_count;                                    /* ever begun; the newest is at (count - 1) % size */
    double share_most, fresh_from; /* sticky: the highest share so far, and the highest before the cohort began */
    uint32_t cohort;
    struct seen seen; /* sticky: keys and columns of the cohort */

    struct mono_time refill_due;         /* 0: with the first report */
    struct eprocess_ratio mismatch;      /* has the split the share it should have? */
    uint64_t begun[TALLY_ARM_COUNT];     /* in flight: these, less the next two */
    uint64_t requests[TALLY_ARM_COUNT];  /* ended, and somebody's outcome */
    uint64_t discarded[TALLY_ARM_COUNT]; /* ended, and nobody's */
    uint64_t compared[TALLY_ARM_COUNT];  /* requests (sticky: first ones) in comparisons */
    uint64_t unmailed, late;             /* firsts that were lost, reports that came too late */

    struct histogram stable;            /* what thresholds are learnt from; halved now and then, so that it forgets */
    uint64_t stable_since;              /* added since the last learning */
    uint64_t stable_needed;             /* before the next one */
    struct mono_time learnt;            /* when; us is INT64_MIN before the first time */
    uint64_t slow_us[TALLY_SLOW_COUNT]; /* stable's quantiles; UINT64_MAX: not known yet */
};

void evidence_init(struct evidence *e, const struct guardrail *guardrails, uint32_t count, bool is_sticky);
void evidence_fini(struct evidence *e);
/* Other guardrails after a reload: those with an identity from before keep their evidence, new ones begin. Reports under
   older generations are late from then on; a new one follows. */
void evidence_use_guardrails(struct evidence *e, const struct guardrail *guardrails, uint32_t count);

/* Stable's durations from before the release: thresholds are known at its first request. Before the first generation. */
void evidence_seed_durations(struct evidence *e, const struct histogram *stable);

/* Weights are about to be published. share: the canary's of the pair, in [0, 1]. */
void evidence_begin_generation(struct evidence *e, uint64_t generation, double share);
/* For the generation begun last. */
void evidence_rules(const struct evidence *e, struct tally_rules *out);
/* Whether stable's quantiles were learnt anew and should reach the workers, by weights of a new generation and the same
   share. After 200 requests, then each 500, and at least 10 seconds apart. */
bool evidence_learn_thresholds(struct evidence *e, struct mono_time now);

/* What workers have counted since the last call under one generation (tally_since). */
void evidence_add_counts(struct evidence *e, uint64_t generation, const struct tally_counts *counts,
                         struct mono_time now);
/* Sticky: a mail of a worker. */
void evidence_add_first(struct evidence *e, const struct tally_first *first);
/* Of a guardrail of kind SAMPLE; a NAN is an answer that could not be had, and is not a sample. */
void evidence_add_sample(struct evidence *e, uint32_t guardrail, double value, struct mono_time now);

/* Of a RATIO: events of requests that were counted before, assigned under that share (rollout/outcomes.h). */
void evidence_compare_events(struct evidence *e, uint32_t guardrail, double share,
                             const uint64_t events[TALLY_ARM_COUNT]);

/* ---- stored ------------------------------------------------------------------------------------------------------------ */

/* Appends everything as bytes, the same on every host; a version is in them. Sticky: up to 128 KiB more. Seen-set and
   evidence belong together and are written in one transaction. What ended after the last save is lost by a crash: less
   evidence, and none that is wrong. */
void evidence_save(const struct evidence *e, struct mono_time now, struct text *out);
/* Into an initialised one of the same revision. Windows go on as if `down_us` had passed since the save (by the wall
   clock; what is negative counts as 0). False, and nothing is changed, when the bytes are none of evidence_save's. */
bool evidence_load(struct evidence *e, struct slice bytes, struct mono_time now, int64_t down_us) MUST_CHECK;

#endif
