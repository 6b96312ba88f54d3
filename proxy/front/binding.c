/* front/binding.c - a snapshot as one worker uses it: its upstreams, blocks and pins.
 *
 * Made when a worker switches, destroyed when the last request that began with it has finished; then, and not
 * before, the main thread hears that this worker does not use the snapshot any more. */
#include "front/binding.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/fetch.h"
#include "front/front.h"
#include "front/tls_set.h"

#define BINDING_MAGIC 0x42494e44u

static struct h1_limits limits_of(const struct config *config)
{
    return (struct h1_limits){ .request_line_bytes = (uint32_t)config->limits.request_line_bytes,
                               .head_bytes = (uint32_t)config->limits.headers_bytes,
                               .field_count = (uint16_t)config->limits.header_count };
}

static void binding_attach_upstreams(struct binding *b)
{
    const struct config *config = b->snapshot->config;
    const struct series_map *series = b->snapshot->series;
    b->upstreams = memory_zalloc(sizeof(struct upstream *) * (config->upstream_count + 1));
    for (size_t i = 0; i < config->upstream_count; i++)
        b->upstreams[i] = upstream_attach(&b->front->upstreams, &config->upstreams[i], config->tls->upstreams[i],
                                          series->upstreams[i], series->endpoints + series->endpoint_first[i]);
}

static void binding_attach_shadows(struct binding *b)
{
    const struct snapshot *snapshot = b->snapshot;
    const struct shadow_upstreams upstreams = { .primaries = b->upstreams,
                                                .tls = snapshot->config->tls->upstreams,
                                                .stats_ids = snapshot->series->shadow_upstreams };
    shadow_binding_attach(&b->shadows, &b->front->shadows, snapshot->table, &upstreams);
}

static void on_scripts_full(void *arg)
{
    struct binding *b = arg;
    b->front->on_scripts_full(b->front->arg, b->snapshot->generation);
}

static void on_scripts_used(void *arg, struct script_host *old)
{
    struct binding *b = arg;
    b->front->on_scripts_unused(b->front->arg, old);
}

static void binding_attach_scripts(struct binding *b, struct script_host *scripts)
{
    b->scripts = scripts;
    list_init(&b->hooks_to_begin);
    b->script_renewal = (struct script_renewal){ .on_full = on_scripts_full, .on_used = on_scripts_used, .arg = b };
    if (scripts != NULL)
        script_host_attach(scripts, &b->script_renewal);
}

struct script_host *binding_make_scripts(const struct snapshot *snapshot, struct watchdog *dog,
                                         struct shared_map *shared)
{
    return snapshot->config->scripts != NULL ? script_host_create(snapshot->table, dog, fetch_begin, shared) : NULL;
}

struct binding *binding_create(struct front *f, struct snapshot *snapshot, const struct weights *weights,
                               struct script_host *scripts)
{
    CHECK_MAGIC(snapshot, SNAPSHOT_MAGIC);
    struct binding *b = memory_zalloc(sizeof(*b));
    b->magic = BINDING_MAGIC;
    b->front = f;
    b->snapshot = snapshot;
    b->weights = weights;
    b->is_current = true;
    b->request_limits = limits_of(snapshot->config);
    f->upstreams.response_limits = f->shadows.upstreams.response_limits = b->request_limits;
    draw_init(&b->draw, &f->loop->rng, snapshot->table);
    binding_attach_upstreams(b);
    binding_attach_shadows(b);
    binding_attach_scripts(b, scripts);
    list_append(&f->bindings, &b->link);
    return b;
}

static void binding_destroy(struct deferred *d)
{
    struct binding *b = CONTAINER_OF(d, struct binding, deferred);
    CHECK_MAGIC(b, BINDING_MAGIC);
    CHECK(b->pin_count == 0);
    if (b->scripts != NULL)
        script_host_detach(b->scripts);
    shadow_binding_detach(&b->shadows);
    for (size_t i = 0; i < b->snapshot->config->upstream_count; i++)
        upstream_detach(b->upstreams[i]);
    memory_free(b->upstreams);
    draw_fini(&b->draw);
    list_remove(&b->link);
    b->front->on_binding_unused(b->front->arg, b->snapshot->generation, TAKE(&b->scripts));
    b->magic = 0;
    memory_free(b);
}

static void binding_leave_if_unused(struct binding *b)
{
    if (b->is_current || b->is_leaving || b->pin_count > 0)
        return;
    b->is_leaving = true;
    b->deferred.destroy = binding_destroy;
    loop_after_turn(b->front->loop, &b->deferred);
}

struct binding *binding_pin(struct binding *b)
{
    CHECK_MAGIC(b, BINDING_MAGIC);
    b->pin_count++;
    return b;
}

void binding_unpin(struct binding *b)
{
    CHECK_MAGIC(b, BINDING_MAGIC);
    CHECK(b->pin_count > 0);
    b->pin_count--;
    binding_leave_if_unused(b);
}

void binding_retire(struct binding *b)
{
    CHECK_MAGIC(b, BINDING_MAGIC);
    b->is_current = false;
    binding_leave_if_unused(b);
}

const struct listener_config *binding_listener(const struct binding *b, struct slice name)
{
    const struct config *config = b->snapshot->config;
    for (size_t i = 0; i < config->listener_count; i++)
        if (slice_equal(config->listeners[i].name, name))
            return &config->listeners[i];
    return NULL;
}
