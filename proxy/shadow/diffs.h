/* shadow/diffs.h - the newest pairs of a shadow that differ, as documents of JSON, redacted before they are kept.
 *
 * Bounded in number and bytes: a new one drives out as many of the oldest as it needs room. Bodies are not kept but for
 * the request's, when that is JSON, since nothing else can be redacted.
 *
 * Owner and lifetime: the findings it belongs to. Thread: whoever holds the comparer's lock. */
#ifndef SHADOW_DIFFS_H
#define SHADOW_DIFFS_H

#include "shadow/compare.h"
#include "shadow/noise.h"

#define DIFFS_MAX          50u
#define DIFFS_BYTES_MAX    (512u * 1024) /* of a shadow */
#define DIFF_BYTES_MAX     (64u * 1024)  /* of one; a longer one is not kept */
#define DIFF_FIELDS_MAX    20u           /* told of one pair; how many there are is told, too */
#define DIFF_HEADERS_BYTES (8u * 1024)   /* of the request's names and values; further lines are left out */
#define DIFF_TARGET_BYTES  2048u
#define DIFF_BODY_BYTES    4096u

/* Embedded; all zero is an empty one. A ring: `count` documents from `first` on, oldest first. */
struct diffs {
    struct {
        char *bytes; /* owned */
        size_t len;
    } items[DIFFS_MAX];
    uint32_t first, count;
    size_t bytes; /* sum of the lengths */
};

extern const char *const pair_side_names[PAIR_SIDE_COUNT]; /* "primary", "shadow", "control" */

void diffs_fini(struct diffs *d);
/* What one pair was and where it differs; verdicts are those of now. */
void diffs_add(struct diffs *d, const struct compare_plan *plan, const struct pair *p, const struct comparison *c,
               struct noise *noise, enum verdict verdict);
/* Adds the documents to a list, newest first. */
void diffs_write(const struct diffs *d, struct json *array);

#endif
