/* server/rollout_samples.c - what guardrails watch elsewhere than in the tallies: pools, shadows, Prometheus, monitors. */
#include "server/rollouts.h"

#include "base/text.h"
#include "front/series.h"
#include "server/prometheus.h"
#include "server/publisher.h"
#include "shadow/noise.h"
#include "stats/stats.h"

#include <math.h>

#define SECOND_US        1000000
#define QUERY_TIMEOUT_MS 5000
#define NEARLY_FULL      0.9

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

static bool has_healthy_endpoint(const struct rollout *r, uint32_t upstream_index)
{
    const struct snapshot *snapshot = snapshot_of(r);
    uint32_t first = snapshot->series->endpoint_first[upstream_index];
    size_t count = snapshot->config->upstreams[upstream_index].endpoint_count;
    for (size_t i = 0; i < count; i++)
        if (stats_sum_health(r->all->stats, snapshot->series->endpoints[first + i]) != STATS_UNHEALTHY)
            return true;
    return false;
}

/* Both have the same work a request, as far as anybody knows. */
bool rollout_is_stable_short(const struct rollout *r)
{
    uint32_t stable = upstream_of(r, r->config->stable_entry), canary = upstream_of(r, r->config->canary_entry);
    uint32_t most = snapshot_of(r)->config->upstreams[stable].max_connections;
    uint64_t active = gauge_of(r, stable, STATS_UPSTREAM_ACTIVE) + gauge_of(r, canary, STATS_UPSTREAM_ACTIVE);
    return !has_healthy_endpoint(r, stable) || (most != 0 && (double)active > NEARLY_FULL * most);
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

void rollouts_on_monitor(struct rollouts *all, const struct monitor_status *status)
{
    LIST_FOREACH_SAFE (link, &all->items) {
        struct rollout *r = LIST_ITEM(link, struct rollout, link);
        for (uint32_t i = 0; i < r->specs.count; i++) {
            const struct guardrail_config *g = &r->config->guardrails[i];
            if (g->kind == WATCH_MONITOR && slice_equal(g->monitor, status->monitor) &&
                slice_equal(r->config->canary, status->upstream))
                evidence_add_sample(&r->evidence, i, status->is_good ? 0 : 1, loop_now(all->loop));
        }
    }
}
