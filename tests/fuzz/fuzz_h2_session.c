/* fuzz/fuzz_h2_session.c - a session of either role, fed with any frames, whose owner does anything it may.
 *
 * Input: a byte that says the role and how bytes arrive, a byte from which the owner's doings follow, then frames: type,
 * flags, stream, length and payload, a byte each but the last; or, as the first byte says, bytes as they are. Each
 * stream is memory of its own that goes when it is closed, and the order of events is checked. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

#include "http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { IS_CLIENT = 1, IS_RAW = 2, IS_BYTE_BY_BYTE = 4, IS_SLOW_CLOCK = 8 };

/* What was told of a stream: the order that h2.h promises. */
enum told { TOLD_NOTHING, TOLD_HEAD, TOLD_TRAILERS, TOLD_END };

struct subject;

struct owned {
    struct h2_stream s;
    struct arena arena;
    struct message message;
    struct subject *subject;
    struct owned *next;
    enum told told;
    bool is_refused;
    bool is_answered; /* a final head was given */
    uint64_t body_bytes;
};

struct subject {
    struct h2 *h;
    struct rng rng; /* of the owner's doings */
    struct chunk_pool *chunks;
    struct owned *streams;
    bool is_client;
    size_t sent_bytes;
};

static struct owned *of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct owned, s);
}

static struct owned *owned_create(struct subject *x)
{
    struct owned *o = memory_zalloc(sizeof(*o));
    arena_init(&o->arena, NULL, 256 * 1024);
    h2_stream_init(&o->s, &o->arena, &o->message);
    o->subject = x;
    o->next = x->streams;
    x->streams = o;
    return o;
}

static void owned_destroy(struct owned *o)
{
    struct owned **at = &o->subject->streams;
    CHECK(o->s.session == NULL && o->s.out.bytes == 0);
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    arena_reset(&o->arena);
    memory_free(o);
}

/* ---- what the owner does ------------------------------------------------------------------------------------------- */

static void send_some(struct owned *o)
{
    struct chunk *c = chunk_create(o->subject->chunks);
    c->used = 1 + rng_below(&o->subject->rng, CHUNK_BYTES);
    memset(c->bytes, 'x', c->used);
    h2_send_data(&o->s, c, 0, c->used);
    chunk_unref(c);
    h2_is_full(&o->s);
}

static void send_end(struct owned *o)
{
    struct message *trailers = NULL;
    if (rng_below(&o->subject->rng, 2) == 0) {
        trailers = arena_alloc(&o->arena, sizeof(*trailers));
        message_init(trailers, &o->arena, 1);
        message_add(trailers, &o->arena, FIELD_OTHER, SLICE("X-Sum"), SLICE("1"));
    }
    h2_send_end(&o->s, trailers);
}

static void answer(struct owned *o)
{
    static const uint16_t statuses[] = { 100, 103, 200, 204, 404, 101 };
    if (o->s.session == NULL || o->is_answered || o->subject->is_client)
        return;
    struct message m;
    message_init(&m, &o->arena, 1);
    m.is_response = true;
    m.status = statuses[rng_below(&o->subject->rng, 6)];
    message_add(&m, &o->arena, FIELD_CONTENT_TYPE, SLICE("Content-Type"), SLICE("text/plain"));
    bool has_body = m.status == 200 && rng_below(&o->subject->rng, 2) == 0;
    struct h1_write w = { .framing = has_body ? BODY_CHUNKED : BODY_NONE };
    h2_send_head(&o->s, &m, &w);
    o->is_answered = m.status >= 200 || m.status == 101;
    if (!has_body && m.status != 101)
        return;
    send_some(o);
    if (rng_below(&o->subject->rng, 3) > 0)
        send_end(o);
}

static struct owned *any_stream(struct subject *x)
{
    struct owned *o = x->streams;
    for (uint32_t steps = rng_below(&x->rng, 4); steps > 0 && o != NULL && o->next != NULL; steps--)
        o = o->next;
    return o;
}

static void begin(struct subject *x)
{
    if (!x->is_client || !h2_can_begin(x->h) || h2_stream_count(x->h) > 20)
        return;
    struct owned *o = owned_create(x);
    struct message m;
    message_init(&m, &o->arena, 1);
    bool is_head = rng_below(&x->rng, 3) == 0;
    m.method_name = is_head ? SLICE("HEAD") : SLICE("POST");
    m.method = is_head ? METHOD_HEAD : METHOD_POST;
    message_add(&m, &o->arena, FIELD_HOST, SLICE("Host"), SLICE("h"));
    struct h1_write w = { .framing = rng_below(&x->rng, 2) == 0 ? BODY_NONE : BODY_CHUNKED };
    if (rng_below(&x->rng, 4) == 0)
        w.upgrade = SLICE("websocket");
    CHECK(h2_begin(x->h, &o->s, &m, SLICE("/"), SLICE("http"), &w));
    if (w.framing == BODY_CHUNKED)
        send_some(o);
}

/* The stream may be gone afterwards. */
static void do_something(struct owned *o)
{
    struct subject *x = o->subject;
    struct owned *other;
    switch (rng_below(&x->rng, 12)) {
    case 0:
        h2_reset(&o->s, H2_CANCEL);
        owned_destroy(o);
        break;
    case 1:
        other = any_stream(x);
        h2_reset(&other->s, H2_INTERNAL_ERROR);
        owned_destroy(other);
        break;
    case 2:
        if (rng_below(&x->rng, 20) == 0)
            h2_goaway(x->h, H2_INTERNAL_ERROR);
        break;
    case 3:
        h2_shutdown(x->h);
        break;
    case 4:
        begin(x);
        break;
    case 5:
        h2_ping(x->h);
        break;
    case 6:
    case 7:
    case 8:
        answer(o);
        break;
    default:
        h2_consume(&o->s, o->s.unconsumed_bytes);
        break;
    }
}

/* ---- events, and their order --------------------------------------------------------------------------------------- */

static struct h2_stream *on_begin(struct h2 *h)
{
    struct subject *x = h2_owner(h);
    CHECK(!x->is_client);
    return rng_below(&x->rng, 16) == 0 ? NULL : &owned_create(x)->s;
}

static void on_head(struct h2_stream *s)
{
    struct owned *o = of(s);
    CHECK(o->told == TOLD_NOTHING && !o->is_refused && s->session != NULL);
    CHECK(o->message.is_response == o->subject->is_client);
    if (!o->message.is_response || o->message.status >= 200 || o->message.status == 101)
        o->told = TOLD_HEAD;
    do_something(o);
}

static void on_refused(struct h2_stream *s, enum reason reason, const char *detail)
{
    struct owned *o = of(s);
    CHECK(o->told == TOLD_NOTHING && !o->is_refused && !o->subject->is_client);
    CHECK(reason != REASON_NONE && reason_rows[reason].status >= 400 && detail != NULL);
    o->is_refused = true;
    do_something(o);
}

static void on_data(struct h2_stream *s, struct slice data)
{
    struct owned *o = of(s);
    CHECK(o->told == TOLD_HEAD && data.len > 0);
    o->body_bytes += data.len;
    CHECK(o->message.is_upgrade || o->message.framing == BODY_CHUNKED ||
          (o->message.framing == BODY_LENGTH && o->body_bytes <= o->message.content_length));
    volatile char sum = 0; /* every byte may be read */
    for (size_t i = 0; i < data.len; i++)
        sum = (char)(sum + data.ptr[i]);
    do_something(o);
}

static void on_trailers(struct h2_stream *s, struct message *trailers)
{
    struct owned *o = of(s);
    CHECK(o->told == TOLD_HEAD && trailers->field_count > 0);
    o->told = TOLD_TRAILERS;
    do_something(o);
}

static void on_end(struct h2_stream *s)
{
    struct owned *o = of(s);
    CHECK(o->told == TOLD_HEAD || o->told == TOLD_TRAILERS);
    CHECK(o->message.framing != BODY_LENGTH || o->body_bytes == o->message.content_length);
    o->told = TOLD_END;
    do_something(o);
}

static void on_closed(struct h2_stream *s, const struct h2_closing *how)
{
    struct owned *o = of(s);
    struct subject *x = o->subject;
    CHECK(s->session == NULL && how->detail != NULL);
    CHECK((how->cause == H2_COMPLETE) == (how->reason == REASON_NONE));
    CHECK(how->cause != H2_COMPLETE || !x->is_client || o->told == TOLD_END);
    CHECK(!how->is_unprocessed || x->is_client);
    owned_destroy(o);
    begin(x);
}

static void on_room(struct h2_stream *s)
{
    CHECK(s->session != NULL && s->out.bytes < H2_LOW_BYTES);
    do_something(of(s));
}

static const struct h2_events events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_refused = on_refused,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_closed = on_closed,
    .on_room = on_room,
};

static void out_write(void *owner, const void *bytes, uint32_t length)
{
    (void)bytes;
    ((struct subject *)owner)->sent_bytes += length;
}

static void out_push(void *owner, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK(length > 0 && offset + length <= chunk->used);
    ((struct subject *)owner)->sent_bytes += length;
}

static const struct h2_output output = { .write = out_write, .push = out_push };

/* ---- the input ----------------------------------------------------------------------------------------------------- */

static bool receive(struct subject *x, struct slice bytes, uint8_t mode, struct mono_time *now)
{
    size_t step = (mode & IS_BYTE_BY_BYTE) != 0 ? 1 : SIZE_MAX;
    while (bytes.len > 0) {
        struct slice piece = slice_first(bytes, step);
        char *copy = memory_alloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        now->us += (mode & IS_SLOW_CLOCK) != 0 ? 0 : 1000000;
        bool is_over = h2_receive(x->h, slice_from(copy, piece.len), *now) == H2_OVER;
        memory_free(copy);
        h2_check(x->h);
        if (is_over)
            return false;
        bytes = slice_after(bytes, piece.len);
    }
    return true;
}

static bool flush(struct subject *x)
{
    bool is_open = h2_send(x->h, 1 + rng_below(&x->rng, 100000)) == H2_OPEN;
    h2_check(x->h);
    return is_open;
}

/* type, flags, stream, length, payload as a frame. */
static void take_frame(struct slice *input, struct text *frame)
{
    const char head[9] = { 0, 0, input->ptr[3], input->ptr[0], input->ptr[1], 0, 0, 0, input->ptr[2] };
    struct slice payload = slice_first(slice_after(*input, 4), (unsigned char)input->ptr[3]);
    *input = slice_after(*input, 4 + payload.len);
    text_clear(frame);
    text_add(frame, slice_from(head, sizeof head));
    text_add(frame, payload);
}

static void feed(struct subject *x, struct slice input, uint8_t mode)
{
    struct mono_time now = { .us = 1000000 };
    struct text frame;
    text_init(&frame);
    if (!x->is_client)
        text_add_cstr(&frame, H2_PREFACE);
    text_add(&frame, SLICE("\0\0\0\4\0\0\0\0\0"));
    bool is_open = receive(x, text_slice(&frame), mode, &now) && flush(x);
    if (is_open && (mode & IS_RAW) != 0)
        receive(x, input, mode, &now);
    while (is_open && (mode & IS_RAW) == 0 && input.len >= 4) {
        take_frame(&input, &frame);
        is_open = receive(x, text_slice(&frame), mode, &now);
        if (is_open && rng_below(&x->rng, 3) == 0)
            is_open = flush(x);
    }
    text_fini(&frame);
}

static void finish(struct subject *x)
{
    for (int i = 0; i < 3; i++)
        flush(x);
    h2_close(x->h);
    CHECK(h2_stream_count(x->h) == 0 && x->streams == NULL);
    h2_destroy(x->h);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const struct h1_limits head = { .request_line_bytes = 200, .head_bytes = 500, .field_count = 12 };
    if (length < 2)
        return 0;
    struct chunk_pool chunks;
    struct pieces_pool pieces;
    chunk_pool_init(&chunks, 4);
    pieces_pool_init(&pieces, 4);
    struct h2_pool *pool = h2_pool_create(&pieces, &chunks);
    struct h2_limits limits = h2_limits_with(&head);
    struct subject x = { .chunks = &chunks, .is_client = (bytes[0] & IS_CLIENT) != 0 };
    rng_init(&x.rng, bytes[1]);
    x.h = h2_create(pool, x.is_client ? H2_CLIENT : H2_SERVER, &limits, &events, &output, &x);
    for (int i = 0; i < 3; i++)
        begin(&x);
    feed(&x, slice_from((const char *)bytes + 2, length - 2), bytes[0]);
    finish(&x);
    h2_pool_destroy(pool);
    pieces_pool_fini(&pieces);
    chunk_pool_fini(&chunks);
    return 0;
}
