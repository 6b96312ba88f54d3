/* upstream/upstream.c - one worker's view of an upstream: its endpoints, their connections, who waits for one.
 *
 * A reload hands in the new configuration of an upstream; endpoints are matched by their text and keep their
 * connections, those that are gone leave when their last connection does. Nothing here closes a connection that an
 * exchange uses.
 *
 * Who waits for a connection is served at the turn's end, outside of any callback, oldest first. */
#include "upstream/upstream.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "upstream/connection.h"
#include "upstream/internal.h"

#include <string.h>

#define UPSTREAM_MAGIC 0x55505354u
#define ENDPOINT_MAGIC 0x454e4450u

#define DOWN_FIRST_MS 1000 /* after one failed connect; doubled with each further one */
#define DOWN_MOST_MS  16000

/* ---- endpoints ------------------------------------------------------------------------------------------------------ */

bool endpoint_is_usable(const struct endpoint *e, struct mono_time now)
{
    return e->address_length != 0 && (!e->is_down || !mono_is_before(now, e->down_until));
}

void endpoint_on_connect_failed(struct endpoint *e)
{
    struct upstream_set *set = e->upstream->set;
    unsigned doublings = e->connect_failures < 4 ? e->connect_failures : 4;
    int64_t wait_ms = (int64_t)DOWN_FIRST_MS << doublings;
    if (!e->is_down)
        log_warn("upstream %s: endpoint %s is unhealthy: could not connect", e->upstream->name, e->label);
    e->connect_failures++;
    e->is_down = true;
    e->down_until = mono_add_ms(loop_now(set->loop), wait_ms < DOWN_MOST_MS ? wait_ms : DOWN_MOST_MS);
    stats_endpoint_set_health(set->loop->stats, e->stats_id, STATS_UNHEALTHY);
    stats_upstream_add(set->loop->stats, e->upstream->stats_id, STATS_UPSTREAM_CONNECT_FAILURES, 1);
}

void endpoint_on_connected(struct endpoint *e)
{
    if (e->is_down)
        log_info("upstream %s: endpoint %s is healthy again", e->upstream->name, e->label);
    e->is_down = false;
    e->connect_failures = 0;
    stats_endpoint_set_health(e->upstream->set->loop->stats, e->stats_id, STATS_HEALTHY);
}

static struct endpoint *endpoint_create(struct upstream *u, const struct endpoint_config *config, uint32_t stats_id)
{
    struct endpoint *e = memory_zalloc(sizeof(*e));
    e->magic = ENDPOINT_MAGIC;
    e->upstream = u;
    e->label = memory_strdup(config->address_text.ptr);
    e->stats_id = stats_id;
    list_init(&e->link);
    list_init(&e->idle);
    if (config->address.kind != ADDRESS_NAME)
        e->address_length = endpoint_address_to_sockaddr(&config->address, &e->address);
    if (e->address_length == 0) /* healthy when the name has an address and a connection was made */
        stats_endpoint_set_health(u->set->loop->stats, stats_id, STATS_UNHEALTHY);
    return e;
}

/* Connections that serve nobody. */
static void endpoint_close_unused(struct endpoint *e)
{
    struct upstream_connection *probe = e->probe;
    LIST_FOREACH_SAFE (link, &e->idle)
        connection_close(LIST_ITEM(link, struct upstream_connection, link));
    if (probe != NULL)
        connection_close(probe);
}

static void endpoint_destroy(struct endpoint *e)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    CHECK(e->connection_count == 0 && list_is_empty(&e->idle));
    list_remove(&e->link);
    memory_free(e->label);
    e->magic = 0;
    memory_free(e);
}

/* The endpoint is not configured any more: its last connection takes it along. */
static void endpoint_leave(struct endpoint *e)
{
    endpoint_close_unused(e);
    if (e->connection_count == 0)
        endpoint_destroy(e);
    else
        list_append(&e->upstream->leaving, &e->link);
}

void endpoint_forget_connection(struct endpoint *e)
{
    struct upstream *u = e->upstream;
    CHECK(e->connection_count > 0 && u->connection_count > 0);
    e->connection_count--;
    u->connection_count--;
    u->set->connection_count--;
    if (e->connection_count == 0 && endpoint_is_leaving(e))
        endpoint_destroy(e);
    upstream_on_room(u);
    upstream_unref(u);
}

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

/* A worker's part of a limit of the whole process, rounded up. */
static uint32_t share_of(uint32_t limit, uint32_t worker_count)
{
    return (uint32_t)(((uint64_t)limit + worker_count - 1) / worker_count);
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
    u->max_connections = share_of(config->max_connections, set->worker_count);
    u->max_pending = share_of(config->max_pending, set->worker_count);
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

static bool is_below_limit(const struct upstream *u)
{
    return u->max_connections == 0 || u->connection_count < u->max_connections;
}

/* One connection, so that a dead endpoint is known before the first request. */
static void endpoint_probe(struct endpoint *e)
{
    if (e->connection_count == 0 && e->address_length != 0 && is_below_limit(e->upstream))
        connection_open(e, NULL);
}

static void endpoint_set_address(struct endpoint *e, const struct sockaddr *address, socklen_t length)
{
    CHECK(length <= sizeof(e->address));
    bool is_first = e->address_length == 0;
    if (e->address_length == length && memcmp(&e->address, address, length) == 0)
        return;
    endpoint_close_unused(e);
    memcpy(&e->address, address, length);
    e->address_length = length;
    e->address_number++;
    e->is_down = false;
    if (is_first)
        endpoint_probe(e);
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

/* ---- who waits ------------------------------------------------------------------------------------------------------- */

void upstream_on_room(struct upstream *u)
{
    if (!list_is_empty(&u->pending))
        u->set->is_room_announced = true;
}

/* Of one endpoint the connection that was unused for longest, or its probe; NULL when there is neither. */
static struct upstream_connection *upstream_find_unused(const struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        const struct endpoint *e = u->endpoints[i];
        if (!list_is_empty(&e->idle))
            return LIST_ITEM(e->idle.prev, struct upstream_connection, link);
        if (e->probe != NULL)
            return e->probe;
    }
    return NULL;
}

bool upstream_has_room(struct upstream *u)
{
    while (!is_below_limit(u)) { /* more than one too many: a reload lowered the limit */
        struct upstream_connection *unused = upstream_find_unused(u);
        if (unused == NULL)
            return false;
        connection_close(unused);
    }
    return true;
}

/* Connections became free in this turn: those who wait go on, oldest first. Runs outside of any callback. */
static void upstream_set_serve_pending(void *arg)
{
    struct upstream_set *set = arg;
    if (!set->is_room_announced)
        return;
    set->is_room_announced = false;
    LIST_FOREACH_SAFE (link, &set->upstreams) {
        struct upstream *u = LIST_ITEM(link, struct upstream, link);
        while (!list_is_empty(&u->pending) && (is_below_limit(u) || upstream_find_unused(u) != NULL))
            exchange_leave_queue(LIST_ITEM(u->pending.next, struct exchange, pending_link));
    }
}

void upstream_set_init(struct upstream_set *set, struct loop *loop, uint32_t worker_count)
{
    *set = (struct upstream_set){ .loop = loop, .worker_count = worker_count };
    list_init(&set->upstreams);
    set->pending_hook = (struct turn_hook){ .run = upstream_set_serve_pending, .arg = set };
    loop_add_turn_hook(loop, &set->pending_hook);
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
