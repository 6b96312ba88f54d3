/* admin/status.c - GET /api/v1/status: what runs, since when, with which configuration, and what is live.
 *
 * The one page that answers "did my change arrive, and is anything left over?": tests end by asserting zeros in `live`, and
 * `ctl status` prints this. Numbers over time are metrics (stats/metrics.h) and not repeated here. */
#include "admin/dispatch.h"
#include "store/journal.h"

#include <unistd.h>

static const char *const state_names[] = {
    [PROCESS_STARTING] = "starting",
    [PROCESS_SERVING] = "serving",
    [PROCESS_DRAINING] = "draining",
};

static void put_list(struct json *object, const char *key, const struct slice *items, size_t count)
{
    struct json *list = json_put_array(object, key);
    for (size_t i = 0; i < count; i++)
        json_push_string(list, items[i]);
}

static void put_config(struct json *root, const struct admin_control *control, const struct process_status *status)
{
    const struct snapshot *snapshot = control->snapshot(control->arg);
    struct json *config = json_put_object(root, "config");
    json_put_string(config, "file", snapshot->config->file);
    json_put_u64(config, "generation", snapshot->generation);
    json_put_string(config, "digest", snapshot->config->digest);
    json_put_time(config, "applied_at", status->applied_at);
    json_put_string(config, "source", status->source);
    json_put_string(config, "by", status->by);
    json_put_u64(config, "weights_generation", control->weights(control->arg)->generation);
    json_put_u64(config, "snapshots", status->snapshot_count);
    put_list(config, "restart_needed", status->restart_needed, status->restart_needed_count);
}

/* Of the last attempt, also a rejected one: `config` above is what is in force all the same. */
static void put_last_reload(struct json *root, const struct reload_outcome *outcome)
{
    if (outcome == NULL || outcome->result == RELOAD_NONE) {
        json_put_null(root, "last_reload");
        return;
    }
    struct json *last = json_put_object(root, "last_reload");
    json_put_cstr(last, "result", reload_result_names[outcome->result]);
    json_put_u64(last, "generation", outcome->generation);
    json_put_time(last, "at", outcome->at);
    json_put_string(last, "source", outcome->source);
    json_put_string(last, "by", outcome->by);
    put_list(last, "problems", outcome->problems, outcome->problem_count);
}

static void put_reloads(struct json *root, const struct process_status *status)
{
    struct json *reloads = json_put_object(root, "reloads");
    json_put_u64(reloads, "applied", status->applied_count);
    json_put_u64(reloads, "unchanged", status->unchanged_count);
    json_put_u64(reloads, "rejected", status->rejected_count);
}

static void put_listeners(struct json *root, const struct process_status *status)
{
    struct json *list = json_put_array(root, "listeners");
    for (size_t i = 0; i < status->listener_count; i++) {
        struct json *l = json_push_object(list);
        json_put_string(l, "name", status->listeners[i].name);
        json_put_string(l, "bind", status->listeners[i].bind);
        json_put_string(l, "address", status->listeners[i].address);
    }
}

static void put_live(struct json *object, const struct worker_status *w)
{
    json_put_u64(object, "clients", w->clients);
    json_put_u64(object, "requests", w->requests);
    json_put_u64(object, "exchanges", w->exchanges);
    json_put_u64(object, "shadows", w->shadows);
    json_put_u64(object, "chunks", w->chunks);
}

/* Each worker's own numbers, and their sum at the top as `live`. They are read while the workers count, so that a request
   between two of its steps may show in one of them and not yet in the other. */
static void put_workers(struct json *root, const struct process_status *status)
{
    struct worker_status all = { 0 };
    struct json *list = json_put_array(root, "workers");
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct worker_status *w = &status->workers[i];
        struct json *worker = json_push_object(list);
        json_put_u64(worker, "index", i);
        json_put_u64(worker, "generation", w->generation);
        json_put_u64(worker, "weights_generation", w->weights_generation);
        json_put_u64(worker, "last_swap_us", w->last_swap_us);
        json_put_bool(worker, "is_drained", w->is_drained);
        put_live(json_put_object(worker, "live"), w);
        all.clients += w->clients;
        all.requests += w->requests;
        all.exchanges += w->exchanges;
        all.shadows += w->shadows;
        all.chunks += w->chunks;
    }
    put_live(json_put_object(root, "live"), &all);
}

static void put_store(struct json *root, const struct store *store)
{
    struct json *s = json_put_object(root, "store");
    json_put_bool(s, "is_usable", store_is_usable(store));
    struct journal_status waiting;
    journal_status(store, &waiting);
    bool is_good = store_is_usable(store) && waiting.count == 0;
    put_optional(s, "problem", is_good ? SLICE_NONE : slice_from_cstr(store_message(store)));
    json_put_u64(s, "waiting_count", waiting.count);
    json_put_u64(s, "lost_count", waiting.lost_count);
    json_put_time(s, "waiting_since", waiting.oldest_at);
}

void api_status(struct admin_call *call)
{
    struct process_status status = { 0 };
    const struct admin_control *control = call->control;
    control->status(control->arg, call->arena, &status);
    struct json *root = json_create_object();
    json_put_cstr(root, "version", status.version);
    json_put_i64(root, "pid", getpid());
    json_put_cstr(root, "state", state_names[status.state]);
    json_put_time(root, "started_at", status.started);
    json_put_i64(root, "uptime_ms", status.uptime_ms);
    put_config(root, control, &status);
    put_last_reload(root, status.last_reload);
    put_reloads(root, &status);
    put_listeners(root, &status);
    put_optional(json_put_object(root, "admin"), "address", slice_from_cstr(status.admin_address));
    put_workers(root, &status);
    json_put_u64(json_put_object(root, "access_log"), "dropped", status.access_dropped_count);
    put_store(root, control->store);
    control->failing_monitors(control->arg, json_put_array(root, "failing_monitors"));
    reply_json(call->reply, 200, root);
}
