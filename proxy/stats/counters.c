/* stats/counters.c - pages of counters, and the end of a request.
 *
 * What the worker's thread does more than an add for: the first use of a page, and the end of a request. Everything
 * else is inline in the header. */
#include "stats/counters.h"

#include "base/memory.h"

struct stats_worker *stats_worker_create(void)
{
    return memory_zalloc_aligned(sizeof(struct stats_worker), STATS_CACHE_LINE_BYTES);
}

#define SERIES_PAGE_BYTES (STATS_SERIES_LINES * STATS_PAGE_BLOCKS * sizeof(struct stats_series))

static void pages_destroy(stats_page_slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        memory_free(atomic_load_explicit(&slots[i], memory_order_acquire));
}

void stats_worker_destroy(struct stats_worker *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; i < STATS_SERIES_PAGES; i++)
        memory_unmap(atomic_load_explicit(&w->series[i], memory_order_acquire), SERIES_PAGE_BYTES);
    pages_destroy(w->upstreams, STATS_UPSTREAM_PAGES);
    pages_destroy(w->endpoints, STATS_ENDPOINT_PAGES);
    pages_destroy(w->listeners, STATS_LISTENER_PAGES);
    pages_destroy(w->shadows, STATS_SHADOW_PAGES);
    pages_destroy(w->scripts, STATS_SCRIPT_PAGES);
    memory_free(w);
}

/* Release pairs with the acquire of block_read (stats/stats.c): who sees the pointer sees the zeros behind it. */
void *stats_page_make(stats_page_slot *slot, size_t block_bytes)
{
    size_t page_bytes = block_bytes * STATS_PAGE_BLOCKS; /* a multiple of the cache line: 64 blocks */
    void *page = memory_zalloc_aligned(page_bytes, STATS_CACHE_LINE_BYTES);
    atomic_store_explicit(slot, page, memory_order_release);
    return page;
}

/* From the system, not from the heap: of its runs most are never touched. */
void *stats_series_page_make(stats_page_slot *slot)
{
    void *page = memory_map(SERIES_PAGE_BYTES);
    atomic_store_explicit(slot, page, memory_order_release);
    return page;
}

/* The cell of a status code, claiming a slot for a new one. A claimed slot stands before every free one and nobody else
   writes, so no two slots ever hold the same code. */
static stats_cell *status_cell(struct stats_series *s, uint16_t status)
{
    if (status >= STATS_STATUS_END)
        return stats_series_cell(s, STATS_SERIES_STATUS_OTHER);
    uint64_t tag = (uint64_t)status + 1;
    for (unsigned i = 0; i < STATS_STATUS_SLOTS; i++) {
        stats_cell *cell = stats_series_cell(s, STATS_SERIES_STATUSES + i);
        uint64_t held = atomic_load_explicit(cell, memory_order_relaxed);
        if (held == 0)
            stats_cell_set(cell, tag << STATS_STATUS_COUNT_BITS);
        if (held == 0 || held >> STATS_STATUS_COUNT_BITS == tag)
            return cell;
    }
    return stats_series_cell(s, STATS_SERIES_STATUS_OTHER);
}

void stats_request_end(struct stats_worker *w, uint32_t series, uint16_t status, enum reason reason,
                       uint64_t duration_us)
{
    CHECK((unsigned)reason < REASON_COUNT);
    struct stats_series *s = stats_series_at(w, series);
    stats_cell_add(stats_series_cell(s, STATS_SERIES_IN_FLIGHT), (uint64_t)-1);
    stats_cell_add(status_cell(s, status), 1);
    if (reason != REASON_NONE)
        stats_cell_add(stats_series_cell(s, STATS_SERIES_REASONS + (unsigned)reason), 1);
    stats_cell_add(stats_series_cell(s, STATS_SERIES_DURATION_BUCKETS + histogram_bucket(duration_us)), 1);
    stats_cell_add(stats_series_cell(s, STATS_SERIES_DURATION_SUM_US), duration_us);
}
