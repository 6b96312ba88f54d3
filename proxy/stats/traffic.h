/* stats/traffic.h - what was counted up to some moments of the last minutes, so that before and after can be compared. Pure.
 *
 *   counters of /metrics --traffic_look, every TRAFFIC_LOOK_MS--> ring of looks, a place for each busy series
 *   traffic_read(scope, then), traffic_read(scope, now) --traffic_compare--> rate, share of errors, latencies
 *
 * Time is a parameter. A look is of the nearest kept moment, so that what is past is known to half of TRAFFIC_LOOK_MS; now is
 * read as it is. Memory: 15.3 KiB for a series that has counted something, for the first TRAFFIC_SERIES_MAX of them (7.6 MiB in
 * all); beyond, only the whole proxy is known for sure. Totals are kept modulo 2^32: differences over minutes are right.
 * Owner: who embeds it; one thread. */
#ifndef STATS_TRAFFIC_H
#define STATS_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"
#include "stats/histogram.h"
#include "stats/stats.h"

#define TRAFFIC_LOOK_MS    5000
#define TRAFFIC_LOOK_COUNT 61u /* five minutes of them, and one more */
#define TRAFFIC_SERIES_MAX 512u

/* Requests that got an answer, whoever gave it; errors are those with a status from 500 (as objectives count: server/slos.h). */
struct traffic_counts {
    uint32_t requests, errors;
    uint32_t buckets[HISTOGRAM_BUCKET_COUNT]; /* how long they took; also those that got none */
};

struct traffic_place {
    uint32_t series;
    struct traffic_counts looks[TRAFFIC_LOOK_COUNT]; /* as times; 0 where it had not counted yet */
};

struct traffic {
    uint32_t newest, count; /* of the ring */
    struct mono_time times[TRAFFIC_LOOK_COUNT];
    struct traffic_counts whole[TRAFFIC_LOOK_COUNT];
    struct traffic_place *places[TRAFFIC_SERIES_MAX]; /* owned; by series, growing */
    uint32_t place_count;
};

/* Both empty: the whole proxy, with what no route met. One empty: any. */
struct traffic_scope {
    struct slice route, upstream;
};

struct traffic_figures {
    double seconds; /* that it covers */
    uint64_t requests, errors;
    double rate, error_ratio;        /* a second; of the requests, 0 without any */
    uint64_t p50_us, p95_us, p99_us; /* 0 without requests */
};

/* Zeroed is a good beginning. */
void traffic_fini(struct traffic *t);
/* Notes all totals. Costs as much as there are busy series and workers: some 8 ms for 10,000 of them and two workers. */
void traffic_look(struct traffic *t, const struct stats *stats, struct mono_time now);
/* The moment of the oldest look; `now` without any. */
struct mono_time traffic_oldest(const struct traffic *t, struct mono_time now);
/* The scope's totals at the kept moment nearest to `at`, which goes to *of; at the oldest when it was before that. False: more
   series than fit have counted, and some of the scope's are not kept. */
bool traffic_read(const struct traffic *t, const struct stats *stats, const struct traffic_scope *scope,
                  struct mono_time at, struct mono_time now, struct traffic_counts *out,
                  struct mono_time *of) MUST_CHECK;
/* What came between two moments. */
struct traffic_figures traffic_compare(const struct traffic_counts *from, const struct traffic_counts *to,
                                       int64_t span_us);

#endif
