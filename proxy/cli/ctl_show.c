/* cli/ctl_show.c - `weir ctl status`, `routes` and `upstreams`: what a running instance does right now. */
#include "cli/ctl.h"

#include <string.h>

static enum command_status get(struct call *call, const char *path, ctl_print_fn *print)
{
    struct ctl_request request = { .method = "GET", .path = path };
    return ctl_show(call, &request, print);
}

/* ---- status --------------------------------------------------------------------------------------------------------------- */

static void add_line(bool coloured, const char *label, enum paint paint, const char *words, struct text *out)
{
    struct text padded = { 0 };
    text_printf(&padded, "%-15s", label);
    terminal_add(out, coloured, PAINT_DIM, text_slice(&padded));
    terminal_add(out, coloured, paint, slice_from_cstr(words));
    text_add_char(out, '\n');
    text_fini(&padded);
}

static void add_listeners(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *listeners = json_get(answer, "listeners");
    for (size_t i = 0; i < json_count(listeners); i++) {
        const struct json *l = json_at(listeners, i);
        struct slice words =
            arena_printf(&call->arena, "%s %s", ctl_text(call, l, "name"), ctl_text(call, l, "address"));
        add_line(coloured, i == 0 ? "listeners" : "", PAINT_NONE, words.ptr, out);
    }
}

static void add_live(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *live = json_get(answer, "live");
    struct slice words = arena_printf(&call->arena, "%zu, with %lld clients and %lld requests now",
                                      json_count(json_get(answer, "workers")), (long long)ctl_integer(live, "clients"),
                                      (long long)ctl_integer(live, "requests"));
    add_line(coloured, "workers", PAINT_NONE, words.ptr, out);
}

static void add_failing_monitors(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *failing = json_get(answer, "failing_monitors");
    for (size_t i = 0; i < json_count(failing); i++) {
        const struct json *m = json_at(failing, i);
        struct slice words =
            arena_printf(&call->arena, "%s: %s %s: %s", ctl_text(call, m, "name"), ctl_text(call, m, "upstream"),
                         ctl_text(call, m, "endpoint"), ctl_text(call, m, "complaint"));
        add_line(coloured, i == 0 ? "monitors" : "", PAINT_RED, words.ptr, out);
    }
}

/* What needs a person: settings that wait for a restart, a store that cannot be used, monitors that fail. */
static void add_troubles(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *waiting = json_get(json_get(answer, "config"), "restart_needed");
    const struct json *store = json_get(answer, "store");
    for (size_t i = 0; i < json_count(waiting); i++) {
        struct slice setting = SLICE_NONE;
        json_as_string(json_at(waiting, i), &setting);
        add_line(coloured, "restart needed", PAINT_YELLOW, arena_copy(&call->arena, setting).ptr, out);
    }
    if (ctl_text(call, store, "problem")[0] != '\0')
        add_line(coloured, "store", PAINT_RED, ctl_text(call, store, "problem"), out);
    add_failing_monitors(call, answer, coloured, out);
}

static void add_config(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *config = json_get(answer, "config");
    struct slice words =
        arena_printf(&call->arena, "%s, generation %lld, since %s (%s by %s)", ctl_text(call, config, "file"),
                     (long long)ctl_integer(config, "generation"), ctl_text(call, config, "applied_at"),
                     ctl_text(call, config, "source"), ctl_text(call, config, "by"));
    add_line(coloured, "configuration", PAINT_NONE, words.ptr, out);
}

static enum ctl_verdict print_status(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const char *state = ctl_text(call, answer, "state");
    bool is_serving = strcmp(state, "serving") == 0;
    add_line(coloured, "weir", PAINT_NONE, ctl_text(call, answer, "version"), out);
    add_line(coloured, "state", is_serving ? PAINT_GREEN : PAINT_YELLOW, state, out);
    add_line(coloured, "uptime", PAINT_NONE, ctl_time_text(call, ctl_integer(answer, "uptime_ms")), out);
    add_config(call, answer, coloured, out);
    add_listeners(call, answer, coloured, out);
    add_live(call, answer, coloured, out);
    add_troubles(call, answer, coloured, out);
    return state[0] != '\0' ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_status(struct call *call)
{
    return get(call, "status", print_status);
}

const struct command ctl_status = {
    .name = "status",
    .synopsis = "",
    .summary = "version, uptime, configuration, listeners, what is live",
    .run = run_status,
};

/* ---- routes --------------------------------------------------------------------------------------------------------------- */

const char *ctl_shares(struct call *call, const struct json *split)
{
    struct text out = { 0 };
    int64_t total = 0;
    for (size_t i = 0; i < json_count(split); i++)
        total += ctl_integer(json_at(split, i), "weight");
    for (size_t i = 0; i < json_count(split); i++) {
        const struct json *entry = json_at(split, i);
        double share = total > 0 ? 100.0 * (double)ctl_integer(entry, "weight") / (double)total : 0;
        text_printf(&out, "%s%s %.4g%%", i > 0 ? ", " : "", ctl_text(call, entry, "upstream"), share);
    }
    const char *words = arena_copy(&call->arena, text_slice(&out)).ptr;
    text_fini(&out);
    return words;
}

/* Shares are compared, not numbers: a rollout makes weights as whole as it needs them. */
static bool is_split_of_file(const struct json *split)
{
    int64_t total = 0, file_total = 0;
    for (size_t i = 0; i < json_count(split); i++) {
        total += ctl_integer(json_at(split, i), "weight");
        file_total += ctl_integer(json_at(split, i), "file_weight");
    }
    for (size_t i = 0; i < json_count(split); i++) {
        double weight = (double)ctl_integer(json_at(split, i), "weight");
        double file_weight = (double)ctl_integer(json_at(split, i), "file_weight");
        if (weight * (double)file_total != file_weight * (double)total)
            return false;
    }
    return true;
}

/* Who is not a person and differs from the file is a rollout. */
static const char *owner_of_weights(const struct json *route)
{
    if (ctl_flag(route, "overridden"))
        return "overridden";
    return is_split_of_file(json_get(route, "split")) ? "file" : "rollout";
}

/* A route without a split says what it does instead: "redirect", "respond". */
static void add_route(struct call *call, const struct json *route, struct table *t)
{
    const char *shares = ctl_shares(call, json_get(route, "split"));
    table_add(t, PAINT_BOLD, "%s", ctl_text(call, route, "name"));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, route, "match"));
    table_add(t, PAINT_NONE, "%s", shares[0] != '\0' ? shares : ctl_text(call, route, "action"));
    table_add(t, PAINT_YELLOW, "%s", owner_of_weights(route));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, route, "owner"));
}

static enum ctl_verdict print_routes(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "route", ALIGN_LEFT },
                                                   { "match", ALIGN_LEFT },
                                                   { "goes to", ALIGN_LEFT },
                                                   { "weights", ALIGN_LEFT },
                                                   { "owner", ALIGN_LEFT } };
    const struct json *routes = json_get(answer, "routes");
    struct table t;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(routes); i++)
        add_route(call, json_at(routes, i), &t);
    table_print(&t, coloured, out);
    table_fini(&t);
    return json_kind(routes) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_routes(struct call *call)
{
    return get(call, "routes", print_routes);
}

const struct command ctl_routes = {
    .name = "routes",
    .synopsis = "",
    .summary = "the routes in file order, with the shares in force",
    .run = run_routes,
};

/* ---- upstreams ------------------------------------------------------------------------------------------------------------ */

/* Does a monitor say so of the address? */
static bool is_failing(struct call *call, const struct json *monitor, const char *address)
{
    const struct json *endpoints = json_get(monitor, "endpoints");
    for (size_t i = 0; i < json_count(endpoints); i++)
        if (strcmp(ctl_text(call, json_at(endpoints, i), "address"), address) == 0)
            return strcmp(ctl_text(call, json_at(endpoints, i), "verdict"), "bad") == 0;
    return false;
}

/* The first monitor that it fails; "": none. */
static const char *failing_monitor(struct call *call, const struct json *upstream, const char *address)
{
    const struct json *monitors = json_get(upstream, "monitors");
    for (size_t i = 0; i < json_count(monitors); i++)
        if (is_failing(call, json_at(monitors, i), address))
            return ctl_text(call, json_at(monitors, i), "name");
    return "";
}

/* What workers find when they connect; null: nobody has looked yet. A monitor that fails takes nothing out of use. */
static void add_health(struct call *call, const struct json *upstream, const struct json *endpoint, struct table *t)
{
    bool is_healthy = false, is_known = json_as_bool(json_get(endpoint, "healthy"), &is_healthy);
    const char *monitor = failing_monitor(call, upstream, ctl_text(call, endpoint, "address"));
    if (is_known && !is_healthy)
        table_add(t, PAINT_RED, "unhealthy");
    else if (monitor[0] != '\0')
        table_add(t, PAINT_RED, "fails %s", monitor);
    else
        table_add(t, is_known ? PAINT_GREEN : PAINT_DIM, "%s", is_known ? "healthy" : "unknown");
}

/* One row an endpoint; what is the upstream's own stands in the first. */
static void add_endpoints(struct call *call, const struct json *upstream, struct table *t)
{
    const struct json *endpoints = json_get(upstream, "endpoints");
    const struct json *connections = json_get(upstream, "connections");
    for (size_t i = 0; i < json_count(endpoints); i++) {
        const struct json *e = json_at(endpoints, i);
        table_add(t, PAINT_BOLD, "%s", i == 0 ? ctl_text(call, upstream, "name") : " ");
        table_add(t, PAINT_NONE, "%s", ctl_text(call, e, "address"));
        table_add(t, PAINT_NONE, "%lld", (long long)ctl_integer(e, "weight"));
        add_health(call, upstream, e, t);
        if (i == 0)
            table_add(t, PAINT_NONE, "%lld active, %lld idle, %lld pending",
                      (long long)ctl_integer(connections, "active"), (long long)ctl_integer(connections, "idle"),
                      (long long)ctl_integer(connections, "pending"));
        else
            table_add(t, PAINT_NONE, " ");
    }
}

/* Of one monitor, a line for each endpoint that fails. */
static void add_monitor(struct call *call, const struct json *upstream, const struct json *m, bool coloured,
                        struct text *out)
{
    const struct json *endpoints = json_get(m, "endpoints");
    for (size_t i = 0; i < json_count(endpoints); i++) {
        const struct json *e = json_at(endpoints, i);
        if (strcmp(ctl_text(call, e, "verdict"), "bad") != 0)
            continue;
        struct slice line =
            arena_printf(&call->arena, "monitor %s: %s %s: %s (%lld in a row)", ctl_text(call, m, "name"),
                         ctl_text(call, upstream, "name"), ctl_text(call, e, "address"), ctl_text(call, e, "complaint"),
                         (long long)ctl_integer(m, "failures_in_a_row"));
        terminal_add(out, coloured, PAINT_RED, line);
        text_add_char(out, '\n');
    }
}

/* Only what is wrong. */
static void add_monitors(struct call *call, const struct json *upstream, bool coloured, struct text *out)
{
    const struct json *monitors = json_get(upstream, "monitors");
    for (size_t i = 0; i < json_count(monitors); i++)
        add_monitor(call, upstream, json_at(monitors, i), coloured, out);
}

static enum ctl_verdict print_upstreams(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "upstream", ALIGN_LEFT },
                                                   { "endpoint", ALIGN_LEFT },
                                                   { "weight", ALIGN_RIGHT },
                                                   { "state", ALIGN_LEFT },
                                                   { "connections", ALIGN_LEFT } };
    const struct json *upstreams = json_get(answer, "upstreams");
    struct table t;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(upstreams); i++)
        add_endpoints(call, json_at(upstreams, i), &t);
    table_print(&t, coloured, out);
    for (size_t i = 0; i < json_count(upstreams); i++)
        add_monitors(call, json_at(upstreams, i), coloured, out);
    table_fini(&t);
    return json_kind(upstreams) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_upstreams(struct call *call)
{
    return get(call, "upstreams", print_upstreams);
}

const struct command ctl_upstreams = {
    .name = "upstreams",
    .synopsis = "",
    .summary = "the upstreams and the state of their endpoints",
    .run = run_upstreams,
};
