/* admin/upstreams.c - GET /api/v1/upstreams: endpoints, their health, and what connections do.
 *
 * Pools and health belong to the workers, each with its own: what is shown are sums of what they counted, and the worst
 * health that any of them found. Nothing is asked of a worker, so this costs them nothing. */
#include "admin/dispatch.h"

static const char *const balance_names[] = {
    [BALANCE_ROUND_ROBIN] = "round_robin",
    [BALANCE_LEAST_REQUEST] = "least_request",
    [BALANCE_RANDOM] = "random",
};

/* null: no worker has an opinion yet. A worker that cannot reach an endpoint makes it unhealthy here, though others may. */
static void put_health(struct json *object, const struct stats *stats, struct slice upstream, struct slice address)
{
    uint32_t id = registry_find(&stats->endpoints, upstream, address);
    enum stats_health health = id != 0 ? stats_sum_health(stats, id) : STATS_HEALTH_UNKNOWN;
    if (health == STATS_HEALTH_UNKNOWN)
        json_put_null(object, "healthy");
    else
        json_put_bool(object, "healthy", health == STATS_HEALTHY);
}

static void put_endpoints(struct json *object, const struct stats *stats, const struct upstream_config *u)
{
    struct json *list = json_put_array(object, "endpoints");
    for (size_t i = 0; i < u->endpoint_count; i++) {
        const struct endpoint_config *e = &u->endpoints[i];
        struct json *endpoint = json_push_object(list);
        json_put_string(endpoint, "address", e->address_text);
        json_put_u64(endpoint, "weight", e->weight);
        put_health(endpoint, stats, u->name, e->address_text);
    }
}

/* A gauge is summed while workers count: between two of their steps it may dip below zero. */
static uint64_t gauge(const struct stats *stats, uint32_t id, enum stats_upstream_cell cell)
{
    int64_t value = (int64_t)stats_sum_upstream(stats, id, cell);
    return value > 0 ? (uint64_t)value : 0;
}

static void put_connections(struct json *object, const struct stats *stats, struct slice name)
{
    uint32_t id = registry_find(&stats->upstreams, name, SLICE_NONE);
    struct json *c = json_put_object(object, "connections");
    json_put_u64(c, "idle", gauge(stats, id, STATS_UPSTREAM_IDLE));
    json_put_u64(c, "active", gauge(stats, id, STATS_UPSTREAM_ACTIVE));
    json_put_u64(c, "pending", gauge(stats, id, STATS_UPSTREAM_PENDING));
    json_put_u64(c, "connects", stats_sum_upstream(stats, id, STATS_UPSTREAM_CONNECTS));
    json_put_u64(c, "connect_failures", stats_sum_upstream(stats, id, STATS_UPSTREAM_CONNECT_FAILURES));
}

void api_upstreams(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    const struct config *config = control->snapshot(control->arg)->config;
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "upstreams");
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct upstream_config *u = &config->upstreams[i];
        struct json *upstream = json_push_object(list);
        json_put_string(upstream, "name", u->name);
        json_put_cstr(upstream, "balance", balance_names[u->balance]);
        json_put_u64(upstream, "max_connections", u->max_connections);
        json_put_u64(upstream, "max_pending", u->max_pending);
        put_endpoints(upstream, control->stats, u);
        put_connections(upstream, control->stats, u->name);
        control->monitors(control->arg, u->name, json_put_array(upstream, "monitors"));
    }
    reply_json(call->reply, 200, root);
}
