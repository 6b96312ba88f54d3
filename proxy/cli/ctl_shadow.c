/* cli/ctl_shadow.c - `weir ctl shadow`: what comparing a route's shadows has found, and the newest pairs that differ. */
#include "cli/ctl.h"

#include <string.h>

static enum paint paint_of_verdict(const char *verdict)
{
    if (strcmp(verdict, "different") == 0)
        return PAINT_RED;
    return strcmp(verdict, "same") == 0 ? PAINT_GREEN : PAINT_YELLOW;
}

static void add_text(struct text *out, bool coloured, enum paint paint, const char *words)
{
    terminal_add(out, coloured, paint, slice_from_cstr(words));
}

/* ---- findings ---------------------------------------------------------------------------------------------------------- */

/* "checkout: copies to checkout-dark are different (1204 same, 36 different, 480 noise), against control twin" */
static void add_heading(struct call *call, const struct json *shadow, bool coloured, struct text *out)
{
    const struct json *pairs = json_get(shadow, "pairs");
    const char *control = ctl_text(call, shadow, "control"), *verdict = ctl_text(call, shadow, "verdict");
    add_text(out, coloured, PAINT_BOLD, call->arguments[0]);
    text_add_cstr(out, " to ");
    add_text(out, coloured, PAINT_BOLD, ctl_text(call, shadow, "upstream"));
    text_add_cstr(out, ": ");
    add_text(out, coloured, paint_of_verdict(verdict), verdict);
    text_printf(out, "  (%lld same, %lld different, %lld noise", (long long)ctl_integer(pairs, "same"),
                (long long)ctl_integer(pairs, "different"), (long long)ctl_integer(pairs, "noise"));
    if (ctl_integer(pairs, "skipped") > 0)
        text_printf(out, ", %lld without an answer to compare", (long long)ctl_integer(pairs, "skipped"));
    text_add_cstr(out, ")\n");
    add_text(out, coloured, PAINT_DIM,
             control[0] != '\0' ? "noise is learnt from " : "no control: what differs is different");
    add_text(out, coloured, PAINT_DIM, control);
    add_text(out, coloured, PAINT_DIM, ", since ");
    add_text(out, coloured, PAINT_DIM, ctl_text(call, shadow, "since"));
    text_add_char(out, '\n');
}

static void add_field(struct call *call, const struct json *field, struct table *t)
{
    const char *verdict = ctl_text(call, field, "verdict");
    bool is_settled = ctl_flag(field, "settled");
    table_add(t, PAINT_BOLD, "%s", ctl_text(call, field, "field"));
    table_add(t, paint_of_verdict(verdict), "%s%s", verdict, is_settled ? "" : ", not settled");
    table_add(t, PAINT_NONE, "%lld", (long long)(ctl_integer(field, "shadow_only") + ctl_integer(field, "unchecked")));
    table_add(t, PAINT_NONE, "%lld", (long long)ctl_integer(field, "control_only"));
    table_add(t, PAINT_NONE, "%lld", (long long)ctl_integer(field, "both"));
    if (json_kind(json_get(field, "evidence")) == JSON_KIND_NUMBER)
        table_add(t, PAINT_NONE, "%.3g of %.3g", ctl_real(field, "evidence"), ctl_real(field, "evidence_needed"));
    else
        table_add(t, PAINT_NONE, "%s", "");
}

static void add_fields(struct call *call, const struct json *fields, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "field", ALIGN_LEFT },         { "verdict", ALIGN_LEFT },
                                                   { "shadow alone", ALIGN_RIGHT }, { "control alone", ALIGN_RIGHT },
                                                   { "both", ALIGN_RIGHT },         { "evidence", ALIGN_LEFT } };
    struct table t;
    if (json_count(fields) == 0)
        return;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(fields); i++)
        add_field(call, json_at(fields, i), &t);
    table_print(&t, coloured, out);
    table_fini(&t);
}

static void add_latency(struct call *call, const struct json *shadow, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "latency", ALIGN_LEFT },
                                                   { "answers", ALIGN_RIGHT },
                                                   { "p50 ms", ALIGN_RIGHT },
                                                   { "p90 ms", ALIGN_RIGHT },
                                                   { "p99 ms", ALIGN_RIGHT } };
    static const char *const sides[] = { "primary", "shadow", "control" };
    struct table t;
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
        const struct json *latency = json_get(json_get(shadow, "latency"), sides[i]);
        if (latency == NULL)
            continue;
        table_add(&t, PAINT_BOLD, "%s", sides[i]);
        table_add(&t, PAINT_NONE, "%lld", (long long)ctl_integer(latency, "count"));
        table_add(&t, PAINT_NONE, "%.1f", ctl_real(latency, "p50_ms"));
        table_add(&t, PAINT_NONE, "%.1f", ctl_real(latency, "p90_ms"));
        table_add(&t, PAINT_NONE, "%.1f", ctl_real(latency, "p99_ms"));
    }
    table_print(&t, coloured, out);
    table_fini(&t);
}

static void add_nothing(struct call *call, struct text *out)
{
    text_printf(out, "%s compares no shadow: add compare: to one of its shadows\n", call->arguments[0]);
}

static enum ctl_verdict print_findings(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *shadows = json_get(answer, "shadows");
    for (size_t i = 0; i < json_count(shadows); i++) {
        const struct json *shadow = json_at(shadows, i);
        text_add_cstr(out, i > 0 ? "\n" : "");
        add_heading(call, shadow, coloured, out);
        add_fields(call, json_get(shadow, "fields"), coloured, out);
        add_latency(call, shadow, coloured, out);
    }
    if (ctl_integer(answer, "compares_dropped") > 0)
        text_printf(out, "%lld pairs of this process were not compared: they came too fast\n",
                    (long long)ctl_integer(answer, "compares_dropped"));
    if (json_count(shadows) == 0)
        add_nothing(call, out);
    return json_kind(shadows) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

/* ---- diffs --------------------------------------------------------------------------------------------------------------- */

static void add_value(struct call *call, const struct json *difference, const char *side, char sign, enum paint paint,
                      bool coloured, struct text *out)
{
    bool is_absent = json_kind(json_get(difference, side)) != JSON_KIND_STRING;
    const char *value = is_absent ? "(absent)" : ctl_text(call, difference, side);
    add_text(out, coloured, paint, arena_printf(&call->arena, "%c %-8s %s", sign, side, value).ptr);
    text_add_char(out, '\n');
}

/* As a unified diff: what was expected, and what came. */
static void add_difference(struct call *call, const struct json *difference, bool has_control, bool coloured,
                           struct text *out)
{
    const char *verdict = ctl_text(call, difference, "verdict"), *place = ctl_text(call, difference, "place");
    bool is_settled = ctl_flag(difference, "settled");
    struct slice heading = arena_printf(&call->arena, "@@ %s", place[0] != '\0' ? place : "(other fields)");
    add_text(out, coloured, PAINT_CYAN, heading.ptr);
    text_add_cstr(out, "  ");
    add_text(out, coloured, paint_of_verdict(verdict),
             is_settled ? verdict : arena_printf(&call->arena, "%s, not settled", verdict).ptr);
    text_add_char(out, '\n');
    add_value(call, difference, "primary", '-', PAINT_RED, coloured, out);
    add_value(call, difference, "shadow", '+', PAINT_GREEN, coloured, out);
    if (has_control && ctl_flag(difference, "control_differs"))
        add_value(call, difference, "control", '~', PAINT_YELLOW, coloured, out);
}

static void add_request(struct call *call, const struct json *diff, const char *upstream, bool coloured,
                        struct text *out)
{
    const struct json *request = json_get(diff, "request");
    const char *verdict = ctl_text(call, diff, "verdict");
    struct slice line = arena_printf(&call->arena, "%s %s%s", ctl_text(call, request, "method"),
                                     ctl_text(call, request, "host"), ctl_text(call, request, "target"));
    add_text(out, coloured, PAINT_DIM, ctl_text(call, diff, "at"));
    text_add_char(out, ' ');
    add_text(out, coloured, PAINT_BOLD, line.ptr);
    text_add_cstr(out, " to ");
    add_text(out, coloured, PAINT_BOLD, upstream);
    text_add_cstr(out, ": ");
    add_text(out, coloured, paint_of_verdict(verdict), verdict);
    text_add_char(out, '\n');
}

static void add_diff(struct call *call, const struct json *diff, const char *upstream, bool coloured, struct text *out)
{
    const struct json *differences = json_get(diff, "differences");
    bool has_control = json_kind(json_get(diff, "control")) == JSON_KIND_OBJECT;
    long long more = (long long)ctl_integer(diff, "difference_count") - (long long)json_count(differences);
    add_request(call, diff, upstream, coloured, out);
    for (size_t i = 0; i < json_count(differences); i++)
        add_difference(call, json_at(differences, i), has_control, coloured, out);
    if (more > 0)
        text_printf(out, "and %lld more\n", more);
}

static enum ctl_verdict print_diffs(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *shadows = json_get(answer, "shadows");
    for (size_t i = 0; i < json_count(shadows); i++) {
        const struct json *shadow = json_at(shadows, i), *diffs = json_get(shadow, "diffs");
        const char *upstream = ctl_text(call, shadow, "upstream");
        for (size_t k = 0; k < json_count(diffs); k++) {
            text_add_cstr(out, out->len > 0 ? "\n" : "");
            add_diff(call, json_at(diffs, k), upstream, coloured, out);
        }
        if (json_count(diffs) == 0)
            text_printf(out, "%s to %s: no pair that differs is kept\n", call->arguments[0], upstream);
    }
    if (json_count(shadows) == 0)
        add_nothing(call, out);
    return json_kind(shadows) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static enum command_status run(struct call *call)
{
    bool is_diffs = call->argument_count == 2;
    struct text path = { 0 };
    if (is_diffs && strcmp(call->arguments[1], "diffs") != 0)
        return command_misused(call, "\"%s\" is not diffs", call->arguments[1]);
    text_add_cstr(&path, "shadow/");
    ctl_add_segment(&path, call->arguments[0]);
    text_add_cstr(&path, is_diffs ? "/diffs" : "");
    struct ctl_request request = { .method = "GET", .path = path.bytes };
    enum command_status status = ctl_show(call, &request, is_diffs ? print_diffs : print_findings);
    text_fini(&path);
    return status;
}

const struct command ctl_shadow = {
    .name = "shadow",
    .synopsis = "ROUTE [diffs]",
    .summary = "how the answers of a route's shadows differ",
    .details = "Shows a verdict for each field that differs: `different`, or `noise` when two copies of the same\n"
               "version differ in it as often. A verdict that is not settled may still change. `diffs` shows the\n"
               "newest pairs that differ, credentials hidden.\n\n"
               "  weir ctl shadow checkout diffs\n",
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run,
};
