/* shadow/noise.h - which fields of an answer really differ, learnt from a control: the statistics. Pure.
 *
 * Each copied request is answered by the primary, by the shadow, and by the control, a second copy of the primary's
 * version. A field (the status, a header, a path of JSON) that is noise differs from the primary as often in one as in
 * the other. So of the pairs in which it differs on one side only, each is the toss of a fair coin, and the question is
 * whether heads (the shadow) come too often:
 *
 *   theta   how many times as often the shadow differs alone as the control does; noise: 1
 *   E       the evidence that theta is above 1.2: the e-process of stats/eprocess.h, with both sides asked equally often
 *           (rho = 1/2), theta_0 = 1.2, heads for the canary's events and tails for stable's
 *
 * As long as theta is at most 1.2, the probability that E ever reaches 1/a is at most a. Looking at every pair costs
 * nothing, and pairs in which neither or both differ say nothing and cost nothing either.
 *
 * Many fields share one alpha. The i-th field to show up gets alpha / (i (i + 1)), which sums to alpha however many come;
 * dividing by the number seen so far would not (the first would get alpha, the second half of it, and so on: the sum
 * grows without end). Fields that show up in the same pair all get the share of the last of them, so that no order in
 * which a pair is looked at matters.
 *
 * A field is called different when its E has reached its bound while heads exceeded tails by at least 0.03 % of the pairs
 * (a true difference smaller than that is nobody's trouble). That stands until the state is dropped: a later mistake of
 * the control proves nothing about it. Without a control there is nothing to learn: what differs is different.
 *
 * Owner: who compares; one thread at a time. */
#ifndef SHADOW_NOISE_H
#define SHADOW_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/slice.h"

#define NOISE_FIELDS_MAX 256u /* of one shadow; differences in further ones are all counted in NOISE_OTHERS */
#define NOISE_OTHERS     0u   /* the field of those */
#define NOISE_ALPHA      0.01 /* probability that any field of a shadow is ever wrongly called different */
#define NOISE_MARGIN     1.2  /* theta up to here is noise */
#define NOISE_EXCESS     0.0003

enum verdict { VERDICT_SAME, VERDICT_DIFFERENT, VERDICT_NOISE, VERDICT_COUNT };

extern const char *const verdict_names[VERDICT_COUNT]; /* "same", "different", "noise" */

struct noise_field {
    char *name;               /* owned; unique; "" for NOISE_OTHERS */
    uint32_t rank;            /* i above; 0: not marked yet */
    uint64_t shadow_only;     /* heads: the shadow differed, the control did not */
    uint64_t control_only;    /* tails */
    uint64_t both;            /* both differed */
    uint64_t unchecked;       /* the shadow differed, and the control told nothing */
    uint64_t last_pair;       /* number of the last pair in which the shadow differed; 0: none */
    double log_evidence;      /* ln E */
    double log_evidence_most; /* the greatest so far */
    bool is_different;        /* proven once */
};

/* What one pair showed of one field that differs from the primary in at least one. */
struct noise_mark {
    uint32_t field;
    bool is_checked; /* the field was looked at in both; else nothing is learnt of it */
    bool is_shadow_different, is_control_different;
};

/* Embedded. */
struct noise {
    bool has_control;
    uint64_t pair_count;    /* all */
    uint64_t checked_count; /* of these, with a control that was looked at */
    uint64_t verdicts[VERDICT_COUNT];
    uint32_t marked_count; /* fields that were marked: ranks given out */
    struct map ids;        /* name to field */
    struct noise_field fields[NOISE_FIELDS_MAX + 1];
    uint32_t field_count; /* NOISE_OTHERS included */
};

void noise_init(struct noise *n, bool has_control);
void noise_fini(struct noise *n);

/* The field of a name, made when it is new; NOISE_OTHERS when there is no room for it. */
uint32_t noise_field_id(struct noise *n, struct slice name);
/* Counts one pair in which the primary answered; each field has at most one mark. is_checked: the control was looked at,
   too. The verdict of the pair:
     same       the shadow differs in no field
     different  it does in one that is called different, and in which this pair's control does not differ
     noise      it does, but in no such field */
enum verdict noise_add_pair(struct noise *n, bool is_checked, const struct noise_mark *marks, uint32_t mark_count);

enum verdict noise_field_verdict(const struct noise *n, const struct noise_field *f);
/* Whether more pairs could change the verdict little: it is proven, or the control was seen to differ as well. A noise
   that is not settled may become a difference. */
bool noise_field_is_settled(const struct noise *n, const struct noise_field *f);
/* Of the shadow as a whole: different when a field is, noise when one differs, else same. */
enum verdict noise_verdict(const struct noise *n);
/* ln of the evidence at which the field is called different. */
double noise_log_bound(const struct noise_field *f);

/* ln E after so many heads and tails. Public for tests. */
double noise_log_evidence(uint64_t heads, uint64_t tails);

#endif
