/* admin/drills.c - drills: rehearsals of failing releases, asked for and looked up. */
#include "store/drills.h"

#include "admin/dispatch.h"

static void put_row(struct json *object, const struct drill_row *row)
{
    json_put_string(object, "id", row->id);
    json_put_string(object, "rollout", row->rollout);
    json_put_string(object, "revision", row->revision);
    json_put_string(object, "who", row->who);
    json_put_string(object, "reason", row->reason);
    json_put_string(object, "state", row->state);
    json_put_time(object, "begun_at", row->begun_at);
    json_put_time(object, "ended_at", row->ended_at);
    put_document(object, "detail", row->detail);
}

/* False with a 400. */
static bool read_filter(struct admin_call *call, struct drill_filter *filter)
{
    static const char *const states[] = { "running", "passed", "failed", "aborted", "interrupted" };
    *filter = (struct drill_filter){ 0 };
    call_argument(call, "rollout", &filter->rollout);
    call_argument(call, "before", &filter->before);
    if (!call_argument(call, "state", &filter->state))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        if (slice_equal(filter->state, slice_from_cstr(states[i])))
            return true;
    reply_error(call->reply, 400, "bad_argument", "state is running, passed, failed, aborted or interrupted");
    return false;
}

void api_drills(struct admin_call *call)
{
    uint64_t limit;
    struct drill_filter filter;
    struct drill_row *rows;
    size_t count;
    if (!call_limit(call, &limit) || !read_filter(call, &filter))
        return;
    if (!drills_list(call->control->store, call->arena, &filter, limit, &rows, &count)) {
        reply_unreadable(call, "drills");
        return;
    }
    struct json *root = json_create_object();
    struct json *list = json_put_array(root, "drills");
    for (size_t i = 0; i < count; i++)
        put_row(json_push_object(list), &rows[i]);
    reply_json(call->reply, 200, root);
}

/* What is under way is known better by who does it than by the store. */
static void reply_drill(struct admin_call *call, uint16_t status)
{
    const struct admin_control *control = call->control;
    struct drill_row running, *rows = &running;
    size_t count = 1;
    const struct drill_filter filter = { .rollout = call->params[0] };
    if (!control->drill(control->arg, call->params[0], call->arena, &running) &&
        !drills_list(control->store, call->arena, &filter, 1, &rows, &count)) {
        reply_unreadable(call, "drills");
    } else if (count == 0) {
        reply_error(call->reply, 404, "no_drill", "there was no drill of a rollout \"%.*s\"",
                    SLICE_ARG(call->params[0]));
    } else {
        struct json *root = json_create_object();
        put_row(json_put_object(root, "drill"), &rows[0]);
        reply_json(call->reply, status, root);
    }
}

void api_drill(struct admin_call *call)
{
    reply_drill(call, 200);
}

/* ---- asked for ------------------------------------------------------------------------------------------------------------ */

/* False with a 400: the member is there, and no such number. */
static bool take_number(struct admin_call *call, const char *key, int64_t low, int64_t high, int64_t *out)
{
    const struct json *value = json_get(call->body, key);
    int64_t number;
    if (value == NULL)
        return true;
    if (!json_as_i64(value, &number) || number < low || number > high) {
        reply_error(call->reply, 400, "bad_number", "\"%s\" is a whole number from %lld to %lld", key, (long long)low,
                    (long long)high);
        return false;
    }
    *out = number;
    return true;
}

static bool take_text(struct admin_call *call, const char *key, struct slice *out)
{
    const struct json *value = json_get(call->body, key);
    if (value == NULL || json_as_string(value, out))
        return true;
    reply_error(call->reply, 400, "bad_text", "\"%s\" is a string", key);
    return false;
}

static bool take_flag(struct admin_call *call, const char *key, bool *out)
{
    const struct json *value = json_get(call->body, key);
    if (value == NULL || json_as_bool(value, out))
        return true;
    reply_error(call->reply, 400, "bad_flag", "\"%s\" is true or false", key);
    return false;
}

static bool read_asked(struct admin_call *call, struct drill_asked *asked)
{
    int64_t step = 0, weight_ppm = 0, rate = 50, share_ppm = 1000000;
    *asked = (struct drill_asked){ .timeout_ms = 30000 };
    if (!take_text(call, "guardrail", &asked->guardrail) || !take_text(call, "fault", &asked->fault) ||
        !take_flag(call, "live", &asked->is_live) || !take_flag(call, "all_steps", &asked->is_all_steps) ||
        !take_number(call, "step", 1, 64, &step) || !take_number(call, "weight_ppm", 1, 1000000, &weight_ppm) ||
        !take_number(call, "rate", 1, 500, &rate) || !take_number(call, "share_ppm", 1, 1000000, &share_ppm) ||
        !take_number(call, "delay_ms", 1, 300000, &asked->delay_ms) ||
        !take_number(call, "timeout_ms", 1000, 600000, &asked->timeout_ms))
        return false;
    asked->step = (uint32_t)step;
    asked->weight_ppm = (uint32_t)weight_ppm;
    asked->rate = (uint32_t)rate;
    asked->share_ppm = (uint32_t)share_ppm;
    return true;
}

/* Real users meet it: not by those who may only do what harms nobody. */
static bool may_be_live(struct admin_call *call, const struct drill_asked *asked)
{
    if (!asked->is_live || auth_allows(&call->actor, ROLE_APPROVER))
        return true;
    reply_error(call->reply, 403, "forbidden", "%.*s is %s; a live drill needs %s", SLICE_ARG(call->actor.who),
                role_names[call->actor.role], role_names[ROLE_APPROVER]);
    return false;
}

void api_drill_start(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    struct drill_asked asked;
    struct text error = { 0 };
    if (!read_asked(call, &asked) || !may_be_live(call, &asked))
        return;
    enum rollout_reply begun =
        control->drill_start(control->arg, call->params[0], &asked, &call->actor, call->reason, &error);
    if (begun == ROLLOUT_REPLY_DONE)
        reply_drill(call, 202);
    else
        reply_not_done(call, begun, &error);
    text_fini(&error);
}

void api_drill_abort(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    struct text error = { 0 };
    enum rollout_reply done = control->drill_stop(control->arg, call->params[0], &call->actor, call->reason, &error);
    if (done == ROLLOUT_REPLY_DONE)
        reply_drill(call, 202);
    else
        reply_not_done(call, done, &error);
    text_fini(&error);
}
