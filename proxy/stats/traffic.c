/* stats/traffic.c - looks at totals, and what lies between two of them. */
#include "stats/traffic.h"

#include <string.h>

#include "base/memory.h"

#define NOW TRAFFIC_LOOK_COUNT /* in place of a look: the counters themselves */

/* ---- totals --------------------------------------------------------------------------------------------------------------- */

/* False: nothing was counted. */
static bool series_read(const struct stats *stats, uint32_t id, struct traffic_counts *out)
{
    struct series_statuses statuses;
    struct histogram durations;
    uint64_t requests, errors = 0;
    if (!stats_sum_statuses(stats, id, &statuses) || !stats_sum_duration(stats, id, &durations))
        return false;
    requests = statuses.other;
    for (unsigned status = 200; status < STATS_STATUS_END; status++) {
        requests += statuses.by_status[status];
        errors += status >= 500 ? statuses.by_status[status] : 0;
    }
    out->requests = (uint32_t)requests;
    out->errors = (uint32_t)errors;
    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        out->buckets[i] = (uint32_t)durations.buckets[i];
    return requests > 0;
}

static void add(struct traffic_counts *into, const struct traffic_counts *from)
{
    into->requests += from->requests;
    into->errors += from->errors;
    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        into->buckets[i] += from->buckets[i];
}

/* ---- the ring ------------------------------------------------------------------------------------------------------------- */

/* Where the series is, or belongs. */
static uint32_t place_find(const struct traffic *t, uint32_t series)
{
    uint32_t low = 0, high = t->place_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (t->places[middle]->series < series)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: there is none. */
static struct traffic_place *place_of(const struct traffic *t, uint32_t series)
{
    uint32_t at = place_find(t, series);
    return at < t->place_count && t->places[at]->series == series ? t->places[at] : NULL;
}

/* Zeroed: of looks before this one it is true that nothing was counted. NULL: all are taken. */
static struct traffic_place *place_add(struct traffic *t, uint32_t series)
{
    uint32_t at = place_find(t, series);
    if (t->place_count == TRAFFIC_SERIES_MAX)
        return NULL;
    memmove(t->places + at + 1, t->places + at, (t->place_count - at) * sizeof(struct traffic_place *));
    t->place_count++;
    t->places[at] = memory_zalloc(sizeof(struct traffic_place));
    t->places[at]->series = series;
    return t->places[at];
}

void traffic_look(struct traffic *t, const struct stats *stats, struct mono_time now)
{
    uint32_t look = t->count == 0 ? 0 : (t->newest + 1) % TRAFFIC_LOOK_COUNT;
    t->times[look] = now;
    t->whole[look] = (struct traffic_counts){ 0 };
    for (uint32_t id = 0; id < stats->series.count; id++) {
        struct traffic_counts counts;
        if (!series_read(stats, id, &counts))
            continue;
        struct traffic_place *place = place_of(t, id);
        if (place == NULL)
            place = place_add(t, id);
        if (place != NULL)
            place->looks[look] = counts;
        add(&t->whole[look], &counts);
    }
    t->newest = look;
    t->count += t->count < TRAFFIC_LOOK_COUNT;
}

void traffic_fini(struct traffic *t)
{
    for (uint32_t i = 0; i < t->place_count; i++)
        memory_free(t->places[i]);
    t->place_count = 0;
}

/* From the oldest, 0, to the newest. */
static uint32_t look_at(const struct traffic *t, uint32_t index)
{
    return (t->newest + TRAFFIC_LOOK_COUNT + 1 - t->count + index) % TRAFFIC_LOOK_COUNT;
}

struct mono_time traffic_oldest(const struct traffic *t, struct mono_time now)
{
    return t->count == 0 ? now : t->times[look_at(t, 0)];
}

static int64_t distance_us(struct mono_time a, struct mono_time b)
{
    int64_t us = mono_diff_us(a, b);
    return us < 0 ? -us : us;
}

/* As near as now is: now. */
static uint32_t nearest(const struct traffic *t, struct mono_time at, struct mono_time now)
{
    uint32_t best = NOW;
    int64_t best_us = distance_us(at, now);
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t look = look_at(t, i);
        int64_t us = distance_us(at, t->times[look]);
        if (us < best_us) {
            best = look;
            best_us = us;
        }
    }
    return best;
}

/* ---- a scope -------------------------------------------------------------------------------------------------------------- */

static bool is_whole(const struct traffic_scope *scope)
{
    return slice_is_empty(scope->route) && slice_is_empty(scope->upstream);
}

static bool is_in(const struct traffic_scope *scope, const struct registry_entry *entry)
{
    return (slice_is_empty(scope->route) || slice_equal(scope->route, entry->first)) &&
           (slice_is_empty(scope->upstream) || slice_equal(scope->upstream, entry->second));
}

/* A series without a place has counted nothing up to the last look, or did not fit. */
static bool scope_read(const struct traffic *t, const struct stats *stats, const struct traffic_scope *scope,
                       uint32_t look, struct traffic_counts *out)
{
    bool is_known = true;
    for (uint32_t id = is_whole(scope) ? 0 : 1; id < stats->series.count; id++) {
        struct traffic_counts counts;
        const struct traffic_place *place = place_of(t, id);
        if (!is_in(scope, registry_entry(&stats->series, id)))
            continue;
        if (look != NOW && place != NULL)
            add(out, &place->looks[look]);
        else if (look == NOW && series_read(stats, id, &counts))
            add(out, &counts);
        else if (place == NULL && t->place_count == TRAFFIC_SERIES_MAX && series_read(stats, id, &counts))
            is_known = false;
    }
    return is_known;
}

bool traffic_read(const struct traffic *t, const struct stats *stats, const struct traffic_scope *scope,
                  struct mono_time at, struct mono_time now, struct traffic_counts *out, struct mono_time *of)
{
    uint32_t look = nearest(t, at, now);
    *out = (struct traffic_counts){ 0 };
    *of = look == NOW ? now : t->times[look];
    if (look == NOW || !is_whole(scope))
        return scope_read(t, stats, scope, look, out);
    *out = t->whole[look];
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------ */

struct traffic_figures traffic_compare(const struct traffic_counts *from, const struct traffic_counts *to,
                                       int64_t span_us)
{
    struct traffic_figures f = { .seconds = (double)span_us / 1e6 };
    struct histogram durations = { 0 };
    f.requests = (uint32_t)(to->requests - from->requests);
    f.errors = (uint32_t)(to->errors - from->errors);
    for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        durations.buckets[i] = (uint32_t)(to->buckets[i] - from->buckets[i]);
    f.rate = span_us > 0 ? (double)f.requests / f.seconds : 0;
    f.error_ratio = f.requests > 0 ? (double)f.errors / (double)f.requests : 0;
    f.p50_us = histogram_quantile_us(&durations, 0.5);
    f.p95_us = histogram_quantile_us(&durations, 0.95);
    f.p99_us = histogram_quantile_us(&durations, 0.99);
    return f;
}
