/* admin/split.c - PUT and DELETE of a route's weights: design.md, "Who owns the weights".
 *
 * Everything is checked before the audit line, and that is written before the weights are. The reply is held until every
 * worker uses them: who sends a request after it meets the new split. */
#include "admin/dispatch.h"
#include "admin/routes.h"
#include "base/divisor.h"

/* By their greatest common divisor: 50/50 and 1/1 are one split, and the smaller numbers make the shorter block, whose end is
   where the shares are exact. False with a 400 when the sum is 0 or too large for a block. */
static bool weights_reduce(struct admin_call *call, uint32_t *weights, size_t count)
{
    uint64_t sum = 0;
    uint32_t divisor = 0;
    for (size_t i = 0; i < count; i++) {
        sum += weights[i];
        divisor = common_divisor(divisor, weights[i]);
    }
    if (sum == 0) {
        reply_error(call->reply, 400, "bad_weights", "the weights add up to 0");
        return false;
    }
    if (sum / divisor > SPLIT_SUM_MAX) {
        reply_error(call->reply, 400, "bad_weights", "the weights, reduced, add up to %llu, which is more than %u",
                    (unsigned long long)(sum / divisor), SPLIT_SUM_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        weights[i] /= divisor;
    return true;
}

static bool entry_read(struct admin_call *call, const struct route_config *route, const struct json *value,
                       struct slice name, uint32_t *weights, bool *seen)
{
    uint64_t weight;
    size_t i = 0;
    while (i < route->split_count && !slice_equal(route->split[i].upstream, name))
        i++;
    if (i == route->split_count) {
        reply_error(call->reply, 400, "bad_weights", "the split of route \"%.*s\" has no upstream \"%.*s\"",
                    SLICE_ARG(route->name), SLICE_ARG(name));
        return false;
    }
    if (!json_as_u64(value, &weight) || weight > UINT32_MAX) {
        reply_error(call->reply, 400, "bad_weights", "the weight of \"%.*s\" is not a whole number of 0 or more",
                    SLICE_ARG(name));
        return false;
    }
    weights[i] = (uint32_t)weight;
    seen[i] = true;
    return true;
}

/* Every upstream of the split is named: who leaves one out has a different split in mind. */
static bool entries_read(struct admin_call *call, const struct route_config *route, uint32_t *weights)
{
    bool *seen = arena_zalloc_array(call->arena, route->split_count, sizeof *seen);
    const struct json *given = json_get(call->body, "weights"), *value;
    void *cursor = NULL;
    struct slice name;
    if (json_kind(given) != JSON_KIND_OBJECT) {
        reply_error(call->reply, 400, "bad_weights",
                    "\"weights\" is missing: an object of upstreams and their weights");
        return false;
    }
    while ((value = json_next(given, &cursor, &name)) != NULL)
        if (!entry_read(call, route, value, name, weights, seen))
            return false;
    for (size_t i = 0; i < route->split_count; i++)
        if (!seen[i]) {
            reply_error(call->reply, 400, "bad_weights", "the split has an upstream \"%.*s\" that got no weight",
                        SLICE_ARG(route->split[i].upstream));
            return false;
        }
    return true;
}

/* Whoever sets the weights of a pair that is being released would undo what its guardrails rely on. */
static bool is_owned(struct admin_call *call, const struct compiled_route *route)
{
    struct slice rollout;
    if (!call->control->rollout_owner(call->control->arg, route->config->name, &rollout))
        return false;
    reply_error(call->reply, 409, "owned_by_rollout", "rollout \"%.*s\" owns weights of route \"%.*s\"",
                SLICE_ARG(rollout), SLICE_ARG(route->config->name));
    return true;
}

static const struct compiled_route *split_required(struct admin_call *call)
{
    const struct compiled_route *route = route_required(call);
    if (route != NULL && is_owned(call, route))
        return NULL;
    if (route != NULL && route->config->action != ROUTE_FORWARD) {
        reply_error(call->reply, 400, "no_split", "route \"%.*s\" has no split", SLICE_ARG(route->config->name));
        return NULL;
    }
    return route;
}

/* For the audit log: what it was and what it becomes. */
static struct json *detail_create(const struct admin_control *control, const struct compiled_route *route,
                                  const uint32_t *weights)
{
    const uint32_t *before = weights_of(control->weights(control->arg), route);
    struct json *detail = json_create_object();
    struct json *from = json_put_object(detail, "from"), *to = json_put_object(detail, "to");
    for (size_t i = 0; i < route->config->split_count; i++) {
        json_put_named_u64(from, route->config->split[i].upstream, before[i]);
        json_put_named_u64(to, route->config->split[i].upstream, weights[i]);
    }
    return detail;
}

/* Audit, effect, reply. own_weights NULL: those of the file. */
static void weights_apply(struct admin_call *call, const struct compiled_route *route, const char *action,
                          const uint32_t *own_weights)
{
    const struct admin_control *control = call->control;
    const uint32_t *weights = own_weights != NULL ? own_weights : route->file_weights;
    struct json *detail = detail_create(control, route, weights);
    bool is_audited = call_audit(call, action, route->config->name, detail);
    json_destroy(detail);
    if (!is_audited)
        return;
    struct text error = { 0 };
    if (control->set_weights(control->arg, route, own_weights, &call->actor, call->reason, &error)) {
        reply_route(call, route);
        call->reply->is_held = true;
    } else {
        reply_error(call->reply, 503, "store_unavailable", "the weights could not be stored: %s", error.bytes);
    }
    text_fini(&error);
}

void api_split_put(struct admin_call *call)
{
    const struct compiled_route *route = split_required(call);
    if (route == NULL)
        return;
    uint32_t *weights = arena_zalloc_array(call->arena, route->config->split_count, sizeof *weights);
    if (entries_read(call, route->config, weights) && weights_reduce(call, weights, route->config->split_count))
        weights_apply(call, route, "split.set", weights);
}

void api_split_delete(struct admin_call *call)
{
    const struct compiled_route *route = split_required(call);
    if (route == NULL)
        return;
    if (override_of(call->control, route->config->name) == NULL)
        reply_route(call, route); /* nothing to do is no change: no audit line */
    else
        weights_apply(call, route, "split.reset", NULL);
}
