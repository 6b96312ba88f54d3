/* cli/ctl_drill.c - `weir ctl drill`: rehearses a failing release, waits for what comes of it, and shows it. */
#include "cli/ctl_drill.h"

#include "base/units.h"
#include "config/model_rollout.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define POLL_MS 250

static enum paint paint_of_result(const char *result, bool is_late)
{
    if (strcmp(result, "fired") == 0)
        return is_late ? PAINT_YELLOW : PAINT_GREEN;
    return strncmp(result, "not_", 4) == 0 ? PAINT_DIM : PAINT_RED;
}

static const char *duration_text(struct call *call, const struct json *guardrail, const char *key)
{
    double ms;
    return json_as_real(json_get(guardrail, key), &ms) ? ctl_time_text(call, (int64_t)ms) : "";
}

static void add_guardrail(struct call *call, struct table *t, const struct json *guardrail)
{
    const char *result = ctl_text(call, guardrail, "result");
    bool is_late = ctl_flag(guardrail, "is_late");
    table_add(t, PAINT_NONE, "%lld", (long long)ctl_integer(guardrail, "step"));
    table_add(t, PAINT_NONE, "%g%%", 100 * ctl_real(guardrail, "weight"));
    table_add(t, PAINT_BOLD, "%s", ctl_text(call, guardrail, "name"));
    table_add(t, PAINT_NONE, "%s%s", ctl_text(call, guardrail, "fault"),
              ctl_flag(guardrail, "is_simulated") ? " (simulated)" : "");
    table_add(t, paint_of_result(result, is_late), "%s%s%s", result, ctl_flag(guardrail, "is_paused") ? ", paused" : "",
              is_late ? ", late" : "");
    table_add(t, PAINT_NONE, "%s", duration_text(call, guardrail, "planned_ms"));
    table_add(t, PAINT_NONE, "%s", duration_text(call, guardrail, "detect_ms"));
    table_add(t, PAINT_NONE, "%lld", (long long)ctl_integer(guardrail, "requests"));
    table_add(t, PAINT_NONE, "%s", duration_text(call, guardrail, "rollback_ms"));
}

static void add_sentence(const char *sentence, bool coloured, struct text *out)
{
    text_add_cstr(out, "    ");
    terminal_add_wrapped(out, coloured, PAINT_NONE, 4, CTL_WIDTH, slice_from_cstr(sentence));
    text_add_char(out, '\n');
}

/* What each saw, and why it did not fire, below the table: a sentence is wider than what is left of a screen. What it saw begins
   with the guardrail's name. */
static void add_reasons(struct call *call, const struct json *guardrails, bool coloured, struct text *out)
{
    for (size_t i = 0; i < json_count(guardrails); i++) {
        const struct json *guardrail = json_at(guardrails, i);
        const char *reason = ctl_text(call, guardrail, "reason"), *why = ctl_text(call, guardrail, "why");
        if (reason[0] != '\0')
            add_sentence(reason, coloured, out);
        if (why[0] != '\0')
            add_sentence(arena_printf(&call->arena, "%s at %g%%, %s: %s", ctl_text(call, guardrail, "name"),
                                      100 * ctl_real(guardrail, "weight"), ctl_text(call, guardrail, "result"), why)
                             .ptr,
                         coloured, out);
    }
}

static void add_heading(struct call *call, const struct json *drill, bool coloured, struct text *out)
{
    const struct json *detail = json_get(drill, "detail");
    const char *state = ctl_text(call, drill, "state"), *cause = ctl_text(call, detail, "cause");
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, drill, "rollout")));
    text_printf(out, ": %sdrill ", ctl_flag(detail, "live") ? "live " : "");
    terminal_add(out, coloured, strcmp(state, "passed") == 0 ? PAINT_GREEN : PAINT_RED, slice_from_cstr(state));
    text_printf(out, "%s%s, begun %s by %s\n", cause[0] != '\0' ? ": " : "", cause, ctl_text(call, drill, "begun_at"),
                ctl_text(call, drill, "who"));
}

static enum ctl_verdict print_drill(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = {
        { "step", ALIGN_RIGHT },    { "weight", ALIGN_RIGHT },   { "guardrail", ALIGN_LEFT },
        { "fault", ALIGN_LEFT },    { "result", ALIGN_LEFT },    { "planned", ALIGN_RIGHT },
        { "noticed", ALIGN_RIGHT }, { "requests", ALIGN_RIGHT }, { "weight 0", ALIGN_RIGHT },
    };
    const struct json *drill = json_get(answer, "drill");
    enum ctl_verdict verdict = ctl_note_state(call, drill);
    const struct json *guardrails = json_get(json_get(drill, "detail"), "guardrails");
    struct table t;
    if (verdict != CTL_SHOWN)
        return verdict;
    add_heading(call, drill, coloured, out);
    table_init(&t, &call->arena, columns, ARRAY_COUNT(columns));
    for (size_t i = 0; i < json_count(guardrails); i++)
        add_guardrail(call, &t, json_at(guardrails, i));
    table_print(&t, coloured, out);
    table_fini(&t);
    add_reasons(call, guardrails, coloured, out);
    return CTL_SHOWN;
}

/* Shows nothing: only whether it still runs, and which it is. */
static enum ctl_verdict note_drill(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    (void)coloured, (void)out;
    return ctl_note_state(call, json_get(answer, "drill"));
}

static enum command_status no_such(const struct call *call, enum command_status status)
{
    const struct ctl_values *values = call->values;
    return status != COMMAND_OK && values->answer_status == 404 ? COMMAND_NO_SUCH : status;
}

static enum command_status look(struct call *call, const char *path, ctl_print_fn *print)
{
    struct ctl_request request = { .method = "GET", .path = path };
    return no_such(call, ctl_show(call, &request, print));
}

/* How it ended, for pipelines. */
static enum command_status show(struct call *call, const char *path)
{
    const struct ctl_values *values = call->values;
    enum command_status status = look(call, path, print_drill);
    if (status != COMMAND_OK || strcmp(values->state, "passed") == 0)
        return status;
    return strcmp(values->state, "failed") == 0 ? COMMAND_OTHER_END : COMMAND_TIMED_OUT;
}

/* ---- asked for ------------------------------------------------------------------------------------------------------------ */

static void add_text(struct text *json, const char *key, const char *value)
{
    if (value == NULL)
        return;
    text_printf(json, ", \"%s\": \"", key);
    text_add_json(json, slice_from_cstr(value));
    text_add_char(json, '"');
}

static void add_number(struct text *json, const char *key, int64_t value)
{
    if (value > 0)
        text_printf(json, ", \"%s\": %lld", key, (long long)value);
}

/* "2", "5%" or "all"; without it the first. */
static bool read_step(struct call *call, uint32_t *step, uint32_t *weight_ppm)
{
    const struct ctl_values *values = call->values;
    uint64_t number;
    struct slice text = slice_from_cstr(values->step);
    if (values->step == NULL || strcmp(values->step, "all") == 0)
        return true;
    if (slice_to_u64(text, &number) && number >= 1 && number <= STEPS_MAX)
        *step = (uint32_t)number;
    return *step > 0 || (units_parse_share(text, weight_ppm) && *weight_ppm > 0);
}

static void add_step(struct text *json, const char *word, uint32_t weight_ppm, uint32_t step)
{
    if (word != NULL && step == 0 && weight_ppm == 0)
        text_add_cstr(json, ", \"all_steps\": true");
    add_number(json, "step", step);
    add_number(json, "weight_ppm", weight_ppm);
}

static bool write_body(struct call *call, struct text *json)
{
    const struct ctl_values *values = call->values;
    uint32_t share_ppm = 0, weight_ppm = 0, step = 0;
    if (!read_step(call, &step, &weight_ppm))
        return false;
    if (values->share != NULL && !units_parse_share(slice_from_cstr(values->share), &share_ppm))
        return false;
    ctl_open_body(call, json);
    add_text(json, "guardrail", values->guardrail);
    add_text(json, "fault", values->fault);
    if (values->is_live)
        text_add_cstr(json, ", \"live\": true");
    add_step(json, values->step, weight_ppm, step);
    add_number(json, "rate", values->rate);
    add_number(json, "share_ppm", share_ppm);
    add_number(json, "delay_ms", values->delay_ms);
    add_number(json, "timeout_ms", values->timeout_ms);
    text_add_char(json, '}');
    return true;
}

/* --timeout is the guardrails' here. */
static enum command_status begin(struct call *call, const char *path)
{
    struct ctl_values *values = call->values;
    struct text json = { 0 };
    struct ctl_request request = { .method = "POST", .path = path, .json = &json };
    enum command_status status;
    bool is_json = values->is_json;
    if (!write_body(call, &json)) {
        text_fini(&json);
        return command_misused(call,
                               "--share is a share such as 20%%, and --step a number, a weight such as 5%%, or all");
    }
    values->timeout_ms = 0;
    values->is_json = false;
    status = no_such(call, ctl_show(call, &request, note_drill));
    values->is_json = is_json;
    text_fini(&json);
    return status;
}

/* The drill is ended; for good when this has been answered, or soon. */
static enum command_status stop(struct call *call, const char *path)
{
    const struct ctl_values *values = call->values;
    struct text json = { 0 }, whole = { 0 };
    if (values->reason == NULL)
        return command_misused(call, "--reason is missing: it goes into the audit log");
    text_printf(&whole, "%s/abort", path);
    ctl_open_body(call, &json);
    text_add_char(&json, '}');
    struct ctl_request request = { .method = "POST", .path = whole.bytes, .json = &json };
    enum command_status status = no_such(call, ctl_show(call, &request, note_drill));
    text_fini(&json);
    text_fini(&whole);
    return status;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------------- */

static void interruption_init(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

/* Ctrl-c ends the drill, not only the waiting for it; the second one that. */
static enum command_status wait_for_end(struct call *call, const char *path, const sigset_t *interruption)
{
    static const struct timespec poll = { 0, POLL_MS * 1000000 };
    struct ctl_values *values = call->values;
    enum command_status status = COMMAND_OK;
    while (status == COMMAND_OK && strcmp(values->state, "running") == 0) {
        if (sigtimedwait(interruption, NULL, &poll) > 0) {
            sigprocmask(SIG_UNBLOCK, interruption, NULL);
            values->reason = "interrupted where it was asked for";
            status = stop(call, path);
        } else {
            status = look(call, path, note_drill);
        }
    }
    return status;
}

static enum command_status drill(struct call *call, const char *path)
{
    struct ctl_values *values = call->values;
    bool is_json = values->is_json;
    sigset_t interruption;
    enum command_status status = COMMAND_OK;
    if (values->reason == NULL)
        return command_misused(call, "--reason is missing: it goes into the audit log");
    if (values->is_live)
        status = no_such(call, ctl_drill_confirm_live(call));
    if (status != COMMAND_OK)
        return status;
    interruption_init(&interruption);
    sigprocmask(SIG_BLOCK, &interruption, NULL);
    status = begin(call, path);
    if (status != COMMAND_OK)
        return status;
    values->is_json = false;
    status = wait_for_end(call, path, &interruption);
    values->is_json = is_json;
    return status == COMMAND_OK ? show(call, path) : status;
}

static enum command_status act(struct call *call, const char *path)
{
    const struct ctl_values *values = call->values;
    if (call->argument_count == 1)
        return values->is_last ? show(call, path) : drill(call, path);
    if (strcmp(call->arguments[1], "abort") != 0)
        return command_misused(call, "\"%s\" is not abort", call->arguments[1]);
    enum command_status status = stop(call, path);
    return status == COMMAND_OK && !values->is_json ? look(call, path, print_drill) : status;
}

static enum command_status run(struct call *call)
{
    struct text path = { 0 };
    text_add_cstr(&path, "drill/");
    ctl_add_segment(&path, call->arguments[0]);
    enum command_status status = act(call, path.bytes);
    text_fini(&path);
    return status;
}

#define OPTION(name_, value_, kind_, member, doc_, ...)                                                                \
    {                                                                                                                  \
        .name = name_, .value_name = value_, .kind = kind_, .offset = offsetof(struct ctl_values, member),             \
        .doc = doc_, __VA_ARGS__                                                                                       \
    }

static const struct option_row options[] = {
    CTL_REASON_OPTION(false),
    OPTION("guardrail", "G", OPTION_TEXT, guardrail, "this one alone"),
    OPTION("fault", "FAULT", OPTION_TEXT, fault,
           "those alone that watch for it: error, connect, latency, event or sample"),
    OPTION("step", "N", OPTION_TEXT, step, "at the weight of this step (default the first); 5% or all"),
    OPTION("rate", "N", OPTION_NUMBER, rate, "synthetic requests a second (default 50)", .low = 1, .high = 500),
    OPTION("share", "SHARE", OPTION_TEXT, share, "so many of the canary's requests fail (default 100%)"),
    OPTION("delay", "TIME", OPTION_DURATION, delay_ms, "slow answers take so much longer"),
    OPTION("live", NULL, OPTION_FLAG, is_live, "the real canary fails, for real users: needs an approver"),
    OPTION("yes", NULL, OPTION_FLAG, is_yes, "live: does not ask whether that is meant"),
    OPTION("last", NULL, OPTION_FLAG, is_last, "begins none, and shows the newest one"),
};

const struct command ctl_drill = {
    .name = "drill",
    .synopsis = "NAME --reason TEXT [--guardrail G] [--fault FAULT] [--share SHARE] [--live [--yes]]\n"
                "       weir ctl drill NAME abort --reason TEXT\n"
                "       weir ctl drill NAME --last",
    .summary = "rehearses a failing release: does each guardrail fire, and how soon is the weight 0?",
    .details =
        "A copy of the rollout is started with marked synthetic traffic, which no upstream sees and no\n"
        "numbers of real users contain, and its canary fails in the way that each guardrail watches, one\n"
        "after the other. Each has --timeout (default 30s) to fire. Ctrl-c ends the drill.\n\n"
        "The exit status is 0 when all that were drilled fired, 3 when one did not, 4 when the drill was\n"
        "aborted or interrupted, 5 when there is no such rollout or no drill of it, 2 for a wrong command\n"
        "line, and 1 when weir refused or could not be asked.\n\n"
        "  weir ctl drill checkout --reason 'before the release'\n"
        "  weir ctl drill checkout --guardrail error_rate --share 5% --reason 'would one in twenty be noticed?'\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run,
};
