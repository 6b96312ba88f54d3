/* stats/stats.c - names, and sums over the workers.
 *
 * Sums read every worker's cells while they count: each cell whole (it is atomic), the cells of one request maybe
 * not together. So a sum is right at some moment during the call, and two sums may disagree by what happened
 * between them. */
#include "stats/stats.h"

#include "base/memory.h"

#include <string.h>

struct stats *stats_create(uint32_t worker_count)
{
    struct stats *s = memory_zalloc(sizeof *s);
    registry_init(&s->series, STATS_SERIES_PAGES * STATS_PAGE_BLOCKS);
    registry_init(&s->upstreams, STATS_UPSTREAM_PAGES * STATS_PAGE_BLOCKS);
    registry_init(&s->endpoints, STATS_ENDPOINT_PAGES * STATS_PAGE_BLOCKS);
    registry_init(&s->listeners, STATS_LISTENER_PAGES * STATS_PAGE_BLOCKS);
    registry_init(&s->shadows, STATS_SHADOW_PAGES * STATS_PAGE_BLOCKS);
    registry_init(&s->scripts, STATS_SCRIPT_PAGES * STATS_PAGE_BLOCKS);
    s->workers = memory_resize_array(NULL, worker_count, sizeof(struct stats_worker *));
    s->worker_count = worker_count;
    s->comparer = stats_worker_create();
    for (uint32_t i = 0; i < worker_count; i++)
        s->workers[i] = stats_worker_create();
    return s;
}

void stats_destroy(struct stats *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->worker_count; i++)
        stats_worker_destroy(s->workers[i]);
    stats_worker_destroy(s->comparer);
    memory_free(s->workers);
    registry_fini(&s->series);
    registry_fini(&s->upstreams);
    registry_fini(&s->endpoints);
    registry_fini(&s->listeners);
    registry_fini(&s->shadows);
    registry_fini(&s->scripts);
    memory_free(s);
}

void stats_begin_generation(struct stats *s)
{
    registry_begin_generation(&s->series);
    registry_begin_generation(&s->upstreams);
    registry_begin_generation(&s->endpoints);
    registry_begin_generation(&s->listeners);
    registry_begin_generation(&s->shadows);
    registry_begin_generation(&s->scripts);
}

uint32_t stats_series_id(struct stats *s, struct slice route, struct slice upstream)
{
    return registry_id(&s->series, route, upstream);
}

uint32_t stats_upstream_id(struct stats *s, struct slice upstream)
{
    return registry_id(&s->upstreams, upstream, SLICE(""));
}

uint32_t stats_upstream_shadow_id(struct stats *s, struct slice upstream)
{
    return registry_id(&s->upstreams, upstream, SLICE("shadow"));
}

uint32_t stats_endpoint_id(struct stats *s, struct slice upstream, struct slice address)
{
    return registry_id(&s->endpoints, upstream, address);
}

uint32_t stats_listener_id(struct stats *s, struct slice listener)
{
    return registry_id(&s->listeners, listener, SLICE(""));
}

uint32_t stats_script_id(struct stats *s, struct slice script, struct slice hook)
{
    return registry_id(&s->scripts, script, hook);
}

uint32_t stats_shadow_id(struct stats *s, struct slice route, struct slice upstream)
{
    return registry_id(&s->shadows, route, upstream);
}

/* Relaxed: no other memory is reached through a cell. Pages are, and need acquire. */
static uint64_t cell_read(const stats_cell *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

/* The block of an id as another thread reads it; NULL when the worker has not made its page. */
static const void *block_read(const stats_page_slot *slots, uint32_t slot_count, uint32_t id, size_t block_bytes)
{
    CHECK(id / STATS_PAGE_BLOCKS < slot_count);
    const char *page = atomic_load_explicit(&slots[id / STATS_PAGE_BLOCKS], memory_order_acquire);
    return page ? page + id % STATS_PAGE_BLOCKS * block_bytes : NULL;
}

/* ---- sums: the workers count on meanwhile ------------------------------------------------------------------------ */

uint64_t stats_sum(const struct stats *s, enum stats_counter counter)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++)
        sum += cell_read(&s->workers[i]->counters[counter]);
    return sum;
}

uint64_t stats_sum_upstream(const struct stats *s, uint32_t upstream, enum stats_upstream_cell cell)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_upstream *u =
            block_read(s->workers[i]->upstreams, STATS_UPSTREAM_PAGES, upstream, sizeof *u);
        sum += u ? cell_read(&u->cells[cell]) : 0;
    }
    return sum;
}

uint64_t stats_sum_script(const struct stats *s, uint32_t script, enum stats_script_result result)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_script *b = block_read(s->workers[i]->scripts, STATS_SCRIPT_PAGES, script, sizeof *b);
        sum += b ? cell_read(&b->results[result]) : 0;
    }
    return sum;
}

void stats_sum_script_duration(const struct stats *s, uint32_t script, struct histogram *out)
{
    *out = (struct histogram){ .sum_us = 0 };
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_script *b = block_read(s->workers[i]->scripts, STATS_SCRIPT_PAGES, script, sizeof *b);
        if (b == NULL)
            continue;
        out->sum_us += cell_read(&b->duration_sum_us);
        for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT; bucket++)
            out->buckets[bucket] += cell_read(&b->durations[bucket]);
    }
}

uint64_t stats_sum_shadow(const struct stats *s, uint32_t shadow, unsigned cell)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_shadow *b = block_read(s->workers[i]->shadows, STATS_SHADOW_PAGES, shadow, sizeof *b);
        sum += b ? cell_read(&b->cells[cell]) : 0;
    }
    const struct stats_shadow *b = block_read(s->comparer->shadows, STATS_SHADOW_PAGES, shadow, sizeof *b);
    return sum + (b ? cell_read(&b->cells[cell]) : 0);
}

uint64_t stats_sum_listener(const struct stats *s, uint32_t listener, enum stats_protocol protocol)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_listener *l =
            block_read(s->workers[i]->listeners, STATS_LISTENER_PAGES, listener, sizeof *l);
        sum += l ? cell_read(&l->connections[protocol]) : 0;
    }
    return sum;
}

uint64_t stats_sum_handshakes(const struct stats *s, uint32_t listener, enum stats_handshake result)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_listener *l =
            block_read(s->workers[i]->listeners, STATS_LISTENER_PAGES, listener, sizeof *l);
        sum += l ? cell_read(&l->handshakes[result]) : 0;
    }
    return sum;
}

/* The enum is in the order of gravity: unknown, healthy, unhealthy. */
enum stats_health stats_sum_health(const struct stats *s, uint32_t endpoint)
{
    enum stats_health worst = STATS_HEALTH_UNKNOWN;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct stats_endpoint *e =
            block_read(s->workers[i]->endpoints, STATS_ENDPOINT_PAGES, endpoint, sizeof *e);
        enum stats_health health = e ? (enum stats_health)cell_read(&e->health) : worst;
        if (health > worst)
            worst = health;
    }
    return worst;
}

static struct stats_series *series_read(const struct stats *s, uint32_t worker, uint32_t series)
{
    CHECK(series / STATS_PAGE_BLOCKS < STATS_SERIES_PAGES);
    const stats_page_slot *slot = &s->workers[worker]->series[series / STATS_PAGE_BLOCKS];
    struct stats_series *page = atomic_load_explicit(slot, memory_order_acquire);
    return page != NULL ? page + series % STATS_PAGE_BLOCKS : NULL;
}

/* One of enum stats_series_cell. */
static uint64_t series_cell(struct stats_series *block, unsigned cell)
{
    return cell_read(stats_series_cell(block, cell));
}

/* The first worker from *worker on that has the series, or NULL; moves *worker behind it. */
static struct stats_series *series_next(const struct stats *s, uint32_t series, uint32_t *worker)
{
    while (*worker < s->worker_count) {
        struct stats_series *block = series_read(s, (*worker)++, series);
        if (block != NULL)
            return block;
    }
    return NULL;
}

/* A page is made when a worker first counts in it: without one, nobody has counted anything. */
static bool has_series(const struct stats *s, uint32_t series)
{
    uint32_t worker = 0;
    return series_next(s, series, &worker) != NULL;
}

/* A slot is (code + 1) << STATS_STATUS_COUNT_BITS | count; workers give codes their slots in the order in which they meet them, so the
   same code may stand elsewhere in each. */
static void statuses_add(struct series_statuses *out, struct stats_series *block)
{
    out->other += series_cell(block, STATS_SERIES_STATUS_OTHER);
    for (unsigned slot = 0; slot < STATS_STATUS_SLOTS; slot++) {
        uint64_t cell = series_cell(block, STATS_SERIES_STATUSES + slot);
        if (cell != 0)
            out->by_status[(cell >> STATS_STATUS_COUNT_BITS) - 1] += cell & STATS_STATUS_COUNT_MASK;
    }
}

bool stats_sum_statuses(const struct stats *s, uint32_t series, struct series_statuses *out)
{
    if (!has_series(s, series))
        return false;
    memset(out, 0, sizeof *out);
    struct stats_series *block;
    for (uint32_t worker = 0; (block = series_next(s, series, &worker)) != NULL;)
        statuses_add(out, block);
    return true;
}

bool stats_sum_reasons(const struct stats *s, uint32_t series, uint64_t out[REASON_COUNT])
{
    if (!has_series(s, series))
        return false;
    memset(out, 0, REASON_COUNT * sizeof out[0]);
    struct stats_series *block;
    for (uint32_t worker = 0; (block = series_next(s, series, &worker)) != NULL;)
        for (unsigned reason = 0; reason < REASON_COUNT; reason++)
            out[reason] += series_cell(block, STATS_SERIES_REASONS + reason);
    return true;
}

bool stats_sum_duration(const struct stats *s, uint32_t series, struct histogram *out)
{
    if (!has_series(s, series))
        return false;
    memset(out, 0, sizeof *out);
    struct stats_series *block;
    for (uint32_t worker = 0; (block = series_next(s, series, &worker)) != NULL;) {
        for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKET_COUNT; bucket++)
            out->buckets[bucket] += series_cell(block, STATS_SERIES_DURATION_BUCKETS + bucket);
        out->sum_us += series_cell(block, STATS_SERIES_DURATION_SUM_US);
    }
    return true;
}

bool stats_sum_totals(const struct stats *s, uint32_t series, struct series_totals *out)
{
    struct histogram duration;
    if (!stats_sum_duration(s, series, &duration))
        return false;
    uint64_t in_flight = 0;
    /* Whoever ended is in the histogram, whoever has not is in flight: read one after the other, a request that ends in between is
       counted twice or not at all, until the next scrape. */
    *out = (struct series_totals){ .begun_count = histogram_count(&duration) };
    struct stats_series *block;
    for (uint32_t worker = 0; (block = series_next(s, series, &worker)) != NULL;) {
        in_flight += series_cell(block, STATS_SERIES_IN_FLIGHT);
        out->bytes_in += series_cell(block, STATS_SERIES_BYTES_IN);
        out->bytes_out += series_cell(block, STATS_SERIES_BYTES_OUT);
    }
    out->in_flight_count = (int64_t)in_flight;
    out->begun_count += in_flight;
    return true;
}
