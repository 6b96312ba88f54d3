/* cli/ctl_slos.c - `weir ctl slos`: how fast the budgets of objectives burn, and what is left of them. */
#include "cli/ctl.h"

#define BURNS_FAST 6.0 /* two alerts of the SRE Workbook begin here */

static enum paint paint_of_burn(double burn)
{
    return burn >= BURNS_FAST ? PAINT_RED : burn > 1 ? PAINT_YELLOW : PAINT_NONE;
}

static void add_burns(struct table *t, const struct json *burns)
{
    static const char *const windows[] = { "5m", "30m", "1h", "6h", "3d" };
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        double burn = ctl_real(burns, windows[i]);
        if (json_kind(json_get(burns, windows[i])) == JSON_KIND_NULL)
            table_add(t, PAINT_DIM, "%s", "-");
        else
            table_add(t, paint_of_burn(burn), "%.2f", burn);
    }
}

static const char *objective_text(struct call *call, const struct json *slo)
{
    const struct json *latency = json_get(slo, "latency");
    double availability = 100 * ctl_real(slo, "availability");
    struct slice text = SLICE("");
    if (availability > 0)
        text = arena_printf(&call->arena, "%.6g %% answered", availability);
    if (latency != NULL)
        text = arena_printf(&call->arena, "%.*s%s%.6g %% in %s", SLICE_ARG(text), availability > 0 ? ", " : "",
                            100 * ctl_real(latency, "for"), ctl_time_text(call, ctl_integer(latency, "below_ms")));
    return text.len > 0 ? text.ptr : "";
}

static enum ctl_verdict print_slos(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = {
        { "slo", ALIGN_LEFT },          { "route", ALIGN_LEFT },     { "objective", ALIGN_LEFT },
        { "requests", ALIGN_RIGHT },    { "burn 5m", ALIGN_RIGHT },  { "30m", ALIGN_RIGHT },
        { "1h", ALIGN_RIGHT },          { "6h", ALIGN_RIGHT },       { "3d", ALIGN_RIGHT },
        { "budget left", ALIGN_RIGHT }, { "judged by", ALIGN_LEFT },
    };
    const struct json *slos = json_get(answer, "slos");
    struct table t;
    if (json_kind(slos) == JSON_KIND_ARRAY && json_count(slos) == 0) {
        text_add_cstr(out, "no objective is configured\n");
        return CTL_SHOWN;
    }
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(slos); i++) {
        const struct json *slo = json_at(slos, i);
        double left = ctl_real(slo, "budget_remaining");
        table_add(&t, PAINT_BOLD, "%s", ctl_text(call, slo, "name"));
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, slo, "route"));
        table_add(&t, PAINT_NONE, "%s", objective_text(call, slo));
        table_add(&t, PAINT_NONE, "%lld", (long long)ctl_integer(slo, "requests"));
        add_burns(&t, json_get(slo, "burn_rate"));
        table_add(&t, left <= 0 ? PAINT_RED : left < 0.25 ? PAINT_YELLOW : PAINT_GREEN, "%.1f %%", 100 * left);
        table_add(&t, PAINT_NONE, "%s", ctl_text(call, slo, "judged_by"));
    }
    table_print(&t, coloured, out);
    table_fini(&t);
    return json_kind(slos) == JSON_KIND_ARRAY ? CTL_SHOWN : CTL_UNKNOWN;
}

static enum command_status run_slos(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "slos" };
    return ctl_show(call, &request, print_slos);
}

const struct command ctl_slos = {
    .name = "slos",
    .synopsis = "",
    .summary = "how fast the budgets of objectives burn, and what is left of them",
    .run = run_slos,
};
