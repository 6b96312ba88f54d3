/* admin/slos.c - GET /api/v1/slos: how fast the budgets of objectives burn, and what is left of them. */
#include "admin/dispatch.h"

void api_slos(struct admin_call *call)
{
    struct json *root = json_create_object();
    call->control->slos(call->control->arg, json_put_array(root, "slos"));
    reply_json(call->reply, 200, root);
}
