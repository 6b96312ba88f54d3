/* shadow/shadow.c - starts, feeds and bounds copies of requests; nothing here can fail, change or slow the request.
 *
 * One rule for memory: whatever a copy holds is counted before more is taken (charge), and past max_memory the copy
 * goes. One rule for time: nothing is written before the turn ends, so that the request's own bytes leave first. */
#include "shadow/shadow.h"

#include "base/check.h"
#include "base/memory.h"
#include "shadow/capture.h"
#include "shadow/head.h"
#include "shadow/review.h"
#include "shadow/shadow_parts.h"
#include "upstream/places.h"

#define ARENA_LIMIT_BYTES     (256u * 1024) /* of one copy: its head, edits, trailers; the answer's fields */
#define FREE_MAX              1024u /* copies kept for reuse: some megabytes, at a worker that had so many at once */
#define PACK_BELOW_BYTES      4096u /* of a body: shorter pieces are copied together while they wait */
#define COMPLAINT_INTERVAL_MS 10000

/* Beside its chunks: itself, and what its connection reads the answer into. */
#define COPY_BYTES (sizeof(struct shadow) + CHUNK_BYTES)

/* ---- how copies end -------------------------------------------------------------------------------------------------- */

static void count_live(struct shadow_pool *pool, uint32_t change)
{
    pool->live_count += change;
    stats_set(pool->stats, STATS_SHADOWS_LIVE, pool->live_count);
}

/* From its request's list. */
static void detach(struct shadow *s)
{
    if (s->from == NULL)
        return;
    *s->from = s->next;
    if (s->next != NULL)
        s->next->from = s->from;
    s->next = NULL;
    s->from = NULL;
}

static void give_back(struct shadow_pool *pool, struct shadow *s)
{
    s->magic = 0;
    if (pool->free_count >= FREE_MAX) {
        memory_free(s);
        return;
    }
    s->next = pool->free;
    pool->free = s;
    pool->free_count++;
}

static void shadow_free(struct shadow *s)
{
    struct shadow_pool *pool = s->pool;
    detach(s);
    timer_stop(pool->loop, &s->timer);
    exchange_cancel(&s->exchange);
    pieces_clear(&s->body, &pool->loop->pieces);
    arena_reset(&s->arena);
    s->slot->lane->held_bytes -= s->held_bytes;
    pool->chunk_count -= s->chunk_count;
    places_give(pool->inflight, s->shadow->series);
    list_remove(&s->flush_link);
    list_remove(&s->link);
    count_live(pool, UINT32_MAX);
    void *pin = TAKE(&s->pin);
    give_back(pool, s);
    pool->unpin(pin);
}

static void on_failure(struct shadow *s)
{
    struct shadow_lane *lane = s->slot->lane;
    if (breaker_on_failure(&lane->breaker, loop_now(s->pool->loop), s->is_probe))
        log_line_limited(&lane->complaints, COMPLAINT_INTERVAL_MS, LOG_WARN,
                         "shadow of route %s: %u copies in a row failed, it is left alone for a while", lane->label,
                         BREAKER_FAILURES);
}

static void finish_answered(struct shadow *s)
{
    struct shadow_lane *lane = s->slot->lane;
    if (breaker_on_answer(&lane->breaker))
        log_line_limited(&lane->complaints, COMPLAINT_INTERVAL_MS, LOG_INFO, "shadow of route %s: it answers again",
                         lane->label);
    stats_shadow_add(s->pool->stats, s->shadow->series, STATS_SHADOW_OK);
    capture_end(s->pool, &s->pair, s->side, REASON_NONE);
    shadow_free(s);
}

static void finish_failed(struct shadow *s, enum stats_shadow_cell result, enum reason reason)
{
    on_failure(s);
    stats_shadow_add(s->pool->stats, s->shadow->series, result);
    capture_end(s->pool, &s->pair, s->side, reason);
    shadow_free(s);
}

static void count_drop(struct shadow_pool *pool, const struct compiled_shadow *shadow, enum shadow_drop drop)
{
    stats_shadow_add(pool->stats, shadow->series, STATS_SHADOW_DROPS + (unsigned)drop);
}

void shadow_drop(struct shadow *s, enum shadow_drop why)
{
    if (why == SHADOW_DROP_SLOW)
        on_failure(s);
    else
        breaker_on_nothing(&s->slot->lane->breaker, s->is_probe);
    count_drop(s->pool, s->shadow, why);
    capture_give_up(s->pool, &s->pair, s->side);
    shadow_free(s);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* Chunks that the exchange holds at most. It has one short piece at a time (takes_piece). A head that was queued in this
   turn lies in the chunk that all heads of the turn share. */
static uint64_t sent_chunks(const struct shadow *s)
{
    uint32_t queued_bytes = exchange_queued_bytes(&s->exchange);
    if (queued_bytes == 0 || (!s->exchange.is_body_begun && !s->is_stuck))
        return 0;
    return queued_bytes / PACK_BELOW_BYTES + 3; /* and the head, the short one, a part of one */
}

bool shadow_charge(struct shadow *s)
{
    struct shadow_lane *lane = s->slot->lane;
    uint64_t chunks = s->body.chunk_count + sent_chunks(s);
    uint64_t held = COPY_BYTES + s->arena.used_bytes + chunks * CHUNK_BYTES;
    s->pool->chunk_count += chunks - s->chunk_count;
    s->chunk_count = chunks;
    lane->held_bytes += held - s->held_bytes;
    s->held_bytes = held;
    return lane->held_bytes <= s->slot->memory_bytes;
}

/* What was queued in an earlier round of hooks has been written since, as far as its connection took it: without a second
   look each copy would be counted with three chunks until it is answered. */
static void recount_sent(struct shadow_pool *pool)
{
    struct list *link;
    while ((link = list_pop(&pool->recount_due)) != NULL) {
        struct shadow *s = LIST_ITEM(link, struct shadow, flush_link);
        s->is_stuck = exchange_queued_bytes(&s->exchange) > 0;
        shadow_charge(s);
    }
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void flush_later(struct shadow *s)
{
    list_remove(&s->flush_link); /* it may be to be recounted: now there is something new to count */
    list_append(&s->pool->flush_due, &s->flush_link);
    loop_repeat_hooks(s->pool->loop);
}

static void send_piece(struct shadow *s)
{
    struct piece piece = *pieces_front(&s->body);
    chunk_ref(piece.chunk);
    pieces_consume(&s->body, &s->pool->loop->pieces, piece.length);
    s->has_short_queued |= piece.length < PACK_BELOW_BYTES;
    exchange_send(&s->exchange, piece.chunk, piece.offset, piece.length);
    chunk_unref(piece.chunk);
}

static void send_end(struct shadow *s)
{
    s->is_end_sent = true;
    if (s->exchange.write.framing != BODY_NONE)
        exchange_end_request(&s->exchange, s->trailers);
}

/* Does the exchange take the next piece now? In a queue that does not move, each short one would hold a chunk: behind the
   first, others are packed together here until it has left. */
static bool takes_piece(struct shadow *s)
{
    if (pieces_is_empty(&s->body) || exchange_is_full(&s->exchange))
        return false;
    if (exchange_queued_bytes(&s->exchange) == 0)
        s->has_short_queued = false;
    return !s->has_short_queued || pieces_front(&s->body)->length >= PACK_BELOW_BYTES;
}

/* As much of the body as the connection takes now. No callback comes from inside. */
static void send_body(struct shadow *s)
{
    struct exchange *x = &s->exchange;
    if (!exchange_is_ready(x))
        return; /* on_drained follows when it is */
    do {
        while (takes_piece(s))
            send_piece(s);
        if (s->is_complete && !s->is_end_sent && pieces_is_empty(&s->body))
            send_end(s);
        exchange_flush(x);
    } while (takes_piece(s));
    if (!pieces_is_empty(&s->body))
        exchange_await_room(x);
    if (exchange_queued_bytes(x) > 0 && !list_is_linked(&s->flush_link))
        list_append(&s->pool->recount_due, &s->flush_link);
    shadow_charge(s);
}

static void shadow_on_turn(void *arg)
{
    struct shadow_pool *pool = arg;
    struct list *link;
    recount_sent(pool);
    while ((link = list_pop(&pool->flush_due)) != NULL)
        send_body(LIST_ITEM(link, struct shadow, flush_link));
}

/* ---- the exchange ---------------------------------------------------------------------------------------------------- */

static struct shadow *shadow_of(struct exchange *x)
{
    struct shadow *s = CONTAINER_OF(x, struct shadow, exchange);
    CHECK_MAGIC(s, SHADOW_MAGIC);
    return s;
}

/* Nobody asked it to become a tunnel. Interim heads may be many, and what each takes stays until the end. */
static void on_head(struct exchange *x, struct message *response)
{
    struct shadow *s = shadow_of(x);
    if (response->status == 101)
        finish_failed(s, STATS_SHADOW_ERROR, REASON_UPSTREAM_INVALID);
    else if (!shadow_charge(s))
        shadow_drop(s, SHADOW_DROP_MEMORY);
    else if (response->status >= 200 && s->pair != NULL)
        capture_head(s->pool, s->pair, s->side, response);
}

static void on_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct shadow *s = shadow_of(x);
    if (s->pair != NULL)
        capture_body(s->pair, s->side, chunk->bytes + offset, length);
}

static void on_trailers(struct exchange *x, struct message *trailers)
{
    (void)x, (void)trailers;
}

static void on_batch(struct exchange *x)
{
    (void)x;
}

static void on_end(struct exchange *x)
{
    finish_answered(shadow_of(x));
}

static void on_failed(struct exchange *x, enum reason reason)
{
    finish_failed(shadow_of(x), STATS_SHADOW_ERROR, reason);
}

static void on_drained(struct exchange *x)
{
    flush_later(shadow_of(x));
}

static void on_half_closed(struct exchange *x)
{
    finish_failed(shadow_of(x), STATS_SHADOW_ERROR, REASON_UPSTREAM_INVALID); /* only tunnels are */
}

static const struct exchange_events shadow_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_batch = on_batch,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_half_closed = on_half_closed,
};

static void on_timer(void *arg)
{
    struct shadow *s = arg;
    CHECK_MAGIC(s, SHADOW_MAGIC);
    finish_failed(s, STATS_SHADOW_TIMEOUT, REASON_RESPONSE_TIMEOUT);
}

/* ---- beginning ------------------------------------------------------------------------------------------------------- */

uint32_t shadow_choose(struct shadow_binding *b, const struct compiled_route *route,
                       const struct route_request *request)
{
    uint32_t chosen = 0;
    bool is_copy = shadow_is_copy(request->message);
    for (uint32_t i = 0; i < route->config->shadow_count; i++) {
        const struct compiled_shadow *shadow = &route->shadows[i];
        if (shadow_meets(shadow, request) != SHADOW_MET)
            continue;
        if (is_copy)
            count_drop(b->pool, shadow, SHADOW_DROP_LOOP);
        else if (share_draw(&b->slots[shadow->slot].share, shadow->config->share_ppm, &b->pool->loop->rng))
            chosen |= 1u << i;
    }
    return chosen;
}

static struct shadow *shadow_alloc(struct shadow_pool *pool)
{
    struct shadow *s = pool->free;
    if (s == NULL)
        return memory_alloc(sizeof *s);
    pool->free = s->next;
    pool->free_count--;
    __builtin_prefetch(pool->free); /* as in base/blocks.c */
    return s;
}

static struct shadow *shadow_create(struct shadow_binding *b, const struct compiled_shadow *shadow)
{
    struct shadow_pool *pool = b->pool;
    struct shadow *s = shadow_alloc(pool);
    memset(s, 0, offsetof(struct shadow, message)); /* the rest is filled in */
    s->magic = SHADOW_MAGIC;
    s->pool = pool;
    s->shadow = shadow;
    s->slot = &b->slots[shadow->slot];
    s->exchange.state = EXCHANGE_NEW;
    pieces_init(&s->body);
    timer_init(&s->timer, on_timer, s);
    arena_init(&s->arena, &pool->loop->arenas, ARENA_LIMIT_BYTES);
    list_init(&s->flush_link);
    list_append(&pool->live, &s->link);
    count_live(pool, 1);
    return s;
}

/* Of those that were sent in the last turn too much is counted, until somebody needs the room. */
static bool has_memory(struct shadow_pool *pool, const struct shadow_slot *slot)
{
    if (slot->lane->held_bytes + COPY_BYTES > slot->memory_bytes)
        LIST_FOREACH_SAFE (link, &pool->recount_due)
            shadow_charge(LIST_ITEM(link, struct shadow, flush_link));
    return slot->lane->held_bytes + COPY_BYTES <= slot->memory_bytes;
}

/* What is known without looking at the shadow, cheapest first. The place in flight is taken last. */
static bool may_begin(struct shadow_pool *pool, const struct compiled_shadow *shadow, struct shadow_slot *slot,
                      const struct message *head, bool *is_probe)
{
    enum shadow_drop why;
    *is_probe = false;
    if (head->has_content_length && head->content_length > shadow->config->max_body_bytes)
        why = SHADOW_DROP_BODY;
    else if (!has_memory(pool, slot))
        why = SHADOW_DROP_MEMORY;
    else if (!breaker_allows(&slot->lane->breaker, loop_now(pool->loop), is_probe))
        why = SHADOW_DROP_BREAKER;
    else if (!places_take(pool->inflight, shadow->series, shadow->config->max_inflight))
        why = SHADOW_DROP_INFLIGHT;
    else
        return true;
    breaker_on_nothing(&slot->lane->breaker, *is_probe);
    count_drop(pool, shadow, why);
    return false;
}

static void prepare_exchange(struct shadow *s, const struct shadow_source *source)
{
    struct exchange *x = &s->exchange;
    x->events = &shadow_events;
    x->upstream = s->slot->upstream;
    x->arena = &s->arena;
    x->request = &s->message;
    x->target = source->target;
    x->is_tried_once = true;
    x->write = h1_write_of(&s->message);
}

void shadow_link(struct shadow *s, struct shadow **list)
{
    s->next = *list;
    if (s->next != NULL)
        s->next->from = &s->next;
    s->from = list;
    *list = s;
}

static void complete(struct shadow *s)
{
    detach(s);
    s->is_complete = true;
    timer_start(s->pool->loop, &s->timer, s->shadow->config->timeout_ms);
    flush_later(s);
}

static void start(struct shadow *s, const struct shadow_source *source)
{
    head_take(s, source);
    prepare_exchange(s, source);
    enum reason refused = s->arena.has_overflowed ? REASON_NONE : exchange_begin(&s->exchange);
    if (refused == REASON_OVERLOADED) {
        shadow_drop(s, SHADOW_DROP_PENDING);
    } else if (refused != REASON_NONE) {
        finish_failed(s, STATS_SHADOW_ERROR, refused);
    } else {
        if (head_is_needed(s))
            head_own(s);
        else
            s->message.field_count = 0; /* what they point to goes with the request */
        if (s->arena.has_overflowed)
            shadow_drop(s, SHADOW_DROP_HEAD);
        else if (!shadow_charge(s))
            shadow_drop(s, SHADOW_DROP_MEMORY);
        else if (source->head->framing == BODY_NONE || source->list == NULL)
            complete(s);
        else
            shadow_link(s, source->list);
    }
}

/* NULL: counted as dropped. */
static struct shadow *try_create(struct shadow_binding *b, const struct compiled_shadow *shadow,
                                 const struct shadow_source *source)
{
    bool is_probe;
    if (!may_begin(b->pool, shadow, &b->slots[shadow->slot], source->head, &is_probe))
        return NULL;
    struct shadow *s = shadow_create(b, shadow);
    s->is_probe = is_probe;
    s->pin = source->pin(source->request);
    return s;
}

static void join_pair(struct shadow *s, struct pair *p, enum pair_side side)
{
    pair_await(p, side);
    s->pair = p;
    s->side = side;
}

static void begin_capture(struct shadow *s, const struct shadow_source *source)
{
    const struct shadow_config *config = s->shadow->config;
    bool is_captured = config->compare.is_on || config->record.file.len > 0;
    struct pair *p = is_captured ? capture_begin(s->pool, s->slot, s->shadow, source) : NULL;
    if (p != NULL)
        join_pair(s, p, PAIR_SHADOW);
}

/* The same again for its control, where it is compared with one. NULL: there is none, or no room for it. */
static struct shadow *create_control(struct shadow_binding *b, struct shadow *s, const struct shadow_source *source)
{
    bool is_wanted = s->pair != NULL && s->shadow->control != NULL && (s->pair->uses & PAIR_FOR_COMPARE) != 0;
    struct shadow *control = is_wanted ? try_create(b, s->shadow->control, source) : NULL;
    if (control == NULL)
        return NULL;
    join_pair(control, s->pair, PAIR_CONTROL);
    pieces_share(&control->body, &b->pool->loop->pieces, &s->body);
    if (s->trailers != NULL)
        control->trailers = head_own_trailers(&control->arena, s->trailers);
    return control;
}

/* A pair is awaited from all its sides before the first of them starts, and so may end. The control goes first: what it is
   made of may lie in the arena of the other, which may be gone once it was started. */
void shadow_start(struct shadow *s, struct shadow_binding *b, const struct shadow_source *source)
{
    struct shadow *control = create_control(b, s, source);
    if (control != NULL)
        start(control, source);
    start(s, source);
}

void shadow_begin(struct shadow_binding *b, uint32_t chosen, const struct shadow_source *source)
{
    for (; chosen != 0; chosen &= chosen - 1) {
        struct shadow *s = try_create(b, &source->route->shadows[__builtin_ctz(chosen)], source);
        if (s == NULL)
            continue;
        begin_capture(s, source);
        if (source->is_reviewed)
            review_hold(s, b, source);
        else
            shadow_start(s, b, source);
    }
}

/* ---- the body -------------------------------------------------------------------------------------------------------- */

static void feed(struct shadow *s, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct loop *loop = s->pool->loop;
    s->fed_bytes += length;
    if (s->pair != NULL && s->side == PAIR_SHADOW && s->hold == NULL)
        capture_request_body(s->pair, chunk->bytes + offset, length);
    if (s->fed_bytes > s->shadow->config->max_body_bytes) {
        shadow_drop(s, SHADOW_DROP_BODY);
        return;
    }
    if (length < PACK_BELOW_BYTES)
        pieces_pack(&s->body, &loop->pieces, &loop->chunks, chunk->bytes + offset, length);
    else
        pieces_push(&s->body, &loop->pieces, chunk, offset, length);
    if (!shadow_charge(s))
        send_body(s); /* a fast shadow takes it at once */
    if (!shadow_charge(s))
        shadow_drop(s, s->hold != NULL ? SHADOW_DROP_MEMORY : SHADOW_DROP_SLOW);
    else if (s->hold == NULL)
        flush_later(s);
}

void shadow_feed(struct shadow *first, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    for (struct shadow *s = first, *next; s != NULL; s = next) {
        CHECK_MAGIC(s, SHADOW_MAGIC);
        next = s->next;
        feed(s, chunk, offset, length);
    }
}

void shadow_feed_end(struct shadow *first, const struct message *trailers)
{
    for (struct shadow *s = first, *next; s != NULL; s = next) {
        CHECK_MAGIC(s, SHADOW_MAGIC);
        next = s->next;
        if (s->pair != NULL && s->side == PAIR_SHADOW && s->hold == NULL)
            capture_request_end(s->pair);
        if (trailers != NULL)
            s->trailers = head_own_trailers(&s->arena, trailers);
        if (s->arena.has_overflowed)
            shadow_drop(s, SHADOW_DROP_HEAD);
        else if (s->hold != NULL)
            review_later(s);
        else
            complete(s);
    }
}

void shadow_let_go(struct shadow *first)
{
    for (struct shadow *s = first, *next; s != NULL; s = next) {
        CHECK_MAGIC(s, SHADOW_MAGIC);
        next = s->next;
        shadow_drop(s, SHADOW_DROP_INCOMPLETE);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* The hook comes before those of the connections: what it leaves with HTTP/2 is written in the same turn. */
void shadow_pool_init(struct shadow_pool *pool, struct loop *loop, struct stats_worker *stats, uint32_t worker_index,
                      uint32_t worker_count)
{
    pool->loop = loop;
    pool->stats = stats;
    list_init(&pool->lanes);
    list_init(&pool->live);
    list_init(&pool->flush_due);
    list_init(&pool->recount_due);
    pool->turn_hook = (struct turn_hook){ .run = shadow_on_turn, .arg = pool };
    loop_add_turn_hook(loop, &pool->turn_hook);
    upstream_set_init(&pool->upstreams, loop, worker_index, worker_count);
    review_init(pool);
}

void shadow_pool_stop(struct shadow_pool *pool)
{
    while (!list_is_empty(&pool->live))
        shadow_drop(LIST_ITEM(pool->live.next, struct shadow, link), SHADOW_DROP_DRAINING);
    pool->upstreams.is_draining = true;
    upstream_set_close_idle(&pool->upstreams);
}

void shadow_pool_fini(struct shadow_pool *pool)
{
    CHECK(pool->live_count == 0 && list_is_empty(&pool->lanes));
    upstream_set_fini(&pool->upstreams);
    while (pool->free != NULL) {
        struct shadow *s = pool->free;
        pool->free = s->next;
        memory_free(s);
    }
}
