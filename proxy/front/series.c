/* front/series.c - which counters a request counts in: ids of (route, upstream) pairs, handed out by the main thread. */
#include "front/series.h"

static uint32_t *series_array(struct arena *arena, size_t count)
{
    return arena_zalloc_array(arena, count + 1, sizeof(uint32_t));
}

static void add_shadow(struct compiled_shadow *shadow, struct slice route, struct stats *stats)
{
    shadow->series = stats_shadow_id(stats, route, shadow->config->to);
    if (shadow->control != NULL)
        shadow->control->series = stats_shadow_id(stats, route, shadow->control->config->to);
}

static void add_route(struct series_map *map, const struct config *config, struct compiled_route *compiled,
                      struct stats *stats)
{
    const struct route_config *route = compiled->config;
    uint32_t *row = map->ids + compiled->first_slot;
    for (size_t i = 0; i < route->split_count; i++)
        *row++ = stats_series_id(stats, route->name, route->split[i].upstream);
    for (size_t i = 0; i < route->rule_count; i++)
        *row++ = stats_series_id(stats, route->name, route->rules[i].to);
    *row++ = stats_series_id(stats, route->name, SLICE_NONE);
    for (size_t i = 0; i < config->upstream_count && route_has(compiled, ROUTE_HAS_SCRIPT); i++)
        *row++ = stats_series_id(stats, route->name, config->upstreams[i].name);
    for (size_t i = 0; i < route->shadow_count; i++)
        add_shadow(&compiled->shadows[i], route->name, stats);
    for (size_t i = 0; i < route->split_count && i < ROUTE_INLINE_ENTRIES; i++)
        compiled->entries[i].series = map->ids[compiled->first_slot + i];
}

static void add_routes(struct series_map *map, struct arena *arena, struct route_table *table, struct stats *stats)
{
    map->ids = series_array(arena, table->slot_count);
    for (uint32_t r = 0; r < table->route_count; r++)
        add_route(map, table->config, &table->routes[r], stats);
}

static void add_upstreams(struct series_map *map, struct arena *arena, const struct config *config, struct stats *stats)
{
    size_t total = 0;
    map->upstreams = series_array(arena, config->upstream_count);
    map->endpoint_first = series_array(arena, config->upstream_count);
    for (size_t u = 0; u < config->upstream_count; u++) {
        map->upstreams[u] = stats_upstream_id(stats, config->upstreams[u].name);
        map->endpoint_first[u] = (uint32_t)total;
        total += config->upstreams[u].endpoint_count;
    }
    map->endpoints = series_array(arena, total);
    for (size_t u = 0; u < config->upstream_count; u++)
        for (size_t e = 0; e < config->upstreams[u].endpoint_count; e++)
            map->endpoints[map->endpoint_first[u] + e] =
                stats_endpoint_id(stats, config->upstreams[u].name, config->upstreams[u].endpoints[e].address_text);
}

/* What carries copies is counted beside what carries requests. */
static void add_shadow_upstreams(struct series_map *map, struct arena *arena, const struct config *config,
                                 struct stats *stats)
{
    map->shadow_upstreams = series_array(arena, config->upstream_count);
    for (size_t r = 0; r < config->route_count; r++)
        for (size_t i = 0; i < config->routes[r].shadow_count; i++) {
            const struct shadow_config *shadow = &config->routes[r].shadows[i];
            map->shadow_upstreams[shadow->upstream_index] = stats_upstream_shadow_id(stats, shadow->to);
            if (shadow->compare.control.len > 0)
                map->shadow_upstreams[shadow->compare.control_index] =
                    stats_upstream_shadow_id(stats, shadow->compare.control);
        }
}

static void add_scripts(struct series_map *map, struct arena *arena, const struct script_set *set, struct stats *stats)
{
    if (set == NULL)
        return;
    map->scripts = series_array(arena, set->count * SCRIPT_HOOK_COUNT);
    for (uint32_t i = 0; i < set->count; i++)
        for (unsigned hook = 0; hook < SCRIPT_HOOK_COUNT; hook++)
            if (set->scripts[i].has_hook[hook])
                map->scripts[i * SCRIPT_HOOK_COUNT + hook] =
                    stats_script_id(stats, set->scripts[i].path, slice_from_cstr(script_hook_names[hook]));
}

struct series_map *series_map_build(struct arena *arena, struct route_table *table, struct stats *stats)
{
    const struct config *config = table->config;
    struct series_map *map = arena_zalloc(arena, sizeof(*map));
    stats_begin_generation(stats);
    add_routes(map, arena, table, stats);
    add_upstreams(map, arena, config, stats);
    add_shadow_upstreams(map, arena, config, stats);
    add_scripts(map, arena, config->scripts, stats);
    map->listeners = series_array(arena, config->listener_count);
    for (size_t i = 0; i < config->listener_count; i++)
        map->listeners[i] = stats_listener_id(stats, config->listeners[i].name);
    return map;
}

uint32_t series_of_hook(const struct series_map *map, uint32_t script, enum script_hook hook)
{
    return map->scripts[script * SCRIPT_HOOK_COUNT + (uint32_t)hook];
}

uint32_t series_of(const struct series_map *map, const struct decision *decision)
{
    if (decision->route == NULL)
        return 0;
    if (decision->split_index < ROUTE_INLINE_ENTRIES)
        return decision->route->entries[decision->split_index].series;
    const uint32_t *row = map->ids + decision->route->first_slot;
    if (decision->split_index != CONFIG_NONE)
        return row[decision->split_index];
    const struct route_config *route = decision->route->config;
    if (decision->rule_index != CONFIG_NONE)
        return row[route->split_count + decision->rule_index];
    row += route->split_count + route->rule_count;
    bool is_targeted = decision->why == WHY_SCRIPT && decision->upstream_index != CONFIG_NONE;
    return is_targeted ? row[1 + decision->upstream_index] : row[0];
}
