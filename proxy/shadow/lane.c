/* shadow/lane.c - one shadow of the configuration as one worker uses it: its upstream, its breaker, its memory. */
#include "shadow/lane.h"

#include "base/check.h"
#include "base/memory.h"
#include "shadow/shadow.h"

#include <stdio.h>

#define MEMORY_MIN_BYTES (256u * 1024) /* what a worker may hold in any case: else many workers would copy nothing */

static struct shadow_lane *lane_find(struct shadow_pool *pool, uint32_t series)
{
    LIST_FOREACH_SAFE (link, &pool->lanes) {
        struct shadow_lane *lane = LIST_ITEM(link, struct shadow_lane, link);
        if (lane->series == series)
            return lane;
    }
    return NULL;
}

static struct shadow_lane *lane_create(struct shadow_pool *pool, const struct route_config *route,
                                       const struct compiled_shadow *shadow)
{
    struct shadow_lane *lane = memory_zalloc(sizeof *lane);
    char label[256];
    snprintf(label, sizeof label, "%.*s to %.*s", SLICE_ARG(route->name), SLICE_ARG(shadow->config->to));
    lane->label = memory_strdup(label);
    lane->series = shadow->series;
    list_append(&pool->lanes, &lane->link);
    return lane;
}

static void lane_unref(struct shadow_lane *lane)
{
    CHECK(lane->ref_count > 0);
    if (--lane->ref_count > 0)
        return;
    CHECK(lane->held_bytes == 0);
    list_remove(&lane->link);
    memory_free(lane->label);
    memory_free(lane);
}

static uint64_t part_of(const struct shadow_pool *pool, uint64_t bytes)
{
    uint64_t part = bytes / pool->upstreams.worker_count;
    return part > MEMORY_MIN_BYTES ? part : MEMORY_MIN_BYTES;
}

/* Endpoints of it are not counted as healthy or not: that is told by those that serve requests. */
static struct upstream *attach_upstream(struct shadow_pool *pool, const struct upstream_config *config, uint32_t index,
                                        const struct shadow_upstreams *upstreams)
{
    uint32_t *no_ids = memory_zalloc((config->endpoint_count + 1) * sizeof *no_ids);
    struct upstream *u =
        upstream_attach(&pool->upstreams, config, upstreams->tls[index], upstreams->stats_ids[index], no_ids);
    upstream_adopt_addresses(u, upstreams->primaries[index]);
    memory_free(no_ids);
    return u;
}

static void slot_attach(struct shadow_slot *slot, struct shadow_pool *pool, const struct route_table *table,
                        const struct compiled_route *route, const struct compiled_shadow *shadow,
                        const struct shadow_upstreams *upstreams)
{
    uint32_t index = shadow->config->upstream_index;
    slot->lane = lane_find(pool, shadow->series);
    if (slot->lane == NULL)
        slot->lane = lane_create(pool, route->config, shadow);
    slot->lane->ref_count++;
    slot->upstream = attach_upstream(pool, &table->config->upstreams[index], index, upstreams);
    slot->memory_bytes = part_of(pool, shadow->config->max_memory_bytes);
}

void shadow_binding_attach(struct shadow_binding *b, struct shadow_pool *pool, const struct route_table *table,
                           const struct shadow_upstreams *upstreams)
{
    *b = (struct shadow_binding){ .pool = pool, .slot_count = table->shadow_count };
    if (b->slot_count == 0)
        return;
    b->slots = memory_zalloc(b->slot_count * sizeof *b->slots);
    for (uint32_t r = 0; r < table->route_count; r++) {
        const struct compiled_route *route = &table->routes[r];
        for (size_t i = 0; i < route->config->shadow_count; i++) {
            const struct compiled_shadow *shadow = &route->shadows[i];
            slot_attach(&b->slots[shadow->slot], pool, table, route, shadow, upstreams);
            if (shadow->control != NULL)
                slot_attach(&b->slots[shadow->control->slot], pool, table, route, shadow->control, upstreams);
        }
    }
}

void shadow_binding_detach(struct shadow_binding *b)
{
    for (uint32_t i = 0; i < b->slot_count; i++) {
        upstream_detach(b->slots[i].upstream);
        lane_unref(b->slots[i].lane);
    }
    memory_free(b->slots);
    *b = (struct shadow_binding){ 0 };
}
