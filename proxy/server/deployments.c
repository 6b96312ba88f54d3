/* server/deployments.c - looks at the traffic every few seconds, and says what it was like before an event and after it. */
#include "server/deployments.h"

#include <string.h>

#include "admin/control.h"
#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/loop.h"

#define RETRY_MS 5000 /* after the store has refused a result */

struct deployment {
    struct list link;
    int64_t id, window_ms;
    char *route, *upstream, *detail; /* owned; "" where it is not tied; detail: the row's, without metrics */
    struct mono_time at, due;        /* due: the window is over, or the store is asked again */
    bool is_known;                   /* its moment and its scope are among what was kept */
    struct traffic_counts start;     /* totals at that moment */
    struct mono_time start_of;
    struct traffic_figures before, after;
    bool is_over;     /* after is final */
    bool is_complete; /* and covers the window */
};

/* ---- figures -------------------------------------------------------------------------------------------------------------- */

static struct traffic_scope scope_of(const struct deployment *d)
{
    return (struct traffic_scope){ slice_from_cstr(d->route), slice_from_cstr(d->upstream) };
}

/* Older than the oldest look: nothing can be said about it. */
static void find_before(struct deployments *all, struct deployment *d)
{
    struct mono_time now = loop_now(all->loop), from_of;
    struct traffic_scope scope = scope_of(d);
    struct traffic_counts from;
    d->is_known =
        !mono_is_before(d->at, traffic_oldest(&all->traffic, now)) &&
        traffic_read(&all->traffic, all->stats, &scope, d->at, now, &d->start, &d->start_of) &&
        traffic_read(&all->traffic, all->stats, &scope, mono_add_ms(d->at, -d->window_ms), now, &from, &from_of);
    if (d->is_known)
        d->before = traffic_compare(&from, &d->start, mono_diff_us(d->start_of, from_of));
}

/* Totals of now are read from all series: of the whole proxy once a turn, however many windows are open. */
static bool read_until(struct deployments *all, const struct traffic_scope *scope, struct mono_time at,
                       struct traffic_counts *out, struct mono_time *of)
{
    struct mono_time now = loop_now(all->loop);
    bool is_whole = slice_is_empty(scope->route) && slice_is_empty(scope->upstream);
    if (!is_whole || mono_is_before(at, now))
        return traffic_read(&all->traffic, all->stats, scope, at, now, out, of);
    if (all->whole_at.us != now.us &&
        !traffic_read(&all->traffic, all->stats, scope, now, now, &all->whole, &all->whole_of))
        return false;
    all->whole_at = now;
    *out = all->whole;
    *of = all->whole_of;
    return true;
}

/* Up to now, or up to the end of the window where that is past. */
static void find_after(struct deployments *all, struct deployment *d)
{
    struct mono_time now = loop_now(all->loop), end = mono_add_ms(d->at, d->window_ms), of;
    struct traffic_scope scope = scope_of(d);
    struct traffic_counts to;
    bool is_past = !mono_is_before(now, end);
    if (d->is_over)
        return;
    d->is_known = d->is_known && read_until(all, &scope, is_past ? end : now, &to, &of);
    if (d->is_known)
        d->after = traffic_compare(&d->start, &to, mono_diff_us(of, d->start_of));
    d->is_over = d->is_complete = is_past;
}

static void put_latency(struct json *object, const char *key, const struct traffic_figures *f, uint64_t us)
{
    if (f->requests > 0)
        json_put_real(object, key, (double)us / 1e3);
    else
        json_put_null(object, key);
}

static void put_figures(struct json *object, const struct traffic_figures *f)
{
    json_put_real(object, "seconds", f->seconds);
    json_put_u64(object, "requests", f->requests);
    json_put_real(object, "requests_per_second", f->rate);
    json_put_u64(object, "errors", f->errors);
    if (f->requests > 0)
        json_put_real(object, "error_ratio", f->error_ratio);
    else
        json_put_null(object, "error_ratio");
    put_latency(object, "p50_ms", f, f->p50_us);
    put_latency(object, "p95_ms", f, f->p95_us);
    put_latency(object, "p99_ms", f, f->p99_us);
}

static void put_metrics(const struct deployment *d, struct json *metrics)
{
    json_put_i64(metrics, "window_ms", d->window_ms);
    json_put_bool(metrics, "is_complete", d->is_complete);
    if (d->is_known)
        put_figures(json_put_object(metrics, "before"), &d->before);
    else
        json_put_null(metrics, "before");
    if (d->is_known && d->after.seconds > 0)
        put_figures(json_put_object(metrics, "after"), &d->after);
    else
        json_put_null(metrics, "after");
}

/* ---- ends ----------------------------------------------------------------------------------------------------------------- */

static void deployment_free(struct deployment *d)
{
    memory_free(d->route);
    memory_free(d->upstream);
    memory_free(d->detail);
    memory_free(d);
}

static void drop(struct deployments *all, struct deployment *d)
{
    list_remove(&d->link);
    all->open_count--;
    deployment_free(d);
}

/* False: the store does not take it now. */
static bool store_result(struct deployments *all, const struct deployment *d)
{
    struct text text = { 0 }, fault = { 0 };
    struct json *detail = json_parse(slice_from_cstr(d->detail), &fault);
    CHECK(detail != NULL); /* it was written by this process */
    put_metrics(d, json_put_object(detail, "metrics"));
    json_write(detail, &text);
    bool is_stored = events_amend(all->store, d->id, text_slice(&text));
    if (!is_stored && store_is_usable(all->store))
        log_warn("events: what came after event %lld cannot be stored now: %s", (long long)d->id,
                 store_message(all->store));
    json_destroy(detail);
    text_fini(&text);
    text_fini(&fault);
    return is_stored;
}

/* Where the store refuses one, no other is tried for a while: each try may wait for its lock, and nobody judges meanwhile. */
static bool is_finished(struct deployments *all, const struct deployment *d, struct mono_time now)
{
    if (mono_is_before(now, all->refused_until))
        return false;
    if (store_result(all, d) || !store_is_usable(all->store))
        return true;
    all->refused_until = mono_add_ms(now, RETRY_MS);
    return false;
}

static void finish_due(struct deployments *all, struct mono_time now)
{
    LIST_FOREACH_SAFE (link, &all->open) {
        struct deployment *d = LIST_ITEM(link, struct deployment, link);
        if (mono_is_before(now, d->due))
            continue;
        find_after(all, d);
        if (is_finished(all, d, now))
            drop(all, d);
        else
            d->due = all->refused_until;
    }
}

/* The oldest makes room, with what is known of it. */
static void make_room(struct deployments *all)
{
    if (all->open_count < DEPLOYMENTS_OPEN_MAX)
        return;
    struct deployment *oldest = LIST_ITEM(all->open.next, struct deployment, link);
    find_after(all, oldest);
    if (!is_finished(all, oldest, loop_now(all->loop)))
        log_warn("events: what came after event %lld is not stored", (long long)oldest->id);
    drop(all, oldest);
}

/* ---- the timer ------------------------------------------------------------------------------------------------------------ */

static void arm(struct deployments *all, struct mono_time now)
{
    struct mono_time next = mono_add_ms(all->looked_at, TRAFFIC_LOOK_MS);
    LIST_FOREACH_SAFE (link, &all->open) {
        const struct deployment *d = LIST_ITEM(link, struct deployment, link);
        if (mono_is_before(d->due, next))
            next = d->due;
    }
    int64_t left_us = mono_diff_us(next, now);
    timer_start(all->loop, &all->timer, left_us > 0 ? left_us / 1000 + 1 : 0);
}

static void on_timer(void *arg)
{
    struct deployments *all = arg;
    struct mono_time now = loop_now(all->loop);
    finish_due(all, now);
    if (!mono_is_before(now, mono_add_ms(all->looked_at, TRAFFIC_LOOK_MS))) {
        traffic_look(&all->traffic, all->stats, now);
        all->looked_at = now;
    }
    arm(all, now);
}

/* ---- kinds ---------------------------------------------------------------------------------------------------------------- */

static struct metrics_deployment *kind_of(struct deployments *all, struct slice kind)
{
    unsigned i = 0;
    while (i + 1 < METRICS_DEPLOYMENT_KINDS && !slice_equal(kind, slice_from_cstr(metrics_deployment_kinds[i])))
        i++;
    return &all->kinds[i];
}

static void note_last(struct deployments *all, const struct event_row *event)
{
    struct metrics_deployment *kind = kind_of(all, event->kind);
    if (event->at.unix_ms > kind->last.unix_ms)
        kind->last = event->at;
}

/* Those with a dot are weir's own. */
static void restore_last(struct deployments *all)
{
    struct arena arena;
    struct event_row *events;
    size_t count;
    arena_init(&arena, NULL, 0);
    const struct event_filter filter = { .limit = DEPLOYMENTS_RESTORED, .is_told = true };
    if (events_find(all->store, &arena, &filter, &events, &count))
        for (size_t i = 0; i < count; i++)
            note_last(all, &events[i]);
    arena_reset(&arena);
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

void deployments_init(struct deployments *all)
{
    list_init(&all->open);
    timer_init(&all->timer, on_timer, all);
    restore_last(all);
    all->looked_at = loop_now(all->loop);
    traffic_look(&all->traffic, all->stats, all->looked_at);
    arm(all, all->looked_at);
}

void deployments_fini(struct deployments *all)
{
    uint32_t lost_count = 0;
    timer_stop(all->loop, &all->timer);
    LIST_FOREACH_SAFE (link, &all->open) {
        struct deployment *d = LIST_ITEM(link, struct deployment, link);
        find_after(all, d);
        if (lost_count > 0 || !store_result(all, d))
            lost_count++;
        drop(all, d);
    }
    if (lost_count > 0)
        log_warn("events: what came after the newest %u of them is not stored", lost_count);
    traffic_fini(&all->traffic);
}

void deployments_begin(struct deployments *all, const struct deployment_asked *asked, struct json *metrics)
{
    int64_t age_ms = clock_wall().unix_ms - asked->at.unix_ms;
    struct deployment *d = memory_zalloc(sizeof *d);
    CHECK(all->begun == NULL);
    list_init(&d->link);
    d->window_ms = asked->window_ms;
    d->route = memory_copy_text(asked->route.ptr, asked->route.len);
    d->upstream = memory_copy_text(asked->upstream.ptr, asked->upstream.len);
    d->at = mono_add_ms(loop_now(all->loop), -(age_ms > 0 ? age_ms : 0)); /* ahead by clocks that differ: now */
    d->due = mono_add_ms(d->at, d->window_ms);
    find_before(all, d);
    find_after(all, d);
    put_metrics(d, metrics);
    all->begun = d;
}

/* What is over already, or of a time that nothing is known of, has all that it gets. */
void deployments_stored(struct deployments *all, const struct event_row *event, struct slice detail)
{
    struct deployment *d = TAKE(&all->begun);
    if (event != NULL) {
        note_last(all, event);
        kind_of(all, event->kind)->count++;
    }
    if (event == NULL || d->is_over || !d->is_known) {
        deployment_free(d);
        return;
    }
    make_room(all);
    d->id = event->id;
    d->detail = memory_copy_text(detail.ptr, detail.len);
    list_append(&all->open, &d->link);
    all->open_count++;
    arm(all, loop_now(all->loop));
}

bool deployments_describe(struct deployments *all, int64_t id, struct json *metrics)
{
    LIST_FOREACH_SAFE (link, &all->open) {
        struct deployment *d = LIST_ITEM(link, struct deployment, link);
        if (d->id != id)
            continue;
        find_after(all, d);
        put_metrics(d, metrics);
        return true;
    }
    return false;
}
