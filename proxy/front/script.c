/* front/script.c - a request in the hands of its route's script: the hooks, and what comes of what they say. */
#include "front/script.h"

#include "front/fetch.h"
#include "front/forward.h"
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
    case VM_SUSPENDED: /* are no results */
    case VM_PAUSED:
    case VM_ERROR:
        break;
    }
    return STATS_SCRIPT_ERROR;
}

static uint32_t script_of(const struct request *r)
{
    return request_config(r)->scripts->of_route[r->decision.route->index];
}

static bool has_hook(const struct request *r, enum script_hook hook)
{
    return request_config(r)->scripts->scripts[script_of(r)].has_hook[hook];
}

static void count_call(const struct request *r, enum script_hook hook, enum vm_result result, int64_t ran_us)
{
    stats_script_add(r->front->stats, series_of_hook(r->binding->snapshot->series, script_of(r), hook),
                     stats_result(result), (uint64_t)ran_us);
}

/* ---- waiting: for an answer, or for others to go first ---------------------------------------------------------------------- */

/* In the request's arena; made when its hook pauses for the first time, or has to wait until it may begin. */
struct script_pause {
    struct chore chore; /* of the loop's, or among the binding's hooks_to_begin */
    struct request *request;
    bool is_to_begin;
};

static void pause_on_turn(struct chore *c);

static bool is_waiting(enum vm_result result)
{
    return result == VM_SUSPENDED || result == VM_PAUSED;
}

static struct script_pause *pause_of(struct request *r)
{
    if (r->pause == NULL) {
        r->pause = arena_zalloc(&r->arena, sizeof *r->pause);
        *r->pause = (struct script_pause){ .chore = { .run = pause_on_turn }, .request = r };
    }
    return r->pause;
}

static void begin_waiting(struct request *r, enum vm_result result)
{
    r->is_hook_waiting = true;
    if (result == VM_PAUSED)
        loop_add_chore(r->front->loop, &pause_of(r)->chore);
}

/* A part of a hook has run since `begun`. Its duration is that of its parts, without the waits between them. */
static enum reason finish_part(struct request *r, enum script_hook hook, enum vm_result result, struct mono_time begun)
{
    r->script->ran_us += mono_diff_us(clock_mono(), begun);
    if (is_waiting(result)) {
        begin_waiting(r, result);
        return REASON_NONE;
    }
    if (r->script->ran_us >= SCRIPT_LONG_US && hook == SCRIPT_ON_REQUEST)
        script_host_ran_long(r->binding->scripts, r->script, result);
    count_call(r, hook, result, r->script->ran_us);
    r->script->ran_us = 0;
    return result != VM_OK && request_route(r)->script.on_error == SCRIPT_FAIL ? REASON_SCRIPT_ERROR : REASON_NONE;
}

static enum vm_result start_hook(struct request *r, enum script_hook hook, struct script_call *call)
{
    return script_host_call(r->binding->scripts, script_of(r), hook, request_route(r)->script.budget_ms * 1000, call);
}

/* Runs the hook if the script has it. */
static enum vm_result call_hook(struct request *r, enum script_hook hook, enum reason *reason)
{
    *reason = REASON_NONE;
    if (!has_hook(r, hook))
        return VM_OK;
    struct mono_time begun = clock_mono();
    enum vm_result result = start_hook(r, hook, r->script);
    *reason = finish_part(r, hook, result, begun);
    return result;
}

/* What on_request said. */
static void decide(struct request *r, enum reason reason)
{
    const struct script_call *call = r->script;
    if (reason != REASON_NONE || call->answer != NULL)
        route_decide_answer(&r->decision);
    else if (call->upstream_index != CONFIG_NONE)
        route_decide_target(&r->decision, call->upstream_index);
}

static bool begin_hook(struct request *r, enum reason *reason)
{
    if (is_waiting(call_hook(r, SCRIPT_ON_REQUEST, reason)))
        return false;
    decide(r, *reason);
    return true;
}

/* A flood of hooks that run long waits at the door: each that begins where no more may be paused holds the worker for its
   budget, and a thousand of them held it for seconds. What keeps short, or another script's, goes in at once. */
static bool may_begin(struct request *r)
{
    struct binding *b = r->binding;
    if (!has_hook(r, SCRIPT_ON_REQUEST) || !script_host_is_long(b->scripts, script_of(r)))
        return true;
    return script_host_has_room(b->scripts) && list_is_empty(&b->hooks_to_begin);
}

static void wait_to_begin(struct request *r)
{
    struct script_pause *p = pause_of(r);
    p->is_to_begin = true;
    r->is_hook_waiting = true;
    list_append(&r->binding->hooks_to_begin, &p->chore.link);
}

/* One that was paused has gone, or one that was to begin has begun: while some are to begin, there is always one of either kind
   that will come here. */
static void let_next_begin(struct binding *b)
{
    if (!list_is_empty(&b->hooks_to_begin))
        loop_add_chore(b->front->loop, LIST_ITEM(list_pop(&b->hooks_to_begin), struct chore, link));
}

bool script_on_request(struct request *r, enum reason *reason)
{
    struct script_call *call = arena_alloc(&r->arena, sizeof *call);
    *call = (struct script_call){ .owner = r,
                                  .arena = &r->arena,
                                  .request = &r->message,
                                  .view = &r->view,
                                  .scheme = r->client->listener->scheme,
                                  .is_tls = r->client->listener->tls != NULL,
                                  .has_encoded_slash = &r->has_encoded_slash,
                                  .upstream_index = CONFIG_NONE };
    r->script = call;
    hop_by_hop_drop(&r->message); /* before: Connection must not name away what the script sets */
    if (!may_begin(r)) {
        wait_to_begin(r);
        return false;
    }
    return begin_hook(r, reason);
}

/* `answer`: what it waited for; NULL: it was paused. */
bool script_go_on(struct request *r, const struct script_fetch_answer *answer, enum reason *reason)
{
    struct script_host *scripts = r->binding->scripts;
    struct mono_time begun = clock_mono();
    r->is_hook_waiting = false;
    enum vm_result result =
        answer != NULL ? script_host_continue(scripts, r->script, answer) : script_host_go_on(scripts, r->script);
    *reason = finish_part(r, SCRIPT_ON_REQUEST, result, begun);
    if (is_waiting(result))
        return false;
    decide(r, *reason);
    return true;
}

/* Its turn: another stint, or its first one. */
static bool take_turn(struct request *r, enum reason *reason)
{
    if (!r->pause->is_to_begin)
        return script_go_on(r, NULL, reason);
    r->pause->is_to_begin = false;
    r->is_hook_waiting = false;
    return begin_hook(r, reason);
}

static void pause_on_turn(struct chore *c)
{
    struct script_pause *p = CONTAINER_OF(c, struct script_pause, chore);
    struct request *r = p->request;
    enum reason reason;
    CHECK_MAGIC(r, REQUEST_MAGIC);
    if (p->is_to_begin && !script_host_has_room(r->binding->scripts)) {
        list_push(&r->binding->hooks_to_begin, &c->link); /* somebody's answer came, and it is paused again */
        return;
    }
    bool is_over = take_turn(r, &reason);
    if (script_host_has_room(r->binding->scripts))
        let_next_begin(r->binding);
    if (is_over)
        request_on_scripted(r, reason);
}

void script_abandon(struct request *r)
{
    r->is_hook_waiting = false;
    if (r->fetch != NULL)
        fetch_cancel(TAKE(&r->fetch));
    else
        list_remove(&r->pause->chore.link);
    script_host_abandon(r->binding->scripts, r->script);
    let_next_begin(r->binding);
    route_decide_answer(&r->decision); /* no upstream is charged with it */
}

enum reason script_on_response(struct request *r, struct message *response)
{
    enum reason reason;
    r->script->response = response;
    call_hook(r, SCRIPT_ON_RESPONSE, &reason);
    r->script->response = NULL;
    return reason;
}

/* ---- copies ------------------------------------------------------------------------------------------------------------ */

bool script_wants_copies(const struct request *r)
{
    return route_has(r->decision.route, ROUTE_HAS_SCRIPT) && has_hook(r, SCRIPT_ON_SHADOW);
}

static void set_body(void *draft, struct slice bytes)
{
    shadow_draft_set_body(draft, bytes);
}

/* Path or query were set: the copy goes there, by way of the route's rewrite as the request would. */
static void retarget(const struct request *r, struct shadow_draft *d, struct slice normal_path)
{
    d->head.target = forward_received_target(&d->head, d->arena);
    d->target = forward_target(r->decision.route, &d->head, normal_path, d->arena);
}

/* `view` stays the request's but for its path, so that segments ask about the request. `ctx` is the request's, too: it may
   be made here first. */
enum shadow_word script_on_shadow(void *request, struct shadow_draft *draft)
{
    struct request *r = request;
    CHECK_MAGIC(r, REQUEST_MAGIC);
    struct route_request view = r->view;
    bool has_encoded_slash;
    struct script_copy copy = { .upstream = draft->upstream,
                                .body = draft->body,
                                .body_max_bytes = draft->body_max_bytes,
                                .set_body = set_body,
                                .arg = draft };
    struct script_call call = { .arena = draft->arena,
                                .request = &draft->head,
                                .view = &view,
                                .scheme = r->script->scheme,
                                .is_tls = r->script->is_tls,
                                .has_encoded_slash = &has_encoded_slash,
                                .copy = &copy,
                                .upstream_index = CONFIG_NONE,
                                .ctx_epoch = r->script->ctx_epoch,
                                .ctx = r->script->ctx };
    struct mono_time begun = clock_mono();
    enum vm_result result = start_hook(r, SCRIPT_ON_SHADOW, &call);
    count_call(r, SCRIPT_ON_SHADOW, result, mono_diff_us(clock_mono(), begun));
    r->script->ctx_epoch = call.ctx_epoch;
    r->script->ctx = call.ctx;
    if (result == VM_OK && (view.path.ptr != r->view.path.ptr || view.query.ptr != r->view.query.ptr))
        retarget(r, draft, view.path);
    return result != VM_OK ? SHADOW_WORD_FAILED : copy.is_vetoed ? SHADOW_WORD_VETO : SHADOW_WORD_GO;
}

void script_forget(struct request *r)
{
    script_host_forget(r->binding->scripts, TAKE(&r->script));
}
