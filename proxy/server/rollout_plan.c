/* server/rollout_plan.c - a dry run: what a rollout would do if it were started now, at today's traffic.
 *
 * Today's traffic is what the route sent to the pair in the last one to two minutes (or since the process began, if that is
 * less): the counters of /metrics, noted once a minute. */
#include "server/rollouts.h"

#include "rollout/forecast.h"
#include "stats/stats.h"

#include <math.h>

#define NOTE_EVERY_US INT64_C(60000000)

/* ---- traffic ------------------------------------------------------------------------------------------------------------ */

static bool is_error(const struct rollout_config *config, unsigned status)
{
    for (size_t i = 0; i < config->error_count; i++)
        if (status >= config->errors[i].from && status <= config->errors[i].to)
            return true;
    return config->error_count == 0 && status >= 500;
}

static void count_series(const struct rollout *r, uint32_t entry, uint64_t *requests, uint64_t *errors)
{
    struct series_statuses sums;
    if (!stats_sum_statuses(r->all->stats, r->route->entries[entry].series, &sums))
        return;
    *requests += sums.other;
    for (unsigned status = 0; status < STATS_STATUS_END; status++) {
        *requests += sums.by_status[status];
        *errors += is_error(r->config, status) ? sums.by_status[status] : 0;
    }
}

static struct rollout_traffic traffic_now(const struct rollout *r, struct mono_time now)
{
    struct rollout_traffic t = { .at = now,
                                 .stable_series = r->route->entries[r->config->stable_entry].series,
                                 .canary_series = r->route->entries[r->config->canary_entry].series };
    uint64_t canary_errors = 0;
    count_series(r, r->config->stable_entry, &t.stable_requests, &t.stable_errors);
    count_series(r, r->config->canary_entry, &t.canary_requests, &canary_errors);
    return t;
}

static bool is_same_pair(const struct rollout *r, const struct rollout_traffic *t)
{
    return t->stable_series == r->route->entries[r->config->stable_entry].series &&
           t->canary_series == r->route->entries[r->config->canary_entry].series;
}

void rollout_note_traffic(struct rollout *r, struct mono_time now)
{
    struct rollout_traffic *newer = &r->traffic[1], *older = &r->traffic[0];
    bool is_begun = newer->at.us != 0 && is_same_pair(r, newer);
    if (is_begun && mono_diff_us(now, newer->at) < NOTE_EVERY_US)
        return;
    struct rollout_traffic t = traffic_now(r, now);
    *older = is_begun ? *newer : t;
    *newer = t;
}

/* Returns the seconds in which it was measured. */
static double measure(struct rollout *r, struct forecast_traffic *out)
{
    rollout_note_traffic(r, loop_now(r->all->loop));
    const struct rollout_traffic *before = &r->traffic[0];
    struct rollout_traffic after = traffic_now(r, loop_now(r->all->loop));
    double seconds = (double)mono_diff_us(after.at, before->at) / 1e6;
    uint64_t stable = after.stable_requests - before->stable_requests;
    uint64_t both = stable + after.canary_requests - before->canary_requests;
    *out = (struct forecast_traffic){ 0 };
    if (seconds > 0)
        out->requests_per_s = (double)both / seconds;
    if (stable > 0)
        out->error_rate = (double)(after.stable_errors - before->stable_errors) / (double)stable;
    return seconds;
}

double rollout_requests_per_s(struct rollout *r)
{
    struct forecast_traffic traffic;
    measure(r, &traffic);
    return traffic.requests_per_s;
}

/* ---- what would come ---------------------------------------------------------------------------------------------------- */

static double requests_needed(void *arg, uint32_t guardrail, double share, double base, double theta)
{
    const struct rollout *r = arg;
    return judge_requests_needed(r->specs.items, r->specs.count, guardrail, share, base, theta);
}

static void describe_notices(struct rollout *r, const struct config *config, const struct step_config *step,
                             const struct forecast_traffic *traffic, struct json *array)
{
    for (uint32_t g = 0; g < r->specs.count; g++) {
        struct forecast_notice notices[FORECAST_NOTICES_MAX];
        size_t count = forecast_notices(config, r->config, g, step, traffic, requests_needed, r, notices);
        for (size_t i = 0; i < count; i++) {
            struct json *notice = json_push_object(array);
            json_put_cstr(notice, "guardrail", r->specs.items[g].name);
            if (notices[i].is_all_bad)
                json_put_bool(notice, "is_all_bad", true);
            else
                json_put_real(notice, "times", notices[i].times);
            json_put_real(notice, "seconds", notices[i].seconds);
        }
    }
}

static void describe_step(struct rollout *r, const struct config *config, const struct forecast_step *f,
                          const struct forecast_traffic *traffic, struct json *object)
{
    static const char *const waits[] = { [FORECAST_BEFORE_START] = "start_at",
                                         [FORECAST_FROZEN] = "freeze",
                                         [FORECAST_CLOSED] = "window",
                                         [FORECAST_NEVER] = "never" };
    static const char *const kinds[] = {
        [STEP_WEIGHT] = "weight", [STEP_APPROVE] = "approve", [STEP_WEBHOOK] = "webhook"
    };
    json_put_cstr(object, "kind", kinds[f->step->kind]);
    json_put_time(object, "earliest", wall_or_none(f->earliest));
    if (f->wait != FORECAST_NO_WAIT)
        json_put_cstr(object, "waits_for", waits[f->wait]);
    if (f->step->kind != STEP_WEIGHT)
        return;
    json_put_real(object, "weight", f->step->weight_ppm / 1e6);
    if (f->lasts_ms != INT64_MAX)
        json_put_i64(object, "lasts_ms", f->lasts_ms);
    json_put_bool(object, "is_slowed_by_requests", f->is_slowed_by_requests);
    describe_notices(r, config, f->step, traffic, json_put_array(object, "notices"));
}

void rollout_describe_plan(struct rollout *r, const struct config *config, struct json *object)
{
    struct forecast_traffic traffic;
    struct forecast forecast;
    double seconds = measure(r, &traffic);
    forecast_make(r->config, &traffic, rollouts_wall(r->all), &forecast);
    json_put_cstr(object, "name", r->name);
    json_put_string(object, "revision", r->config->revision);
    struct json *measured = json_put_object(object, "traffic");
    json_put_real(measured, "requests_per_s", traffic.requests_per_s);
    json_put_real(measured, "error_rate", traffic.error_rate);
    json_put_real(measured, "measured_s", seconds);
    json_put_time(object, "ends_at", wall_or_none(forecast.ends));
    struct json *steps = json_put_array(object, "steps");
    for (size_t i = 0; i < forecast.step_count; i++)
        describe_step(r, config, &forecast.steps[i], &traffic, json_push_object(steps));
}
