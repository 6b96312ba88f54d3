/* cli/ctl_events.c - `weir ctl events` and `weir ctl incidents`: what happened, what happens now, and what went wrong. */
#include "cli/ctl.h"

#include "base/units.h"

#include <stdio.h>

/* ---- before and after ---------------------------------------------------------------------------------------------------- */

/* A figure of the traffic, as it was and as it is. */
static const struct {
    const char *name, *key, *format, *small; /* small: below 10; NULL: a time */
    double scale;                            /* of a time: to microseconds */
} figures[] = { { "req/s", "requests_per_second", "%.1f", "%.1f", 1 },
                { "errors", "error_ratio", "%.1f%%", "%.2f%%", 100 },
                { "p50", "p50_ms", NULL, NULL, 1000 },
                { "p95", "p95_ms", NULL, NULL, 1000 },
                { "p99", "p99_ms", NULL, NULL, 1000 } };
#define FIGURES_FIRST_LINE 2u

static void add_figure(const struct json *side, size_t i, char out[UNITS_SPAN_BYTES])
{
    double value;
    if (!json_as_real(json_get(side, figures[i].key), &value)) {
        snprintf(out, UNITS_SPAN_BYTES, "-");
        return;
    }
    value *= figures[i].scale;
    if (figures[i].format == NULL)
        units_say_span((int64_t)value, out);
    else
        snprintf(out, UNITS_SPAN_BYTES, value < 10 ? figures[i].small : figures[i].format, value);
}

/* "    req/s 12.0 -> 11.8   errors 0.10% -> 2.34%" */
static void add_changes(const struct json *metrics, size_t begin, size_t end, bool coloured, struct text *out)
{
    text_add_cstr(out, " ");
    for (size_t i = begin; i < end; i++) {
        char from[UNITS_SPAN_BYTES], to[UNITS_SPAN_BYTES], change[80];
        add_figure(json_get(metrics, "before"), i, from);
        add_figure(json_get(metrics, "after"), i, to);
        snprintf(change, sizeof change, " %s -> %s", from, to);
        text_add_cstr(out, "   ");
        terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(figures[i].name));
        terminal_add(out, false, PAINT_NONE, slice_from_cstr(change));
    }
}

static const char *span_text(struct call *call, const struct json *side)
{
    return ctl_time_text(call, (int64_t)(ctl_real(side, "seconds") * 1000));
}

/* Where nobody asked for anything, nothing has changed. */
void ctl_add_effect(struct call *call, const struct json *event, bool coloured, struct text *out)
{
    const struct json *metrics = json_get(event, "metrics"), *before = json_get(metrics, "before");
    const struct json *after = json_get(metrics, "after");
    if (ctl_integer(before, "requests") == 0 && ctl_integer(after, "requests") == 0)
        return;
    add_changes(metrics, 0, FIGURES_FIRST_LINE, coloured, out);
    text_printf(out, "   (%s before, ", span_text(call, before));
    text_printf(out, "%s after%s)\n", span_text(call, after), ctl_flag(metrics, "is_complete") ? "" : " so far");
    add_changes(metrics, FIGURES_FIRST_LINE, ARRAY_COUNT(figures), coloured, out);
    text_add_char(out, '\n');
}

/* ---- events -------------------------------------------------------------------------------------------------------------- */

/* "2026-11-23T21:45:13.042Z  deploy  checkout-v2  2.4.1 is out  (ci)", and what the traffic was like before and after. */
static void add_event(struct call *call, const struct json *event, bool coloured, struct text *out)
{
    const char *subject = ctl_text(call, event, "subject");
    terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(ctl_text(call, event, "at")));
    text_add_cstr(out, "  ");
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, event, "kind")));
    if (subject[0] != '\0') {
        text_add_cstr(out, "  ");
        terminal_add(out, false, PAINT_NONE, slice_from_cstr(subject));
    }
    text_add_cstr(out, "  ");
    terminal_add(out, false, PAINT_NONE, slice_from_cstr(ctl_text(call, event, "text")));
    text_add_cstr(out, "  (");
    terminal_add(out, false, PAINT_NONE, slice_from_cstr(ctl_text(call, event, "who")));
    text_add_cstr(out, ")\n");
    ctl_add_effect(call, event, coloured, out);
}

/* Oldest first, as they would have come one by one. */
static enum ctl_verdict print_events(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *events = json_get(answer, "events");
    for (size_t i = json_count(events); i > 0; i--)
        add_event(call, json_at(events, i - 1), coloured, out);
    return json_kind(events) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

/* Each leaves at once: the reader may be a pipe. Ends when that is gone. */
static bool on_event(struct call *call, struct slice bytes)
{
    const struct ctl_values *values = call->values;
    struct text fault = { 0 }, out = { 0 };
    struct json *event = json_parse(bytes, &fault);
    if (values->is_json) {
        text_add(&out, bytes);
        text_add_char(&out, '\n');
    } else if (event != NULL) {
        add_event(call, event, terminal_has_colour(stdout), &out);
    }
    fwrite(text_slice(&out).ptr, 1, out.len, stdout);
    json_destroy(event);
    text_fini(&fault);
    text_fini(&out);
    return fflush(stdout) == 0;
}

static void add_filter(struct text *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    text_printf(path, "&%s=", name);
    ctl_add_segment(path, value);
}

static enum command_status run_list(struct call *call)
{
    const struct ctl_values *values = call->values;
    char since[25];
    struct text path = { 0 };
    wall_format((struct wall_time){ clock_wall().unix_ms - values->since_ms }, since);
    text_add_cstr(&path, "events?follow=false");
    add_filter(&path, "kind", values->kind);
    add_filter(&path, "route", values->route);
    add_filter(&path, "rollout", values->rollout);
    add_filter(&path, "since", values->since_ms > 0 ? since : NULL);
    struct ctl_request list = { .method = "GET", .path = path.bytes };
    enum command_status status = ctl_show(call, &list, print_events);
    text_fini(&path);
    return status;
}

static enum command_status run_events(struct call *call)
{
    const struct ctl_values *values = call->values;
    struct ctl_request stream = { .method = "GET", .path = "events" };
    bool is_filtered = values->kind != NULL || values->route != NULL || values->rollout != NULL || values->since_ms > 0;
    if (!values->is_followed)
        return run_list(call);
    if (is_filtered)
        return command_misused(call, "--follow shows all: --kind, --route, --rollout and --since go without it");
    return ctl_follow(call, &stream, on_event);
}

static const struct option_row options[] = {
    { .name = "follow",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_followed),
      .doc = "prints each as it happens, until it is interrupted; with --json one object a line" },
    { .name = "kind",
      .value_name = "KIND",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, kind),
      .doc = "only these: deploy, config.applied, rollout.breach" },
    { .name = "route",
      .value_name = "NAME",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, route),
      .doc = "only those that are tied to this route" },
    { .name = "rollout",
      .value_name = "NAME",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, rollout),
      .doc = "only those that are tied to this rollout" },
    { .name = "since",
      .value_name = "TIME",
      .kind = OPTION_DURATION,
      .offset = offsetof(struct ctl_values, since_ms),
      .doc = "only those of the last 30m, 2h or 1d" },
};

const struct command ctl_events = {
    .name = "events",
    .synopsis = "[--follow | --kind KIND --route NAME --rollout NAME --since TIME]",
    .summary = "deployments, configurations, weights and rollouts that changed",
    .details = "The last 100, oldest first. Deployments are told by POST /api/v1/events; below each stands what the\n"
               "traffic of its route or upstream was like before it and after it.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .run = run_events,
};

/* ---- incidents ----------------------------------------------------------------------------------------------------------- */

/* "-": not known, or not yet. */
static const char *duration_text(struct call *call, const struct json *incident, const char *key)
{
    int64_t ms;
    return json_as_i64(json_get(incident, key), &ms) ? ctl_time_text(call, ms) : "-";
}

/* "shop 2.4.1: error_rate": which release, and which guardrail stopped it. */
static void add_release(struct call *call, const struct json *incident, const char *separator, bool coloured,
                        struct text *out)
{
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, incident, "rollout")));
    text_add_char(out, ' ');
    terminal_add(out, coloured, PAINT_NONE, slice_from_cstr(ctl_text(call, incident, "revision")));
    text_add_cstr(out, separator);
    terminal_add(out, coloured, PAINT_RED, slice_from_cstr(ctl_text(call, incident, "guardrail")));
}

/* Two lines and the cause: a table would be wider than screens are. */
static void add_incident(struct call *call, const struct json *incident, bool coloured, struct text *out)
{
    terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(ctl_text(call, incident, "detected_at")));
    text_add_cstr(out, "  ");
    add_release(call, incident, "  ", coloured, out);
    text_add_cstr(out, "  ");
    terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(ctl_text(call, incident, "id")));
    text_printf(out, "\n    detected in %s, exposure 0 in %s\n    ", duration_text(call, incident, "time_to_detect_ms"),
                duration_text(call, incident, "time_to_zero_exposure_ms"));
    terminal_add_wrapped(out, coloured, PAINT_NONE, 4, CTL_WIDTH, slice_from_cstr(ctl_text(call, incident, "cause")));
    text_add_char(out, '\n');
}

static enum ctl_verdict print_incidents(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *incidents = json_get(answer, "incidents");
    if (json_kind(incidents) == JSON_KIND_ARRAY && json_count(incidents) == 0)
        text_add_cstr(out, "no guardrail was breached\n");
    for (size_t i = 0; i < json_count(incidents); i++)
        add_incident(call, json_at(incidents, i), coloured, out);
    return json_kind(incidents) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

/* ---- one of them --------------------------------------------------------------------------------------------------------- */

/* "  detected in      840ms" */
static void add_fact(const char *name, const char *text, struct text *out)
{
    if (text[0] == '\0')
        return;
    text_printf(out, "  %-16s ", name);
    terminal_add_wrapped(out, false, PAINT_NONE, 19, CTL_WIDTH, slice_from_cstr(text));
    text_add_char(out, '\n');
}

static void add_detection(struct call *call, const struct json *incident, struct text *out)
{
    int64_t requests;
    const char *time = duration_text(call, incident, "time_to_detect_ms");
    if (json_as_i64(json_get(json_get(incident, "evidence"), "canary_requests_to_detect"), &requests))
        time = arena_printf(&call->arena, "%s, %lld requests of the canary", time, (long long)requests).ptr;
    add_fact("detected in", time, out);
    add_fact("exposure 0 in", duration_text(call, incident, "time_to_zero_exposure_ms"), out);
}

static enum ctl_verdict print_incident(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *incident = json_get(answer, "incident"), *lines = json_get(incident, "timeline");
    if (json_kind(incident) != JSON_KIND_OBJECT)
        return CTL_UNKNOWN;
    add_release(call, incident, ": ", coloured, out);
    text_add_cstr(out, " was breached\n");
    add_fact("at", ctl_text(call, incident, "detected_at"), out);
    add_fact("because", ctl_text(call, incident, "cause"), out);
    add_detection(call, incident, out);
    for (size_t i = 0; i < json_count(lines); i++) {
        text_add_cstr(out, "    ");
        terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(ctl_text(call, json_at(lines, i), "at")));
        text_add_cstr(out, "  ");
        terminal_add(out, false, PAINT_NONE,
                     slice_from_cstr(ctl_say_cause(call, ctl_text(call, json_at(lines, i), "what"))));
        text_add_char(out, '\n');
    }
    return CTL_SHOWN;
}

static enum command_status run_incidents(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "incidents" };
    if (call->argument_count == 0)
        return ctl_show(call, &request, print_incidents);
    struct text path = { 0 };
    text_add_cstr(&path, "incidents/");
    ctl_add_segment(&path, call->arguments[0]);
    request.path = path.bytes;
    enum command_status status = ctl_show(call, &request, print_incident);
    text_fini(&path);
    return status;
}

const struct command ctl_incidents = {
    .name = "incidents",
    .synopsis = "[ID]",
    .summary =
        "guardrails that were breached, and how long it took; of one of them what happened when, and who was told",
    .arguments_max = 1,
    .run = run_incidents,
};
