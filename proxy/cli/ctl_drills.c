/* cli/ctl_drills.c - `weir ctl drills`: the history of rehearsals, by rollout and by how they ended. */
#include "cli/ctl.h"

#include <string.h>

static enum paint paint_of_state(const char *state)
{
    if (strcmp(state, "passed") == 0)
        return PAINT_GREEN;
    return strcmp(state, "failed") == 0 ? PAINT_RED : PAINT_YELLOW;
}

/* What stands in one line of a drill that had many guardrails. */
struct drill_summary {
    unsigned fired, rehearsed;
    double detect_ms, rollback_ms; /* the slowest; below 0: none */
};

static void keep_greater(const struct json *guardrail, const char *key, double *most)
{
    double ms;
    if (json_as_real(json_get(guardrail, key), &ms) && ms > *most)
        *most = ms;
}

static struct drill_summary sum_up(struct call *call, const struct json *guardrails)
{
    struct drill_summary sum = { .detect_ms = -1, .rollback_ms = -1 };
    for (size_t i = 0; i < json_count(guardrails); i++) {
        const struct json *guardrail = json_at(guardrails, i);
        const char *result = ctl_text(call, guardrail, "result");
        sum.fired += strcmp(result, "fired") == 0;
        sum.rehearsed += strncmp(result, "not_", 4) != 0;
        keep_greater(guardrail, "detect_ms", &sum.detect_ms);
        keep_greater(guardrail, "rollback_ms", &sum.rollback_ms);
    }
    return sum;
}

static const char *time_or_nothing(struct call *call, double ms)
{
    return ms >= 0 ? ctl_time_text(call, (int64_t)ms) : "";
}

static void add_drill(struct call *call, struct table *t, const struct json *drill)
{
    const struct json *detail = json_get(drill, "detail");
    const char *state = ctl_text(call, drill, "state");
    struct drill_summary sum = sum_up(call, json_get(detail, "guardrails"));
    table_add(t, PAINT_DIM, "%s", ctl_text(call, drill, "begun_at"));
    table_add(t, PAINT_BOLD, "%s", ctl_text(call, drill, "rollout"));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, drill, "revision"));
    table_add(t, paint_of_state(state), "%s%s", ctl_flag(detail, "live") ? "live, " : "", state);
    table_add(t, PAINT_NONE, "%u of %u", sum.fired, sum.rehearsed);
    table_add(t, PAINT_NONE, "%s", time_or_nothing(call, sum.detect_ms));
    table_add(t, PAINT_NONE, "%s", time_or_nothing(call, sum.rollback_ms));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, drill, "who"));
}

static enum ctl_verdict print_drills(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = {
        { "begun", ALIGN_LEFT },  { "rollout", ALIGN_LEFT },  { "revision", ALIGN_LEFT },  { "drill", ALIGN_LEFT },
        { "fired", ALIGN_RIGHT }, { "noticed", ALIGN_RIGHT }, { "weight 0", ALIGN_RIGHT }, { "who", ALIGN_LEFT },
    };
    const struct json *drills = json_get(answer, "drills");
    struct table t;
    if (json_kind(drills) != JSON_KIND_ARRAY)
        return CTL_UNKNOWN;
    if (json_count(drills) == 0) {
        text_add_cstr(out, "there was no such drill\n");
        return CTL_SHOWN;
    }
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(drills); i++)
        add_drill(call, &t, json_at(drills, i));
    table_print(&t, coloured, out);
    table_fini(&t);
    return CTL_SHOWN;
}

static enum command_status run(struct call *call)
{
    const struct ctl_values *values = call->values;
    struct text path = { 0 };
    text_printf(&path, "drills?limit=%u", values->limit > 0 ? values->limit : 20);
    if (call->argument_count > 0) {
        text_add_cstr(&path, "&rollout=");
        ctl_add_segment(&path, call->arguments[0]);
    }
    if (values->state != NULL) {
        text_add_cstr(&path, "&state=");
        ctl_add_segment(&path, values->state);
    }
    struct ctl_request request = { .method = "GET", .path = path.bytes };
    enum command_status status = ctl_show(call, &request, print_drills);
    text_fini(&path);
    return status;
}

static const struct option_row options[] = {
    { .name = "state",
      .value_name = "STATE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, state),
      .doc = "those alone: running, passed, failed, aborted or interrupted" },
    { .name = "limit",
      .value_name = "N",
      .kind = OPTION_NUMBER,
      .offset = offsetof(struct ctl_values, limit),
      .low = 1,
      .high = 1000,
      .doc = "at most so many, the newest (default 20)" },
};

const struct command ctl_drills = {
    .name = "drills",
    .synopsis = "[NAME] [--state STATE] [--limit N]",
    .summary = "rehearsals of failing releases: the newest first",
    .details = "How many of the guardrails that were rehearsed fired, and the slowest of them. `drill NAME --last`\n"
               "has the newest of a rollout in full, and --json all of each.\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .arguments_max = 1,
    .run = run,
};
