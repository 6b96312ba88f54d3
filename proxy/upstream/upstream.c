/* upstream/upstream.c - one worker's view of an upstream: its endpoints, their connections, who waits for one.
 *
 * A reload hands in the new configuration of an upstream; endpoints are matched by their text and keep their
 * connections, those that are gone leave when their last connection does. Nothing here closes a connection that an
 * exchange uses.
 *
 * Who waits for a connection is served at the turn's end, outside of any callback, oldest first. */
#include "upstream/upstream.h"

#include "base/check.h"
#include "base/memory.h"
#include "upstream/connection.h"
#include "upstream/internal.h"

#include <string.h>

#define UPSTREAM_MAGIC 0x55505354u

/* ---- upstreams ------------------------------------------------------------------------------------------------------ */

static struct upstream *upstream_find(struct upstream_set *set, struct slice name)
{
    LIST_FOREACH_SAFE (link, &set->upstreams) {
        struct upstream *u = LIST_ITEM(link, struct upstream, link);
        if (slice_equal(slice_from_cstr(u->name), name))
            return u;
    }
    return NULL;
}

static struct upstream *upstream_create(struct upstream_set *set, struct slice name, uint32_t stats_id)
{
    struct upstream *u = memory_zalloc(sizeof(*u));
    u->magic = UPSTREAM_MAGIC;
    u->set = set;
    u->name = memory_strdup(name.ptr);
    u->stats_id = stats_id;
    list_init(&u->pending);
    list_init(&u->owed_probes);
    list_init(&u->leaving);
    list_append(&set->upstreams, &u->link);
    return u;
}

/* Takes the endpoint with that label out of the old array, or makes one. */
static struct endpoint *endpoint_carry(struct upstream *u, const struct endpoint_config *config, uint32_t stats_id)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        struct endpoint *e = u->endpoints[i];
        if (e != NULL && slice_equal(slice_from_cstr(e->label), config->address_text)) {
            u->endpoints[i] = NULL;
            return e;
        }
    }
    return endpoint_create(u, config, stats_id);
}

static void upstream_update_endpoints(struct upstream *u, const struct upstream_config *config,
                                      const uint32_t *endpoint_stats_ids)
{
    uint32_t count = (uint32_t)config->endpoint_count;
    struct endpoint **fresh = memory_zalloc(sizeof(struct endpoint *) * (count + 1));
    for (uint32_t i = 0; i < count; i++) {
        fresh[i] = endpoint_carry(u, &config->endpoints[i], endpoint_stats_ids[i]);
        fresh[i]->weight = config->endpoints[i].weight;
    }
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        if (u->endpoints[i] != NULL)
            endpoint_leave(u->endpoints[i]);
    memory_free(u->endpoints);
    u->endpoints = fresh;
    u->endpoint_count = count;
}

/* This worker's part of the process's limit: all parts together are the limit, but nobody has none. 0 stays 0. */
static uint32_t part_of(const struct upstream_set *set, uint32_t limit)
{
    uint32_t part = limit / set->worker_count + (set->worker_index < limit % set->worker_count);
    return limit != 0 && part == 0 ? 1 : part;
}

struct upstream *upstream_attach(struct upstream_set *set, const struct upstream_config *config, uint32_t stats_id,
                                 const uint32_t *endpoint_stats_ids)
{
    struct upstream *u = upstream_find(set, config->name);
    if (u == NULL)
        u = upstream_create(set, config->name, stats_id);
    u->ref_count++;
    u->balance = config->balance;
    u->connect_timeout_ms = config->connect_timeout_ms;
    u->idle_timeout_ms = config->idle_timeout_ms;
    u->max_connections = part_of(set, config->max_connections);
    u->max_pending = config->max_pending;
    upstream_update_endpoints(u, config, endpoint_stats_ids);
    upstream_on_room(u);
    return u;
}

void upstream_unref(struct upstream *u)
{
    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    CHECK(u->ref_count > 0);
    if (--u->ref_count > 0)
        return;
    CHECK(u->connection_count == 0 && list_is_empty(&u->pending) && list_is_empty(&u->leaving));
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        endpoint_destroy(u->endpoints[i]);
    memory_free(u->endpoints);
    list_remove(&u->link);
    memory_free(u->name);
    u->magic = 0;
    memory_free(u);
}

void upstream_detach(struct upstream *u)
{
    CHECK_MAGIC(u, UPSTREAM_MAGIC);
    CHECK(u->ref_count > u->connection_count);
    bool is_last_binding = u->ref_count - 1 == u->connection_count;
    /* The reference is held while its connections go. */
    for (uint32_t i = 0; is_last_binding && i < u->endpoint_count; i++)
        endpoint_close_unused(u->endpoints[i]);
    upstream_unref(u);
}

void upstream_set_resolved(struct upstream_set *set, const char *name, const char *label,
                           const struct sockaddr *address, socklen_t length)
{
    struct upstream *u = upstream_find(set, slice_from_cstr(name));
    for (uint32_t i = 0; u != NULL && i < u->endpoint_count; i++)
        if (strcmp(u->endpoints[i]->label, label) == 0)
            endpoint_set_address(u->endpoints[i], address, length);
}

void upstream_probe(struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        endpoint_probe(u->endpoints[i]);
}

bool upstream_is_below_limit(const struct upstream *u)
{
    return u->max_connections == 0 || u->connection_count < u->max_connections;
}

/* ---- who waits ------------------------------------------------------------------------------------------------------- */

void upstream_on_room(struct upstream *u)
{
    if (!list_is_empty(&u->pending) || !list_is_empty(&u->owed_probes))
        u->set->is_room_announced = true;
}

/* Of one endpoint the connection that was unused for longest, or a probe that gives way; NULL when there is neither. */
static struct upstream_connection *upstream_find_unused(const struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        const struct endpoint *e = u->endpoints[i];
        if (!list_is_empty(&e->idle))
            return LIST_ITEM(e->idle.prev, struct upstream_connection, link);
        if (e->probe != NULL && !e->is_probe_firm)
            return e->probe;
    }
    return NULL;
}

static void upstream_give_up(struct upstream_connection *unused)
{
    struct endpoint *e = unused->endpoint;
    bool is_probe = e->probe == unused;
    connection_close(unused);
    if (is_probe && e->is_down)
        endpoint_owe_probe(e);
}

bool upstream_has_room(struct upstream *u)
{
    while (!upstream_is_below_limit(u)) { /* more than one too many: a reload lowered the limit */
        struct upstream_connection *unused = upstream_find_unused(u);
        if (unused == NULL)
            return false;
        upstream_give_up(unused);
    }
    return true;
}

/* Owed probes first: one connection each, and no more until the next is due. */
static void upstream_serve_waiting(struct upstream *u)
{
    while (!list_is_empty(&u->owed_probes) && upstream_has_room(u))
        endpoint_probe_owed(LIST_ITEM(u->owed_probes.next, struct endpoint, probe_link));
    while (!list_is_empty(&u->pending) && (upstream_is_below_limit(u) || upstream_find_unused(u) != NULL))
        exchange_leave_queue(LIST_ITEM(u->pending.next, struct exchange, pending_link));
}

/* Connections became free in this turn: those who wait go on, oldest first. Runs outside of any callback. */
static void upstream_set_serve_pending(void *arg)
{
    struct upstream_set *set = arg;
    if (!set->is_room_announced)
        return;
    set->is_room_announced = false;
    LIST_FOREACH_SAFE (link, &set->upstreams)
        upstream_serve_waiting(LIST_ITEM(link, struct upstream, link));
}

void upstream_set_init(struct upstream_set *set, struct loop *loop, uint32_t worker_index, uint32_t worker_count)
{
    *set = (struct upstream_set){ .loop = loop, .worker_index = worker_index, .worker_count = worker_count };
    list_init(&set->upstreams);
    set->pending_hook = (struct turn_hook){ .run = upstream_set_serve_pending, .arg = set };
    loop_add_turn_hook(loop, &set->pending_hook);
}

void upstream_set_stop_probing(struct upstream_set *set)
{
    set->is_probing_stopped = true;
}

void upstream_set_close_idle(struct upstream_set *set)
{
    LIST_FOREACH_SAFE (link, &set->upstreams) {
        struct upstream *u = LIST_ITEM(link, struct upstream, link);
        for (uint32_t i = 0; i < u->endpoint_count; i++)
            endpoint_close_unused(u->endpoints[i]);
    }
}

void upstream_set_fini(struct upstream_set *set)
{
    CHECK(set->exchange_count == 0);
    CHECK(list_is_empty(&set->upstreams));
}
