/* admin/shadow.c - GET /api/v1/shadow/{route}: what comparing a route's shadows has found, and the newest pairs that differ. */
#include "admin/dispatch.h"
#include "admin/routes.h"

/* A route that compares nothing is no error: its list is empty. */
static void reply_shadows(struct admin_call *call, enum comparer_part part)
{
    const struct admin_control *control = call->control;
    const struct compiled_route *route = route_required(call);
    if (route == NULL)
        return;
    struct json *root = json_create_object();
    json_put_string(root, "route", route->config->name);
    json_put_u64(root, "compares_dropped", stats_sum(control->stats, STATS_COMPARES_DROPPED));
    control->shadows(control->arg, route->config->name, part, json_put_array(root, "shadows"));
    reply_json(call->reply, 200, root);
}

void api_shadow(struct admin_call *call)
{
    reply_shadows(call, COMPARER_FINDINGS);
}

void api_shadow_diffs(struct admin_call *call)
{
    reply_shadows(call, COMPARER_DIFFS);
}
