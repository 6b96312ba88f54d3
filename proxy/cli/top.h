/* cli/top.h - what `weir top` makes of two looks at /metrics. Pure: texts go in, figures come out. */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "base/arena.h"

#define TOP_BUCKETS_MAX 64 /* of a histogram; more are ignored, as are rows beyond TOP_ROWS_MAX */
#define TOP_ROWS_MAX    4096

/* One route and upstream. Counts are totals since the start of the process. */
struct top_row {
    struct slice route, upstream;
    uint64_t requests, errors; /* errors: of these, answered with 500 and above */
    int64_t in_flight;
    struct top_bucket {
        double bound_s;
        uint64_t count; /* cumulative, as Prometheus has it */
    } buckets[TOP_BUCKETS_MAX];
    size_t bucket_count;
};

/* One look, in the order of the text. Owned by the arena that it was read into. */
struct top_sample {
    struct top_row *rows;
    size_t count, room;
};

/* The slices of the rows are the arena's. Lines that are no metrics of ours are passed over. */
void top_read(struct top_sample *s, struct slice metrics, struct arena *arena);

/* What happened between two looks, on one route and upstream. */
struct top_figures {
    uint64_t requests, errors;
    double share;        /* of the route's requests; NAN: it had none */
    double p50_s, p99_s; /* NAN: no request */
    int64_t in_flight;
};

/* Of each row of `now`, into as many of `out`, against the same one of `before`; where that has none, or counted more (another
   process), against zero. */
void top_compare(const struct top_sample *now, const struct top_sample *before, struct top_figures *out);

#endif
