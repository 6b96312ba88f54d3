/* server/control.c - what the admin API asks of the process: admin/control.h answered.
 *
 * One function a line of struct admin_control, with struct server as its arg; the contracts stand there. All run on the main
 * thread, between two turns of its loop, so that nothing changes under a handler while it writes its answer. The counters of
 * the workers do: they are read as they are at that moment. */
#include "server/parts.h"

#include "admin/auth.h"
#include "base/log.h"
#include "config.h"
#include "front/tls_set.h"
#include "server/replace.h"
#include "server/source.h"
#include "server/status.h"

static const struct snapshot *get_snapshot(void *arg)
{
    struct server *s = arg;
    return publisher_snapshot(&s->publisher);
}

static const struct weights *get_weights(void *arg)
{
    struct server *s = arg;
    return publisher_weights(&s->publisher);
}

static const struct override *get_overrides(void *arg, size_t *count)
{
    struct server *s = arg;
    *count = s->overrides.count;
    return s->overrides.items;
}

static enum process_state get_state(void *arg)
{
    struct server *s = arg;
    return s->state;
}

static void get_shadows(void *arg, struct slice route, enum comparer_part part, struct json *array)
{
    struct server *s = arg;
    comparer_write(s->comparer, route, part, array);
}

static void get_metrics(void *arg, struct arena *arena, struct metrics_facts *out)
{
    struct server *s = arg;
    *out = (struct metrics_facts){ .version = PACKAGE_VERSION };
    status_read_process(&out->process);
    out->process.started = s->started;
    out->config = (struct metrics_config){
        .generation = publisher_snapshot(&s->publisher)->generation,
        .applied_count = s->applied_count,
        .rejected_count = s->rejected_count,
        .unchanged_count = s->unchanged_count,
        .last_reload = s->applied_at,
    };
    const struct tls_set *tls = publisher_snapshot(&s->publisher)->config->tls;
    out->certificates = tls->certificates;
    out->certificate_count = tls->certificate_count;
    const struct shared_stats shared = shared_map_stats(s->shared);
    out->shared = (struct metrics_shared){ shared.entry_count, shared.used_bytes, shared.evicted_count };
    const struct records *records = recorder_records(s->recorder);
    out->records.written_count = records_written_count(records);
    out->records.lost_count = records_lost_count(records);
    rollouts_fill_metrics(&s->rollouts, arena, out);
    drills_fill_metrics(&s->drills, arena, out);
    slos_fill_metrics(&s->slos, arena, out);
    out->deployments = s->deployments.kinds;
}

/* ---- status ------------------------------------------------------------------------------------------------------------ */

static void fill_listeners(struct server *s, struct arena *arena, struct process_status *out)
{
    const struct config *config = publisher_snapshot(&s->publisher)->config;
    out->listeners = arena_zalloc_array(arena, config->listener_count, sizeof *out->listeners);
    for (size_t i = 0; i < config->listener_count; i++)
        out->listeners[out->listener_count++] = (struct listener_status){
            .name = config->listeners[i].name,
            .bind = config->listeners[i].bind_text,
            .address = slice_from_cstr(sockets_address(&s->sockets, &config->listeners[i])),
        };
}

/* A gauge may be read between two steps of its worker. */
static uint64_t gauge(const struct stats_worker *w, enum stats_counter counter)
{
    int64_t value = (int64_t)atomic_load_explicit(&w->counters[counter], memory_order_relaxed);
    return value > 0 ? (uint64_t)value : 0;
}

static void fill_workers(struct server *s, struct arena *arena, struct process_status *out)
{
    out->workers = arena_zalloc_array(arena, s->worker_count, sizeof *out->workers);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct worker_use *use = &s->publisher.uses[i];
        const struct stats_worker *w = s->stats->workers[i];
        out->workers[out->worker_count++] = (struct worker_status){
            .generation = use->generation,
            .weights_generation = use->weights_generation,
            .last_swap_us = use->last_swap_us,
            .is_drained = use->is_drained,
            .clients = gauge(w, STATS_CLIENTS_LIVE),
            .requests = gauge(w, STATS_REQUESTS_LIVE),
            .exchanges = gauge(w, STATS_EXCHANGES_LIVE),
            .shadows = gauge(w, STATS_SHADOWS_LIVE),
            .chunks = gauge(w, STATS_CHUNKS_LIVE),
        };
    }
}

static void get_status(void *arg, struct arena *arena, struct process_status *out)
{
    struct server *s = arg;
    *out = (struct process_status){
        .version = PACKAGE_VERSION,
        .state = s->state,
        .started = s->started,
        .uptime_ms = mono_diff_us(loop_now(s->loop), s->started_mono) / 1000,
        .snapshot_count = publisher_snapshot_count(&s->publisher),
        .applied_at = s->applied_at,
        .source = slice_from_cstr(s->applied_source),
        .by = slice_from_cstr(s->applied_by),
        .last_reload = &s->last_reload,
        .applied_count = s->applied_count,
        .unchanged_count = s->unchanged_count,
        .rejected_count = s->rejected_count,
        .admin_address = admin_address(s->admin),
        .access_dropped_count = access_writer_dropped_count(s->access_writer),
    };
    fill_listeners(s, arena, out);
    fill_workers(s, arena, out);
    out->restart_needed_count = server_restart_needed(s, arena, &out->restart_needed);
}

/* ---- rollouts ---------------------------------------------------------------------------------------------------------- */

static void get_rollouts(void *arg, struct json *array)
{
    struct server *s = arg;
    LIST_FOREACH_SAFE (link, &s->rollouts.items)
        rollout_describe(LIST_ITEM(link, struct rollout, link), json_push_object(array));
}

static bool get_rollout(void *arg, struct slice name, struct json *object)
{
    struct server *s = arg;
    struct rollout *r = rollouts_find(&s->rollouts, name);
    if (r != NULL && object != NULL)
        rollout_describe(r, object);
    return r != NULL;
}

static bool get_rollout_plan(void *arg, struct slice name, struct json *object)
{
    struct server *s = arg;
    struct rollout *r = rollouts_find(&s->rollouts, name);
    if (r != NULL)
        rollout_describe_plan(r, publisher_snapshot(s->rollouts.publisher)->config, object);
    return r != NULL;
}

static bool get_rollout_owner(void *arg, struct slice route, struct slice *name)
{
    struct server *s = arg;
    const struct rollout *r = rollouts_owner(&s->rollouts, route);
    if (r != NULL)
        *name = slice_from_cstr(r->name);
    return r != NULL;
}

static enum rollout_reply do_rollout(void *arg, struct slice name, const char *action, const struct actor *actor,
                                     struct slice reason, struct text *error)
{
    static const struct {
        const char *action;
        enum plan_event_kind kind;
    } words[] = { { "start", PLAN_START },     { "pause", PLAN_PAUSE },     { "resume", PLAN_RESUME },
                  { "approve", PLAN_APPROVE }, { "promote", PLAN_PROMOTE }, { "rollback", PLAN_ROLLBACK },
                  { "abort", PLAN_ABORT } };
    struct server *s = arg;
    struct rollout *r = rollouts_find(&s->rollouts, name);
    for (size_t i = 0; r != NULL && i < ARRAY_COUNT(words); i++) {
        if (strcmp(words[i].action, action) != 0)
            continue;
        const struct rollout_word word = { words[i].kind, actor->who, slice_from_cstr(role_names[actor->role]),
                                           reason };
        switch (rollout_say(r, &word, error)) {
        case ROLLOUT_DONE:
            return ROLLOUT_REPLY_DONE;
        case ROLLOUT_REFUSED:
            return ROLLOUT_REPLY_REFUSED;
        case ROLLOUT_NOT_STORED:
            return ROLLOUT_REPLY_NOT_STORED;
        }
    }
    return ROLLOUT_REPLY_UNKNOWN;
}

static void do_deployment_begin(void *arg, const struct deployment_asked *asked, struct json *metrics)
{
    struct server *s = arg;
    deployments_begin(&s->deployments, asked, metrics);
}

static void do_deployment_stored(void *arg, const struct event_row *event, struct slice detail)
{
    struct server *s = arg;
    deployments_stored(&s->deployments, event, detail);
}

static bool get_deployment(void *arg, int64_t id, struct json *metrics)
{
    struct server *s = arg;
    return deployments_describe(&s->deployments, id, metrics);
}

static void get_slos(void *arg, struct json *array)
{
    struct server *s = arg;
    slos_describe(&s->slos, array);
}

static bool do_outcomes(void *arg, const struct outcome_item *items, size_t count, const struct actor *actor,
                        struct slice reason, struct outcome_summary *out, struct outcome_failure *failure)
{
    struct server *s = arg;
    const struct outcome_teller teller = { actor->who, slice_from_cstr(role_names[actor->role]), reason };
    return outcome_desk_take(&s->outcomes, items, count, &teller, out, failure);
}

static enum rollout_reply do_drill(void *arg, struct slice name, const struct drill_asked *asked,
                                   const struct actor *actor, struct slice reason, struct text *error)
{
    struct server *s = arg;
    struct rollout *r = rollouts_find(&s->rollouts, name);
    struct drill_wish wish = { .settings = { asked->rate, asked->share_ppm, asked->delay_ms, asked->timeout_ms },
                               .guardrail = asked->guardrail,
                               .has_fault = asked->fault.len > 0,
                               .step = asked->step,
                               .weight_ppm = asked->weight_ppm,
                               .is_all_steps = asked->is_all_steps,
                               .is_live = asked->is_live };
    if (r == NULL)
        return ROLLOUT_REPLY_UNKNOWN;
    if (s->state != PROCESS_SERVING) {
        text_add_cstr(error, "weir does not serve now");
        return ROLLOUT_REPLY_REFUSED;
    }
    if (wish.has_fault && !drill_fault_read(asked->fault, &wish.fault)) {
        text_printf(error, "\"%.*s\" is not error, connect, latency, event or sample", SLICE_ARG(asked->fault));
        return ROLLOUT_REPLY_REFUSED;
    }
    switch (drills_start(&s->drills, r, &wish, actor->who, role_names[actor->role], reason, error)) {
    case DRILL_BEGUN:
        return ROLLOUT_REPLY_DONE;
    case DRILL_REFUSED:
        return ROLLOUT_REPLY_REFUSED;
    case DRILL_NOT_STORED:
        break;
    }
    return ROLLOUT_REPLY_NOT_STORED;
}

static enum rollout_reply stop_drill(void *arg, struct slice name, const struct actor *actor, struct slice reason,
                                     struct text *error)
{
    struct server *s = arg;
    const struct rollout *r = rollouts_find(&s->rollouts, name);
    if (r == NULL)
        return ROLLOUT_REPLY_UNKNOWN;
    if (!drills_stop(&s->drills, r, actor->who, role_names[actor->role], reason, error))
        return ROLLOUT_REPLY_REFUSED;
    return ROLLOUT_REPLY_DONE;
}

static bool get_drill(void *arg, struct slice name, struct arena *arena, struct drill_row *row)
{
    struct server *s = arg;
    const struct drill *d = drills_find(&s->drills, name);
    if (d == NULL)
        return false;
    drill_row_of(d, arena, row);
    return true;
}

/* ---- changes ----------------------------------------------------------------------------------------------------------- */

static const struct reload_outcome *do_reload(void *arg, struct slice source, struct slice by)
{
    return server_reload(arg, source, by);
}

/* The files stay the one truth: what a restart would load is what is in force, also after a version was rejected that had
   validated (an address that is taken by now). */
static const struct reload_outcome *do_restore(void *arg, const struct file_text *files, size_t count, struct slice by,
                                               struct text *error)
{
    struct replacement *r = replace_begin(files, count, error);
    if (r == NULL)
        return NULL;
    const struct reload_outcome *outcome = server_reload(arg, SLICE("restore"), by);
    if (!replace_end(r, outcome->result == RELOAD_REJECTED ? REPLACE_PUT_BACK : REPLACE_KEEP, error))
        log_error("restore: %s", error->bytes);
    return outcome;
}

static bool do_set_weights(void *arg, const struct compiled_route *route, const uint32_t *weights,
                           const struct actor *actor, struct slice reason, struct text *error)
{
    struct server *s = arg;
    if (!override_set_put(&s->overrides, route, weights, actor->who, reason, error))
        return false;
    server_publish_weights(s);
    log_info("weights: generation %llu in force, route %.*s %s by %.*s: %.*s",
             (unsigned long long)publisher_weights(&s->publisher)->generation, SLICE_ARG(route->config->name),
             weights != NULL ? "set" : "given back to the file", SLICE_ARG(actor->who), SLICE_ARG(reason));
    struct event_row event = { .at = clock_wall(),
                               .kind = weights != NULL ? SLICE("split.set") : SLICE("split.reset"),
                               .subject = route->config->name,
                               .text = reason,
                               .who = actor->who };
    server_tell(s, &event);
    return true;
}

static void list_failing_monitors(void *arg, struct json *array)
{
    struct server *s = arg;
    monitors_list_failing(s->monitors, array);
}

static void get_monitors(void *arg, struct slice upstream, struct json *array)
{
    const struct server *s = arg;
    monitors_describe(s->monitors, upstream, array);
}

static bool is_unready(void *arg, struct text *why)
{
    const struct server *s = arg;
    return monitors_are_unready(s->monitors, why);
}

static void do_publish_event(void *arg, const struct event_row *event)
{
    struct server *s = arg;
    admin_publish(s->admin, event);
}

static void do_drain(void *arg, const struct actor *actor)
{
    server_drain(arg, actor->who);
}

static void when_settled(void *arg, void (*done)(void *done_arg, uint64_t ticket), void *done_arg, uint64_t ticket)
{
    struct server *s = arg;
    publisher_when_settled(&s->publisher, done, done_arg, ticket);
}

struct admin_control server_control(struct server *s)
{
    return (struct admin_control){
        .arg = s,
        .stats = s->stats,
        .store = s->store,
        .source = source_of_process(),
        .snapshot = get_snapshot,
        .weights = get_weights,
        .overrides = get_overrides,
        .status = get_status,
        .state = get_state,
        .shadows = get_shadows,
        .monitors = get_monitors,
        .failing_monitors = list_failing_monitors,
        .is_unready = is_unready,
        .metrics = get_metrics,
        .reload = do_reload,
        .restore = do_restore,
        .set_weights = do_set_weights,
        .publish_event = do_publish_event,
        .rollouts = get_rollouts,
        .rollout = get_rollout,
        .rollout_plan = get_rollout_plan,
        .rollout_owner = get_rollout_owner,
        .rollout_act = do_rollout,
        .outcomes = do_outcomes,
        .slos = get_slos,
        .deployment_begin = do_deployment_begin,
        .deployment_stored = do_deployment_stored,
        .deployment = get_deployment,
        .drill_start = do_drill,
        .drill_stop = stop_drill,
        .drill = get_drill,
        .drain = do_drain,
        .when_settled = when_settled,
    };
}
