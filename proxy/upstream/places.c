/* upstream/places.c - the places in the queues of upstreams: how many requests wait for one, in all workers together.
 *
 * Pages of the table that no queue ever needed stay the kernel's zero page: 256 KiB of addresses, hardly any memory. */
#include "upstream/places.h"

#include "base/check.h"
#include "base/memory.h"
#include "stats/counters.h"

#include <stdatomic.h>

#define UPSTREAM_IDS (STATS_UPSTREAM_PAGES * STATS_PAGE_BLOCKS)

struct places {
    _Atomic uint32_t taken[UPSTREAM_IDS];
};

struct places *places_create(void)
{
    return memory_zalloc(sizeof(struct places));
}

void places_destroy(struct places *p)
{
    memory_free(p);
}

bool places_take(struct places *p, uint32_t upstream_id, uint32_t most)
{
    CHECK(upstream_id < UPSTREAM_IDS);
    uint32_t taken = atomic_load_explicit(&p->taken[upstream_id], memory_order_relaxed);
    /* Adding first and taking back when it was too much would refuse others for that moment. */
    while (taken < most)
        if (atomic_compare_exchange_weak_explicit(&p->taken[upstream_id], &taken, taken + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void places_give(struct places *p, uint32_t upstream_id)
{
    uint32_t before = atomic_fetch_sub_explicit(&p->taken[upstream_id], 1, memory_order_relaxed);
    CHECK(before > 0);
}
