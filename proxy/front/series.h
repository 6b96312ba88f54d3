/* front/series.h - which counters a request counts in: ids of (route, upstream) pairs, handed out by the main thread.
 *
 * Labels are put together once, when a configuration is published, so that counting a request is finding a number by
 * the indexes of its decision (Speed 7). The main thread builds the map; workers only read it. */
#ifndef FRONT_SERIES_H
#define FRONT_SERIES_H

#include <stdint.h>

#include "config/model.h"
#include "lua/script_set.h"
#include "route/decide.h"
#include "stats/stats.h"

/* Immutable, belongs to a snapshot (snapshot->series). Ids are the same for the same names as long as the process
   lives. */
struct series_map {
    uint32_t no_route;          /* requests that met no route */
    uint32_t *ids;              /* per route, from its first_slot: split entries, rules, one for the proxy's answers,
                                   with a script one per upstream */
    uint32_t *upstreams;        /* per upstream: its own series */
    uint32_t *shadow_upstreams; /* per upstream: of the connections that carry copies to it; 0: none does */
    uint32_t *endpoint_first;   /* per upstream: index into endpoints */
    uint32_t *endpoints;
    uint32_t *listeners; /* per listener */
    uint32_t *scripts;   /* per script of config->scripts and hook: see series_of_hook */
};

/* On the main thread, before anybody else sees the table: writes the series of its routes' entries. Allocates in the
   arena (the snapshot's). */
struct series_map *series_map_build(struct arena *arena, struct route_table *table, struct stats *stats);

/* What a call of the script's hook counts in. */
uint32_t series_of_hook(const struct series_map *map, uint32_t script, enum script_hook hook);

uint32_t series_of(const struct series_map *map, const struct decision *decision);

#endif
