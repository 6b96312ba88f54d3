/* shadow/pair.c - one copied request with all answers to it: filled by a worker, read by another thread. */
#include "shadow/pair.h"

#include "base/memory.h"

#include <string.h>

#define BUFFER_FIRST_BYTES 2048u /* a small request and two small answers */

/* In front of each piece of a body. Places in the buffer are not aligned: both are copied in and out. */
struct piece_header {
    uint32_t next; /* piece of the same body, or 0 */
    uint32_t len;  /* bytes behind the header */
};

/* In front of each line of a head: then the name, then the value. */
struct field_header {
    uint32_t name_len, value_len;
};

/* ---- the buffer ---------------------------------------------------------------------------------------------------- */

static bool has_room(const struct pair *p, size_t bytes)
{
    return bytes <= p->limit_bytes - p->used;
}

/* Doubles, so that each byte is moved once or twice. The caller asked has_room. */
static char *buffer_take(struct pair *p, size_t bytes)
{
    size_t wanted = p->used + bytes;
    if (wanted > p->capacity) {
        size_t doubled = 2 * (size_t)p->capacity;
        size_t grown = doubled > wanted ? doubled : wanted;
        p->capacity = grown < p->limit_bytes ? (uint32_t)grown : p->limit_bytes;
        p->buffer = memory_resize(p->buffer, p->capacity);
    }
    char *at = p->buffer + p->used;
    p->used = (uint32_t)wanted;
    return at;
}

static void put(struct pair *p, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(buffer_take(p, len), bytes, len);
}

/* A text that does not fit is left out. */
static struct pair_run put_text(struct pair *p, struct slice s)
{
    struct pair_run run = { p->used, (uint32_t)s.len };
    if (s.len == 0 || !has_room(p, s.len))
        return (struct pair_run){ 0, 0 };
    put(p, s.ptr, s.len);
    return run;
}

uint32_t pair_limit(uint32_t body_limit_bytes)
{
    uint64_t limit = (uint64_t)body_limit_bytes * (PAIR_SIDE_COUNT + 1) + PAIR_HEADS_BYTES;
    return limit < PAIR_BYTES_MAX ? (uint32_t)limit : PAIR_BYTES_MAX;
}

struct pair *pair_create(const struct pair_about *about)
{
    struct pair *p = memory_zalloc(sizeof *p);
    CHECK(about->limit_bytes > 0 && about->limit_bytes <= PAIR_BYTES_MAX);
    p->magic = PAIR_MAGIC;
    p->shadow_id = about->shadow_id;
    p->uses = about->uses;
    p->begun = about->begun;
    p->body_limit_bytes = about->body_limit_bytes;
    p->limit_bytes = about->limit_bytes;
    p->capacity = p->limit_bytes < BUFFER_FIRST_BYTES ? p->limit_bytes : BUFFER_FIRST_BYTES;
    p->buffer = memory_alloc(p->capacity);
    *buffer_take(p, 1) = '\0'; /* so that 0 is no place of anything */
    p->route = put_text(p, about->route);
    p->upstream = put_text(p, about->upstream);
    p->primary = put_text(p, about->primary);
    p->control = put_text(p, about->control);
    for (size_t i = 0; i < PAIR_SIDE_COUNT; i++)
        hash_stream_init(&p->answers[i].hash);
    return p;
}

void pair_destroy(struct pair *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, PAIR_MAGIC);
    p->magic = 0;
    memory_free(p->buffer);
    memory_free(p);
}

size_t pair_memory_bytes(const struct pair *p)
{
    return sizeof *p + p->capacity;
}

/* ---- heads ----------------------------------------------------------------------------------------------------------- */

static void put_field(struct pair *p, struct pair_head *head, const struct field *f)
{
    struct field_header header = { (uint32_t)f->name.len, (uint32_t)f->value.len };
    if (head->is_cut || !has_room(p, sizeof header + f->name.len + f->value.len)) {
        head->is_cut = true;
        return;
    }
    put(p, &header, sizeof header);
    put(p, f->name.ptr, f->name.len);
    put(p, f->value.ptr, f->value.len);
    head->field_count++;
}

static void put_head(struct pair *p, struct pair_head *head, const struct message *m)
{
    head->fields.at = p->used;
    for (size_t i = 0; i < m->field_count; i++)
        if (!m->fields[i].is_dropped)
            put_field(p, head, &m->fields[i]);
    head->fields.len = p->used - head->fields.at;
}

void pair_set_request(struct pair *p, const struct message *m)
{
    CHECK_MAGIC(p, PAIR_MAGIC);
    CHECK(p->request.method.len == 0);
    p->request.method = put_text(p, m->method_name);
    p->request.target = put_text(p, m->target);
    p->request.host = put_text(p, m->authority);
    put_head(p, &p->request.head, m);
}

void pair_set_answer(struct pair *p, enum pair_side side, const struct message *m, int64_t latency_us)
{
    CHECK_MAGIC(p, PAIR_MAGIC);
    struct pair_answer *a = &p->answers[side];
    CHECK(a->outcome == PAIR_AWAITED && a->status == 0);
    a->status = m->status;
    a->latency_us = latency_us;
    put_head(p, &a->head, m);
}

/* ---- bodies ---------------------------------------------------------------------------------------------------------- */

static struct piece_header piece_at(const struct pair *p, uint32_t at)
{
    struct piece_header header;
    memcpy(&header, p->buffer + at, sizeof header);
    return header;
}

/* The last piece ends where the buffer does: it can just become longer. */
static bool can_extend(const struct pair *p, const struct pair_body *body)
{
    return body->last != 0 && body->last + sizeof(struct piece_header) + piece_at(p, body->last).len == p->used;
}

static void piece_extend(struct pair *p, const struct pair_body *body, const char *bytes, size_t len)
{
    struct piece_header header = piece_at(p, body->last);
    put(p, bytes, len);
    header.len += (uint32_t)len;
    memcpy(p->buffer + body->last, &header, sizeof header);
}

static void piece_append(struct pair *p, struct pair_body *body, const char *bytes, size_t len)
{
    struct piece_header header = { 0, (uint32_t)len };
    uint32_t at = p->used;
    put(p, &header, sizeof header);
    put(p, bytes, len);
    if (body->last == 0) {
        body->first = at;
    } else {
        struct piece_header before = piece_at(p, body->last);
        before.next = at;
        memcpy(p->buffer + body->last, &before, sizeof before);
    }
    body->last = at;
}

/* Keeps a beginning: as much of the piece as limit and room allow. Once that was not all, one of them is used up, so
   that nothing behind it is kept. */
static void body_keep(struct pair *p, struct pair_body *body, const char *bytes, size_t len)
{
    size_t header = can_extend(p, body) ? 0 : sizeof(struct piece_header);
    size_t room = p->limit_bytes - p->used;
    size_t most = p->body_limit_bytes - body->kept_bytes;
    if (most > room - (room < header ? room : header))
        most = room - (room < header ? room : header);
    size_t kept = len < most ? len : most;
    if (kept == 0)
        return;
    if (header == 0)
        piece_extend(p, body, bytes, kept);
    else
        piece_append(p, body, bytes, kept);
    body->kept_bytes += (uint32_t)kept;
}

static void body_add(struct pair *p, struct pair_body *body, const char *bytes, size_t len)
{
    CHECK_MAGIC(p, PAIR_MAGIC);
    body->total_bytes += len;
    if (len > 0)
        body_keep(p, body, bytes, len);
}

void pair_add_request_body(struct pair *p, const char *bytes, size_t len)
{
    body_add(p, &p->request.body, bytes, len);
}

void pair_end_request(struct pair *p)
{
    p->request.is_whole = true;
}

void pair_add_answer_body(struct pair *p, enum pair_side side, const char *bytes, size_t len)
{
    struct pair_answer *a = &p->answers[side];
    CHECK(a->outcome == PAIR_AWAITED);
    body_add(p, &a->body, bytes, len);
    hash_stream_add(&a->hash, bytes, len);
}

/* ---- how a side ends --------------------------------------------------------------------------------------------------- */

void pair_await(struct pair *p, enum pair_side side)
{
    CHECK_MAGIC(p, PAIR_MAGIC);
    CHECK(p->answers[side].outcome == PAIR_ABSENT);
    p->answers[side].outcome = PAIR_AWAITED;
    p->awaited_count++;
}

static bool side_end(struct pair *p, enum pair_side side, enum pair_outcome outcome)
{
    CHECK_MAGIC(p, PAIR_MAGIC);
    struct pair_answer *a = &p->answers[side];
    CHECK(a->outcome == PAIR_AWAITED);
    a->outcome = outcome;
    a->body_hash = hash_stream_value(&a->hash);
    return --p->awaited_count == 0;
}

bool pair_answered(struct pair *p, enum pair_side side)
{
    CHECK(p->answers[side].status != 0);
    return side_end(p, side, PAIR_ANSWERED);
}

bool pair_failed(struct pair *p, enum pair_side side, enum reason reason, int64_t latency_us)
{
    struct pair_answer *a = &p->answers[side];
    a->reason = reason;
    if (a->status == 0)
        a->latency_us = latency_us;
    return side_end(p, side, PAIR_FAILED);
}

bool pair_given_up(struct pair *p, enum pair_side side)
{
    return side_end(p, side, PAIR_ABSENT);
}

void pair_limit_growth(struct pair *p, uint64_t bytes)
{
    if (bytes < p->limit_bytes - p->capacity)
        p->limit_bytes = p->capacity + (uint32_t)bytes;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

struct slice pair_text(const struct pair *p, struct pair_run run)
{
    return slice_from(p->buffer + run.at, run.len);
}

bool pair_next_field(const struct pair *p, const struct pair_head *head, uint32_t *cursor, struct slice *name,
                     struct slice *value)
{
    struct field_header header;
    if (*cursor >= head->fields.len)
        return false;
    const char *at = p->buffer + head->fields.at + *cursor;
    memcpy(&header, at, sizeof header);
    *name = slice_from(at + sizeof header, header.name_len);
    *value = slice_from(at + sizeof header + header.name_len, header.value_len);
    *cursor += (uint32_t)sizeof header + header.name_len + header.value_len;
    return true;
}

struct slice pair_field(const struct pair *p, const struct pair_head *head, struct slice name)
{
    struct slice found, value;
    for (uint32_t cursor = 0; pair_next_field(p, head, &cursor, &found, &value);)
        if (slice_equal_nocase(found, name))
            return value;
    return SLICE_NONE;
}

struct slice pair_body(const struct pair *p, const struct pair_body *body, struct text *scratch)
{
    text_clear(scratch);
    for (uint32_t at = body->first; at != 0;) {
        struct piece_header header = piece_at(p, at);
        struct slice piece = slice_from(p->buffer + at + sizeof header, header.len);
        if (header.next == 0 && scratch->len == 0)
            return piece;
        text_add(scratch, piece);
        at = header.next;
    }
    return text_slice(scratch);
}

static void body_check(const struct pair *p, const struct pair_body *body)
{
    CHECK(body->kept_bytes <= body->total_bytes && body->kept_bytes <= p->body_limit_bytes);
    CHECK((body->first == 0) == (body->kept_bytes == 0));
}

void pair_check(const struct pair *p)
{
    uint32_t awaited = 0;
    CHECK_MAGIC(p, PAIR_MAGIC);
    CHECK(p->used <= p->capacity && p->capacity <= p->limit_bytes);
    body_check(p, &p->request.body);
    for (size_t i = 0; i < PAIR_SIDE_COUNT; i++) {
        awaited += p->answers[i].outcome == PAIR_AWAITED;
        body_check(p, &p->answers[i].body);
    }
    CHECK(awaited == p->awaited_count);
}
