/* cli/ctl_rollout_show.c - where releases stand, for people who were woken up: what is next, why it is so, and what was seen. */
#include "cli/ctl.h"

#include "base/clock.h"
#include "base/units.h"
#include "rollout/plan.h"

#include <string.h>

#define LABEL_WIDTH 14

static enum paint paint_of_verdict(const char *verdict)
{
    if (strcmp(verdict, "breach") == 0)
        return PAINT_RED;
    if (strcmp(verdict, "healthy") == 0 || strcmp(verdict, "not_worse") == 0)
        return PAINT_GREEN;
    return PAINT_YELLOW;
}

static const char *span_text(struct call *call, int64_t us)
{
    char span[UNITS_SPAN_BYTES];
    units_say_span(us, span);
    return arena_copy(&call->arena, slice_from_cstr(span)).ptr;
}

const char *ctl_time_text(struct call *call, int64_t ms)
{
    return span_text(call, ms < INT64_MAX / 1000 ? ms * 1000 : INT64_MAX);
}

const char *ctl_say_cause(struct call *call, const char *reason)
{
    struct slice text = slice_from_cstr(reason);
    size_t colon = slice_find(text, ':');
    const char *begin = plan_cause_say(slice_first(text, colon));
    if (begin != NULL)
        return arena_printf(&call->arena, "%s%s", begin, reason + colon).ptr;
    const char *last = strrchr(reason, ':');
    const char *end = last != NULL && last[1] == ' ' ? plan_cause_say(slice_from_cstr(last + 2)) : NULL;
    return end != NULL ? arena_printf(&call->arena, "%.*s: %s", (int)(last - reason), reason, end).ptr : reason;
}

static const char *percent_text(struct call *call, const struct json *object)
{
    return arena_printf(&call->arena, "%g%%", 100 * ctl_real(object, "weight")).ptr;
}

/* ---- what is next ----------------------------------------------------------------------------------------------------------- */

static bool is_in(struct call *call, const struct json *r, const char *state)
{
    return strcmp(ctl_text(call, r, "state"), state) == 0;
}

static const struct json *step_now(const struct json *r)
{
    int64_t step = ctl_integer(r, "step");
    return step > 0 ? json_at(json_get(r, "steps"), (size_t)step - 1) : NULL;
}

/* The first guardrail that nothing may go on for; NULL: none. */
static const struct json *holding_guardrail(struct call *call, const struct json *r)
{
    const struct json *guardrails = json_get(r, "guardrails");
    for (size_t i = 0; i < json_count(guardrails); i++) {
        const char *verdict = ctl_text(call, json_at(guardrails, i), "verdict");
        if (strcmp(verdict, "insufficient") == 0 || strcmp(verdict, "void") == 0 || strcmp(verdict, "unknown") == 0)
            return json_at(guardrails, i);
    }
    return NULL;
}

/* "outside of the windows, until 2026-11-30T02:00:00.000Z (in 4d 02h)"; NULL: it is open. */
static const char *closed_text(struct call *call, const struct json *r)
{
    const struct json *calendar = json_get(r, "calendar");
    struct wall_time opens;
    if (calendar == NULL || ctl_flag(calendar, "is_open"))
        return NULL;
    const char *why = ctl_text(call, calendar, "why"), *at = ctl_text(call, calendar, "opens_at");
    if (!wall_parse(at, strlen(at), &opens))
        return why;
    return arena_printf(&call->arena, "%s; opens at %s, in %s", why, at,
                        ctl_time_text(call, opens.unix_ms - clock_wall().unix_ms))
        .ptr;
}

/* What the weight does not rise for, beside a hold that is not over. */
static const char *obstacle(struct call *call, const struct json *r)
{
    const struct json *step = step_now(r), *guardrail = holding_guardrail(call, r);
    int64_t minimum = ctl_integer(step, "min_requests"), seen = ctl_integer(json_get(r, "requests"), "at_step");
    const char *closed = closed_text(call, r);
    if (ctl_flag(r, "is_store_down"))
        return "the store, which fails";
    if (closed != NULL)
        return closed;
    if (seen < minimum)
        return arena_printf(&call->arena, "requests: the canary had %lld of %lld", (long long)seen, (long long)minimum)
            .ptr;
    if (guardrail != NULL)
        return arena_printf(&call->arena, "%s, which is %s", ctl_text(call, guardrail, "name"),
                            ctl_text(call, guardrail, "verdict"))
            .ptr;
    return ctl_flag(step, "requires_proof") ? "proof that the canary is not worse" : "its next look";
}

static const char *list_text(struct call *call, const struct json *array)
{
    struct text out = { 0 };
    for (size_t i = 0; i < json_count(array); i++) {
        struct slice name = SLICE_NONE;
        json_as_string(json_at(array, i), &name);
        text_printf(&out, "%s%.*s", i > 0 ? ", " : "", SLICE_ARG(name));
    }
    const char *copy = arena_copy(&call->arena, text_slice(&out)).ptr;
    text_fini(&out);
    return copy;
}

static const char *approval_text(struct call *call, const struct json *r)
{
    const struct json *step = step_now(r), *given = json_get(r, "approvals");
    const char *from = list_text(call, json_get(step, "approvers")), *starter = ctl_text(call, r, "started_by");
    const char *but =
        ctl_flag(step, "allow_starter") ? "" : arena_printf(&call->arena, ", not %s who has started it", starter).ptr;
    return arena_printf(&call->arena,
                        "%lld more to approve (%zu of %lld have%s%s): %s%s; weir ctl rollout %s approve --reason TEXT",
                        (long long)ctl_integer(step, "approve") - (long long)json_count(given), json_count(given),
                        (long long)ctl_integer(step, "approve"), json_count(given) > 0 ? ": " : "",
                        list_text(call, given), from[0] != '\0' ? from : "whoever may", but, ctl_text(call, r, "name"))
        .ptr;
}

static const char *hold_text(struct call *call, const struct json *r)
{
    int64_t left_ms = ctl_integer(r, "hold_left_ms");
    const char *name = ctl_text(call, r, "name");
    if (left_ms > 0)
        return arena_printf(&call->arena, "the hold ends in %s; sooner by: weir ctl rollout %s promote --reason TEXT",
                            ctl_time_text(call, left_ms), name)
            .ptr;
    return arena_printf(&call->arena, "the hold is over; it waits for %s", obstacle(call, r)).ptr;
}

/* What happens next, by itself or by whom. */
static const char *next_text(struct call *call, const struct json *r)
{
    const char *name = ctl_text(call, r, "name"), *left = ctl_time_text(call, ctl_integer(r, "hold_left_ms"));
    if (is_in(call, r, "pending"))
        return arena_printf(&call->arena, "weir ctl rollout %s start --reason TEXT (first: weir ctl rollout %s plan)",
                            name, name)
            .ptr;
    if (is_in(call, r, "running"))
        return arena_printf(&call->arena, "the next step waits for %s", obstacle(call, r)).ptr;
    if (is_in(call, r, "holding"))
        return hold_text(call, r);
    if (is_in(call, r, "awaiting_approval"))
        return approval_text(call, r);
    if (is_in(call, r, "awaiting_webhook"))
        return arena_printf(&call->arena, "the webhook has to say yes within %s, or the release fails", left).ptr;
    if (is_in(call, r, "paused"))
        return arena_printf(&call->arena, "weir ctl rollout %s resume --reason TEXT, with %s left, or rollback", name,
                            left)
            .ptr;
    if (is_in(call, r, "baking"))
        return arena_printf(&call->arena, "it has succeeded in %s; until then the guardrails may take it back", left)
            .ptr;
    if (is_in(call, r, "rolling_back"))
        return "weight 0 is not in force in every worker yet";
    if (is_in(call, r, "succeeded"))
        return "nothing; the next release has a new revision in the configuration";
    return arena_printf(&call->arena,
                        "a new revision in the configuration, then: weir ctl rollout %s start --reason TEXT", name)
        .ptr;
}

/* "4m 50s, gate: 503" */
static const char *gate_word(struct call *call, const struct json *r, const char *left)
{
    const struct json *gate = json_get(r, "gate");
    int64_t status = ctl_integer(gate, "status");
    if (ctl_text(call, gate, "error")[0] != '\0')
        return arena_printf(&call->arena, "%s, gate fails", left).ptr;
    return status != 0 ? arena_printf(&call->arena, "%s, gate: %lld", left, (long long)status).ptr : left;
}

/* The same in a few words, for the table. */
static const char *waits_text(struct call *call, const struct json *r)
{
    const struct json *step = step_now(r);
    int64_t left_ms = ctl_integer(r, "hold_left_ms");
    if (is_in(call, r, "pending"))
        return "start";
    if (is_in(call, r, "running"))
        return closed_text(call, r) != NULL ? "window" : "guardrails";
    if (is_in(call, r, "holding") && left_ms == 0)
        return ctl_integer(json_get(r, "requests"), "at_step") < ctl_integer(step, "min_requests") ? "requests"
                                                                                                   : "guardrails";
    if (is_in(call, r, "awaiting_approval"))
        return arena_printf(&call->arena, "%lld to approve",
                            (long long)ctl_integer(step, "approve") - (long long)json_count(json_get(r, "approvals")))
            .ptr;
    if (is_in(call, r, "paused"))
        return "resume";
    if (is_in(call, r, "awaiting_webhook"))
        return gate_word(call, r, ctl_time_text(call, left_ms));
    if (is_in(call, r, "holding") || is_in(call, r, "baking"))
        return ctl_time_text(call, left_ms);
    return is_in(call, r, "succeeded") || is_in(call, r, "rolling_back") ? "" : "revision";
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
    table_add(t, paint_of_rollout(state), "%s", state);
    table_add(t, PAINT_NONE, "%lld of %zu", (long long)ctl_integer(rollout, "step"),
              json_count(json_get(rollout, "steps")));
    table_add(t, PAINT_NONE, "%s", percent_text(call, rollout));
    table_add(t, PAINT_NONE, "%s", ctl_text(call, rollout, "canary"));
    table_add(t, PAINT_NONE, "%s", waits_text(call, rollout));
    if (guardrail != NULL && strcmp(state, "pending") != 0)
        table_add(t, paint_of_verdict(ctl_text(call, guardrail, "verdict")), "%s %.0f%%",
                  ctl_text(call, guardrail, "name"), 100 * ctl_real(guardrail, "progress"));
    else
        table_add(t, PAINT_NONE, "%s", "");
}

enum ctl_verdict ctl_print_rollouts(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    static const struct table_column columns[] = { { "rollout", ALIGN_LEFT }, { "revision", ALIGN_LEFT },
                                                   { "state", ALIGN_LEFT },   { "step", ALIGN_RIGHT },
                                                   { "weight", ALIGN_RIGHT }, { "canary", ALIGN_LEFT },
                                                   { "waits", ALIGN_LEFT },   { "nearest guardrail", ALIGN_LEFT } };
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
    return ctl_show(call, &request, ctl_print_rollouts);
}

const struct command ctl_rollouts = {
    .name = "rollouts",
    .synopsis = "",
    .summary = "every rollout: state, step, weight, what it waits for, and the guardrail nearest to a breach",
    .run = run_rollouts,
};

/* ---- one of them -------------------------------------------------------------------------------------------------------- */

/* "  next        words that go on below themselves". */
static void add_labelled(bool coloured, const char *label, enum paint paint, const char *words, struct text *out)
{
    struct text padded = { 0 };
    text_printf(&padded, "  %-*s", LABEL_WIDTH - 2, label);
    terminal_add(out, coloured, PAINT_DIM, text_slice(&padded));
    terminal_add_wrapped(out, coloured, paint, LABEL_WIDTH, CTL_WIDTH, slice_from_cstr(words));
    text_add_char(out, '\n');
    text_fini(&padded);
}

static const char *step_text(struct call *call, const struct json *step)
{
    const char *webhook = ctl_text(call, step, "webhook"), *hold = "", *minimum = "";
    if (webhook[0] != '\0')
        return arena_printf(&call->arena, "webhook %s", webhook).ptr;
    if (json_get(step, "weight") == NULL)
        return arena_printf(&call->arena, "approval by %lld", (long long)ctl_integer(step, "approve")).ptr;
    if (ctl_integer(step, "hold_ms") > 0)
        hold = arena_printf(&call->arena, ", hold %s", ctl_time_text(call, ctl_integer(step, "hold_ms"))).ptr;
    if (ctl_integer(step, "min_requests") > 0)
        minimum = arena_printf(&call->arena, ", %lld requests", (long long)ctl_integer(step, "min_requests")).ptr;
    return arena_printf(&call->arena, "%s%s%s%s", percent_text(call, step), hold, minimum,
                        ctl_flag(step, "requires_proof") ? ", proof that it is not worse" : "")
        .ptr;
}

static void add_steps(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *steps = json_get(r, "steps");
    int64_t now = ctl_integer(r, "step");
    for (size_t i = 0; i < json_count(steps); i++) {
        bool is_now = (int64_t)i + 1 == now;
        const char *line =
            arena_printf(&call->arena, "%s%zu  %s", is_now ? "> " : "  ", i + 1, step_text(call, json_at(steps, i)))
                .ptr;
        add_labelled(coloured, i == 0 ? "steps" : "", is_now ? PAINT_BOLD : PAINT_DIM, line, out);
    }
}

#define VERDICT_WIDTH 20 /* "insufficient 100%  " */

/* The reason begins with the guardrail's name. Before the start there is none. */
static void add_guardrail(struct call *call, const struct json *guardrail, bool coloured, struct text *out)
{
    const char *verdict = ctl_text(call, guardrail, "verdict"), *reason = ctl_text(call, guardrail, "reason");
    struct text padded = { 0 };
    if (reason[0] == '\0') {
        terminal_add(out, coloured, PAINT_DIM, slice_from_cstr(ctl_text(call, guardrail, "name")));
        text_add_cstr(out, ", not watched yet\n");
        return;
    }
    text_printf(&padded, "%-13s", verdict);
    terminal_add(out, coloured, paint_of_verdict(verdict), text_slice(&padded));
    text_printf(out, "%4.0f%%  ", 100 * ctl_real(guardrail, "progress"));
    terminal_add_wrapped(out, coloured, PAINT_NONE, LABEL_WIDTH + VERDICT_WIDTH, CTL_WIDTH, slice_from_cstr(reason));
    text_add_char(out, '\n');
    text_fini(&padded);
}

static void add_guardrails(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *guardrails = json_get(r, "guardrails");
    for (size_t i = 0; i < json_count(guardrails); i++) {
        struct text label = { 0 };
        text_printf(&label, "  %-*s", LABEL_WIDTH - 2, i == 0 ? "guardrails" : "");
        terminal_add(out, coloured, PAINT_DIM, text_slice(&label));
        add_guardrail(call, json_at(guardrails, i), coloured, out);
        text_fini(&label);
    }
}

static void add_heading(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const char *state = ctl_text(call, r, "state"), *revision = ctl_text(call, r, "revision");
    terminal_add(out, coloured, PAINT_BOLD, slice_from_cstr(ctl_text(call, r, "name")));
    text_add_cstr(out, revision[0] != '\0' ? " " : "");
    terminal_add(out, coloured, PAINT_NONE, slice_from_cstr(revision));
    text_add_cstr(out, ": ");
    terminal_add(out, coloured, paint_of_rollout(state), slice_from_cstr(state));
    bool is_in_force = true; /* unless it says otherwise */
    json_as_bool(json_get(r, "is_in_force"), &is_in_force);
    text_printf(out, ", %s has %s of what it shares with %s%s\n", ctl_text(call, r, "canary"), percent_text(call, r),
                ctl_text(call, r, "stable"), is_in_force ? "" : ", not in every worker yet");
}

static const char *ago_text(struct call *call, const char *at)
{
    struct wall_time t;
    if (!wall_parse(at, strlen(at), &t))
        return at;
    int64_t ms = clock_wall().unix_ms - t.unix_ms;
    return arena_printf(&call->arena, "%s, %s ago", at, ctl_time_text(call, ms > 0 ? ms : 0)).ptr;
}

static void add_breach(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *breach = json_get(r, "breach");
    double zero_ms;
    if (json_kind(breach) != JSON_KIND_OBJECT)
        return;
    const char *zero = "";
    if (json_as_real(json_get(breach, "zero_exposure_ms"), &zero_ms))
        zero =
            arena_printf(&call->arena, "; nobody met the canary %s later", span_text(call, (int64_t)(zero_ms * 1000)))
                .ptr;
    add_labelled(coloured, "breach", PAINT_RED,
                 arena_printf(&call->arena, "at %s%s", ago_text(call, ctl_text(call, breach, "at")), zero).ptr, out);
    add_labelled(coloured, "", PAINT_NONE, ctl_text(call, breach, "reason"), out);
}

/* What the webhook of a step said, and when it is asked again. */
static const char *gate_text(struct call *call, const struct json *gate)
{
    const char *error = ctl_text(call, gate, "error"), *at = ctl_text(call, gate, "answered_at"),
               *said = "no answer yet";
    int64_t status = ctl_integer(gate, "status"), next_ms;
    if (error[0] != '\0')
        said = arena_printf(&call->arena, "%s, at %s", error, ago_text(call, at)).ptr;
    else if (status != 0)
        said = arena_printf(&call->arena, "status %lld, at %s", (long long)status, ago_text(call, at)).ptr;
    const char *next = ctl_flag(gate, "is_asked_now") ? "; it is being asked" : "";
    if (json_as_i64(json_get(gate, "next_ask_ms"), &next_ms))
        next = arena_printf(&call->arena, "; asked again in %s", ctl_time_text(call, next_ms)).ptr;
    return arena_printf(&call->arena, "step %lld, asked %lld time%s: %s%s", (long long)ctl_integer(gate, "step"),
                        (long long)ctl_integer(gate, "asked"), ctl_integer(gate, "asked") == 1 ? "" : "s", said, next)
        .ptr;
}

/* Also while something nearer keeps the weight from rising: what comes behind it. */
static void add_notes(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *requests = json_get(r, "requests");
    const char *closed = closed_text(call, r), *void_reason = ctl_text(call, r, "void");
    const char *counts =
        arena_printf(&call->arena, "%lld stable, %lld canary; %lld of these at this step",
                     (long long)ctl_integer(requests, "stable"), (long long)ctl_integer(requests, "canary"),
                     (long long)ctl_integer(requests, "at_step"))
            .ptr;
    add_labelled(coloured, "requests", PAINT_NONE, counts, out);
    if (json_kind(json_get(r, "gate")) == JSON_KIND_OBJECT)
        add_labelled(coloured, "gate",
                     ctl_integer(json_get(r, "gate"), "failures_in_a_row") > 0 ? PAINT_YELLOW : PAINT_NONE,
                     gate_text(call, json_get(r, "gate")), out);
    if (closed != NULL && !is_in(call, r, "running"))
        add_labelled(coloured, "calendar", PAINT_YELLOW,
                     arena_printf(&call->arena, "no weight rises now: %s", closed).ptr, out);
    if (void_reason[0] != '\0')
        add_labelled(coloured, "void", PAINT_YELLOW, void_reason, out);
    if (ctl_flag(r, "is_store_down"))
        add_labelled(coloured, "store", PAINT_RED, "it fails: nothing is promoted", out);
    if (ctl_flag(r, "stable_is_short"))
        add_labelled(coloured, "stable", PAINT_RED,
                     arena_printf(&call->arena, "it may not be able to take the load of a way back: %s",
                                  ctl_text(call, r, "stable_is_short_because"))
                         .ptr,
                     out);
}

/* Newest first: who or what brought it here. */
static void add_history(struct call *call, const struct json *r, bool coloured, struct text *out)
{
    const struct json *history = json_get(r, "history");
    for (size_t i = 0; i < json_count(history); i++) {
        const struct json *t = json_at(history, i);
        const char *from = ctl_text(call, t, "from"), *to = ctl_text(call, t, "to"), *who = ctl_text(call, t, "who");
        const char *reason = ctl_text(call, t, "reason"); /* a person's own words stay as they are */
        const char *line = arena_printf(&call->arena, "%s %s%s%s by %s: %s", ctl_text(call, t, "at"),
                                        strcmp(from, to) != 0 ? from : "", strcmp(from, to) != 0 ? " -> " : "", to, who,
                                        strcmp(who, "weir") == 0 ? ctl_say_cause(call, reason) : reason)
                               .ptr;
        add_labelled(coloured, i == 0 ? "history" : "", PAINT_NONE, line, out);
    }
}

enum ctl_verdict ctl_print_rollout(struct call *call, const struct json *answer, bool coloured, struct text *out)
{
    const struct json *r = json_get(answer, "rollout");
    if (json_kind(r) != JSON_KIND_OBJECT)
        return CTL_UNKNOWN;
    add_heading(call, r, coloured, out);
    add_labelled(coloured, "next", PAINT_BOLD, next_text(call, r), out);
    add_breach(call, r, coloured, out);
    add_steps(call, r, coloured, out);
    add_guardrails(call, r, coloured, out);
    add_notes(call, r, coloured, out);
    add_history(call, r, coloured, out);
    return CTL_SHOWN;
}
