/* server/overrides.c - carries weights set at run time over reloads and restarts. */
#include "server/overrides.h"

#include "base/hash.h"
#include "base/log.h"
#include "config/model_rollout.h"
#include "store/deed.h"

#include <stdio.h>

/* Never changed: stored fingerprints would end every override. A sum, so that order does not matter. */
void split_fingerprint(const struct route_config *route, char out[17])
{
    static const struct hash_key key = { 0x77656972u, 0x73706c69u };
    uint64_t sum = 0;
    for (size_t i = 0; i < route->split_count; i++) {
        const struct split_entry_config *entry = &route->split[i];
        uint64_t name = hash_siphash(key, entry->upstream.ptr, entry->upstream.len);
        sum += hash_mix(name ^ hash_mix(entry->weight));
    }
    snprintf(out, 17, "%016llx", (unsigned long long)sum);
}

/* ---- store ----------------------------------------------------------------------------------------------------------- */

/* Replaces the items by what is stored; keeps them when that cannot be read. */
static bool items_read(struct override_set *set)
{
    struct arena arena;
    struct override *items;
    size_t count;
    arena_init(&arena, NULL, 0);
    if (!overrides_list(set->store, &arena, &items, &count)) {
        arena_reset(&arena);
        return false;
    }
    arena_reset(&set->arena);
    set->arena = arena;
    set->items = items;
    set->count = count;
    return true;
}

void override_set_init(struct override_set *set, struct store *store)
{
    *set = (struct override_set){ .store = store };
    arena_init(&set->arena, NULL, 0);
    if (!items_read(set))
        log_error("weights: those set at run time cannot be read, the file's are in force: %s", store_message(store));
}

void override_set_fini(struct override_set *set)
{
    arena_reset(&set->arena);
}

static bool put(struct override_set *set, const struct compiled_route *route, const uint32_t *weights, struct slice by,
                struct slice reason)
{
    char fingerprint[17];
    struct arena arena;
    const struct route_config *config = route->config;
    arena_init(&arena, NULL, 0);
    split_fingerprint(config, fingerprint);
    struct override o = { .route = config->name,
                          .fingerprint = slice_from_cstr(fingerprint),
                          .set_by = by,
                          .reason = reason,
                          .at = clock_wall(),
                          .entry_count = config->split_count };
    o.entries = arena_zalloc_array(&arena, o.entry_count, sizeof *o.entries);
    for (size_t i = 0; i < o.entry_count; i++)
        o.entries[i] = (struct override_entry){ config->split[i].upstream, weights[i] };
    bool is_good = overrides_put(set->store, &o);
    arena_reset(&arena);
    return is_good;
}

bool override_set_put(struct override_set *set, const struct compiled_route *route, const uint32_t *weights,
                      struct slice by, struct slice reason, struct text *error)
{
    bool is_good =
        weights != NULL ? put(set, route, weights, by, reason) : overrides_delete(set->store, route->config->name);
    if (is_good && items_read(set))
        return true;
    text_add_cstr(error, store_message(set->store));
    return false;
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------- */

static const struct compiled_route *route_of(const struct snapshot *snapshot, const struct override *o)
{
    for (uint32_t i = 0; i < snapshot->table->route_count; i++)
        if (slice_equal(snapshot->table->routes[i].config->name, o->route))
            return &snapshot->table->routes[i];
    return NULL;
}

/* Why an override ends with this snapshot; NULL when it goes on. */
static const char *end_of(const struct override *o, const struct snapshot *snapshot)
{
    char fingerprint[17];
    const struct compiled_route *route = route_of(snapshot, o);
    if (route == NULL)
        return "the file has no such route any more";
    if (rollout_config_of_route(snapshot->config, route->index) != NULL)
        return "a rollout owns the route's weights";
    split_fingerprint(route->config, fingerprint);
    return slice_equal(o->fingerprint, slice_from_cstr(fingerprint)) ? NULL : "the file changed its split";
}

/* It ends in memory whatever the store says: one that could not be deleted is read again at the next start, and ended there
   for the same reason. */
static void override_end(struct override_set *set, const struct override *o, const char *why)
{
    struct deed deed = { .audit = {
                             .at = clock_wall(),
                             .who = SLICE("weir"),
                             .role = SLICE("admin"),
                             .action = SLICE("split.ended"),
                             .target = o->route,
                             .reason = slice_from_cstr(why),
                         } };
    log_info("weights: those set at run time for route %.*s by %.*s end: %s", SLICE_ARG(o->route), SLICE_ARG(o->set_by),
             why);
    deed_keep(set->store, &deed);
    if (!overrides_delete(set->store, o->route))
        log_error("weights: their end could not be stored: %s", store_message(set->store));
}

void override_set_reconcile(struct override_set *set, const struct snapshot *snapshot)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        const char *why = end_of(&set->items[i], snapshot);
        if (why != NULL)
            override_end(set, &set->items[i], why);
        else
            set->items[kept++] = set->items[i];
    }
    set->count = kept;
}

/* Every name is found: an override whose names are not those of the file has been ended (override_set_reconcile). */
static uint32_t entry_weight(const struct override *o, struct slice upstream)
{
    for (size_t i = 0; i < o->entry_count; i++)
        if (slice_equal(o->entries[i].upstream, upstream))
            return o->entries[i].weight;
    return 0;
}

void override_set_apply(const struct override_set *set, const struct snapshot *snapshot, struct arena *arena,
                        struct weights *out)
{
    if (set->count == 0)
        return;
    out->route_count = snapshot->table->route_count;
    out->overrides = arena_zalloc_array(arena, out->route_count, sizeof *out->overrides);
    for (uint32_t i = 0; i < out->route_count; i++)
        out->overrides[i].pair = (struct sticky_pair){ UINT32_MAX, UINT32_MAX, 0 };
    for (size_t i = 0; i < set->count; i++) {
        const struct compiled_route *route = route_of(snapshot, &set->items[i]);
        CHECK(route != NULL);
        uint32_t *weights = arena_zalloc_array(arena, route->config->split_count, sizeof *weights);
        for (size_t e = 0; e < route->config->split_count; e++)
            weights[e] = entry_weight(&set->items[i], route->config->split[e].upstream);
        out->overrides[route->index].weights = weights;
    }
}
