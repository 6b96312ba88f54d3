/* stats/stats.h - all statistics of the process: the names, the workers' counters, and their sums.
 *
 * Owner and thread: main, but for the stats_worker blocks, which their workers write (stats/counters.h). Sums are read
 * while workers count: each number is right at some moment during the call.
 *
 *   start:  stats_create(workers); worker_options.stats = stats->workers[i]
 *   load:   stats_begin_generation, then an id for each name of the new snapshot; the ids travel with the snapshot
 *   stop:   join the workers, stats_destroy */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include "base/slice.h"
#include "stats/counters.h"
#include "stats/registry.h"

struct stats {
    struct registry series;        /* route, upstream; upstream "" where the route answers itself */
    struct registry upstreams;     /* upstream, and what for: "" for requests, "shadow" for copies */
    struct registry endpoints;     /* upstream, address as written */
    struct registry listeners;     /* listener, "" */
    struct registry shadows;       /* route, upstream */
    struct registry scripts;       /* script, hook */
    struct stats_worker **workers; /* by worker index; each written by its worker */
    struct stats_worker *comparer; /* of the thread that compares; only cells of shadows */
    uint32_t worker_count;         /* fixed for the life of the process */
};

struct stats *stats_create(uint32_t worker_count);
void stats_destroy(struct stats *s);

/* Names: see stats/registry.h. Beyond capacity (262,144 series) all share id 0. */
void stats_begin_generation(struct stats *s);
uint32_t stats_series_id(struct stats *s, struct slice route, struct slice upstream);
uint32_t stats_upstream_id(struct stats *s, struct slice upstream);
/* The connections that carry copies to it: an entry of its own. */
uint32_t stats_upstream_shadow_id(struct stats *s, struct slice upstream);
uint32_t stats_endpoint_id(struct stats *s, struct slice upstream, struct slice address);
uint32_t stats_listener_id(struct stats *s, struct slice listener);
uint32_t stats_shadow_id(struct stats *s, struct slice route, struct slice upstream);
uint32_t stats_script_id(struct stats *s, struct slice script, struct slice hook);

/* Sums over the workers. A gauge's sum is to be read as int64_t. */
uint64_t stats_sum(const struct stats *s, enum stats_counter counter);
uint64_t stats_sum_upstream(const struct stats *s, uint32_t upstream, enum stats_upstream_cell cell);
/* `cell` of enum stats_shadow_cell. */
uint64_t stats_sum_shadow(const struct stats *s, uint32_t shadow, unsigned cell);
uint64_t stats_sum_script(const struct stats *s, uint32_t script, enum stats_script_result result);
void stats_sum_script_duration(const struct stats *s, uint32_t script, struct histogram *out);
uint64_t stats_sum_listener(const struct stats *s, uint32_t listener, enum stats_protocol protocol);
uint64_t stats_sum_handshakes(const struct stats *s, uint32_t listener, enum stats_handshake result);
/* Unhealthy when any worker thinks so, else healthy when any does. */
enum stats_health stats_sum_health(const struct stats *s, uint32_t endpoint);

struct series_statuses {
    uint64_t by_status[STATS_STATUS_END];
    uint64_t other; /* of codes that found no slot */
};

/* False, and nothing is written, when no worker has counted anything in this series' page. */
bool stats_sum_statuses(const struct stats *s, uint32_t series, struct series_statuses *out);
bool stats_sum_reasons(const struct stats *s, uint32_t series, uint64_t out[REASON_COUNT]);
bool stats_sum_duration(const struct stats *s, uint32_t series, struct histogram *out);

/* begun_count is worked out (ended + in flight), so that it costs the worker no counter. */
struct series_totals {
    uint64_t begun_count; /* requests begun: ended ones and those in flight */
    int64_t in_flight_count;
    uint64_t bytes_in, bytes_out;
};

bool stats_sum_totals(const struct stats *s, uint32_t series, struct series_totals *out);

#endif
