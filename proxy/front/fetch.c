/* front/fetch.c - weir.fetch on its way: a request of a hook's own, through the pool of the upstream that it names. */
#include "front/fetch.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/pieces.h"
#include "front/forward.h"
#include "front/request.h"
#include "front/script.h"
#include "http/validate.h"
#include "lua/api.h"

#define FETCH_MAGIC       0x46455443u
#define ARENA_LIMIT_BYTES (512u * 1024) /* both heads, and the answer's body as one run */
#define FREE_FETCHES_MAX  1024u         /* a megabyte or two, at a worker that had so many at once */
#define PACK_BELOW_BYTES  4096u         /* of an answer: shorter pieces are copied together */

struct fetch {
    uint32_t magic;
    struct front *front;
    struct request *request; /* whose hook waits */
    struct fetch *next_free; /* in the front's free list, when not in use */
    struct timer timer;
    struct arena arena;
    struct pieces body; /* of the request, until it is sent; then of the answer */
    bool is_request_sent;
    bool is_head;           /* the final head came */
    struct message message; /* what is asked; owned in the arena */
    struct exchange exchange;
};

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void fetch_on_timer(void *arg);

static struct fetch *fetch_create(struct request *r)
{
    struct front *front = r->front;
    struct fetch *f = front->free_fetches;
    if (f == NULL) {
        f = memory_alloc(sizeof *f);
    } else {
        front->free_fetches = f->next_free;
        front->free_fetch_count--;
    }
    memset(f, 0, offsetof(struct fetch, message)); /* the rest is filled in */
    f->magic = FETCH_MAGIC;
    f->front = front;
    f->request = r;
    f->exchange.state = EXCHANGE_NEW;
    pieces_init(&f->body);
    timer_init(&f->timer, fetch_on_timer, f);
    arena_init(&f->arena, &front->loop->arenas, ARENA_LIMIT_BYTES);
    front->fetch_count++;
    return f;
}

static void fetch_free(struct fetch *f)
{
    struct front *front = f->front;
    CHECK_MAGIC(f, FETCH_MAGIC);
    timer_stop(front->loop, &f->timer);
    exchange_cancel(&f->exchange);
    pieces_clear(&f->body, &front->loop->pieces);
    arena_reset(&f->arena);
    front->fetch_count--;
    f->magic = 0;
    if (front->free_fetch_count >= FREE_FETCHES_MAX) {
        memory_free(f);
        return;
    }
    f->next_free = front->free_fetches;
    front->free_fetches = f;
    front->free_fetch_count++;
}

void fetch_free_all(struct front *front)
{
    CHECK(front->fetch_count == 0);
    while (front->free_fetches != NULL) {
        struct fetch *f = front->free_fetches;
        front->free_fetches = f->next_free;
        memory_free(f);
    }
    front->free_fetch_count = 0;
}

/* ---- how it ends ------------------------------------------------------------------------------------------------------- */

static void count(const struct fetch *f, enum stats_upstream_cell cell)
{
    stats_upstream_add(f->front->stats, f->exchange.upstream->stats_id, cell, 1);
}

static void count_failure(const struct fetch *f, const char *code)
{
    count(f, STATS_UPSTREAM_FETCHES_FAILED);
    log_debug("script: fetch from %s: %.*s %.*s: %s", f->exchange.upstream->name, SLICE_ARG(f->message.method_name),
              SLICE_ARG(f->exchange.target), code);
}

void fetch_cancel(struct fetch *f)
{
    CHECK_MAGIC(f, FETCH_MAGIC);
    count(f, STATS_UPSTREAM_FETCHES_CANCELLED);
    fetch_free(f);
}

/* The hook goes on, and may begin another; its request goes on when the hook is over, and may be gone then. */
static void finish(struct fetch *f, const struct script_fetch_answer *answer)
{
    struct request *r = f->request;
    enum reason reason;
    CHECK(r->fetch == f);
    r->fetch = NULL;
    exchange_cancel(&f->exchange); /* its connection is free for what the hook asks next */
    bool is_over = script_go_on(r, answer, &reason);
    fetch_free(f);
    if (is_over)
        request_on_scripted(r, reason);
}

static void fail(struct fetch *f, const char *code)
{
    struct script_fetch_answer answer = { .failure = code };
    count_failure(f, code);
    finish(f, &answer);
}

static void fail_for(struct fetch *f, enum reason reason)
{
    fail(f, reason_rows[reason].code);
}

static void fetch_on_timer(void *arg)
{
    struct fetch *f = arg;
    CHECK_MAGIC(f, FETCH_MAGIC);
    fail_for(f, REASON_RESPONSE_TIMEOUT);
}

/* ---- the exchange ------------------------------------------------------------------------------------------------------ */

static struct fetch *fetch_of(struct exchange *x)
{
    struct fetch *f = CONTAINER_OF(x, struct fetch, exchange);
    CHECK_MAGIC(f, FETCH_MAGIC);
    return f;
}

/* As much of the request's body as the connection takes. No callback comes from inside. */
static void send_body(struct fetch *f)
{
    struct exchange *x = &f->exchange;
    struct pieces_pool *pool = &f->front->loop->pieces;
    if (!exchange_is_ready(x))
        return; /* on_drained follows when it is */
    while (!f->is_request_sent && !pieces_is_empty(&f->body) && !exchange_is_full(x)) {
        struct piece piece = *pieces_front(&f->body);
        chunk_ref(piece.chunk);
        pieces_consume(&f->body, pool, piece.length);
        exchange_send(x, piece.chunk, piece.offset, piece.length);
        chunk_unref(piece.chunk);
    }
    if (!f->is_request_sent && pieces_is_empty(&f->body)) {
        f->is_request_sent = true;
        if (x->write.framing != BODY_NONE)
            exchange_end_request(x, NULL);
    }
    exchange_flush(x);
}

/* What is left of our request is of no use to an endpoint that has answered. */
static void on_head(struct exchange *x, struct message *response)
{
    struct fetch *f = fetch_of(x);
    if (response->status == 101) {
        fail_for(f, REASON_UPSTREAM_INVALID); /* nobody asked for it */
        return;
    }
    if (response->status < 200)
        return;
    f->is_head = true;
    f->is_request_sent = true;
    pieces_clear(&f->body, &f->front->loop->pieces);
    hop_by_hop_drop(response);
    message_own_fields(response, &f->arena);
}

static void on_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct fetch *f = fetch_of(x);
    struct loop *loop = f->front->loop;
    if (length > SCRIPT_FETCH_ANSWER_MAX_BYTES - f->body.bytes)
        fail(f, SCRIPT_FETCH_TOO_LARGE);
    else if (length < PACK_BELOW_BYTES)
        pieces_pack(&f->body, &loop->pieces, &loop->chunks, chunk->bytes + offset, length);
    else
        pieces_push(&f->body, &loop->pieces, chunk, offset, length);
}

static void on_trailers(struct exchange *x, struct message *trailers)
{
    (void)x, (void)trailers;
}

static void on_batch(struct exchange *x)
{
    (void)x;
}

/* The body as one run of bytes: that of most answers is one already. */
static struct slice whole_body(struct fetch *f)
{
    const struct piece *first = pieces_front(&f->body);
    const char *run;
    if (first == NULL)
        return SLICE_NONE;
    char *into = first->length < f->body.bytes ? arena_alloc(&f->arena, f->body.bytes) : NULL;
    size_t length = pieces_run(&f->body, into, f->body.bytes, &run);
    return slice_from(run, length);
}

static void on_end(struct exchange *x)
{
    struct fetch *f = fetch_of(x);
    struct script_fetch_answer answer = { .status = x->response.status, .head = &x->response, .body = whole_body(f) };
    CHECK(f->is_head);
    if (f->arena.has_overflowed) {
        fail_for(f, REASON_INTERNAL);
        return;
    }
    count(f, STATS_UPSTREAM_FETCHES_ANSWERED);
    finish(f, &answer);
}

static void on_failed(struct exchange *x, enum reason reason)
{
    fail_for(fetch_of(x), reason);
}

static void on_drained(struct exchange *x)
{
    send_body(fetch_of(x));
}

static void on_half_closed(struct exchange *x)
{
    fail_for(fetch_of(x), REASON_UPSTREAM_INVALID); /* only tunnels are */
}

static const struct exchange_events fetch_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_batch = on_batch,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_half_closed = on_half_closed,
};

/* ---- beginning --------------------------------------------------------------------------------------------------------- */

/* What the script says, else what the endpoint's certificate is for, else where it goes. */
static struct slice host_of(const struct script_fetch *ask, const struct upstream_config *u)
{
    if (ask->host.len > 0)
        return ask->host;
    return u->tls.sni.len > 0 ? u->tls.sni : forward_host_of(u);
}

static void add_field(struct fetch *f, enum field_id id, struct slice name, struct slice value)
{
    message_add(&f->message, &f->arena, id, arena_copy(&f->arena, name), arena_copy(&f->arena, value));
}

/* Via is what loops are seen by: a fetch that comes back to this proxy gets 508. */
static void write_head(struct fetch *f, const struct script_fetch *ask, const struct upstream_config *u)
{
    struct message *m = &f->message;
    message_init(m, &f->arena, (uint16_t)(ask->header_count + 2));
    m->method_name = arena_copy(&f->arena, ask->method);
    m->method = method_from_name(m->method_name);
    m->version_major = m->version_minor = 1;
    add_field(f, FIELD_HOST, field_names[FIELD_HOST], host_of(ask, u));
    for (size_t i = 0; i < ask->header_count; i++)
        add_field(f, field_id_from_name(ask->headers[i].name), ask->headers[i].name, ask->headers[i].value);
    add_field(f, FIELD_VIA, field_names[FIELD_VIA], slice_from_cstr(f->front->via[STATS_HTTP1]));
}

/* RFC 9110 8.6: methods that are made for a body announce also that there is none. */
static bool announces_length(const struct fetch *f, const struct script_fetch *ask)
{
    enum method method = f->message.method;
    return ask->body.ptr != NULL || method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static void prepare_exchange(struct fetch *f, const struct script_fetch *ask)
{
    struct exchange *x = &f->exchange;
    struct loop *loop = f->front->loop;
    x->events = &fetch_events;
    x->upstream = f->request->binding->upstreams[ask->upstream_index];
    x->arena = &f->arena;
    x->request = &f->message;
    x->target = f->message.target = arena_copy(&f->arena, ask->path);
    x->is_tried_once = false;
    x->write = (struct h1_write){ .framing = ask->body.len > 0 ? BODY_LENGTH : BODY_NONE,
                                  .content_length = ask->body.len,
                                  .has_content_length = announces_length(f, ask) };
    if (ask->body.len > 0)
        pieces_pack(&f->body, &loop->pieces, &loop->chunks, ask->body.ptr, (uint32_t)ask->body.len);
}

static enum script_fetch_result refuse(struct fetch *f, enum reason reason, struct script_fetch_answer *answer)
{
    *answer = (struct script_fetch_answer){ .failure = reason_rows[reason].code };
    count_failure(f, answer->failure);
    fetch_free(f);
    return FETCH_ANSWERED;
}

enum script_fetch_result fetch_begin(struct script_call *call, const struct script_fetch *ask,
                                     struct script_fetch_answer *answer)
{
    struct request *r = call->owner;
    CHECK_MAGIC(r, REQUEST_MAGIC);
    CHECK(r->fetch == NULL);
    struct fetch *f = fetch_create(r);
    write_head(f, ask, &request_config(r)->upstreams[ask->upstream_index]);
    prepare_exchange(f, ask);
    enum reason refused = f->front->fetch_count > FETCHES_MAX ? REASON_OVERLOADED : exchange_begin(&f->exchange);
    if (refused != REASON_NONE)
        return refuse(f, refused, answer);
    r->fetch = f;
    timer_start(f->front->loop, &f->timer, ask->timeout_ms);
    send_body(f);
    return FETCH_UNDER_WAY;
}
