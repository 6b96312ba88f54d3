/* cli/top_figures.c - from the text of /metrics to rates, shares and quantiles of each route and upstream. */
#include "cli/top.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

/* The value of a label, as it is escaped; empty when it is not there. No value of ours has a comma and a name behind a quote. */
static struct slice label_of(struct slice line, const char *name)
{
    size_t name_length = strlen(name);
    for (size_t i = 0; i + name_length + 2 < line.len; i++) {
        bool is_start = line.ptr[i] == '{' || line.ptr[i] == ',';
        const char *at = line.ptr + i + 1;
        if (!is_start || memcmp(at, name, name_length) != 0 || at[name_length] != '=' || at[name_length + 1] != '"')
            continue;
        struct slice rest = slice_after(line, i + name_length + 3);
        size_t end = 0;
        while (end < rest.len && rest.ptr[end] != '"')
            end += rest.ptr[end] == '\\' ? 2 : 1;
        return slice_first(rest, end < rest.len ? end : rest.len);
    }
    return SLICE_NONE;
}

/* Behind the last blank; "+Inf" is infinity. */
static double number_of(struct slice s)
{
    char copy[64];
    if (s.len == 0 || s.len >= sizeof(copy))
        return 0;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    double value = strtod(copy, NULL);
    return isnan(value) ? 0 : value;
}

static struct slice value_of(struct slice line)
{
    size_t at = line.len;
    while (at > 0 && line.ptr[at - 1] != ' ')
        at--;
    return slice_after(line, at);
}

static struct top_row *row_of(struct top_sample *s, struct slice line, struct arena *arena)
{
    struct slice route = label_of(line, "route"), upstream = label_of(line, "upstream");
    for (size_t i = s->count; i > 0; i--) /* lines of one row mostly stand together */
        if (slice_equal(s->rows[i - 1].upstream, upstream) && slice_equal(s->rows[i - 1].route, route))
            return &s->rows[i - 1];
    if (s->count == s->room)
        return NULL;
    struct top_row *row = &s->rows[s->count++];
    row->route = arena_copy(arena, route);
    row->upstream = arena_copy(arena, upstream);
    return row;
}

static void read_bucket(struct top_row *row, struct slice line, double value)
{
    if (row->bucket_count == TOP_BUCKETS_MAX)
        return;
    row->buckets[row->bucket_count].bound_s = number_of(label_of(line, "le"));
    row->buckets[row->bucket_count++].count = (uint64_t)value;
}

static void read_line(struct top_sample *s, struct slice line, struct arena *arena)
{
    bool is_count = slice_has_prefix(line, SLICE("weir_requests_total{"));
    bool is_bucket = slice_has_prefix(line, SLICE("weir_request_duration_seconds_bucket{"));
    bool is_gauge = slice_has_prefix(line, SLICE("weir_requests_in_flight{"));
    struct top_row *row = is_count || is_bucket || is_gauge ? row_of(s, line, arena) : NULL;
    double value = number_of(value_of(line));
    if (row == NULL || value < 0)
        return;
    if (is_bucket) {
        read_bucket(row, line, value);
    } else if (is_gauge) {
        row->in_flight = (int64_t)value;
    } else {
        row->requests += (uint64_t)value;
        row->errors += slice_has_prefix(label_of(line, "code"), SLICE("5")) ? (uint64_t)value : 0;
    }
}

/* Each row has a line of one of these at least, so that there is room for all, in one piece. */
static size_t rows_at_most(struct slice metrics)
{
    size_t count = 0;
    for (struct slice rest = metrics; rest.len > 0; rest = slice_after(rest, slice_find(rest, '\n') + 1))
        count += slice_has_prefix(rest, SLICE("weir_requests_"));
    return count < TOP_ROWS_MAX ? count : TOP_ROWS_MAX;
}

void top_read(struct top_sample *s, struct slice metrics, struct arena *arena)
{
    *s = (struct top_sample){ .room = rows_at_most(metrics) };
    s->rows = arena_zalloc_array(arena, s->room + 1, sizeof(*s->rows));
    for (struct slice rest = metrics; rest.len > 0; rest = slice_after(rest, slice_find(rest, '\n') + 1))
        read_line(s, slice_first(rest, slice_find(rest, '\n')), arena);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------ */

static const struct top_row *same_row(const struct top_sample *s, const struct top_row *row)
{
    for (size_t i = 0; i < s->count; i++)
        if (slice_equal(s->rows[i].route, row->route) && slice_equal(s->rows[i].upstream, row->upstream))
            return s->rows[i].requests <= row->requests ? &s->rows[i] : NULL;
    return NULL;
}

static uint64_t grown(const struct top_row *row, const struct top_row *before, size_t bucket)
{
    uint64_t old = before != NULL && bucket < before->bucket_count ? before->buckets[bucket].count : 0;
    return row->buckets[bucket].count >= old ? row->buckets[bucket].count - old : 0;
}

/* Within its bucket in proportion, as histogram_quantile does; beyond the last bound, that bound. */
static double quantile(const struct top_row *row, const struct top_row *before, double q)
{
    uint64_t all = row->bucket_count > 0 ? grown(row, before, row->bucket_count - 1) : 0;
    double wanted = q * (double)all, below = 0, low = 0;
    if (all == 0)
        return NAN;
    for (size_t i = 0; i < row->bucket_count; i++) {
        double here = (double)grown(row, before, i), high = row->buckets[i].bound_s;
        if (here >= wanted && here > below)
            return isinf(high) ? low : low + (high - low) * (wanted - below) / (here - below);
        below = here;
        low = isinf(high) ? low : high;
    }
    return low;
}

static void compare_row(const struct top_row *row, const struct top_row *old, struct top_figures *out)
{
    uint64_t old_requests = old != NULL ? old->requests : 0, old_errors = old != NULL ? old->errors : 0;
    *out = (struct top_figures){ .requests = row->requests - old_requests,
                                 .errors = row->errors > old_errors ? row->errors - old_errors : 0,
                                 .p50_s = quantile(row, old, 0.5),
                                 .p99_s = quantile(row, old, 0.99),
                                 .in_flight = row->in_flight };
}

void top_compare(const struct top_sample *now, const struct top_sample *before, struct top_figures *out)
{
    for (size_t i = 0; i < now->count; i++)
        compare_row(&now->rows[i], same_row(before, &now->rows[i]), &out[i]);
    for (size_t i = 0; i < now->count; i++) {
        uint64_t of_route = 0;
        for (size_t k = 0; k < now->count; k++)
            of_route += slice_equal(now->rows[k].route, now->rows[i].route) ? out[k].requests : 0;
        out[i].share = of_route > 0 ? (double)out[i].requests / (double)of_route : NAN;
    }
}
