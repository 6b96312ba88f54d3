/* shadow/recorder.c - a pair becomes a line: what is told of it, and what is hidden. */
#include "shadow/recorder.h"

#include "base/memory.h"

#include <pthread.h>

#define RECORDER_MAGIC 0x52454344u

/* What is known of one shadow; lives in the settings' arena. */
struct recorder_shadow {
    uint32_t shadow_id;
    struct record_settings settings;
    const struct compare_plan *plan;
    struct slice_list removed;
};

/* Immutable once the thread has it. */
struct recorder_settings {
    struct arena arena;
    struct recorder_shadow *shadows;
    size_t count;
};

struct recorder {
    uint32_t magic;
    struct records *records;
    pthread_mutex_t lock;
    struct recorder_settings *next; /* for the thread to take over; NULL: nothing new; guarded */
    struct recorder_settings *settings;
    struct text body; /* the thread's: where pieces of a body are put together */
};

/* ---- settings -------------------------------------------------------------------------------------------------------- */

static struct slice_list list_copy(struct arena *arena, const struct slice_list *list)
{
    struct slice_list copy = { arena_zalloc_array(arena, list->count, sizeof(*copy.items)), list->count };
    for (size_t i = 0; i < list->count; i++)
        copy.items[i] = arena_copy(arena, list->items[i]);
    return copy;
}

static void settings_destroy(struct recorder_settings *s)
{
    if (s == NULL)
        return;
    arena_reset(&s->arena);
    memory_free(s);
}

static struct recorder_settings *settings_create(const struct recorded_shadow *shadows, size_t count)
{
    struct recorder_settings *s = memory_zalloc(sizeof(*s));
    arena_init(&s->arena, NULL, 0);
    s->shadows = arena_zalloc_array(&s->arena, count, sizeof(*s->shadows));
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        struct recorder_shadow *to = &s->shadows[i];
        to->shadow_id = shadows[i].shadow_id;
        to->settings = shadows[i].settings;
        to->settings.path = arena_copy(&s->arena, shadows[i].settings.path);
        to->plan = compare_plan_build(&s->arena, shadows[i].compare);
        to->removed = list_copy(&s->arena, shadows[i].removed);
    }
    return s;
}

struct recorder *recorder_create(void)
{
    struct recorder *r = memory_zalloc(sizeof(*r));
    r->magic = RECORDER_MAGIC;
    r->records = records_create();
    r->settings = settings_create(NULL, 0);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void recorder_destroy(struct recorder *r)
{
    CHECK_MAGIC(r, RECORDER_MAGIC);
    r->magic = 0;
    records_destroy(r->records);
    settings_destroy(r->next);
    settings_destroy(r->settings);
    text_fini(&r->body);
    pthread_mutex_destroy(&r->lock);
    memory_free(r);
}

/* Settings that the thread never took are replaced. */
void recorder_configure(struct recorder *r, const struct recorded_shadow *shadows, size_t count)
{
    CHECK_MAGIC(r, RECORDER_MAGIC);
    struct recorder_settings *made = settings_create(shadows, count);
    pthread_mutex_lock(&r->lock);
    struct recorder_settings *unused = r->next;
    r->next = made;
    pthread_mutex_unlock(&r->lock);
    settings_destroy(unused);
    records_reopen(r->records);
}

void recorder_reopen(struct recorder *r)
{
    CHECK_MAGIC(r, RECORDER_MAGIC);
    records_reopen(r->records);
}

const struct records *recorder_records(const struct recorder *r)
{
    CHECK_MAGIC(r, RECORDER_MAGIC);
    return r->records;
}

static void take_settings(struct recorder *r)
{
    pthread_mutex_lock(&r->lock);
    struct recorder_settings *taken = TAKE(&r->next);
    pthread_mutex_unlock(&r->lock);
    if (taken == NULL)
        return;
    settings_destroy(r->settings);
    r->settings = taken;
}

static const struct recorder_shadow *shadow_of(const struct recorder *r, const struct pair *p)
{
    for (size_t i = 0; i < r->settings->count; i++)
        if (r->settings->shadows[i].shadow_id == p->shadow_id)
            return &r->settings->shadows[i];
    return NULL;
}

/* ---- heads ----------------------------------------------------------------------------------------------------------- */

/* A line in the making: the shadow it belongs to, and where its parts are put. */
struct making {
    const struct recorder_shadow *shadow;
    const struct pair *pair;
    struct arena *arena;
    struct text *scratch;
    struct recorded line;
};

/* Of the connection, or told by other members of the line. */
static bool is_of_connection(struct slice name)
{
    static const char *const names[] = { "connection", "content-length",   "expect",
                                         "host",       "http2-settings",   "keep-alive",
                                         "te",         "trailer",          "proxy-connection",
                                         "upgrade",    "transfer-encoding" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal_nocase(name, slice_from_cstr(names[i])))
            return true;
    return false;
}

static bool is_removed(const struct recorder_shadow *shadow, struct slice name)
{
    for (size_t i = 0; i < shadow->removed.count; i++)
        if (slice_equal_nocase(name, shadow->removed.items[i]))
            return true;
    return false;
}

static bool is_told(const struct making *m, bool is_answer, bool is_redacted, struct slice name)
{
    if (is_answer)
        return compare_wants_header(m->shadow->plan, name) && !recorded_is_volatile(name);
    return !is_of_connection(name) && (is_redacted || !is_removed(m->shadow, name));
}

/* Without what is hidden in it a value is another one, which nobody may send or compare. */
static bool is_header_hidden(const struct making *m, struct slice name, struct slice value)
{
    struct text told = { 0 };
    bool is_hidden = redact_write_header(m->shadow->plan->redact, name, value, &told);
    text_fini(&told);
    return is_hidden;
}

/* False when not all of it is there. */
static bool make_headers(struct making *m, const struct pair_head *head, bool is_answer,
                         const struct recorded_header **out, size_t *count)
{
    struct recorded_header *headers = arena_zalloc_array(m->arena, head->field_count, sizeof(*headers));
    struct recorded_header h;
    *count = 0;
    *out = headers;
    for (uint32_t cursor = 0; pair_next_field(m->pair, head, &cursor, &h.name, &h.value);) {
        h.is_redacted = is_header_hidden(m, h.name, h.value);
        if (!is_told(m, is_answer, h.is_redacted, h.name))
            continue;
        if (*count == RECORD_HEADERS_MAX)
            return false;
        headers[(*count)++] = h;
    }
    return !head->is_cut;
}

/* ---- the request's body ------------------------------------------------------------------------------------------------ */

static bool value_has(struct slice value, const char *word)
{
    char lower[128];
    size_t len = value.len < sizeof(lower) ? value.len : sizeof(lower);
    for (size_t i = 0; i < len; i++)
        lower[i] = value.ptr[i] >= 'A' && value.ptr[i] <= 'Z' ? (char)(value.ptr[i] + 32) : value.ptr[i];
    return slice_contains(slice_from(lower, len), slice_from_cstr(word));
}

static bool begins_like_json(struct slice body)
{
    while (body.len > 0 && slice_find(SLICE(" \t\r\n"), body.ptr[0]) < 4)
        body = slice_after(body, 1);
    return slice_has_prefix(body, SLICE("{")) || slice_has_prefix(body, SLICE("["));
}

/* The document written again, when something in it has to be hidden; else the body as it is. False: no document. */
static bool hide_in_json(struct making *m, struct slice body, struct slice *out)
{
    struct json_step steps[JSON_MAX_DEPTH + 1];
    struct text error = { 0 }, hidden = { 0 };
    struct json *document = json_parse(body, &error);
    *out = body;
    if (document != NULL) {
        redact_write_json(m->shadow->plan->redact, document, steps, 0, RECORDER_BODY_MAX_BYTES, &hidden);
        if (slice_contains(text_slice(&hidden), SLICE("\"" REDACTED "\"")))
            *out = arena_copy(m->arena, text_slice(&hidden));
        json_destroy(document);
    }
    text_fini(&error);
    text_fini(&hidden);
    return document != NULL;
}

/* A form is a query without its question mark. */
static struct slice hide_in_form(struct making *m, struct slice body)
{
    struct text query = { 0 }, hidden = { 0 };
    text_add_char(&query, '?');
    text_add(&query, body);
    redact_write_target(m->shadow->plan->redact, text_slice(&query), &hidden);
    struct slice out = arena_copy(m->arena, slice_after(text_slice(&hidden), 1));
    text_fini(&query);
    text_fini(&hidden);
    return out;
}

/* What the request says its body is, and whether we can look into it. */
struct body_kind {
    bool is_form, is_json; /* says so */
    bool is_readable;      /* there to its end, and not compressed */
};

static struct body_kind kind_of(const struct pair *p)
{
    const struct pair_request *r = &p->request;
    struct slice type = pair_field(p, &r->head, SLICE("content-type"));
    bool is_packed = pair_field(p, &r->head, SLICE("content-encoding")).len > 0;
    bool is_form = value_has(type, "application/x-www-form-urlencoded");
    return (struct body_kind){ is_form, !is_form && value_has(type, "json"),
                               r->is_whole && pair_body_is_kept(&r->body) && !is_packed };
}

/* What may be told of the body. False: nothing. What begins like a document is one whatever it is called: browsers call
   what a script hands them text. */
static bool hide_in_body(struct making *m, struct slice body, struct slice *out)
{
    struct body_kind kind = kind_of(m->pair);
    bool is_json = kind.is_json || (!kind.is_form && begins_like_json(body));
    *out = body;
    if (body.len > RECORDER_BODY_MAX_BYTES || ((kind.is_form || is_json) && !kind.is_readable))
        return false;
    if (kind.is_form)
        *out = hide_in_form(m, body);
    return !is_json || hide_in_json(m, body, out);
}

/* False when it is not told, or not all of it. */
static bool make_body(struct making *m)
{
    const struct pair_request *r = &m->pair->request;
    struct slice body = pair_body(m->pair, &r->body, m->scratch);
    bool is_told = body.len == 0 || hide_in_body(m, body, &m->line.body);
    m->line.body = is_told && body.len > 0 ? arena_copy(m->arena, m->line.body) : SLICE("");
    return is_told && r->is_whole && pair_body_is_kept(&r->body);
}

/* ---- the line ---------------------------------------------------------------------------------------------------------- */

/* Path and query of a target that names scheme and host, too (RFC 9112 3.2.2): the host has a member of its own. */
static struct slice origin_form(struct slice target, struct arena *arena)
{
    if (target.len == 0 || target.ptr[0] == '/' || target.ptr[0] == '*')
        return target;
    struct slice rest = slice_after(target, slice_find(target, ':') + 3);
    size_t path = slice_find(rest, '/'), query = slice_find(rest, '?');
    return path <= query && path < rest.len ? slice_after(rest, path)
                                            : arena_printf(arena, "/%.*s", SLICE_ARG(slice_after(rest, query)));
}

/* The head is the one that goes on: front/ has written there what it knows, or what a trusted proxy told it. */
static bool came_by_tls(const struct pair *p)
{
    return slice_equal_nocase(pair_field(p, &p->request.head, SLICE("x-forwarded-proto")), SLICE("https"));
}

static void make_request(struct making *m)
{
    const struct pair_request *r = &m->pair->request;
    struct slice sent = origin_form(pair_text(m->pair, r->target), m->arena);
    struct text target = { 0 };
    redact_write_target(m->shadow->plan->redact, sent, &target);
    m->line.method = pair_text(m->pair, r->method);
    m->line.scheme = came_by_tls(m->pair) ? SLICE("https") : SLICE("http");
    m->line.host = pair_text(m->pair, r->host);
    m->line.target = arena_copy(m->arena, text_slice(&target));
    bool is_head_whole = make_headers(m, &r->head, false, &m->line.headers, &m->line.header_count);
    m->line.is_truncated = !make_body(m) || !is_head_whole;
    text_fini(&target);
}

static void make_answer(struct making *m)
{
    const struct pair_answer *a = &m->pair->answers[PAIR_PRIMARY];
    struct recorded_answer *out = &m->line.answer;
    if (a->outcome != PAIR_ANSWERED)
        return;
    *out = (struct recorded_answer){ .status = a->status, .body_bytes = a->body.total_bytes };
    out->latency_us = a->latency_us > 0 ? a->latency_us : 0;
    bool is_whole = make_headers(m, &a->head, true, &out->headers, &out->header_count);
    (void)is_whole; /* those that are there can be compared */
    if (!pair_body_is_kept(&a->body))
        return;
    struct slice body = pair_body(m->pair, &a->body, m->scratch);
    digest_sha256_hex(body, out->body_sha256);
    recorded_json_digest(body, out->json_sha256);
}

void recorder_write(struct recorder *r, const struct pair *p)
{
    struct arena arena;
    CHECK_MAGIC(r, RECORDER_MAGIC);
    take_settings(r);
    struct making m = { .shadow = shadow_of(r, p), .pair = p, .arena = &arena, .scratch = &r->body };
    if (m.shadow == NULL || p->request.method.len == 0 || p->request.target.len == 0)
        return; /* none of ours; or its head had no room in the pair, and is no request any more */
    arena_init(&arena, NULL, 0);
    m.line.at = p->begun;
    m.line.route = pair_text(p, p->route);
    m.line.upstream = pair_text(p, p->primary);
    m.line.shadow = pair_text(p, p->upstream);
    make_request(&m);
    make_answer(&m);
    records_add(r->records, &m.shadow->settings, &m.line);
    arena_reset(&arena);
}

void recorder_flush(struct recorder *r)
{
    CHECK_MAGIC(r, RECORDER_MAGIC);
    records_flush(r->records);
}
