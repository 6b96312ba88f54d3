/* fuzz/round_trip.c - splits that must not matter, and messages that must survive the writer. */
#include "round_trip.h"

#include "base/check.h"
#include "base/text.h"

#include "http/codec.h"
#include "http/validate.h"

static void transcribe(const struct feed *feed, struct slice input, size_t first_bytes, size_t step_bytes,
                       struct text *transcript)
{
    struct feed f = *feed;
    f.shows_fields = true;
    f.first_bytes = first_bytes;
    f.step_bytes = step_bytes;
    feed_run(&f, input, transcript);
}

static void check_split(const struct feed *feed, struct slice input, struct slice whole, size_t first_bytes,
                        size_t step_bytes)
{
    struct text t;
    text_init(&t);
    transcribe(feed, input, first_bytes, step_bytes, &t);
    CHECK(slice_equal(text_slice(&t), whole));
    text_fini(&t);
}

void check_splits(const struct feed *feed, struct slice input)
{
    if (input.len == 0)
        return;
    struct text whole;
    text_init(&whole);
    transcribe(feed, input, input.len, 1, &whole);
    struct slice wanted = text_slice(&whole);
    check_split(feed, input, wanted, 1, 1);
    check_split(feed, input, wanted, input.len / 2 + 1, input.len / 5 + 1);
    text_fini(&whole);
}

/* A message as it was read; slices borrow from the input and the arena. */
struct taken {
    struct message head;
    struct text body;
    const struct message *trailers; /* NULL: none */
    bool is_complete;               /* END was seen, or it is an interim answer */
};

static bool is_interim(const struct message *m)
{
    return m->is_response && m->status < 200 && m->status != 101;
}

/* Takes the next message off the input; its end is the input's where that ends it. False at a fault or an incomplete one. */
static bool take_message(struct h1_reader *r, struct slice *input, struct arena *arena, struct taken *taken)
{
    for (;;) {
        enum h1_event e = h1_read(r, input, arena, &taken->head);
        if (e == H1_MORE)
            e = h1_read_eof(r, input->len);
        if (e == H1_DATA)
            text_add(&taken->body, r->data);
        else if (e == H1_TRAILERS)
            taken->trailers = r->trailers;
        else if (e == H1_HEAD && is_interim(&taken->head))
            return true;
        else if (e != H1_HEAD)
            return e == H1_END;
    }
}

static struct h1_write write_of(const struct message *m)
{
    return (struct h1_write){
        .framing = m->framing,
        .content_length = m->content_length,
        .has_content_length = m->has_content_length,
        .is_close = !m->is_keep_alive && m->framing != BODY_UNTIL_CLOSE && !(m->is_response && m->is_upgrade),
        .upgrade = m->upgrade,
        .wants_trailers = m->wants_trailers,
    };
}

static size_t write_head(const struct message *m, char *out, size_t capacity)
{
    struct h1_write w = write_of(m);
    if (m->is_response)
        return h1_write_response(m, &w, out, capacity);
    struct text target; /* origin-form, as a proxy sends it */
    text_init(&target);
    text_add(&target, m->path);
    text_add_cstr(&target, m->query.ptr != NULL ? "?" : "");
    text_add(&target, m->query);
    size_t len = h1_write_request(m, text_slice(&target), &w, out, capacity);
    text_fini(&target);
    return len;
}

/* The whole message on the wire, its body in chunks of 1, 2, 3... bytes when it is chunked. */
static void write_message(const struct taken *taken, struct text *wire)
{
    static char bytes[256 * 1024];
    size_t len = write_head(&taken->head, bytes, sizeof bytes);
    CHECK(len > 0 && len <= h1_head_bytes(&taken->head) + 256);
    text_add(wire, slice_from(bytes, len));
    struct slice body = text_slice(&taken->body);
    if (taken->head.framing != BODY_CHUNKED) {
        text_add(wire, body);
        return;
    }
    for (size_t size = 1; body.len > 0; size++) {
        struct slice chunk = slice_first(body, size);
        char line[18];
        text_add(wire, slice_from(line, h1_write_chunk_size(chunk.len, line)));
        text_add(wire, chunk);
        text_add_cstr(wire, "\r\n");
        body = slice_after(body, chunk.len);
    }
    len = h1_write_last_chunk(taken->trailers, bytes, sizeof bytes);
    CHECK(len > 0);
    text_add(wire, slice_from(bytes, len));
}

static bool is_forwarded(const struct field *f)
{
    return !f->is_dropped && f->id != FIELD_CONTENT_LENGTH && f->id != FIELD_CONNECTION &&
           f->id != FIELD_TRANSFER_ENCODING && f->id != FIELD_TE && f->id != FIELD_UPGRADE;
}

static const struct field *next_forwarded(const struct message *m, size_t *at)
{
    while (m != NULL && *at < m->field_count) {
        const struct field *f = &m->fields[(*at)++];
        if (is_forwarded(f))
            return f;
    }
    return NULL;
}

static void check_fields(const struct message *a, const struct message *b)
{
    size_t at_a = 0, at_b = 0;
    for (;;) {
        const struct field *x = next_forwarded(a, &at_a), *y = next_forwarded(b, &at_b);
        CHECK((x == NULL) == (y == NULL));
        if (x == NULL)
            return;
        CHECK(slice_equal(x->name, y->name) && slice_equal(x->value, y->value) && x->id == y->id);
    }
}

static void check_heads(const struct message *a, const struct message *b)
{
    CHECK(slice_equal(a->method_name, b->method_name) && a->method == b->method);
    CHECK(slice_equal(a->path, b->path) && slice_equal(a->query, b->query));
    CHECK((a->query.ptr == NULL) == (b->query.ptr == NULL));
    CHECK(slice_equal(a->authority, b->authority));
    CHECK(a->status == b->status && slice_equal(a->reason_phrase, b->reason_phrase));
    CHECK(a->framing == b->framing && a->has_content_length == b->has_content_length);
    CHECK(a->content_length == b->content_length);
    CHECK(a->is_keep_alive == b->is_keep_alive && a->expects_continue == b->expects_continue);
    CHECK(a->is_upgrade == b->is_upgrade && slice_equal(a->upgrade, b->upgrade));
    CHECK(a->wants_trailers == b->wants_trailers);
    check_fields(a, b);
}

/* What a proxy does in between: hop-by-hop fields end, and HTTP/1.0 gets the Host it may lack. */
static void prepare(struct message *m, struct arena *arena)
{
    hop_by_hop_drop(m);
    if (!m->is_response && m->authority.len == 0) {
        m->authority = SLICE("h");
        message_set(m, arena, SLICE("Host"), m->authority);
    }
}

static void reader_begin(struct h1_reader *r, const struct feed *feed, const struct h1_limits *limits)
{
    if (feed->is_response)
        h1_reader_init_response(r, limits, feed->request_method);
    else
        h1_reader_init_request(r, limits);
}

static void check_message(const struct feed *feed, struct taken *taken, struct arena *arena)
{
    /* What the codec adds must not run into the limits of the first reading. */
    static const struct h1_limits wide = { .request_line_bytes = 4096, .head_bytes = 8192, .field_count = 64 };
    struct h1_reader r;
    struct text wire;
    struct taken again = { 0 };
    reader_begin(&r, feed, &wide);
    text_init(&wire);
    prepare(&taken->head, arena);
    write_message(taken, &wire);
    struct slice input = text_slice(&wire);
    CHECK(take_message(&r, &input, arena, &again));
    CHECK(input.len == 0);
    check_heads(&taken->head, &again.head);
    CHECK(slice_equal(text_slice(&taken->body), text_slice(&again.body)));
    check_fields(taken->trailers, again.trailers);
    text_fini(&again.body);
    text_fini(&wire);
}

void check_round_trip(const struct feed *feed, struct slice input)
{
    struct arena arena;
    struct h1_reader r;
    bool goes_on = true;
    arena_init(&arena, NULL, 0);
    reader_begin(&r, feed, &feed_limits);
    while (goes_on && input.len > 0) {
        struct taken taken = { 0 };
        goes_on = take_message(&r, &input, &arena, &taken);
        if (goes_on)
            check_message(feed, &taken, &arena);
        text_fini(&taken.body);
        if (goes_on && !is_interim(&taken.head))
            h1_reader_next(&r);
    }
    arena_reset(&arena);
}

/* One byte of body for each that was announced would be too many: the end of the head is what counts. */
static void write_downgraded(struct message *m, struct text *wire)
{
    struct taken taken = { .head = *m };
    if (m->framing == BODY_LENGTH) {
        m->content_length = taken.head.content_length = 3;
        text_add_cstr(&taken.body, "abc");
    }
    write_message(&taken, wire);
    text_fini(&taken.body);
}

void check_downgrade(struct message *m, struct arena *arena)
{
    const struct feed feed = { .is_response = m->is_response, .request_method = m->method };
    static const struct h1_limits wide = { .request_line_bytes = 65536, .head_bytes = 256 * 1024, .field_count = 512 };
    struct h1_reader r;
    struct text wire;
    struct taken again = { 0 };
    reader_begin(&r, &feed, &wide);
    text_init(&wire);
    prepare(m, arena);
    if (m->is_response && m->reason_phrase.ptr == NULL)
        m->reason_phrase = h1_reason_phrase(m->status);
    write_downgraded(m, &wire);
    struct slice input = text_slice(&wire);
    CHECK(take_message(&r, &input, arena, &again));
    CHECK(input.len == 0);
    check_heads(m, &again.head);
    CHECK(again.trailers == NULL);
    text_fini(&again.body);
    text_fini(&wire);
}
