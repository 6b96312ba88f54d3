/* server/names.c - endpoints that were given as names: watched on the main thread, told to the workers. */
#include "base/log.h"
#include "net/resolve.h"
#include "server/parts.h"

/* A watched name's key is "UPSTREAM\nLABEL": neither holds a line end. */
static struct slice name_key(struct arena *arena, const struct upstream_config *u, const struct endpoint_config *e)
{
    return arena_printf(arena, "%.*s\n%.*s", SLICE_ARG(u->name), SLICE_ARG(e->address_text));
}

static void on_addresses(void *arg, const char *key, const struct resolved_address *addresses, size_t count,
                         const char *problem)
{
    struct server *s = arg;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct slice whole = slice_from_cstr(key);
    size_t border = slice_find(whole, '\n');
    const char *upstream = arena_copy(&arena, slice_first(whole, border)).ptr;
    const char *label = key + border + 1;
    if (count == 0)
        log_warn("upstream %s: endpoint %s has no address: %s", upstream, label, problem);
    for (uint32_t i = 0; count > 0 && i < s->worker_count; i++)
        worker_order_addresses(s->publisher.uses[i].worker, upstream, label, addresses, count);
    arena_reset(&arena);
}

static void watch_upstream(struct server *s, struct arena *arena, const struct upstream_config *u)
{
    for (size_t i = 0; i < u->endpoint_count; i++) {
        const struct endpoint_config *e = &u->endpoints[i];
        if (e->address.kind != ADDRESS_NAME)
            continue;
        if (s->resolver == NULL)
            s->resolver = resolver_create(s->loop, "/etc/resolv.conf", on_addresses, s);
        resolver_add(s->resolver, name_key(arena, u, e), e->address.name, e->address.port);
    }
}

void server_watch_names(struct server *s)
{
    const struct config *config = publisher_snapshot(&s->publisher)->config;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    if (s->resolver != NULL)
        resolver_begin_generation(s->resolver);
    for (size_t i = 0; i < config->upstream_count; i++)
        watch_upstream(s, &arena, &config->upstreams[i]);
    if (s->resolver != NULL)
        resolver_end_generation(s->resolver);
    arena_reset(&arena);
}

void server_forget_names(struct server *s)
{
    if (s->resolver != NULL)
        resolver_destroy(TAKE(&s->resolver));
}
