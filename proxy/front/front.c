/* front/front.c - what one worker needs to serve clients: set up, swapped, drained, taken down.
 *
 * Order matters in both directions: clients hold requests, requests hold exchanges and pin bindings, bindings hold
 * upstreams; taking down goes the same way, from the clients on. */
#include "front/front.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/accept.h"
#include "front/arrival.h"
#include "front/client.h"
#include "front/client_h2.h"
#include "front/fetch.h"
#include "front/request.h"
#include "front/script.h"

#include <stdio.h>

/* Of the states of all configurations that are in use. */
static size_t script_memory_bytes(const struct front *f)
{
    size_t bytes = 0;
    LIST_FOREACH_SAFE (link, &f->bindings) {
        const struct binding *b = LIST_ITEM(link, struct binding, link);
        bytes += b->scripts != NULL ? script_host_memory_bytes(b->scripts) : 0;
    }
    return bytes;
}

/* Live objects as gauges, once a turn: what /api/v1/status shows and every test ends by asserting. */
static void front_publish_gauges(void *arg)
{
    struct front *f = arg;
    stats_set(f->stats, STATS_CLIENTS_LIVE, f->client_count);
    stats_set(f->stats, STATS_REQUESTS_LIVE, f->request_count);
    stats_set(f->stats, STATS_FETCHES_LIVE, f->fetch_count);
    stats_set(f->stats, STATS_EXCHANGES_LIVE, f->upstreams.exchange_count + f->shadows.upstreams.exchange_count);
    uint32_t scratch = f->loop->scratch != NULL && f->loop->scratch->ref_count == 1;
    stats_set(f->stats, STATS_CHUNKS_LIVE, f->loop->chunks.live_count - scratch);
    stats_set(f->stats, STATS_ARENA_PAGES_LIVE, f->loop->arenas.live_count);
    stats_set(f->stats, STATS_SCRIPT_MEMORY_BYTES, script_memory_bytes(f));
}

static void front_on_turn(void *arg)
{
    struct front *f = arg;
    client_h2_flush_all(f);
    if (f->upstreams.is_room_announced)
        loop_repeat_hooks(
            f->loop); /* an exchange ended with its client: who waits for its connection had his turn before */
}

/* Behind what copies and their connections do at the turn's end. A drain is over with the last client: copies of what it
   asked are worth no wait. */
static void front_end_turn(void *arg)
{
    struct front *f = arg;
    if (f->is_draining && f->client_count == 0 && !f->is_drain_reported) {
        f->is_drain_reported = true;
        shadow_pool_stop(&f->shadows);
        f->on_drained(f->arg);
    }
    front_publish_gauges(f);
}

static void unpin_binding(void *pin)
{
    binding_unpin(pin);
}

void front_init(struct front *f, struct loop *loop, struct stats_worker *stats, uint32_t worker_index,
                uint32_t worker_count)
{
    f->magic = FRONT_MAGIC;
    f->worker_index = worker_index;
    f->loop = loop;
    f->stats = stats;
    upstream_set_init(&f->upstreams, loop, worker_index, worker_count);
    list_init(&f->bindings);
    list_init(&f->listeners);
    list_init(&f->arrivals);
    list_init(&f->flush_due);
    for (size_t i = 0; i < CLIENT_STATE_COUNT; i++)
        list_init(&f->clients[i]);
    f->turn_hook = (struct turn_hook){ .run = front_on_turn, .arg = f };
    loop_add_turn_hook(loop, &f->turn_hook);
    shadow_pool_init(&f->shadows, loop, stats, worker_index, worker_count);
    f->shadows.unpin = unpin_binding;
    f->shadows.review = script_on_shadow;
    f->end_hook = (struct turn_hook){ .run = front_end_turn, .arg = f };
    loop_add_turn_hook(loop, &f->end_hook);
}

void front_set_pseudonym(struct front *f, struct slice pseudonym)
{
    f->pseudonym = pseudonym;
    snprintf(f->via[STATS_HTTP1], sizeof f->via[STATS_HTTP1], "1.1 %.*s", SLICE_ARG(pseudonym));
    snprintf(f->via[STATS_HTTP2], sizeof f->via[STATS_HTTP2], "2 %.*s", SLICE_ARG(pseudonym));
    for (size_t i = 0; i < STATS_PROTOCOL_COUNT; i++)
        snprintf(f->shadow_via[i], sizeof f->shadow_via[i], "%s " SHADOW_VIA_COMMENT, f->via[i]);
}

void front_set_places(struct front *f, struct places *queues, struct places *copies, struct comparer *comparer)
{
    f->shadows.comparer = comparer;
    f->upstreams.places = queues;
    f->shadows.upstreams.places = queues;
    f->shadows.inflight = copies;
}

static void close_clients(struct list *clients)
{
    LIST_FOREACH_SAFE (link, clients) {
        struct client *c = LIST_ITEM(link, struct client, link);
        if (c->state == CLIENT_ACTIVE)
            client_cut_off(c);
        client_close(c);
    }
}

void front_fini(struct front *f)
{
    CHECK_MAGIC(f, FRONT_MAGIC);
    arrival_close_all(f);
    for (size_t i = 0; i < CLIENT_CLOSED; i++)
        close_clients(&f->clients[i]);
    shadow_pool_stop(&f->shadows);
    f->upstreams.is_draining = true;
    upstream_set_close_idle(&f->upstreams);
    accept_fini(f);
    if (f->current != NULL)
        binding_retire(TAKE(&f->current));
    request_free_all(f);
    fetch_free_all(f);
}

void front_swap(struct front *f, struct snapshot *snapshot, const struct weights *weights, struct script_host *scripts)
{
    CHECK_MAGIC(f, FRONT_MAGIC);
    struct binding *old = f->current;
    f->current = binding_create(f, snapshot, weights, scripts);
    for (size_t i = 0; i < snapshot->config->upstream_count; i++)
        upstream_probe(f->current->upstreams[i]);
    if (old != NULL)
        binding_retire(old);
    stats_add(f->stats, STATS_SNAPSHOT_SWAPS, 1);
}

void front_offer_scripts(struct front *f, uint64_t generation, struct script_host *scripts)
{
    CHECK_MAGIC(f, FRONT_MAGIC);
    LIST_FOREACH_SAFE (link, &f->bindings) {
        struct binding *b = LIST_ITEM(link, struct binding, link);
        if (b->snapshot->generation == generation) {
            script_host_offer(b->scripts, scripts);
            return;
        }
    }
    f->on_scripts_unused(f->arg, scripts); /* it came too late */
}

void front_set_weights(struct front *f, const struct weights *weights)
{
    CHECK_MAGIC(f, FRONT_MAGIC);
    f->current->weights = weights;
    stats_add(f->stats, STATS_WEIGHT_SWAPS, 1);
}

void front_set_addresses(struct front *f, const char *upstream, const char *label,
                         const struct resolved_address *addresses, size_t count)
{
    upstream_set_resolved(&f->upstreams, upstream, label, addresses, count);
    upstream_set_resolved(&f->shadows.upstreams, upstream, label, addresses, count);
}

void front_drain(struct front *f)
{
    CHECK_MAGIC(f, FRONT_MAGIC);
    f->is_draining = true;
    upstream_set_stop_probing(&f->upstreams);
    upstream_set_stop_probing(&f->shadows.upstreams);
    arrival_drain_all(f);
    for (size_t i = CLIENT_IDLE; i <= CLIENT_ACTIVE; i++)
        LIST_FOREACH_SAFE (link, &f->clients[i])
            client_drain(LIST_ITEM(link, struct client, link));
}
