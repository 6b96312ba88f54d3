/* server/rollout_samples.c - what guardrails watch elsewhere than in the tallies: pools, shadows, Prometheus, monitors. */
#include "server/rollouts.h"

#include "base/text.h"
#include "front/series.h"
#include "server/prometheus.h"
#include "server/publisher.h"
#include "shadow/noise.h"
#include "stats/stats.h"

#include <inttypes.h>
#include <math.h>

#define SECOND_US        1000000
#define QUERY_TIMEOUT_MS 5000
#define NEARLY_FULL      0.9
#define ENDPOINTS_SAID   3

static const struct snapshot *snapshot_of(const struct rollout *r)
{
    return publisher_snapshot(r->all->publisher);
}

/* ---- saturation --------------------------------------------------------------------------------------------------------- */

static uint64_t gauge_of(const struct rollout *r, uint32_t upstream_index, enum stats_upstream_cell cell)
{
    uint32_t id = snapshot_of(r)->series->upstreams[upstream_index];
    int64_t value = (int64_t)stats_sum_upstream(r->all->stats, id, cell);
    return value > 0 ? (uint64_t)value : 0;
}

static uint32_t upstream_of(const struct rollout *r, uint32_t entry)
{
    return r->route->config->split[entry].upstream_index;
}

/* Connections at work, as a share of max_connections; NAN: it has no limit. */
static double saturation_of(const struct rollout *r, uint32_t upstream_index)
{
    uint32_t most = snapshot_of(r)->config->upstreams[upstream_index].max_connections;
    return most == 0 ? NAN : (double)gauge_of(r, upstream_index, STATS_UPSTREAM_ACTIVE) / most;
}

/* By the workers that connect to it, or by a monitor that asks it. Then with a line what is wrong; `why` may be NULL. */
static bool is_unhealthy(const struct rollout *r, uint32_t upstream_index, size_t endpoint, struct text *why)
{
    const struct snapshot *snapshot = snapshot_of(r);
    const struct upstream_config *upstream = &snapshot->config->upstreams[upstream_index];
    uint32_t id = snapshot->series->endpoints[snapshot->series->endpoint_first[upstream_index] + endpoint];
    struct slice address = upstream->endpoints[endpoint].address_text;
    if (stats_sum_health(r->all->stats, id) != STATS_UNHEALTHY)
        return r->all->monitors != NULL && monitors_fail_at(r->all->monitors, upstream->name, address, why);
    if (why != NULL)
        text_printf(why, "connections to %.*s fail", SLICE_ARG(address));
    return true;
}

static size_t endpoint_count(const struct rollout *r, uint32_t upstream_index)
{
    return snapshot_of(r)->config->upstreams[upstream_index].endpoint_count;
}

static bool has_healthy_endpoint(const struct rollout *r, uint32_t upstream_index)
{
    for (size_t i = 0; i < endpoint_count(r, upstream_index); i++)
        if (!is_unhealthy(r, upstream_index, i, NULL))
            return true;
    return false;
}

/* Of many endpoints the first few. */
static void say_unhealthy(const struct rollout *r, uint32_t upstream_index, struct text *out)
{
    size_t count = endpoint_count(r, upstream_index);
    text_add_cstr(out, "no endpoint of it is healthy: ");
    for (size_t i = 0; i < count && i < ENDPOINTS_SAID; i++) {
        text_add_cstr(out, i > 0 ? "; " : "");
        is_unhealthy(r, upstream_index, i, out);
    }
    text_add_cstr(out, count > ENDPOINTS_SAID ? "; and so on" : "");
}

/* Both have the same work a request, as far as anybody knows. */
static bool is_without_connections(const struct rollout *r, struct text *why)
{
    uint32_t stable = upstream_of(r, r->config->stable_entry), canary = upstream_of(r, r->config->canary_entry);
    uint32_t most = snapshot_of(r)->config->upstreams[stable].max_connections;
    uint64_t own = gauge_of(r, stable, STATS_UPSTREAM_ACTIVE), other = gauge_of(r, canary, STATS_UPSTREAM_ACTIVE);
    if (most == 0 || (double)(own + other) <= NEARLY_FULL * most)
        return false;
    if (why != NULL)
        text_printf(why, "of its %u connections it uses %" PRIu64 ", and the canary %" PRIu64, most, own, other);
    return true;
}

bool rollout_is_stable_short(const struct rollout *r, struct text *why)
{
    uint32_t stable = upstream_of(r, r->config->stable_entry);
    if (has_healthy_endpoint(r, stable))
        return is_without_connections(r, why);
    if (why != NULL)
        say_unhealthy(r, stable, why);
    return true;
}

void rollout_write_short_stable(const struct rollout *r, struct json *object)
{
    struct text why = { 0 };
    json_put_bool(object, "stable_is_short", true);
    if (rollout_is_stable_short(r, &why))
        json_put_string(object, "stable_is_short_because", text_slice(&why));
    text_fini(&why);
}

/* ---- shadows ------------------------------------------------------------------------------------------------------------ */

/* The share of pairs that differ, of those compared in the newest window; NAN: none was. */
static double mismatch_of(struct rollout *r, const struct guardrail_config *g, struct rollout_sampler *s,
                          struct mono_time now)
{
    uint32_t id = r->route->shadows[g->shadow_index].series;
    uint64_t different = stats_sum_shadow(r->all->stats, id, STATS_SHADOW_COMPARED + VERDICT_DIFFERENT);
    uint64_t compared = different + stats_sum_shadow(r->all->stats, id, STATS_SHADOW_COMPARED + VERDICT_SAME) +
                        stats_sum_shadow(r->all->stats, id, STATS_SHADOW_COMPARED + VERDICT_NOISE);
    if (s->asked_at.us == 0 || mono_diff_us(now, s->asked_at) > g->window_ms * 1000) {
        s->asked_at = now;
        s->different = different;
        s->compared = compared;
    }
    uint64_t count = compared - s->compared;
    if (count < (g->min_requests > 0 ? g->min_requests : 20))
        return NAN;
    return (double)(different - s->different) / (double)count;
}

/* ---- Prometheus --------------------------------------------------------------------------------------------------------- */

/* The ticket stays with its guardrail over reloads; that of one which is gone is nobody's. */
static void on_prometheus(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct rollout *r = rollouts_find_ticket(arg, ticket);
    for (uint32_t i = 0; r != NULL && i < r->specs.count; i++) {
        if (r->samplers[i].ticket != ticket)
            continue;
        r->samplers[i].ticket = 0;
        double value = answer->failure == NULL && answer->status == 200 ? prometheus_number(answer->body) : NAN;
        evidence_add_sample(&r->evidence, i, value, loop_now(r->all->loop));
    }
}

static void add_escaped(struct text *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                        c == '_' || c == '.';
        if (is_plain)
            text_add_char(out, (char)c);
        else
            text_printf(out, "%%%02X", c);
    }
}

static void ask_prometheus(struct rollout *r, struct rollout_sampler *s, const struct guardrail_config *g,
                           struct mono_time now)
{
    if (s->ticket != 0 || (s->asked_at.us != 0 && mono_diff_us(now, s->asked_at) < g->every_ms * 1000))
        return;
    struct text url = { 0 };
    text_add(&url, g->server);
    text_add_cstr(&url, "/api/v1/query?query=");
    add_escaped(&url, g->prometheus);
    const struct courier_errand errand = { .url = text_slice(&url),
                                           .method = SLICE("GET"),
                                           .timeout_ms = QUERY_TIMEOUT_MS,
                                           .done = on_prometheus,
                                           .arg = r->all,
                                           .ticket = ++r->all->newest_ticket };
    s->asked_at = now;
    s->ticket = r->all->send(r->all->arg, &errand) ? errand.ticket : 0;
    text_fini(&url);
}

/* ---- all of them -------------------------------------------------------------------------------------------------------- */

static void sample(struct rollout *r, uint32_t place, struct mono_time now)
{
    const struct guardrail_config *g = &r->config->guardrails[place];
    switch (g->kind) {
    case WATCH_SATURATION:
        evidence_add_sample(&r->evidence, place, saturation_of(r, upstream_of(r, r->config->canary_entry)), now);
        break;
    case WATCH_SHADOW_MISMATCH:
        evidence_add_sample(&r->evidence, place, mismatch_of(r, g, &r->samplers[place], now), now);
        break;
    case WATCH_PROMETHEUS:
        ask_prometheus(r, &r->samplers[place], g, now);
        break;
    case WATCH_ERROR_RATE:
    case WATCH_LATENCY:
    case WATCH_CONNECT_FAILURES:
    case WATCH_EVENT:
    case WATCH_SLO:
    case WATCH_MONITOR: /* told by rollouts_on_monitor */
        break;
    }
}

void rollout_sample(struct rollout *r, struct mono_time now)
{
    if (r->sampled_at.us != 0 && mono_diff_us(now, r->sampled_at) < SECOND_US)
        return;
    r->sampled_at = now;
    for (uint32_t i = 0; i < r->specs.count; i++)
        sample(r, i, now);
}

/* A good answer of one endpoint says nothing of another that fails: a single bad one among many is counted, too. */
void rollouts_on_monitor(struct rollouts *all, const struct monitor_status *status)
{
    if (status->was_good && !status->is_good)
        return;
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        for (uint32_t i = 0; i < r->specs.count; i++) {
            const struct guardrail_config *g = &r->config->guardrails[i];
            if (g->kind == WATCH_MONITOR && slice_equal(g->monitor, status->monitor) &&
                slice_equal(r->config->canary, status->upstream))
                evidence_add_sample(&r->evidence, i, status->was_good ? 0 : 1, loop_now(all->loop));
        }
    }
}
