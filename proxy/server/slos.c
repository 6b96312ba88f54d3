/* server/slos.c - counts what routes with objectives answer, and keeps it over restarts. */
#include "server/slos.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/model_rollout.h"
#include "net/loop.h"
#include "stats/budget.h"

#define LOOK_EVERY_MS 5000
#define STRETCH_MS    INT64_C(300000)
#define KEPT_MS       (INT64_C(90) * 24 * 3600 * 1000) /* no objective is longer */
#define MS            INT64_C(1000)

struct slo {
    struct list link;
    char *name, *route; /* owned */
    int64_t identity;
    double objectives[BUDGET_KIND_COUNT];
    int64_t below_us, window_ms;
    struct budget budget;
    struct budget_counts seen;    /* totals of the counters, that the budget has */
    struct budget_counts pending; /* of the stretch under way, not stored yet */
    struct wall_time from;        /* of that stretch */
};

/* ---- counting ----------------------------------------------------------------------------------------------------------- */

/* The bucket that holds the limit counts by the part of it that is above: as its values are spread evenly. */
static uint64_t slow_count(const struct histogram *h, uint64_t below_us)
{
    unsigned at = histogram_bucket(below_us);
    uint64_t count = 0;
    for (unsigned i = at + 1; i < HISTOGRAM_BUCKET_COUNT; i++)
        count += h->buckets[i];
    if (at + 1 == HISTOGRAM_BUCKET_COUNT)
        return count + h->buckets[at];
    double lower = (double)histogram_lower_bound_us(at), upper = (double)histogram_lower_bound_us(at + 1);
    return count + (uint64_t)((double)h->buckets[at] * (upper - (double)below_us) / (upper - lower));
}

/* Whom nothing was sent to (the client left) had no answer that could be good or bad. */
static void count_series(const struct slos *all, const struct slo *slo, uint32_t id, struct budget_counts *out)
{
    struct series_statuses statuses;
    struct histogram durations;
    if (!stats_sum_statuses(all->stats, id, &statuses))
        return;
    out->requests += statuses.other;
    for (unsigned status = 200; status < STATS_STATUS_END; status++) {
        out->requests += statuses.by_status[status];
        out->bad[BUDGET_AVAILABILITY] += status >= 500 ? statuses.by_status[status] : 0;
    }
    if (slo->below_us > 0 && stats_sum_duration(all->stats, id, &durations))
        out->bad[BUDGET_LATENCY] += slow_count(&durations, (uint64_t)slo->below_us);
}

static struct budget_counts count(const struct slos *all, const struct slo *slo)
{
    const struct registry *series = &all->stats->series;
    struct budget_counts counts = { 0 };
    for (uint32_t id = 1; id < series->count; id++)
        if (slice_equal(registry_entry(series, id)->first, slice_from_cstr(slo->route)))
            count_series(all, slo, id, &counts);
    return counts;
}

static uint64_t take(uint64_t now, uint64_t *before)
{
    uint64_t more = now > *before ? now - *before : 0;
    *before += more;
    return more;
}

static void store_stretch(struct slos *all, struct slo *slo)
{
    const struct slo_row row = { .slo = slice_from_cstr(slo->name),
                                 .identity = slo->identity,
                                 .from = slo->from,
                                 .requests = slo->pending.requests,
                                 .errors = slo->pending.bad[BUDGET_AVAILABILITY],
                                 .slow = slo->pending.bad[BUDGET_LATENCY] };
    if (row.requests == 0)
        return;
    if (slo_row_add(all->store, &row, (struct wall_time){ clock_wall().unix_ms - KEPT_MS }))
        slo->pending = (struct budget_counts){ 0 };
    else if (store_is_usable(all->store))
        log_warn("slo %s: what it counted cannot be stored now: %s", slo->name, store_message(all->store));
}

/* What could not be stored goes with the next stretch. */
static void look(struct slos *all, struct slo *slo)
{
    struct budget_counts totals = count(all, slo), more = { 0 };
    int64_t from_ms = clock_wall().unix_ms / STRETCH_MS * STRETCH_MS;
    if (from_ms != slo->from.unix_ms) {
        store_stretch(all, slo);
        slo->from.unix_ms = from_ms;
    }
    slo->pending.requests += more.requests = take(totals.requests, &slo->seen.requests);
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++)
        slo->pending.bad[kind] += more.bad[kind] = take(totals.bad[kind], &slo->seen.bad[kind]);
    budget_add(&slo->budget, loop_now(all->loop), &more);
}

static void look_at_all(struct slos *all)
{
    LIST_FOREACH_SAFE (link, &all->items)
        look(all, LIST_ITEM(link, struct slo, link));
}

static void on_timer(void *arg)
{
    struct slos *all = arg;
    look_at_all(all);
    if (!list_is_empty(&all->items))
        timer_start(all->loop, &all->timer, LOOK_EVERY_MS);
}

/* ---- configuration ------------------------------------------------------------------------------------------------------ */

void slos_init(struct slos *all)
{
    list_init(&all->items);
    timer_init(&all->timer, on_timer, all);
}

static int64_t identity_of(const struct slo_config *config)
{
    const struct hash_key key = { 0x77656972u, (uint64_t)config->latency.below_ms };
    return (int64_t)(hash_siphash(key, config->route.ptr, config->route.len) >> 1);
}

struct restoring {
    struct slo *slo;
    struct mono_time now;
    struct wall_time wall;
};

/* Its place on this process's clock, which may have begun later: windows take negative times too. */
static void restore_row(void *arg, const struct slo_row *row)
{
    struct restoring *r = arg;
    const struct budget_counts counts = { row->requests, { row->errors, row->slow } };
    int64_t age_ms = r->wall.unix_ms - row->from.unix_ms;
    budget_add(&r->slo->budget, mono_add_ms(r->now, -(age_ms > 0 ? age_ms : 0)), &counts);
}

static void restore(struct slos *all, struct slo *slo)
{
    struct restoring r = { slo, loop_now(all->loop), clock_wall() };
    struct wall_time from = { r.wall.unix_ms - slo->window_ms };
    budget_init(&slo->budget, slo->objectives, slo->window_ms * MS);
    if (!slo_rows_each(all->store, slice_from_cstr(slo->name), slo->identity, from, restore_row, &r) &&
        store_is_usable(all->store))
        log_warn("slo %s: what it counted before cannot be read: %s", slo->name, store_message(all->store));
}

static void read_objectives(struct slo *slo, const struct slo_config *config)
{
    slo->objectives[BUDGET_AVAILABILITY] = config->availability_ppm / 1e6;
    slo->objectives[BUDGET_LATENCY] = config->latency.below_ms > 0 ? config->latency.for_ppm / 1e6 : 0;
}

static struct slo *slo_create(struct slos *all, const struct slo_config *config)
{
    struct slo *slo = memory_zalloc(sizeof *slo);
    list_init(&slo->link);
    slo->name = memory_copy_text(config->name.ptr, config->name.len);
    slo->route = memory_copy_text(config->route.ptr, config->route.len);
    slo->identity = identity_of(config);
    read_objectives(slo, config);
    slo->below_us = config->latency.below_ms * MS;
    slo->window_ms = config->window_ms;
    slo->from.unix_ms = clock_wall().unix_ms / STRETCH_MS * STRETCH_MS;
    slo->seen = count(all, slo); /* what was counted before it was an objective is none of its */
    restore(all, slo);
    return slo;
}

static void slo_destroy(struct slos *all, struct slo *slo)
{
    look(all, slo);
    store_stretch(all, slo);
    list_remove(&slo->link);
    memory_free(slo->name);
    memory_free(slo->route);
    memory_free(slo);
}

static bool is_same(const struct slo *slo, const struct slo_config *config)
{
    return slice_equal(slice_from_cstr(slo->name), config->name) && slo->identity == identity_of(config) &&
           slo->window_ms == config->window_ms;
}

/* Other objectives for what is counted already are other budgets of the same counts. */
static void take_over(struct slo *slo, const struct slo_config *config)
{
    read_objectives(slo, config);
    budget_allow(&slo->budget, slo->objectives);
}

/* Before others begin: what it counted last is there for one that is the same but for its window. */
static void drop_strangers(struct slos *all, struct list *old, const struct config *config)
{
    LIST_FOREACH_SAFE (link, old) {
        struct slo *slo = LIST_ITEM(link, struct slo, link);
        bool is_kept = false;
        for (size_t i = 0; i < config->slo_count; i++)
            is_kept |= is_same(slo, &config->slos[i]);
        if (!is_kept)
            slo_destroy(all, slo);
    }
}

void slos_configure(struct slos *all, const struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    struct list old;
    list_init(&old);
    for (struct list *link; (link = list_pop(&all->items)) != NULL;)
        list_append(&old, link);
    drop_strangers(all, &old, config);
    for (size_t i = 0; i < config->slo_count; i++) {
        struct slo *slo = NULL;
        LIST_FOREACH_SAFE (link, &old)
            if (is_same(LIST_ITEM(link, struct slo, link), &config->slos[i]))
                slo = LIST_ITEM(link, struct slo, link);
        if (slo != NULL) {
            list_remove(&slo->link);
            take_over(slo, &config->slos[i]);
        } else {
            slo = slo_create(all, &config->slos[i]);
        }
        list_append(&all->items, &slo->link);
    }
    if (!list_is_empty(&all->items) && !timer_is_armed(&all->timer))
        timer_start(all->loop, &all->timer, LOOK_EVERY_MS);
}

void slos_fini(struct slos *all)
{
    timer_stop(all->loop, &all->timer);
    LIST_FOREACH_SAFE (link, &all->items)
        slo_destroy(all, LIST_ITEM(link, struct slo, link));
}

/* ---- what people see ---------------------------------------------------------------------------------------------------- */

static void describe_burns(const struct slo *slo, struct mono_time now, struct json *object)
{
    for (int w = 0; w < BUDGET_WINDOW_COUNT; w++)
        if (budget_has_window(&slo->budget, w))
            json_put_real(object, budget_window_names[w], budget_burn(&slo->budget, w, now, NULL));
        else
            json_put_null(object, budget_window_names[w]);
}

static void describe(const struct slo *slo, struct mono_time now, struct json *object)
{
    enum budget_kind kind;
    struct budget_counts sum = budget_sum(&slo->budget, now);
    double remaining = budget_remaining(&slo->budget, now, &kind);
    json_put_cstr(object, "name", slo->name);
    json_put_cstr(object, "route", slo->route);
    if (slo->objectives[BUDGET_AVAILABILITY] > 0)
        json_put_real(object, "availability", slo->objectives[BUDGET_AVAILABILITY]);
    if (slo->objectives[BUDGET_LATENCY] > 0) {
        struct json *latency = json_put_object(object, "latency");
        json_put_i64(latency, "below_ms", slo->below_us / MS);
        json_put_real(latency, "for", slo->objectives[BUDGET_LATENCY]);
    }
    json_put_i64(object, "window_ms", slo->window_ms);
    json_put_u64(object, "requests", sum.requests);
    json_put_u64(object, "errors", sum.bad[BUDGET_AVAILABILITY]);
    json_put_u64(object, "slow", sum.bad[BUDGET_LATENCY]);
    describe_burns(slo, now, json_put_object(object, "burn_rate"));
    json_put_real(object, "budget_remaining", remaining);
    json_put_cstr(object, "judged_by", budget_kind_names[kind]);
}

void slos_describe(struct slos *all, struct json *array)
{
    look_at_all(all);
    LIST_FOREACH_SAFE (link, &all->items)
        describe(LIST_ITEM(link, struct slo, link), loop_now(all->loop), json_push_object(array));
}

static size_t slo_count(struct slos *all)
{
    size_t count = 0;
    LIST_FOREACH_SAFE (link, &all->items)
        count++;
    return count;
}

void slos_fill_metrics(struct slos *all, struct arena *arena, struct metrics_facts *facts)
{
    struct mono_time now = loop_now(all->loop);
    struct metrics_slo *out = arena_zalloc_array(arena, slo_count(all) + 1, sizeof *out);
    look_at_all(all);
    facts->slos = out;
    LIST_FOREACH_SAFE (link, &all->items) {
        const struct slo *slo = LIST_ITEM(link, struct slo, link);
        struct metrics_slo *one = &out[facts->slo_count++];
        one->name = slice_from_cstr(slo->name);
        one->budget_remaining = budget_remaining(&slo->budget, now, NULL);
        for (int w = 0; w < BUDGET_WINDOW_COUNT; w++) {
            one->has_window[w] = budget_has_window(&slo->budget, w);
            one->burn_rates[w] = budget_burn(&slo->budget, w, now, NULL);
        }
    }
}
