/* shadow/findings.h - what comparing has found of one shadow: fields and their verdicts, pairs, latencies.
 *
 * As long as route, shadow and the settings of `compare` stay what they are, so do its findings, over any number of
 * reloads. Other settings make other fields: then it all begins anew.
 *
 * Owner and thread: the comparer (shadow/comparer.h), whose lock is held when main reads. Lifetime: by use_count, so that a
 * reload does not take them from under a pair that is being judged. */
#ifndef SHADOW_FINDINGS_H
#define SHADOW_FINDINGS_H

#include "base/clock.h"
#include "shadow/compare.h"
#include "shadow/diffs.h"
#include "shadow/noise.h"
#include "stats/histogram.h"

struct findings {
    uint32_t use_count; /* the comparer's list, and the pair that is compared by them; 1 when created */
    struct arena arena; /* of names and plan */
    uint32_t shadow_id;
    struct slice route, upstream;
    uint64_t digest; /* of the settings */
    const struct compare_plan *plan;
    struct wall_time since;
    struct noise noise;
    struct diffs diffs;
    struct histogram
        latency[PAIR_SIDE_COUNT]; /* of pairs in which primary and shadow answered; of the control when it did */
    uint64_t skipped_count;       /* pairs in which the primary gave no answer, or the shadow was not asked */
};

/* Everything is copied. `now`: wall time, for people. */
struct findings *findings_create(uint32_t shadow_id, struct slice route, struct slice upstream,
                                 const struct compare_config *config, struct wall_time now);
/* NULL is fine. */
void findings_destroy(struct findings *f);

/* Counts one pair and what compare_pair said of it. */
enum verdict findings_add(struct findings *f, const struct pair *p, const struct comparison *c);
void findings_skip(struct findings *f);

/* Fills an object with all of it but the diffs. */
void findings_write(const struct findings *f, struct json *object);

#endif
