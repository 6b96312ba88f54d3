/* cli/ctl_rollout.c - `weir ctl rollout`: what people say to a release, what it would do, and waiting for it. */
#include "cli/ctl.h"

#include "base/clock.h"
#include "rollout/plan.h"

#include <string.h>
#include <unistd.h>

#define POLL_MS         250
#define LOOK_TIMEOUT_MS INT64_C(30000)
#define OUTAGE_MS       INT64_C(60000) /* so long may an instance be away that is being restarted */

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
    enum command_status status = ctl_show(call, &request, ctl_print_rollout);
    text_fini(&path);
    text_fini(&json);
    return status;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

/* Shows nothing: only what state it is in. */
static enum ctl_verdict note_state(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    (void)coloured, (void)out;
    return ctl_note_state(call, json_get(answer, "rollout"));
}

/* From there it does not come to another state by itself. */
static bool is_end(const char *state)
{
    return strcmp(state, "succeeded") == 0 || strcmp(state, "rolled_back") == 0 || strcmp(state, "failed") == 0;
}

/* What a wait knows. Times are monotonic. */
struct wait {
    int64_t give_up_us;  /* INT64_MAX: never */
    int64_t answered_us; /* the last answer; 0: none yet */
};

/* Nothing printed: an instance that is restarted does not answer for a while, and that is no news. */
static enum command_status look(struct call *call, const struct wait *w)
{
    struct ctl_values *values = call->values;
    int64_t left_ms = (w->give_up_us - clock_mono().us) / 1000;
    values->timeout_ms = left_ms < LOOK_TIMEOUT_MS ? left_ms : LOOK_TIMEOUT_MS;
    values->timeout_ms = values->timeout_ms > POLL_MS ? values->timeout_ms : POLL_MS;
    values->is_quiet = true;
    enum command_status status = show(call, NULL, note_state);
    values->is_quiet = false;
    return status;
}

/* True when the waiting is over, and how it ended. An instance that has answered before may be away for a while. */
static bool is_over(struct call *call, struct wait *w, enum command_status *status)
{
    const struct ctl_values *values = call->values;
    int64_t now_us;
    *status = look(call, w);
    now_us = clock_mono().us;
    if (values->answer_status == 0) {
        *status = COMMAND_FAILED;
        return w->answered_us == 0 || now_us >= w->give_up_us || now_us - w->answered_us >= OUTAGE_MS * 1000;
    }
    w->answered_us = now_us;
    if (values->answer_status == 404)
        *status = COMMAND_NO_SUCH;
    if (*status != COMMAND_OK || strcmp(values->state, values->wanted_state) == 0)
        return true;
    *status = is_end(values->state) ? COMMAND_OTHER_END : COMMAND_TIMED_OUT;
    return *status == COMMAND_OTHER_END || now_us >= w->give_up_us;
}

static enum command_status wait_for(struct call *call)
{
    struct ctl_values *values = call->values;
    struct wait w = { .give_up_us = values->timeout_ms > 0 ? clock_mono().us + values->timeout_ms * 1000 : INT64_MAX };
    enum command_status status;
    while (!is_over(call, &w, &status))
        usleep(POLL_MS * 1000);
    /* What it ended with is shown as every other answer is, a refusal too. */
    values->timeout_ms = 0;
    enum command_status shown = show(call, NULL, ctl_print_rollout);
    return status == COMMAND_OK ? shown : status;
}

static enum command_status run_wait(struct call *call)
{
    const struct ctl_values *values = call->values;
    if (values->wanted_state == NULL)
        return command_misused(call, "wait needs --for STATE");
    enum rollout_state state;
    if (rollout_state_read(slice_from_cstr(values->wanted_state), &state))
        return wait_for(call);
    struct slice known = SLICE("");
    for (size_t i = 0; i < ROLLOUT_STATE_COUNT; i++)
        known = arena_printf(&call->arena, "%.*s%s%s", SLICE_ARG(known), i > 0 ? ", " : "", rollout_state_names[i]);
    return command_misused(call, "--for: \"%s\" is no state; there are %s", values->wanted_state, known.ptr);
}

/* ---- a dry run ---------------------------------------------------------------------------------------------------------- */

/* "in 12s", or that it never would. */
static void add_notice(struct call *call, const struct json *notice, bool is_first, struct text *line)
{
    double seconds;
    if (ctl_flag(notice, "is_all_bad"))
        text_add_cstr(line, "all bad");
    else
        text_printf(line, "%g times%s", ctl_real(notice, "times"), is_first ? " what is allowed or usual" : "");
    if (json_as_real(json_get(notice, "seconds"), &seconds))
        text_printf(line, " in %s", ctl_time_text(call, (int64_t)(seconds * 1000)));
    else
        text_add_cstr(line, " never");
}

#define NOTICE_INDENT 8

/* "error_rate_ratio: 2 times what is allowed or usual in 12s, 5 times in 3.1s": one guardrail, from `first` on; the index
   behind it. */
static size_t add_guardrail_notices(struct call *call, const struct json *notices, size_t first, struct text *out)
{
    const char *name = ctl_text(call, json_at(notices, first), "guardrail");
    struct text line = { 0 };
    size_t i = first;
    text_printf(&line, "%s: ", name);
    for (; i < json_count(notices) && strcmp(ctl_text(call, json_at(notices, i), "guardrail"), name) == 0; i++) {
        text_add_cstr(&line, i > first ? ", " : "");
        add_notice(call, json_at(notices, i), i == first, &line);
    }
    text_printf(out, "%*s", NOTICE_INDENT, "");
    terminal_add_wrapped(out, false, PAINT_NONE, NOTICE_INDENT, CTL_WIDTH, text_slice(&line));
    text_add_char(out, '\n');
    text_fini(&line);
    return i;
}

static void add_notices(struct call *call, const struct json *notices, struct text *out)
{
    for (size_t i = 0; i < json_count(notices);)
        i = add_guardrail_notices(call, notices, i, out);
}

/* " for 10m 00s", " for 40m 00s, by its min_requests"; nothing for one that ends at once. */
static void add_duration(struct call *call, const struct json *step, struct text *out)
{
    int64_t ms;
    if (!json_as_i64(json_get(step, "lasts_ms"), &ms))
        text_add_cstr(out, " for ever: its min_requests never come");
    else if (ms > 0)
        text_printf(out, " for %s%s", ctl_time_text(call, ms),
                    ctl_flag(step, "is_slowed_by_requests") ? ", by its min_requests" : "");
}

static void add_planned_step(struct call *call, const struct json *step, bool has_traffic, struct text *out)
{
    const char *earliest = ctl_text(call, step, "earliest"), *waits_for = ctl_text(call, step, "waits_for");
    bool is_never = earliest[0] == '\0';
    text_printf(out, "  %s  ", is_never ? "never" : earliest);
    if (json_get(step, "weight") == NULL)
        text_add_cstr(out, ctl_text(call, step, "kind"));
    else
        text_printf(out, "%g%%", 100 * ctl_real(step, "weight"));
    if (!is_never && json_get(step, "weight") != NULL)
        add_duration(call, step, out);
    if (!is_never && waits_for[0] != '\0')
        text_printf(out, ", after waiting for: %s", waits_for);
    text_add_char(out, '\n');
    if (has_traffic)
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
                ctl_time_text(call, (int64_t)(1000 * ctl_real(traffic, "measured_s"))));
    for (size_t i = 0; i < json_count(steps); i++)
        add_planned_step(call, json_at(steps, i), ctl_real(traffic, "requests_per_s") > 0, out);
    text_printf(out, "  %s  the end\n", ends_at[0] != '\0' ? ends_at : "never");
    if (ctl_real(traffic, "requests_per_s") <= 0)
        text_add_cstr(out, "Without traffic no guardrail notices anything.\n");
    return CTL_SHOWN;
}

/* ---- words -------------------------------------------------------------------------------------------------------------- */

static enum command_status run_rollout(struct call *call)
{
    static const char *const words[] = { "start", "pause", "resume", "approve", "promote", "rollback", "abort" };
    if (call->argument_count == 1)
        return show(call, NULL, ctl_print_rollout);
    const char *word = call->arguments[1];
    if (strcmp(word, "plan") == 0)
        return show(call, "plan", print_plan);
    if (strcmp(word, "wait") == 0)
        return run_wait(call);
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
               "at the traffic of the last one to two minutes.\n\n"
               "A word takes effect when it is answered: after `rollback` nobody meets the canary any more.\n\n"
               "`wait` ends with 0 when the rollout is in that state, with 3 when it came to another end,\n"
               "with 4 when --timeout is over, with 5 when there is no such rollout, with 2 for a wrong\n"
               "command line, and with 1 when weir could not be asked. Once it has answered, it may be away\n"
               "for a minute, as while it is restarted.\n\n"
               "  weir ctl rollout checkout start --reason 'release 2.4.1'\n"
               "  weir ctl rollout checkout wait --for succeeded --timeout 1h\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run_rollout,
};
