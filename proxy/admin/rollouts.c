/* admin/rollouts.c - rollouts: where they stand, and what people say to them.
 *
 * Words are recorded by the rollout itself, with the transition that they make, in one transaction (server/rollouts.h). Replies to
 * words are held until every worker uses the weights that they led to, and tell how it stands then: who reads "rolled_back" may
 * rely on nobody meeting the canary any more. */
#include "admin/dispatch.h"

void api_rollouts(struct admin_call *call)
{
    struct json *root = json_create_object();
    call->control->rollouts(call->control->arg, json_put_array(root, "rollouts"));
    reply_json(call->reply, 200, root);
}

/* Takes over root. */
static void reply_found(struct admin_call *call, struct json *root, bool is_found)
{
    if (is_found) {
        reply_json(call->reply, 200, root);
        return;
    }
    json_destroy(root);
    reply_no_rollout(call);
}

static void reply_rollout(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    struct json *root = json_create_object();
    reply_found(call, root, control->rollout(control->arg, call->params[0], json_put_object(root, "rollout")));
}

void api_rollout_plan(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    struct json *root = json_create_object();
    reply_found(call, root, control->rollout_plan(control->arg, call->params[0], json_put_object(root, "plan")));
}

void api_rollout(struct admin_call *call)
{
    reply_rollout(call);
}

/* A rollout that a reload took away meanwhile is told of as it was. */
static bool renew(const struct admin_control *control, struct slice name, struct admin_reply *reply)
{
    struct json *root = json_create_object(), *rollout = json_put_object(root, "rollout");
    bool is_in_force = false;
    if (!control->rollout(control->arg, name, rollout)) {
        json_destroy(root);
        return true;
    }
    json_as_bool(json_get(rollout, "is_in_force"), &is_in_force);
    reply_json(reply, 200, root);
    return is_in_force;
}

static void say(struct admin_call *call, const char *action)
{
    const struct admin_control *control = call->control;
    struct text error = { 0 };
    enum rollout_reply done =
        control->rollout_act(control->arg, call->params[0], action, &call->actor, call->reason, &error);
    if (done == ROLLOUT_REPLY_DONE) {
        reply_rollout(call);
        call->reply->is_held = true;
        call->reply->renew = renew;
        call->reply->subject = call->params[0];
    } else {
        reply_not_done(call, done, &error);
    }
    text_fini(&error);
}

void api_rollout_start(struct admin_call *call)
{
    say(call, "start");
}

void api_rollout_approve(struct admin_call *call)
{
    say(call, "approve");
}

void api_rollout_promote(struct admin_call *call)
{
    say(call, "promote");
}

void api_rollout_pause(struct admin_call *call)
{
    say(call, "pause");
}

void api_rollout_resume(struct admin_call *call)
{
    say(call, "resume");
}

void api_rollout_rollback(struct admin_call *call)
{
    say(call, "rollback");
}

void api_rollout_abort(struct admin_call *call)
{
    say(call, "abort");
}
