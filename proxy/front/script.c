/* front/script.c - a request in the hands of its route's script: the hooks, and what comes of what they say. */
#include "front/script.h"

#include "http/validate.h"
#include "lua/script_host.h"

static enum stats_script_result stats_result(enum vm_result result)
{
    switch (result) {
    case VM_OK:
        return STATS_SCRIPT_OK;
    case VM_TIMEOUT:
        return STATS_SCRIPT_TIMEOUT;
    case VM_MEMORY:
        return STATS_SCRIPT_MEMORY;
    case VM_SUSPENDED: /* nothing in our API waits */
    case VM_ERROR:
        break;
    }
    return STATS_SCRIPT_ERROR;
}

/* Runs the hook if the script has it. */
static enum reason call_hook(struct request *r, enum script_hook hook)
{
    const struct script_config *config = &request_route(r)->script;
    const struct script_set *set = request_config(r)->scripts;
    uint32_t script = set->of_route[r->decision.route->index];
    if (!set->scripts[script].has_hook[hook])
        return REASON_NONE;
    struct mono_time begun = clock_mono();
    enum vm_result result = script_host_call(r->binding->scripts, script, hook, config->budget_ms * 1000, r->script);
    int64_t duration_us = mono_diff_us(clock_mono(), begun);
    stats_script_add(r->front->stats, series_of_hook(r->binding->snapshot->series, script, hook), stats_result(result),
                     (uint64_t)duration_us);
    return result != VM_OK && config->on_error == SCRIPT_FAIL ? REASON_SCRIPT_ERROR : REASON_NONE;
}

enum reason script_on_request(struct request *r)
{
    struct script_call *call = arena_zalloc(&r->arena, sizeof *call);
    *call = (struct script_call){ .arena = &r->arena,
                                  .request = &r->message,
                                  .view = &r->view,
                                  .scheme = r->client->listener->scheme,
                                  .is_tls = r->client->listener->tls != NULL,
                                  .has_encoded_slash = &r->has_encoded_slash,
                                  .upstream_index = CONFIG_NONE };
    r->script = call;
    hop_by_hop_drop(&r->message); /* before: Connection must not name away what the script sets */
    enum reason reason = call_hook(r, SCRIPT_ON_REQUEST);
    if (reason != REASON_NONE || call->answer != NULL)
        route_decide_answer(&r->decision);
    else if (call->upstream_index != CONFIG_NONE)
        route_decide_target(&r->decision, call->upstream_index);
    return reason;
}

enum reason script_on_response(struct request *r, struct message *response)
{
    r->script->response = response;
    enum reason reason = call_hook(r, SCRIPT_ON_RESPONSE);
    r->script->response = NULL;
    return reason;
}

void script_forget(struct request *r)
{
    script_host_forget(r->binding->scripts, TAKE(&r->script));
}
