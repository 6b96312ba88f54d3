/* cli/ctl_events.c - `weir ctl events` and `weir ctl incidents`: what happened, what happens now, and what went wrong. */
#include "cli/ctl.h"

#include <stdio.h>

/* ---- events -------------------------------------------------------------------------------------------------------------- */

/* "2026-11-23T21:45:13.042Z  deploy  checkout-v2  2.4.1 is out  (ci)" */
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

static enum command_status run_events(struct call *call)
{
    const struct ctl_values *values = call->values;
    struct ctl_request list = { .method = "GET", .path = "events?follow=false" };
    struct ctl_request stream = { .method = "GET", .path = "events" };
    if (values->is_followed)
        return ctl_follow(call, &stream, on_event);
    return ctl_show(call, &list, print_events);
}

static const struct option_row options[] = {
    { .name = "follow",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct ctl_values, is_followed),
      .doc = "prints each as it happens, until it is interrupted; with --json one object a line" },
};

const struct command ctl_events = {
    .name = "events",
    .synopsis = "[--follow]",
    .summary = "deployments, configurations and weights that changed",
    .details = "The last 100, oldest first. Deployments are told by POST /api/v1/events.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .run = run_events,
};

/* ---- incidents ----------------------------------------------------------------------------------------------------------- */

static void add_duration(struct table *t, const struct json *incident, const char *key)
{
    int64_t ms;
    if (json_as_i64(json_get(incident, key), &ms))
        table_add(t, PAINT_NONE, "%lld ms", (long long)ms);
    else
        table_add(t, PAINT_DIM, "%s", "");
}

static enum ctl_verdict print_incidents(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "detected at", ALIGN_LEFT },   { "rollout", ALIGN_LEFT },
                                                   { "revision", ALIGN_LEFT },      { "guardrail", ALIGN_LEFT },
                                                   { "cause", ALIGN_LEFT },         { "detected in", ALIGN_RIGHT },
                                                   { "exposure 0 in", ALIGN_RIGHT } };
    const struct json *incidents = json_get(answer, "incidents");
    struct table t;
    if (json_kind(incidents) == JSON_KIND_ARRAY && json_count(incidents) == 0) {
        text_add_cstr(out, "no guardrail was breached\n");
        return CTL_SHOWN;
    }
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(incidents); i++) {
        const struct json *incident = json_at(incidents, i);
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, incident, "detected_at"));
        table_add(&t, PAINT_BOLD, "%s", ctl_text(call, incident, "rollout"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, incident, "revision"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, incident, "guardrail"));
        table_add(&t, PAINT_RED, "%s", ctl_text(call, incident, "cause"));
        add_duration(&t, incident, "time_to_detect_ms");
        add_duration(&t, incident, "time_to_zero_exposure_ms");
    }
    table_print(&t, coloured, out);
    table_fini(&t);
    return json_kind(incidents) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_incidents(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "incidents" };
    return ctl_show(call, &request, print_incidents);
}

const struct command ctl_incidents = {
    .name = "incidents",
    .synopsis = "",
    .summary = "guardrails that were breached, and how long it took",
    .run = run_incidents,
};
