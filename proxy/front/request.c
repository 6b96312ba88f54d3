/* front/request.c - one request's life, from its first byte to its line in the access log.
 *
 * The table is the story; request_run walks it. A step answers NEXT, WAIT (something resumes it later) or END (the request is
 * gone). A refusal goes straight to `respond`, a cut answer to `record`.
 */
#include "front/request.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/drill.h"
#include "front/forward.h"
#include "front/limits.h"
#include "front/respond.h"
#include "front/script.h"
#include "http/validate.h"
#include "lua/api.h"
#include "shadow/capture.h"

#define ARENA_LIMIT_BYTES (256u * 1024) /* of one request: heads, edits, trailers */
#define FREE_REQUESTS_MAX 2048          /* some megabytes, at a worker that had so many at once */

enum step_result { NEXT, WAIT, END };

static enum step_result step_read(struct request *r);
static enum step_result step_validate(struct request *r);
static enum step_result step_admit(struct request *r);
static enum step_result step_decide(struct request *r);
static enum step_result step_script(struct request *r);
static enum step_result step_limit(struct request *r);
static enum step_result step_shadow(struct request *r);
static enum step_result step_forward(struct request *r);
static enum step_result step_respond(struct request *r);
static enum step_result step_deliver(struct request *r);
static enum step_result step_record(struct request *r);
static enum step_result step_finish(struct request *r);

enum step {
    STEP_READ,
    STEP_VALIDATE,
    STEP_ADMIT,
    STEP_DECIDE,
    STEP_SCRIPT,
    STEP_LIMIT,
    STEP_SHADOW,
    STEP_FORWARD,
    STEP_RESPOND,
    STEP_DELIVER,
    STEP_RECORD,
    STEP_FINISH
};

static const struct {
    const char *name;
    enum step_result (*run)(struct request *r);
} steps[] = {
    [STEP_READ] = { "read", step_read },             /* until the head is complete */
    [STEP_VALIDATE] = { "validate", step_validate }, /* path and host in normal form, no loop */
    [STEP_ADMIT] = { "admit", step_admit },          /* the proxy's own memory */
    [STEP_DECIDE] = { "decide", step_decide },       /* route, rule, split: route/decide.c */
    [STEP_SCRIPT] = { "script", step_script },    /* the route's hook, and what it leaves to decide: front/script.c */
    [STEP_LIMIT] = { "limit", step_limit },       /* the route's own limits */
    [STEP_SHADOW] = { "shadow", step_shadow },    /* the head as it leaves, and copies of it: shadow/shadow.c */
    [STEP_FORWARD] = { "forward", step_forward }, /* an exchange with an endpoint: front/forward.c */
    [STEP_RESPOND] = { "respond",
                       step_respond }, /* the proxy's own answer, if the upstream gave none: front/respond.c */
    [STEP_DELIVER] = { "deliver", step_deliver }, /* until the client's window has taken the answer: HTTP/2 */
    [STEP_RECORD] = { "record", step_record },    /* counters and the access line */
    [STEP_FINISH] = { "finish", step_finish },    /* gives everything back; the client goes on */
};

/* WAIT, or END: the request is gone. */
static enum step_result request_run(struct request *r)
{
    for (;;) {
        CHECK_MAGIC(r, REQUEST_MAGIC);
        CHECK(r->step < ARRAY_COUNT(steps));
        enum step_result result = steps[r->step].run(r);
        if (result != NEXT)
            return result;
        r->step++;
    }
}

/* A step's own refusal: the answer is the next thing to do. */
static enum step_result refuse(struct request *r, enum reason reason)
{
    r->reason = reason;
    r->step = STEP_RESPOND - 1;
    return NEXT;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void request_on_timer(void *arg);

static struct request *request_alloc(struct front *f)
{
    struct request *r = f->free_requests;
    if (r == NULL)
        return memory_alloc(sizeof(*r));
    f->free_requests = r->next_free;
    f->free_request_count--;
    __builtin_prefetch(f->free_requests); /* as in base/blocks.c */
    return r;
}

struct request *request_create(struct client *c)
{
    struct front *f = c->front;
    struct request *r = request_alloc(f);
    /* Not the whole of it: the messages inside are large and are filled in when a head is complete. */
    memset(r, 0, offsetof(struct request, view));
    message_init(&r->message, NULL, 0); /* a head that fails on its first line is logged too */
    r->magic = REQUEST_MAGIC;
    r->client = c;
    r->front = f;
    r->binding = binding_pin(f->current);
    r->begun = loop_now(f->loop);
    r->decision =
        (struct decision){ .rule_index = CONFIG_NONE, .split_index = CONFIG_NONE, .upstream_index = CONFIG_NONE };
    r->exchange.state = EXCHANGE_NEW;
    r->exchange.connection = NULL;
    arena_init(&r->arena, &f->loop->arenas, ARENA_LIMIT_BYTES);
    timer_init(&r->timer, request_on_timer, r);
    f->request_count++;
    return r;
}

void request_free(struct request *r)
{
    struct front *f = r->front;
    timer_stop(f->loop, &r->timer);
    exchange_cancel(&r->exchange);
    CHECK(r->fetch == NULL && !r->is_hook_waiting);
    if (r->exposure.sheet != NULL)
        exposure_drop(r);
    if (r->script != NULL)
        script_forget(r);
    if (r->shadows != NULL)
        shadow_let_go(r->shadows);
    if (r->pairs != NULL)
        captures_give_up(&f->shadows, &r->pairs);
    r->client->protocol->forget(r);
    arena_reset(&r->arena);
    binding_unpin(TAKE(&r->binding));
    f->request_count--;
    r->magic = 0;
    if (f->free_request_count >= FREE_REQUESTS_MAX) {
        memory_free(r);
        return;
    }
    r->next_free = f->free_requests;
    f->free_requests = r;
    f->free_request_count++;
}

void request_free_all(struct front *f)
{
    while (f->free_requests != NULL) {
        struct request *r = f->free_requests;
        f->free_requests = r->next_free;
        memory_free(r);
    }
    f->free_request_count = 0;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------- */

static enum step_result step_read(struct request *r)
{
    (void)r;
    return NEXT; /* run for the first time when the head is complete */
}

/* Our own Via entry in the request: it has been here before (RFC 9110 7.6.3). */
static bool is_looping(const struct request *r)
{
    for (struct field *f = message_field(&r->message, FIELD_VIA); f != NULL; f = message_next_field(&r->message, f))
        if (slice_contains(f->value, r->front->pseudonym))
            return true;
    return false;
}

static enum step_result step_validate(struct request *r)
{
    struct message *m = &r->message;
    bool is_star = slice_equal(m->path, SLICE("*"));
    struct slice path = m->path;
    if (!is_star && path_normalise(m->path, &r->arena, &path, &r->has_encoded_slash) != PATH_OK)
        return refuse(r, REASON_BAD_PATH);
    if (is_looping(r))
        return refuse(r, REASON_LOOP);
    char *host = arena_alloc(&r->arena, m->authority.len + 1);
    r->view.message = m;
    r->view.host = host_normalise(m->authority, host);
    r->view.path = path;
    r->view.query = m->query;
    r->view.now = clock_wall();
    r->view.source = forward_source(r, &r->is_source_trusted);
    forward_view_client(r);
    r->is_view_known = true;
    return NEXT;
}

static enum step_result step_admit(struct request *r)
{
    uint64_t most = request_config(r)->limits.memory_bytes;
    uint64_t live = r->front->loop->chunks.live_count, copies = r->front->shadows.chunk_count;
    uint64_t used = (live > copies ? live - copies : 0) * CHUNK_BYTES; /* no shadow uses up what requests may have */
    if (most != 0 && used > most / r->front->upstreams.worker_count)
        return refuse(r, REASON_OVERLOADED);
    return NEXT;
}

static void count_decision(struct request *r)
{
    r->series = series_of(r->binding->snapshot->series, &r->decision);
    stats_request_will_begin(r->front->stats, r->series);
}

static void finish_decision(struct request *r)
{
    struct binding *b = r->binding;
    route_decide_finish(&r->view, b->weights, &b->draw, &r->decision);
    exposure_assign(r);
    count_decision(r);
}

static enum step_result step_decide(struct request *r)
{
    struct binding *b = r->binding;
    if (drill_take(r)) {
        r->step = STEP_RESPOND - 1;
        return NEXT;
    }
    route_decide_begin(b->snapshot->table, &r->view, b->weights, &r->decision);
    if (r->decision.route != NULL && route_has(r->decision.route, ROUTE_HAS_SCRIPT))
        return NEXT; /* the script has its say before anything is drawn */
    finish_decision(r);
    return r->decision.route == NULL ? refuse(r, REASON_NO_ROUTE) : NEXT;
}

/* The hook is over. */
static enum step_result take_script_word(struct request *r, enum reason reason)
{
    if (reason != REASON_NONE) {
        count_decision(r);
        return refuse(r, reason);
    }
    if (r->script->answer != NULL) {
        count_decision(r);
        r->step = STEP_RESPOND - 1;
        return NEXT;
    }
    finish_decision(r);
    return NEXT;
}

static enum step_result step_script(struct request *r)
{
    enum reason reason;
    if (!route_has(r->decision.route, ROUTE_HAS_SCRIPT))
        return NEXT;
    if (script_on_request(r, &reason))
        return take_script_word(r, reason);
    request_watch(r); /* its wait is a part of route.timeout */
    return WAIT;
}

/* The most body bytes this request may have; 0: no limit. */
static uint64_t body_limit(const struct request *r)
{
    const struct route_config *route = request_route(r);
    return route != NULL && route->has_body_limit ? route->body_limit_bytes : request_config(r)->limits.body_bytes;
}

static bool is_body_too_large(const struct request *r, uint64_t bytes)
{
    uint64_t most = body_limit(r);
    return most != 0 && bytes > most;
}

static bool is_rate_used_up(struct request *r)
{
    if (!route_has(r->decision.route, ROUTE_HAS_RATE_LIMIT))
        return false;
    const struct rate_limit_config *rate = &request_route(r)->rate_limit;
    struct slice key = SLICE_NONE;
    char scratch[16];
    if (rate->by.kind != KEY_NONE && !key_extract(&rate->by, &r->view, scratch, &key))
        key = SLICE_NONE; /* those without the key share one bucket */
    return !limits_take(r->front->limits, rate, r->decision.route->salt, key, loop_now(r->front->loop),
                        &r->retry_after_ms);
}

static enum step_result step_limit(struct request *r)
{
    const struct route_config *route = request_route(r);
    const struct message *m = &r->message;
    if (r->has_encoded_slash && route->encoded_slash == ENCODED_SLASH_REJECT)
        return refuse(r, REASON_ENCODED_SLASH);
    if (drill_fails(r))
        return refuse(r, REASON_DRILL);
    if (is_rate_used_up(r))
        return refuse(r, REASON_RATE_LIMITED);
    if (m->has_content_length && is_body_too_large(r, m->content_length))
        return refuse(r, REASON_BODY_TOO_LARGE);
    if (m->is_upgrade && !route->is_websocket_allowed)
        return refuse(r, REASON_WEBSOCKET_REFUSED);
    return NEXT;
}

/* Copies are chosen by the request as it came, and made of what goes on. */
static enum step_result step_shadow(struct request *r)
{
    if (r->decision.upstream_index == CONFIG_NONE || forward_is_last_hop(r)) {
        r->step = STEP_RESPOND - 1;
        return NEXT;
    }
    uint32_t chosen = 0;
    if (route_has(r->decision.route, ROUTE_HAS_SHADOWS))
        chosen = shadow_choose(&r->binding->shadows, r->decision.route, &r->view);
    forward_prepare(r);
    if (chosen != 0 && !r->arena.has_overflowed)
        forward_copies(r, chosen);
    return NEXT;
}

static enum step_result step_forward(struct request *r)
{
    enum reason reason = r->arena.has_overflowed ? REASON_INTERNAL : forward_begin(r);
    if (reason != REASON_NONE)
        return refuse(r, reason);
    stats_request_begin(r->front->stats, r->series);
    r->is_counted = true;
    request_watch(r);
    return WAIT;
}

static enum step_result step_respond(struct request *r)
{
    if (!r->is_answer_begun)
        respond_own(r);
    return NEXT;
}

static enum step_result step_deliver(struct request *r)
{
    if (r->client->protocol->is_delivered(r))
        return NEXT;
    request_watch(r);
    return WAIT;
}

static void count_request(struct request *r)
{
    struct front *f = r->front;
    if (!r->is_counted)
        stats_request_begin(f->stats, r->series);
    int64_t duration_us = mono_diff_us(loop_now(f->loop), r->begun);
    stats_request_end(f->stats, r->series, r->status, r->reason, (uint64_t)duration_us);
    stats_request_bytes(f->stats, r->series, r->received_bytes, r->sent_bytes);
    stats_add(f->stats, STATS_REQUESTS, 1);
}

static enum step_result step_record(struct request *r)
{
    struct front *f = r->front;
    if (r->drill == NULL) /* nobody's traffic */
        count_request(r);
    if (r->exposure.sheet != NULL)
        exposure_end(r);
    if (request_config(r)->log.access != ACCESS_OFF)
        access_add(&f->access, r);
    return NEXT;
}

static enum step_result step_finish(struct request *r)
{
    r->client->protocol->finish(r);
    return END;
}

/* ---- from the client ------------------------------------------------------------------------------------------------- */

void request_on_head(struct request *r)
{
    CHECK(r->step == STEP_READ);
    r->is_body_done = r->message.framing == BODY_NONE;
    request_run(r);
}

void request_on_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    r->received_bytes += length;
    if (!r->is_tunnel && is_body_too_large(r, r->received_bytes)) {
        request_refuse(r, REASON_BODY_TOO_LARGE);
        return;
    }
    exchange_send(&r->exchange, chunk, offset, length);
    if (r->shadows != NULL)
        shadow_feed(r->shadows, chunk, offset, length);
    if (exchange_is_full(&r->exchange))
        r->client->protocol->pause(r);
}

void request_on_flushed(struct request *r)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    if (request_end_tunnel(r))
        return;
    if (exchange_is_ready(&r->exchange) && (r->is_tunnel || !r->is_body_done))
        request_watch(r);
}

void request_on_end(struct request *r)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    bool had_body = r->message.framing != BODY_NONE;
    r->is_body_done = true;
    if (!had_body)
        return;
    if (r->request_trailers != NULL)
        trailers_filter(r->request_trailers);
    exchange_end_request(&r->exchange, r->request_trailers);
    if (r->shadows != NULL)
        shadow_feed_end(r->shadows, r->request_trailers);
    request_watch(r);
}

void request_on_error(struct request *r, enum reason reason)
{
    r->is_close_due = true;
    request_refuse(r, reason);
}

/* Whatever was under way for it is not any more. */
static void give_up(struct request *r)
{
    exchange_cancel(&r->exchange);
    if (r->is_hook_waiting) {
        script_abandon(r);
        count_decision(r);
    }
}

void request_abort(struct request *r, enum reason reason)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    give_up(r);
    if (r->step == STEP_READ && reason_rows[reason].status == 0) {
        request_free(r); /* it never became a request: nobody's business */
        return;
    }
    if (r->reason == REASON_NONE)
        r->reason = reason;
    r->step = STEP_RECORD;
    request_run(r);
}

bool request_is_forwarded(const struct request *r)
{
    return r->step == STEP_FORWARD;
}

bool request_may_be_forwarded(const struct request *r)
{
    return r->step == STEP_FORWARD || r->is_hook_waiting;
}

void request_on_delivered(struct request *r)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    if (r->step == STEP_DELIVER)
        request_resume(r);
}

bool request_wants_body(struct request *r)
{
    return exchange_is_ready(&r->exchange) && !exchange_is_full(&r->exchange);
}

void request_on_drained(struct request *r)
{
    if (r->step != STEP_FORWARD)
        return; /* the queue held an earlier answer: this head is incomplete */
    request_watch(r);
    exchange_resume(&r->exchange);
}

void request_on_client_eof(struct request *r)
{
    r->has_client_ended = true;
    exchange_shutdown(&r->exchange);
}

bool request_end_tunnel(struct request *r)
{
    if (!r->has_client_ended || !r->has_upstream_ended || exchange_queued_bytes(&r->exchange) > 0)
        return false;
    request_resume(r);
    return true;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

void request_resume(struct request *r)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    CHECK(r->step == STEP_FORWARD || r->step == STEP_DELIVER);
    r->step++;
    request_run(r);
}

void request_on_scripted(struct request *r, enum reason reason)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    CHECK(r->step == STEP_SCRIPT && !r->is_hook_waiting);
    timer_stop(r->front->loop, &r->timer);
    take_script_word(r, reason);
    r->step++;
    if (request_run(r) == WAIT && r->step == STEP_FORWARD)
        r->client->protocol->resume(r); /* its body, and the head that is queued */
}

void request_refuse(struct request *r, enum reason reason)
{
    CHECK_MAGIC(r, REQUEST_MAGIC);
    give_up(r);
    if (r->step != STEP_DELIVER || r->reason == REASON_NONE)
        r->reason = reason; /* else it says already why the answer was ours */
    r->is_cut = r->is_answer_begun;
    r->step = r->is_answer_begun ? STEP_RECORD : STEP_RESPOND;
    request_run(r);
}

/* Bytes queued to either side: while the number changes, somebody reads. */
static uint64_t queued_bytes(const struct request *r)
{
    return ((uint64_t)r->client->protocol->queued_bytes(r) << 32) + exchange_queued_bytes(&r->exchange);
}

/* What has to happen next. The first two have a deadline that no retry and no new connection moves: route.timeout. */
enum request_wait { WAIT_FOR_BYTES, WAIT_FOR_CONNECTION, WAIT_FOR_ANSWER };

static enum request_wait awaited(const struct request *r)
{
    if (r->is_answer_begun)
        return WAIT_FOR_BYTES;
    if (r->is_body_done)
        return WAIT_FOR_ANSWER;
    return exchange_is_ready(&r->exchange) ? WAIT_FOR_BYTES : WAIT_FOR_CONNECTION;
}

/* What met no route is answered too, and may wait for its client. */
static int64_t stream_idle_timeout_ms(const struct request *r)
{
    const struct compiled_route *route = r->decision.route;
    return route != NULL ? route->stream_idle_timeout_ms : request_config(r)->limits.idle_timeout_ms;
}

void request_watch(struct request *r)
{
    struct mono_time now = loop_now(r->front->loop);
    enum request_wait wait = awaited(r);
    r->watched_bytes = queued_bytes(r);
    if (wait == WAIT_FOR_BYTES) {
        r->waits_for = WAIT_FOR_BYTES;
        timer_start(r->front->loop, &r->timer, stream_idle_timeout_ms(r));
        return;
    }
    if (r->waits_for != wait)
        r->answer_due = mono_add_ms(now, r->decision.route->timeout_ms);
    r->waits_for = (uint8_t)wait;
    timer_start(r->front->loop, &r->timer, (mono_diff_us(r->answer_due, now) + 999) / 1000);
}

static enum reason timeout_reason(const struct request *r)
{
    if (r->step == STEP_DELIVER)
        return REASON_CLIENT_SLOW;
    if (r->is_answer_begun)
        return r->client->protocol->queued_bytes(r) > 0 ? REASON_CLIENT_SLOW : REASON_STREAM_IDLE;
    if (awaited(r) != WAIT_FOR_BYTES)
        return REASON_RESPONSE_TIMEOUT;
    return exchange_queued_bytes(&r->exchange) > 0 ? REASON_STREAM_IDLE : REASON_BODY_TIMEOUT;
}

static void request_on_timer(void *arg)
{
    struct request *r = arg;
    CHECK_MAGIC(r, REQUEST_MAGIC);
    bool has_moved = r->watched_bytes != queued_bytes(r);
    if (has_moved && awaited(r) == WAIT_FOR_BYTES)
        request_watch(r);
    else
        request_refuse(r, timeout_reason(r));
}
