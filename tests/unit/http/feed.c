/* unit/http/feed.c - the pieces, the guard page and the transcript. */
#include "http/feed.h"

#include "base/check.h"
#include "base/reason.h"

#include <sys/mman.h>
#include <unistd.h>

#define GUARDED_BYTES ((size_t)1 << 20)

const struct h1_limits feed_limits = { .request_line_bytes = 256, .head_bytes = 1024, .field_count = 12 };

/* The first byte that cannot be read; GUARDED_BYTES stand before it. */
static char *guard_page(void)
{
    static char *guard;
    if (guard == NULL) {
        size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        char *start =
            mmap(NULL, GUARDED_BYTES + page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(start != MAP_FAILED);
        guard = start + GUARDED_BYTES;
        CHECK(mprotect(guard, page_bytes, PROT_NONE) == 0);
    }
    return guard;
}

struct slice feed_guarded(struct slice bytes)
{
    CHECK(bytes.len <= GUARDED_BYTES);
    char *at = guard_page() - bytes.len;
    if (bytes.len > 0)
        memmove(at, bytes.ptr, bytes.len);
    return slice_from(at, bytes.len);
}

static void put_escaped(struct text *t, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c >= 0x7F)
            text_printf(t, "\\x%02x", c);
        else
            text_add_char(t, (char)c);
    }
}

static void put_fields(struct text *t, const struct message *m)
{
    const char *before = "{";
    for (size_t i = 0; i < m->field_count; i++) {
        if (m->fields[i].is_dropped)
            continue;
        text_add_cstr(t, before);
        put_escaped(t, m->fields[i].name);
        text_add_cstr(t, ": ");
        put_escaped(t, m->fields[i].value);
        before = "|";
    }
    text_add_cstr(t, before[0] == '{' ? "{}" : "}");
}

static void put_framing(struct text *t, const struct message *m)
{
    static const char *const names[] = { [BODY_NONE] = " none",
                                         [BODY_LENGTH] = " length",
                                         [BODY_CHUNKED] = " chunked",
                                         [BODY_UNTIL_CLOSE] = " until-close" };
    text_add_cstr(t, names[m->framing]);
    if (m->has_content_length)
        text_printf(t, "=%llu", (unsigned long long)m->content_length);
}

static void put_head(struct text *t, const struct feed *feed, const struct message *m)
{
    if (m->is_response) {
        text_printf(t, "%u \"", m->status);
        put_escaped(t, m->reason_phrase);
        text_printf(t, "\" 1.%u", m->version_minor);
    } else {
        text_printf(t, "%.*s %.*s", SLICE_ARG(m->method_name), SLICE_ARG(m->path));
        if (m->query.ptr != NULL)
            text_printf(t, "?%.*s", SLICE_ARG(m->query));
        text_printf(t, " 1.%u @%.*s", m->version_minor, SLICE_ARG(m->authority));
    }
    put_framing(t, m);
    text_add_cstr(t, m->is_keep_alive ? " keep" : " close");
    text_add_cstr(t, m->expects_continue ? " expect" : "");
    if (m->is_upgrade)
        text_printf(t, " upgrade=%.*s", SLICE_ARG(m->upgrade));
    text_add_cstr(t, m->wants_trailers ? " trailers" : "");
    if (feed->shows_fields) {
        text_add_char(t, ' ');
        put_fields(t, m);
    }
}

/* One run over one input. */
struct run {
    const struct feed *feed;
    struct text *transcript;
    struct h1_reader reader;
    struct arena arena;
    struct message message;
    bool is_in_body; /* the body's closing quote is due */
    bool is_over;
};

static void close_body(struct run *run)
{
    if (run->is_in_body)
        text_add_char(run->transcript, '"');
    run->is_in_body = false;
}

static void put_data(struct run *run)
{
    if (!run->is_in_body)
        text_add_cstr(run->transcript, " \"");
    run->is_in_body = true;
    put_escaped(run->transcript, run->reader.data);
}

/* Writes the event down; false when the reader wants more, or nothing is left to do. */
static bool on_event(struct run *run, enum h1_event e)
{
    struct text *t = run->transcript;
    if (e == H1_DATA) {
        put_data(run);
        return true;
    }
    if (e == H1_MORE)
        return false;
    close_body(run);
    if (e == H1_HEAD) {
        text_add_cstr(t, t->len > 0 ? " / " : "");
        put_head(t, run->feed, &run->message);
    } else if (e == H1_TRAILERS) {
        text_add_cstr(t, " +");
        put_fields(t, run->reader.trailers);
    } else if (e == H1_END) {
        text_add_cstr(t, " END");
        h1_reader_next(&run->reader);
        arena_reset(&run->arena);
    } else {
        text_printf(t, "%sERROR %s", t->len > 0 ? " " : "", reason_rows[run->reader.reason].name);
        CHECK(run->reader.error_detail != NULL);
        run->is_over = true;
        return false;
    }
    return true;
}

/* `pending` ends at the guard page; what the reader leaves of it does so too. */
static size_t read_all(struct run *run, struct slice pending)
{
    struct slice input = pending;
    bool goes_on = true;
    while (goes_on && (input.len > 0 || run->reader.state == H1_STATE_END)) {
        enum h1_event e = h1_read(&run->reader, &input, &run->arena, &run->message);
        CHECK(input.ptr + input.len == pending.ptr + pending.len);
        goes_on = on_event(run, e);
        h1_reader_check(&run->reader);
    }
    return input.len;
}

static void run_begin(struct run *run, const struct feed *feed, struct text *transcript)
{
    *run = (struct run){ .feed = feed, .transcript = transcript };
    const struct h1_limits *limits = feed->limits != NULL ? feed->limits : &feed_limits;
    arena_init(&run->arena, NULL, 0);
    if (feed->is_response)
        h1_reader_init_response(&run->reader, limits, feed->request_method);
    else
        h1_reader_init_request(&run->reader, limits);
}

void feed_run(const struct feed *feed, struct slice bytes, struct text *transcript)
{
    struct run run;
    run_begin(&run, feed, transcript);
    size_t pending_bytes = 0, fed_bytes = 0;
    while (fed_bytes < bytes.len && !run.is_over) {
        size_t piece_bytes = fed_bytes == 0 ? feed->first_bytes : feed->step_bytes;
        if (piece_bytes > bytes.len - fed_bytes)
            piece_bytes = bytes.len - fed_bytes;
        fed_bytes += piece_bytes;
        struct slice pending =
            slice_from(bytes.ptr + fed_bytes - piece_bytes - pending_bytes, pending_bytes + piece_bytes);
        pending_bytes = read_all(&run, feed_guarded(pending));
    }
    if (feed->has_eof && !run.is_over)
        on_event(&run, h1_read_eof(&run.reader, pending_bytes));
    close_body(&run);
    bool is_inside = run.reader.state != H1_STATE_HEAD || pending_bytes > 0;
    if (!run.is_over && is_inside)
        text_add_cstr(transcript, transcript->len > 0 ? " ..." : "...");
    arena_reset(&run.arena);
}
