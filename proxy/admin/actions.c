/* admin/actions.c - POST /api/v1/reload and /api/v1/drain. */
#include "admin/actions.h"

#include "admin/dispatch.h"

/* Held: when the reply is out, a request to any worker meets the new configuration. */
void reply_reload(struct admin_call *call, const struct reload_outcome *outcome)
{
    if (outcome->result == RELOAD_REJECTED) {
        reply_problems(call->reply, 422, "config_rejected", "the configuration does not validate; nothing was changed",
                       outcome->problems, outcome->problem_count);
        return;
    }
    struct json *root = json_create_object();
    json_put_cstr(root, "result", reload_result_names[outcome->result]);
    json_put_u64(root, "generation", outcome->generation);
    struct json *problems = json_put_array(root, "problems");
    for (size_t i = 0; i < outcome->problem_count; i++)
        json_push_string(problems, outcome->problems[i]);
    reply_json(call->reply, 200, root);
    call->reply->is_held = true;
}

void api_reload(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    if (call_audit(call, "reload", control->snapshot(control->arg)->config->file, NULL))
        reply_reload(call, control->reload(control->arg, SLICE("api"), call->actor.who));
}

void api_drain(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    if (!call_audit(call, "drain", SLICE("process"), NULL))
        return;
    control->drain(control->arg, &call->actor);
    struct json *root = json_create_object();
    json_put_cstr(root, "state", "draining");
    reply_json(call->reply, 202, root);
}
