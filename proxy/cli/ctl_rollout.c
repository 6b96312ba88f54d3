/* cli/ctl_rollout.c - `weir ctl rollouts` and `weir ctl rollout`: where releases stand, and what people say to them. */
#include "cli/ctl.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

#define POLL_MS 250

static enum paint paint_of_state(const char *state)
{
    if (strcmp(state, "succeeded") == 0)
        return PAINT_GREEN;
    if (strcmp(state, "rolled_back") == 0 || strcmp(state, "rolling_back") == 0 || strcmp(state, "failed") == 0)
        return PAINT_RED;
    return strcmp(state, "pending") == 0 ? PAINT_DIM : PAINT_YELLOW;
}

static enum paint paint_of_verdict(const char *verdict)
{
    if (strcmp(verdict, "breach") == 0)
        return PAINT_RED;
    if (strcmp(verdict, "healthy") == 0 || strcmp(verdict, "not_worse") == 0)
        return PAINT_GREEN;
    return PAINT_YELLOW;
}

/* "1h 02m", "3m 20s", "0.4s". */
static const char *time_text(struct call *call, int64_t ms)
{
    if (ms >= 3600000)
        return arena_printf(&call->arena, "%lldh %02lldm", (long long)(ms / 3600000), (long long)(ms / 60000 % 60)).ptr;
    if (ms >= 60000)
        return arena_printf(&call->arena, "%lldm %02llds", (long long)(ms / 60000), (long long)(ms / 1000 % 60)).ptr;
    return arena_printf(&call->arena, "%.1fs", (double)ms / 1000).ptr;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------- */

/* The guardrail that is nearest to a breach. */
static const struct json *nearest(const struct json *rollout)
{
    const struct json *guardrails = json_get(rollout, "guardrails"), *most = NULL;
    for (size_t i = 0; i < json_count(guardrails); i++)
        if (most == NULL || ctl_real(json_at(guardrails, i), "progress") > ctl_real(most, "progress"))
            most = json_at(guardrails, i);
    return most;
}

static void add_rollout(struct call *call, struct table *t, const struct json *rollout)
{
    const char *state = ctl_text(call, rollout, "state");
    const struct json *guardrail = nearest(rollout);
    table_add(t, PAINT_BOLD, "%s", ctl_text(call, rollout, "name"));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, rollout, "revision"));
    table_add(t, paint_of_state(state), "%s", state);
    table_add(t, PAINT_NONE, "%lld of %zu", (long long)ctl_integer(rollout, "step"),
              json_count(json_get(rollout, "steps")));
    table_add(t, PAINT_NONE, "%g%%", 100 * ctl_real(rollout, "weight"));
    table_add(t, PAINT_NONE, "%s", time_text(call, ctl_integer(rollout, "hold_left_ms")));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, rollout, "canary"));
    if (guardrail != NULL)
        table_add(t, paint_of_verdict(ctl_text(call, guardrail, "verdict")), "%s %.0f%%",
                  ctl_text(call, guardrail, "name"), 100 * ctl_real(guardrail, "progress"));
    else
        table_add(t, PAINT_NONE, "%s", "");
}

static enum ctl_verdict print_rollouts(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "rollout", ALIGN_LEFT }, { "revision", ALIGN_LEFT },
                                                   { "state", ALIGN_LEFT },   { "step", ALIGN_RIGHT },
                                                   { "weight", ALIGN_RIGHT }, { "hold", ALIGN_RIGHT },
                                                   { "canary", ALIGN_LEFT },  { "nearest guardrail", ALIGN_LEFT } };
    const struct json *rollouts = json_get(answer, "rollouts");
    struct table t;
    if (json_kind(rollouts) != JSON_KIND_ARRAY)
        return CTL_UNKNOWN;
    if (json_count(rollouts) == 0) {
        text_add_cstr(out, "the configuration has no rollout\n");
        return CTL_SHOWN;
    }
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(rollouts); i++)
        add_rollout(call, &t, json_at(rollouts, i));
    table_print(&t, coloured, out);
    table_fini(&t);
    return CTL_SHOWN;
}

static enum command_status run_rollouts(struct call *call)
{
    struct ctl_request request = { .method = "GET", .path = "rollouts" };
    return ctl_show(call, &request, print_rollouts);
}

const struct command ctl_rollouts = {
    .name = "rollouts",
    .synopsis = "",
    .summary = "every rollout: state, step, weight, and the guardrail nearest to a breach",
    .run = run_rollouts,
};

/* ---- one of them -------------------------------------------------------------------------------------------------------- */

static void add_step(struct call *call, const struct json *step, bool is_now, bool coloured, struct text *out)
{
    text_add_cstr(out, is_now ? "  > " : "    ");
    const char *webhook = ctl_text(call, step, "webhook");
    const char *line;
    if (json_get(step, "weight") != NULL)
        line = arena_printf(
                   &call->arena, "%g%%, hold %s%s%s", 100 * ctl_real(step, "weight"),
                   time_text(call, ctl_integer(step, "hold_ms")),
                   ctl_integer(step, "min_requests") > 0
                       ? arena_printf(&call->arena, ", %lld requests", (long long)ctl_integer(step, "min_requests")).ptr
                       : "",
                   ctl_flag(step, "requires_proof") ? ", proof that it is not worse" : "")
                   .ptr;
    else if (webhook[0] != '\0')
        line = arena_printf(&call->arena, "webhook %s", webhook).ptr;
    else
        line = arena_printf(&call->arena, "approval by %lld", (long long)ctl_integer(step, "approve")).ptr;
    terminal_add(out, coloured, is_now ? PAINT_BOLD : PAINT_DIM, slice_from_cstr(line));
    text_add_char(out, '\n');
}

static void add_guardrail(struct call *call, const struct json *guardrail, bool coloured, struct text *out)
{
    const char *verdict = ctl_text(call, guardrail, "verdict"), *reason = ctl_text(call, guardrail, "reason");
    text_add_cstr(out, "    ");
    terminal_add(out, coloured, paint_of_verdict(verdict), slice_from_cstr(verdict));
    text_printf(out, " %3.0f%%  ", 100 * ctl_real(guardrail, "progress"));
    terminal_add(out, coloured, PAINT_NONE,
                 slice_from_cstr(reason[0] != '\0' ? reason : ctl_text(call, guardrail, "name")));
    text_add_char(out, '\n');
}

static void add_heading(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const char *state = ctl_text(call, r, "state"), *revision = ctl_text(call, r, "revision");
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, r, "name")));
    text_add_cstr(out, revision[0] != '\0' ? " " : "");
    terminal_add(out, coloured, PAINT_NONE, slice_from_cstr(revision));
    text_add_cstr(out, ": ");
    terminal_add(out, coloured, paint_of_state(state), slice_from_cstr(state));
    text_printf(out, ", %s has %g%% of what it shares with %s", ctl_text(call, r, "canary"),
                100 * ctl_real(r, "weight"), ctl_text(call, r, "stable"));
    if (ctl_integer(r, "hold_left_ms") > 0)
        text_printf(out, ", %s left", time_text(call, ctl_integer(r, "hold_left_ms")));
    text_add_char(out, '\n');
}

static void add_notes(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *calendar = json_get(r, "calendar"), *breach = json_get(r, "breach");
    const struct json *requests = json_get(r, "requests");
    text_printf(out, "  requests: %lld stable, %lld canary\n", (long long)ctl_integer(requests, "stable"),
                (long long)ctl_integer(requests, "canary"));
    if (calendar != NULL && !ctl_flag(calendar, "is_open"))
        text_printf(out, "  no weight rises now: %s\n", ctl_text(call, calendar, "why"));
    if (ctl_flag(r, "is_store_down"))
        terminal_add(out, coloured, PAINT_RED, SLICE("  the store fails: nothing is promoted\n"));
    if (json_kind(breach) == JSON_KIND_OBJECT)
        text_printf(out, "  breach at %s: %s\n", ctl_text(call, breach, "at"), ctl_text(call, breach, "reason"));
}

static enum ctl_verdict print_rollout(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *r = json_get(answer, "rollout");
    const struct json *steps = json_get(r, "steps"), *guardrails = json_get(r, "guardrails");
    if (json_kind(r) != JSON_KIND_OBJECT)
        return CTL_UNKNOWN;
    add_heading(call, r, coloured, out);
    for (size_t i = 0; i < json_count(steps); i++)
        add_step(call, json_at(steps, i), (int64_t)i + 1 == ctl_integer(r, "step"), coloured, out);
    for (size_t i = 0; i < json_count(guardrails); i++)
        add_guardrail(call, json_at(guardrails, i), coloured, out);
    add_notes(call, r, coloured, out);
    return CTL_SHOWN;
}

static void add_path(const struct call *call, const char *action, struct text *path)
{
    text_add_cstr(path, "rollouts/");
    ctl_add_segment(path, call->arguments[0]);
    if (action != NULL)
        text_printf(path, "/%s", action);
}

static enum command_status show(struct call *call, const char *part, ctl_print_fn *print)
{
    struct text path = { 0 };
    add_path(call, part, &path);
    struct ctl_request request = { .method = "GET", .path = path.bytes };
    enum command_status status = ctl_show(call, &request, print);
    text_fini(&path);
    return status;
}

static enum command_status say(struct call *call, const char *action)
{
    const struct ctl_values *values = call->values;
    struct text path = { 0 }, json = { 0 };
    if (values->reason == NULL)
        return command_misused(call, "--reason is missing: it goes into the audit log");
    add_path(call, action, &path);
    ctl_open_body(call, &json);
    text_add_char(&json, '}');
    struct ctl_request request = { .method = "POST", .path = path.bytes, .json = &json };
    enum command_status status = ctl_show(call, &request, print_rollout);
    text_fini(&path);
    text_fini(&json);
    return status;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

/* Shows nothing: only what state it is in. */
static enum ctl_verdict note_state(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    struct ctl_values *values = call->values;
    (void)coloured;
    (void)out;
    values->state = ctl_text(call, json_get(answer, "rollout"), "state");
    return values->state[0] != '\0' ? CTL_SHOWN : CTL_UNKNOWN;
}

/* From there it does not come to another state by itself. */
static bool is_end(const char *state)
{
    return strcmp(state, "succeeded") == 0 || strcmp(state, "rolled_back") == 0 || strcmp(state, "failed") == 0;
}

static enum command_status wait_for(struct call *call)
{
    struct ctl_values *values = call->values;
    bool is_json = values->is_json;
    int64_t give_up_us = values->timeout_ms > 0 ? clock_mono().us + values->timeout_ms * 1000 : INT64_MAX;
    enum command_status status = COMMAND_OK;
    values->is_json = false;
    values->timeout_ms = 0;
    for (;;) {
        enum command_status asked = show(call, NULL, note_state);
        if (asked != COMMAND_OK)
            return asked;
        if (strcmp(values->state, values->wanted_state) == 0)
            break;
        if (is_end(values->state))
            status = COMMAND_OTHER_END;
        else if (clock_mono().us >= give_up_us)
            status = COMMAND_TIMED_OUT;
        if (status != COMMAND_OK)
            break;
        usleep(POLL_MS * 1000);
    }
    values->is_json = is_json;
    enum command_status shown = show(call, NULL, print_rollout);
    return shown != COMMAND_OK ? shown : status;
}

/* ---- a dry run ---------------------------------------------------------------------------------------------------------- */

/* "error_rate_ratio: 2 times as much in 12.0s, 5 times in 3.1s". */
static void add_notices(struct call *call, const struct json *notices, struct text *out)
{
    const char *last = "";
    for (size_t i = 0; i < json_count(notices); i++) {
        const struct json *notice = json_at(notices, i);
        const char *name = ctl_text(call, notice, "guardrail");
        bool is_first = strcmp(name, last) != 0;
        double seconds;
        if (is_first)
            text_printf(out, "%s        %s: ", i > 0 ? "\n" : "", name);
        else
            text_add_cstr(out, ", ");
        if (ctl_flag(notice, "is_all_bad"))
            text_add_cstr(out, "all bad");
        else
            text_printf(out, "%g times%s", ctl_real(notice, "times"), is_first ? " what is allowed or usual" : "");
        if (json_as_real(json_get(notice, "seconds"), &seconds))
            text_printf(out, " in %s", time_text(call, (int64_t)(seconds * 1000)));
        else
            text_add_cstr(out, " never");
        last = name;
    }
    text_add_cstr(out, json_count(notices) > 0 ? "\n" : "");
}

static void add_planned_step(struct call *call, const struct json *step, struct text *out)
{
    const char *earliest = ctl_text(call, step, "earliest"), *waits_for = ctl_text(call, step, "waits_for");
    text_printf(out, "  %s  ", earliest[0] != '\0' ? earliest : "never");
    if (json_get(step, "weight") == NULL)
        text_add_cstr(out, ctl_text(call, step, "kind"));
    else
        text_printf(out, "%g%% for %s%s", 100 * ctl_real(step, "weight"),
                    time_text(call, ctl_integer(step, "lasts_ms")),
                    ctl_flag(step, "is_slowed_by_requests") ? ", by its min_requests" : "");
    if (waits_for[0] != '\0')
        text_printf(out, ", after waiting for: %s", waits_for);
    text_add_char(out, '\n');
    add_notices(call, json_get(step, "notices"), out);
}

static enum ctl_verdict print_plan(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *plan = json_get(answer, "plan"), *steps = json_get(plan, "steps");
    const struct json *traffic = json_get(plan, "traffic");
    const char *ends_at = ctl_text(call, plan, "ends_at");
    if (json_kind(steps) != JSON_KIND_ARRAY)
        return CTL_UNKNOWN;
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, plan, "name")));
    text_printf(out, ", were it started now, at %.1f requests/s of which %.2f%% fail (the last %s)\n",
                ctl_real(traffic, "requests_per_s"), 100 * ctl_real(traffic, "error_rate"),
                time_text(call, (int64_t)(1000 * ctl_real(traffic, "measured_s"))));
    for (size_t i = 0; i < json_count(steps); i++)
        add_planned_step(call, json_at(steps, i), out);
    text_printf(out, "  %s  the end\n", ends_at[0] != '\0' ? ends_at : "never");
    return CTL_SHOWN;
}

/* ---- words -------------------------------------------------------------------------------------------------------------- */

static enum command_status run_rollout(struct call *call)
{
    static const char *const words[] = { "start", "pause", "resume", "approve", "promote", "rollback", "abort" };
    if (call->argument_count == 1)
        return show(call, NULL, print_rollout);
    const char *word = call->arguments[1];
    if (strcmp(word, "plan") == 0)
        return show(call, "plan", print_plan);
    if (strcmp(word, "wait") == 0) {
        const struct ctl_values *values = call->values;
        return values->wanted_state != NULL ? wait_for(call) : command_misused(call, "wait needs --for STATE");
    }
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(words[i], word) == 0)
            return say(call, word);
    return command_misused(call, "\"%s\" is not plan, start, pause, resume, approve, promote, rollback, abort or wait",
                           word);
}

static const struct option_row options[] = {
    CTL_REASON_OPTION(false),
    { .name = "for",
      .value_name = "STATE",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct ctl_values, wanted_state),
      .doc = "wait: until it is in this state, such as succeeded" },
};

const struct command ctl_rollout = {
    .name = "rollout",
    .synopsis = "NAME [plan]\n"
                "       weir ctl rollout NAME start|pause|resume|approve|promote|rollback|abort --reason TEXT\n"
                "       weir ctl rollout NAME wait --for STATE [--timeout TIME]",
    .summary = "shows a rollout or what it would do, says something to it, or waits for it",
    .details = "`plan` is a dry run: when each step could begin, and how soon each guardrail would notice what,\n"
               "at the traffic of the last minutes.\n\n"
               "A word takes effect when it is answered: after `rollback` nobody meets the canary any more.\n\n"
               "`wait` ends with 0 when the rollout is in that state, with 3 when it came to another end,\n"
               "with 4 when --timeout is over, and with 1 when weir could not be asked.\n\n"
               "  weir ctl rollout checkout start --reason 'release 2.4.1'\n"
               "  weir ctl rollout checkout wait --for succeeded --timeout 1h\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run_rollout,
};
