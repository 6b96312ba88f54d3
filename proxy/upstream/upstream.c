/* upstream/upstream.c - one worker's view of an upstream: its endpoints, their connections, who waits for one.
 *
 * A reload hands in the new configuration of an upstream, the resolver the new addresses of a name. Either way the
 * endpoints are listed anew: they are matched by text and address and keep their connections, those that are gone leave
 * when their last connection does. So answers that rotate change nothing. Nothing here closes a connection that an
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

/* ---- what the configuration lists ----------------------------------------------------------------------------------- */

void upstream_publish_health(const struct upstream *u, const struct endpoint_entry *entry)
{
    bool is_any_up = false, is_any_untried = false;
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        const struct endpoint *e = u->endpoints[i];
        is_any_up |= e->entry == entry && e->health == ENDPOINT_UP;
        is_any_untried |= e->entry == entry && e->health == ENDPOINT_UNTRIED;
    }
    if (is_any_up)
        stats_endpoint_set_health(u->set->loop->stats, entry->stats_id, STATS_HEALTHY);
    else if (!is_any_untried) /* else what was known holds until the probe has its result */
        stats_endpoint_set_health(u->set->loop->stats, entry->stats_id, STATS_UNHEALTHY);
}

static char *host_create(const struct endpoint_address *address)
{
    char text[256];
    if (address->kind == ADDRESS_UNIX)
        return NULL;
    if (address->kind == ADDRESS_IP)
        text[ip_format(&address->ip, text)] = '\0';
    else
        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(address->name));
    return memory_strdup(text);
}

static void entry_set_addresses(struct endpoint_entry *entry, const struct resolved_address *addresses, size_t count)
{
    memory_free(entry->addresses);
    entry->addresses = memory_alloc(count * sizeof(*addresses) + 1);
    if (count > 0) /* else there may be no array */
        memcpy(entry->addresses, addresses, count * sizeof(*addresses));
    entry->address_count = (uint32_t)count;
}

/* A name that was there before keeps its addresses until the resolver tells others. */
static void entry_init(struct endpoint_entry *entry, const struct upstream *u, const struct endpoint_config *config,
                       uint32_t stats_id)
{
    struct resolved_address fixed = { 0 };
    *entry = (struct endpoint_entry){ .label = memory_strdup(config->address_text.ptr), .stats_id = stats_id };
    entry->host = host_create(&config->address);
    entry->weight = config->weight;
    entry->is_name = config->address.kind == ADDRESS_NAME;
    if (!entry->is_name) {
        fixed.length = endpoint_address_to_sockaddr(&config->address, &fixed.bytes);
        entry_set_addresses(entry, &fixed, 1);
    }
    for (uint32_t i = 0; entry->is_name && i < u->entry_count; i++)
        if (strcmp(u->entries[i].label, entry->label) == 0)
            entry_set_addresses(entry, u->entries[i].addresses, u->entries[i].address_count);
}

static void entries_free(struct endpoint_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        memory_free(entries[i].label);
        memory_free(entries[i].host);
        memory_free(entries[i].addresses);
    }
    memory_free(entries);
}

/* Takes the endpoint with that label and address out of the old array, or makes one. */
static struct endpoint *endpoint_carry(struct upstream *u, const struct endpoint_entry *entry,
                                       const struct resolved_address *address)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        struct endpoint *e = u->endpoints[i];
        if (e != NULL && strcmp(e->entry->label, entry->label) == 0 && resolved_address_is_same(&e->address, address)) {
            u->endpoints[i] = NULL;
            return e;
        }
    }
    return endpoint_create(u, entry, address);
}

static uint32_t entries_count_addresses(const struct endpoint_entry *entries, uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += entries[i].address_count;
    return total;
}

/* The endpoints of these entries, which may be u->entries or what follows them. Those that were there keep what they
   have, the others leave. */
static void upstream_list_endpoints(struct upstream *u, struct endpoint_entry *entries, uint32_t entry_count)
{
    struct endpoint **before = u->endpoints, **next;
    uint32_t before_count = u->endpoint_count, count = entries_count_addresses(entries, entry_count);
    struct endpoint **listed = next = memory_zalloc(sizeof(struct endpoint *) * (count + 1));
    for (struct endpoint_entry *entry = entries; entry < entries + entry_count; entry++)
        for (uint32_t i = 0; i < entry->address_count; i++) {
            *next = endpoint_carry(u, entry, &entry->addresses[i]);
            (*next++)->weight = entry->weight * WEIGHT_PARTS / entry->address_count;
        }
    u->endpoints = listed;
    u->endpoint_count = count;
    for (uint32_t i = 0; i < before_count; i++)
        if (before[i] != NULL)
            endpoint_leave(before[i]);
    memory_free(before);
}

/* Once the endpoints are listed: they belong to these entries now. */
static void upstream_set_entries(struct upstream *u, struct endpoint_entry *entries, uint32_t count)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < entries[i].address_count; k++)
            u->endpoints[next++]->entry = &entries[i];
    for (uint32_t i = 0; i < count; i++)
        upstream_publish_health(u, &entries[i]);
    u->entries = entries;
    u->entry_count = count;
}

static void upstream_update_endpoints(struct upstream *u, const struct upstream_config *config,
                                      const uint32_t *endpoint_stats_ids)
{
    struct endpoint_entry *before = u->entries;
    uint32_t before_count = u->entry_count, count = (uint32_t)config->endpoint_count;
    struct endpoint_entry *entries = memory_zalloc(sizeof(*entries) * (count + 1));
    for (uint32_t i = 0; i < count; i++)
        entry_init(&entries[i], u, &config->endpoints[i], endpoint_stats_ids[i]);
    upstream_list_endpoints(u, entries, count);
    upstream_set_entries(u, entries, count);
    entries_free(before, before_count);
}

/* What is pooled speaks the old one; over TLS its endpoints leave as well, since what is offered has changed. */
static void upstream_set_protocol(struct upstream *u, enum upstream_protocol configured, bool has_tls)
{
    enum upstream_protocol protocol = configured == UPSTREAM_BY_ALPN && !has_tls ? UPSTREAM_HTTP1 : configured;
    bool has_changed = u->protocol != protocol;
    u->protocol = protocol;
    for (uint32_t i = 0; has_changed && i < u->endpoint_count; i++)
        connection_close_idle(u->endpoints[i]);
}

/* This worker's part of the process's limit: all parts together are the limit, but nobody has none. 0 stays 0. */
static uint32_t part_of(const struct upstream_set *set, uint32_t limit)
{
    uint32_t part = limit / set->worker_count + (set->worker_index < limit % set->worker_count);
    return limit != 0 && part == 0 ? 1 : part;
}

/* Who is spoken to in another way is another endpoint: those there are leave, with their pooled connections and sessions. A
   context that is like the one before changes nothing. The endpoints are listed next. */
static void upstream_set_tls(struct upstream *u, struct tls_context *tls)
{
    bool is_same =
        (u->tls == NULL) == (tls == NULL) && (tls == NULL || tls_context_digest(u->tls) == tls_context_digest(tls));
    if (is_same)
        return;
    tls_context_unref(u->tls);
    u->tls = tls != NULL ? tls_context_ref(tls) : NULL;
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        endpoint_leave(TAKE(&u->endpoints[i]));
}

struct upstream *upstream_attach(struct upstream_set *set, const struct upstream_config *config,
                                 struct tls_context *tls, uint32_t stats_id, const uint32_t *endpoint_stats_ids)
{
    struct upstream *u = upstream_find(set, config->name);
    if (u == NULL)
        u = upstream_create(set, config->name, stats_id);
    u->ref_count++;
    upstream_set_protocol(u, config->protocol, tls != NULL);
    u->balance = config->balance;
    u->connect_timeout_ms = config->connect_timeout_ms;
    u->idle_timeout_ms = config->idle_timeout_ms;
    u->max_connections = part_of(set, config->max_connections);
    u->max_pending = config->max_pending;
    upstream_set_tls(u, tls);
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
    entries_free(u->entries, u->entry_count);
    list_remove(&u->link);
    memory_free(u->name);
    tls_context_unref(u->tls);
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

static bool entry_has_addresses(const struct endpoint_entry *entry, const struct resolved_address *addresses,
                                size_t count)
{
    for (size_t i = 0; i < count && count == entry->address_count; i++)
        if (!resolved_address_is_same(&entry->addresses[i], &addresses[i]))
            return false;
    return count == entry->address_count;
}

static void upstream_probe_untried(struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        if (u->endpoints[i]->health == ENDPOINT_UNTRIED)
            endpoint_probe(u->endpoints[i]);
}

void upstream_set_resolved(struct upstream_set *set, const char *name, const char *label,
                           const struct resolved_address *addresses, size_t count)
{
    struct upstream *u = upstream_find(set, slice_from_cstr(name));
    if (u == NULL || u->ref_count == u->connection_count) /* no binding names it any more */
        return;
    bool has_changed = false;
    for (uint32_t i = 0; i < u->entry_count; i++) {
        struct endpoint_entry *entry = &u->entries[i];
        if (!entry->is_name || strcmp(entry->label, label) != 0 || entry_has_addresses(entry, addresses, count))
            continue;
        entry_set_addresses(entry, addresses, count);
        has_changed = true;
    }
    if (!has_changed)
        return;
    upstream_list_endpoints(u, u->entries, u->entry_count);
    upstream_set_entries(u, u->entries, u->entry_count);
    upstream_probe_untried(u);
}

void upstream_adopt_addresses(struct upstream *u, const struct upstream *other)
{
    for (uint32_t i = 0; i < other->entry_count; i++) {
        const struct endpoint_entry *entry = &other->entries[i];
        if (entry->is_name && entry->address_count > 0)
            upstream_set_resolved(u->set, u->name, entry->label, entry->addresses, entry->address_count);
    }
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
    if (list_is_empty(&u->pending) && list_is_empty(&u->owed_probes))
        return;
    u->set->is_room_announced = true;
    loop_repeat_hooks(u->set->loop);
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
    if (is_probe)
        endpoint_on_probe_gave_way(e);
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

struct endpoint *upstream_find_shared(const struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        if (connection_is_shared(u->endpoints[i]))
            return u->endpoints[i];
    return NULL;
}

static bool upstream_can_serve(const struct upstream *u)
{
    return upstream_is_below_limit(u) || upstream_find_unused(u) != NULL || upstream_find_shared(u) != NULL;
}

static bool upstream_has_firm_probe(const struct upstream *u)
{
    for (uint32_t i = 0; i < u->endpoint_count; i++)
        if (u->endpoints[i]->is_probe_firm)
            return true;
    return false;
}

/* An owed probe goes before those who wait, but not twice in a row, and one at a time (E3). */
static void upstream_serve_owed_probe(struct upstream *u)
{
    bool is_request_first = u->is_request_next && !list_is_empty(&u->pending);
    if (list_is_empty(&u->owed_probes) || is_request_first || upstream_has_firm_probe(u) || !upstream_has_room(u))
        return;
    u->is_request_next = true;
    endpoint_probe_owed(LIST_ITEM(u->owed_probes.next, struct endpoint, probe_link));
}

static void upstream_serve_waiting(struct upstream *u)
{
    upstream_serve_owed_probe(u);
    while (!list_is_empty(&u->pending) && upstream_can_serve(u)) {
        u->is_request_next = false;
        exchange_leave_queue(LIST_ITEM(u->pending.next, struct exchange, link));
    }
}

/* Connections became free in this turn: those who wait go on, oldest first. Runs outside of any callback. */
static void upstream_set_serve_pending(struct upstream_set *set)
{
    set->is_room_announced = false;
    LIST_FOREACH_SAFE (link, &set->upstreams)
        upstream_serve_waiting(LIST_ITEM(link, struct upstream, link));
}

static void upstream_set_end_turn(void *arg)
{
    struct upstream_set *set = arg;
    if (set->is_room_announced)
        upstream_set_serve_pending(set);
    if (!list_is_empty(&set->unsent))
        connection_h2_send_all(set);
}

void upstream_set_init(struct upstream_set *set, struct loop *loop, uint32_t worker_index, uint32_t worker_count)
{
    *set = (struct upstream_set){ .loop = loop, .worker_index = worker_index, .worker_count = worker_count };
    list_init(&set->upstreams);
    list_init(&set->unsent);
    set->h2_pool = h2_pool_create(&loop->pieces, &loop->chunks);
    set->turn_hook = (struct turn_hook){ .run = upstream_set_end_turn, .arg = set };
    loop_add_turn_hook(loop, &set->turn_hook);
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
    h2_pool_destroy(TAKE(&set->h2_pool));
}
