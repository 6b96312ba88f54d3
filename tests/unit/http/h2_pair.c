/* unit/http/h2_pair.c - two sessions back to back: transcripts of events, and bytes in steps. */
#include "http/h2_pair.h"

#include <criterion/criterion.h>

#include <stdlib.h>

const struct h1_limits pair_head_limits = { .request_line_bytes = 256, .head_bytes = 1024, .field_count = 12 };

static struct side_stream *of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct side_stream, s);
}

static void react(struct side *side, enum side_event event, struct side_stream *t)
{
    if (side->react != NULL)
        side->react(side, event, t);
}

/* The text of the next entry. */
static struct text *log_next(struct side *side)
{
    text_add_cstr(&side->log, side->log.len > 0 ? "; " : "");
    side->is_data_last = false;
    return &side->log;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

struct side_stream *side_stream(struct side *side)
{
    cr_assert_lt(side->stream_count, SIDE_STREAMS);
    struct side_stream *t = &side->streams[side->stream_count++];
    memset(t, 0, sizeof(*t));
    arena_init(&t->arena, &side->pair->arenas, 256 * 1024);
    text_init(&t->body);
    h2_stream_init(&t->s, &t->arena, &t->message);
    t->side = side;
    t->is_used = true;
    return t;
}

static struct h2_stream *on_begin(struct h2 *h)
{
    struct side *side = h2_owner(h);
    if (side->refuses)
        return NULL;
    struct side_stream *t = side_stream(side);
    react(side, EV_BEGIN, t);
    return &t->s;
}

static void log_fields(struct text *log, const struct message *m)
{
    const char *before = " {";
    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (f->is_dropped)
            continue;
        text_printf(log, "%s%.*s: %.*s", before, SLICE_ARG(f->name), SLICE_ARG(f->value));
        before = "|";
    }
    text_add_cstr(log, before[0] == '|' ? "}" : "");
}

static void on_head(struct h2_stream *s)
{
    static const char *const framings[] = { "none", "length", "chunked", "until-close" };
    const struct message *m = s->message;
    struct side *side = of(s)->side;
    if (m->is_response)
        text_printf(log_next(side), "head %d %u %s", s->id, m->status, framings[m->framing]);
    else
        text_printf(log_next(side), "head %d %.*s %.*s @%.*s %s", s->id, SLICE_ARG(m->method_name),
                    SLICE_ARG(m->target), SLICE_ARG(m->authority), framings[m->framing]);
    if (m->has_content_length)
        text_printf(&side->log, "=%llu", (unsigned long long)m->content_length);
    if (m->is_upgrade)
        text_printf(&side->log, " upgrade=%.*s", SLICE_ARG(m->upgrade));
    log_fields(&side->log, m);
    react(side, EV_HEAD, of(s));
}

static void on_refused(struct h2_stream *s, enum reason reason, const char *detail)
{
    cr_assert_gt(strlen(detail), 5);
    text_printf(log_next(of(s)->side), "refused %d %s", s->id, reason_rows[reason].name);
    react(of(s)->side, EV_REFUSED, of(s));
}

/* However the bytes were cut, one entry. */
static void on_data(struct h2_stream *s, struct slice data)
{
    struct side_stream *t = of(s);
    cr_assert_gt(data.len, 0);
    text_add(&t->body, data);
    if (!t->side->is_data_last || t->side->data_id != s->id) {
        text_printf(log_next(t->side), "data %d", s->id);
        t->side->is_data_last = true;
        t->side->data_id = s->id;
    }
    if (!t->keeps_window)
        h2_consume(s, (uint32_t)data.len);
    react(t->side, EV_DATA, t);
}

static void on_trailers(struct h2_stream *s, struct message *trailers)
{
    text_printf(log_next(of(s)->side), "trailers %d", s->id);
    log_fields(&of(s)->side->log, trailers);
    react(of(s)->side, EV_TRAILERS, of(s));
}

static void on_end(struct h2_stream *s)
{
    text_printf(log_next(of(s)->side), "end %d", s->id);
    react(of(s)->side, EV_END, of(s));
}

static void on_closed(struct h2_stream *s, const struct h2_closing *how)
{
    static const char *const causes[] = { "complete", "peer-reset", "malformed", "lost" };
    struct side_stream *t = of(s);
    cr_assert_null(s->session);
    cr_assert(!t->is_over, "closed once");
    t->is_over = true;
    t->how = *how;
    text_printf(log_next(t->side), "closed %d %s %u%s%s", s->id, causes[how->cause], how->error, how->reason ? " " : "",
                how->reason ? reason_rows[how->reason].name : "");
    text_add_cstr(&t->side->log, how->is_unprocessed ? " unprocessed" : "");
    react(t->side, EV_CLOSED, t);
}

static void on_room(struct h2_stream *s)
{
    text_printf(log_next(of(s)->side), "room %d", s->id);
    react(of(s)->side, EV_ROOM, of(s));
}

static void on_goaway(struct h2 *h, uint32_t error)
{
    text_printf(log_next(h2_owner(h)), "goaway %u", error);
    react(h2_owner(h), EV_GOAWAY, NULL);
}

static void on_settings(struct h2 *h)
{
    react(h2_owner(h), EV_SETTINGS, NULL);
}

static void on_pong(struct h2 *h)
{
    text_printf(log_next(h2_owner(h)), "pong");
    react(h2_owner(h), EV_PONG, NULL);
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
    .on_goaway = on_goaway,
    .on_settings = on_settings,
    .on_pong = on_pong,
};

static void out_write(void *owner, const void *bytes, uint32_t length)
{
    struct side *side = owner;
    side->write_count++;
    text_add(&side->wire, slice_from(bytes, length));
}

static void out_push(void *owner, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct side *side = owner;
    side->push_count++;
    cr_assert_leq(offset + length, chunk->used);
    text_add(&side->wire, slice_from(chunk->bytes + offset, length));
}

static const struct h2_output output = { .write = out_write, .push = out_push };

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void pools_open(struct pair *p, size_t step_bytes)
{
    memset(p, 0, sizeof(*p));
    chunk_pool_init(&p->chunks, 16);
    pieces_pool_init(&p->pieces, 16);
    arena_pool_init(&p->arenas, 4096, 16);
    p->pool = h2_pool_create(&p->pieces, &p->chunks);
    p->limits = h2_limits_with(&pair_head_limits);
    p->step_bytes = step_bytes;
    p->budget_bytes = SIZE_MAX;
    p->now.us = 1000000;
}

static void side_open(struct pair *p, struct side *side, enum h2_role role)
{
    side->pair = p;
    text_init(&side->log);
    text_init(&side->wire);
    side->h = h2_create(p->pool, role, &p->limits, &events, &output, side);
}

static void side_close(struct side *side)
{
    if (side->h == NULL)
        return;
    h2_close(side->h);
    h2_close(side->h);
    h2_destroy(side->h);
    for (size_t i = 0; i < side->stream_count; i++) {
        cr_assert_null(side->streams[i].s.session);
        arena_reset(&side->streams[i].arena);
        text_fini(&side->streams[i].body);
    }
    text_fini(&side->log);
    text_fini(&side->wire);
}

void pair_open(struct pair *p, size_t step_bytes)
{
    pools_open(p, step_bytes);
    side_open(p, &p->server, H2_SERVER);
    side_open(p, &p->client, H2_CLIENT);
    pair_run(p);
}

void pair_open_server(struct pair *p)
{
    pools_open(p, SIZE_MAX);
    side_open(p, &p->server, H2_SERVER);
    side_feed(&p->server, SLICE(H2_PREFACE "\0\0\0\4\0\0\0\0\0"));
    side_flush(&p->server);
    side_feed(&p->server, SLICE("\0\0\0\4\1\0\0\0\0")); /* acknowledges the server's */
    p->server.wire.len = 0;
}

void pair_open_client(struct pair *p)
{
    pools_open(p, SIZE_MAX);
    side_open(p, &p->client, H2_CLIENT);
    side_feed(&p->client, SLICE("\0\0\0\4\0\0\0\0\0"));
    side_flush(&p->client);
    side_feed(&p->client, SLICE("\0\0\0\4\1\0\0\0\0"));
    p->client.wire.len = 0;
}

void pair_close(struct pair *p)
{
    side_close(&p->client);
    side_close(&p->server);
    cr_assert_eq(h2_pool_live_count(p->pool), 0);
    h2_pool_destroy(p->pool);
    cr_assert_eq(p->pieces.live_count, 0, "every block was given back");
    cr_assert_eq(p->chunks.live_count, 0, "every chunk was given back");
    cr_assert_eq(p->arenas.live_count, 0, "every page was given back");
    pieces_pool_fini(&p->pieces);
    chunk_pool_fini(&p->chunks);
    arena_pool_fini(&p->arenas);
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

/* Each piece in memory of its own, so that a slice kept too long is found. */
void side_feed(struct side *side, struct slice bytes)
{
    while (bytes.len > 0) {
        struct slice piece = slice_first(bytes, side->pair->step_bytes);
        char *copy = malloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        side->is_over |= h2_receive(side->h, slice_from(copy, piece.len), side->pair->now) == H2_OVER;
        h2_check(side->h);
        free(copy);
        bytes = slice_after(bytes, piece.len);
    }
}

void side_flush(struct side *side)
{
    while (h2_has_output(side->h)) {
        size_t before = side->wire.len;
        side->is_over |= h2_send(side->h, side->pair->budget_bytes) == H2_OVER;
        h2_check(side->h);
        if (side->wire.len == before)
            break;
    }
}

static bool deliver(struct side *from, struct side *to)
{
    side_flush(from);
    if (from->wire.len == 0)
        return false;
    struct text wire = from->wire;
    text_init(&from->wire);
    side_feed(to, text_slice(&wire));
    text_fini(&wire);
    return true;
}

void pair_run(struct pair *p)
{
    bool has_moved = true;
    while (has_moved) {
        has_moved = deliver(&p->client, &p->server);
        has_moved |= deliver(&p->server, &p->client);
    }
}

/* ---- frames by hand ------------------------------------------------------------------------------------------------ */

void put_frame(struct text *t, uint8_t type, uint8_t flags, uint32_t id, struct slice payload)
{
    const unsigned char head[9] = {
        (unsigned char)(payload.len >> 16),
        (unsigned char)(payload.len >> 8),
        (unsigned char)payload.len,
        type,
        flags,
        (unsigned char)(id >> 24),
        (unsigned char)(id >> 16),
        (unsigned char)(id >> 8),
        (unsigned char)id,
    };
    text_add(t, slice_from((const char *)head, sizeof head));
    text_add(t, payload);
}

/* A literal without indexing and with a new name (RFC 7541 6.2.2). */
static void put_literal(struct text *block, struct slice name, struct slice value)
{
    cr_assert(name.len < 127 && value.len < 127);
    text_add_char(block, 0);
    text_add_char(block, (char)name.len);
    text_add(block, name);
    text_add_char(block, (char)value.len);
    text_add(block, value);
}

void put_block(struct text *block, const char *fields)
{
    struct slice rest = slice_from_cstr(fields);
    while (rest.len > 0) {
        struct slice line = slice_first(rest, slice_find(rest, '|'));
        size_t equals = slice_find(line, '=');
        put_literal(block, slice_first(line, equals), slice_after(line, equals + 1));
        rest = slice_after(rest, line.len + 1);
    }
}

void feed_frame(struct side *side, uint8_t type, uint8_t flags, uint32_t id, struct slice payload)
{
    struct text t;
    text_init(&t);
    put_frame(&t, type, flags, id, payload);
    side_feed(side, text_slice(&t));
    text_fini(&t);
}

void feed_head(struct side *side, uint8_t flags, uint32_t id, const char *fields)
{
    struct text block;
    text_init(&block);
    put_block(&block, fields);
    feed_frame(side, FRAME_HEADERS, flags | FLAG_END_HEADERS, id, text_slice(&block));
    text_fini(&block);
}

static const char *frame_name(uint8_t type)
{
    static const char *const names[] = { "DATA", "HEADERS", "PRIORITY", "RST",           "SETTINGS",
                                         "PUSH", "PING",    "GOAWAY",   "WINDOW_UPDATE", "CONTINUATION" };
    return type < sizeof names / sizeof names[0] ? names[type] : "?";
}

static uint32_t number_at(const char *at)
{
    const unsigned char *u = (const unsigned char *)at;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* What is worth comparing of a frame's payload: codes and increments. */
static void describe_payload(struct text *out, uint8_t type, struct slice payload)
{
    if (type == FRAME_DATA)
        text_printf(out, " %zu", payload.len);
    if (type == FRAME_RST || type == FRAME_WINDOW_UPDATE)
        text_printf(out, " %u", number_at(payload.ptr));
    if (type == FRAME_GOAWAY)
        text_printf(out, " %u %u", number_at(payload.ptr), number_at(payload.ptr + 4));
}

const char *side_frames(struct side *side)
{
    static struct text out;
    side_flush(side);
    text_clear(&out);
    struct slice rest = text_slice(&side->wire);
    while (rest.len > 0) {
        cr_assert_geq(rest.len, 9);
        size_t length = number_at(rest.ptr) >> 8;
        uint8_t type = (uint8_t)rest.ptr[3], flags = (uint8_t)rest.ptr[4];
        bool has_end = (type == FRAME_DATA || type == FRAME_HEADERS) && (flags & FLAG_END_STREAM) != 0;
        text_printf(&out, "%s%s %u", out.len > 0 ? "; " : "", frame_name(type), number_at(rest.ptr + 5));
        describe_payload(&out, type, slice_first(slice_after(rest, 9), length));
        text_add_cstr(&out, has_end ? " end" : "");
        rest = slice_after(rest, 9 + length);
    }
    side->wire.len = 0;
    return out.len > 0 ? out.bytes : "";
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

void fill_fields(struct message *m, struct arena *arena, const char *fields)
{
    struct slice rest = slice_from_cstr(fields), line;
    if (fields[0] == '\0')
        return;
    while (slice_next_item(&rest, '|', &line)) {
        size_t colon = slice_find(line, ':');
        struct slice name = slice_first(line, colon);
        message_add(m, arena, field_id_from_name(name), name, slice_trim(slice_after(line, colon + 1)));
    }
}

/* "Content-Length" among the fields is what the head announces. */
static struct h1_write write_of(const struct message *m, enum body_framing framing)
{
    struct h1_write w = { .framing = framing };
    const struct field *f = message_field(m, FIELD_CONTENT_LENGTH);
    w.has_content_length = f != NULL && slice_to_u64(f->value, &w.content_length);
    f = message_field(m, FIELD_UPGRADE);
    w.upgrade = f != NULL ? f->value : SLICE_NONE;
    w.wants_trailers = message_field(m, FIELD_TE) != NULL;
    return w;
}

struct side_stream *pair_request(struct pair *p, const char *method, const char *path, const char *fields,
                                 enum body_framing framing)
{
    struct arena arena;
    struct message m;
    struct side_stream *t = side_stream(&p->client);
    arena_init(&arena, NULL, 0);
    message_init(&m, &arena, 0);
    m.method_name = slice_from_cstr(method);
    m.method = method_from_name(m.method_name);
    m.authority = SLICE("h");
    fill_fields(&m, &arena, fields);
    struct h1_write w = write_of(&m, framing);
    bool has_begun = h2_begin(p->client.h, &t->s, &m, slice_from_cstr(path), SLICE("http"), &w);
    arena_reset(&arena); /* nothing of it may be needed any more */
    if (has_begun)
        return t;
    arena_reset(&t->arena);
    p->client.stream_count--;
    return NULL;
}

void answer(struct side_stream *t, uint16_t status, const char *fields, enum body_framing framing)
{
    struct arena arena;
    struct message m;
    arena_init(&arena, NULL, 0);
    message_init(&m, &arena, 0);
    m.is_response = true;
    m.status = status;
    fill_fields(&m, &arena, fields);
    struct h1_write w = write_of(&m, framing);
    h2_send_head(&t->s, &m, &w);
    arena_reset(&arena);
}

void send_text(struct side_stream *t, const char *text)
{
    struct chunk *c = chunk_create(&t->side->pair->chunks);
    c->used = (uint32_t)strlen(text);
    memcpy(c->bytes, text, c->used);
    h2_send_data(&t->s, c, 0, c->used);
    chunk_unref(c);
}

static char pattern_at(size_t place)
{
    return (char)('a' + place % 23 + place / 1000 % 3);
}

void send_pattern(struct side_stream *t, size_t count)
{
    for (size_t done = 0; done < count;) {
        struct chunk *c = chunk_create(&t->side->pair->chunks);
        while (c->used < CHUNK_BYTES && done < count)
            c->bytes[c->used++] = pattern_at(done++);
        h2_send_data(&t->s, c, 0, c->used);
        chunk_unref(c);
    }
}

bool is_pattern(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != pattern_at(i))
            return false;
    return true;
}

const char *side_log(struct side *side)
{
    static char copy[2][65536];
    static int next;
    char *out = copy[next++ % 2];
    cr_assert_lt(side->log.len, sizeof(copy[0]));
    memcpy(out, text_slice(&side->log).ptr, side->log.len);
    out[side->log.len] = '\0';
    side->log.len = 0;
    side->is_data_last = false;
    return out;
}
