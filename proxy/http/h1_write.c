/* http/h1_write.c - writes heads and chunk framing from parsed messages, never from copied text.
 *
 * Response splitting and request smuggling end here: names and values are copied one by one, framing fields are never
 * copied at all, and when the head is done its controls are counted. A message that would break the head is a bug of
 * whoever built it: parsed values hold no controls, and configuration and scripts are checked by is_token and
 * is_field_value (validate.h). */
#include "http/codec.h"

#include "base/check.h"

#include "http/scan.h"

/* Room for what a head holds besides its fields: versions, spaces, line ends, and the fields the codec adds by
   itself. */
#define FRAMING_BYTES 256

#define STATUS_MIN   100
#define STATUS_COUNT 500

/* "HTTP/1.1 200 OK\r\n" at 200 - STATUS_MIN; the phrase stands between 13 bytes and 2. */
static const struct slice status_lines[STATUS_COUNT] = {
#define STATUS(code, phrase)                                                                                           \
    [code - STATUS_MIN] = { "HTTP/1.1 " #code " " phrase "\r\n", sizeof("HTTP/1.1 " #code " " phrase "\r\n") - 1 },
#include "http/statuses.def"
#undef STATUS
};

/* Fields that only struct h1_write decides about. */
static const uint64_t framing_fields = 1ull << FIELD_CONTENT_LENGTH | 1ull << FIELD_CONNECTION |
                                       1ull << FIELD_TRANSFER_ENCODING | 1ull << FIELD_TE | 1ull << FIELD_UPGRADE;
_Static_assert(FIELD_COUNT <= 64, "field ids fit a 64-bit set");

/* Copies and returns where to go on. Most names and values are short: two moves that may overlap are cheaper than a
   call. */
static inline char *put(char *at, struct slice s)
{
    if (s.len > 32) {
        memcpy(at, s.ptr, s.len);
    } else if (s.len >= 16) {
        memcpy(at, s.ptr, 16);
        memcpy(at + s.len - 16, s.ptr + s.len - 16, 16);
    } else if (s.len >= 8) {
        memcpy(at, s.ptr, 8);
        memcpy(at + s.len - 8, s.ptr + s.len - 8, 8);
    } else if (s.len >= 4) {
        memcpy(at, s.ptr, 4);
        memcpy(at + s.len - 4, s.ptr + s.len - 4, 4);
    } else {
        for (size_t i = 0; i < s.len; i++)
            at[i] = s.ptr[i];
    }
    return at + s.len;
}

/* The head under construction. Its capacity was checked before the first byte. */
struct head {
    char *start, *at;
    size_t line_count; /* line ends written, to be found again at the end */
};

static void put_line_end(struct head *h)
{
    memcpy(h->at, "\r\n", 2);
    h->at += 2;
    h->line_count++;
}

static void put_field(struct head *h, struct slice name, struct slice value)
{
    h->at = put(h->at, name);
    memcpy(h->at, ": ", 2);
    h->at = put(h->at + 2, value);
    put_line_end(h);
}

static bool is_written(const struct field *f)
{
    return !f->is_dropped && (framing_fields >> f->id & 1) == 0;
}

static void put_fields(struct head *h, const struct message *m)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (is_written(&m->fields[i]))
            put_field(h, m->fields[i].name, m->fields[i].value);
}

static size_t fields_bytes(const struct message *m)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->field_count; i++)
        if (is_written(&m->fields[i]))
            bytes += m->fields[i].name.len + m->fields[i].value.len + 4;
    return bytes;
}

static struct slice number_text(uint64_t number, char digits[20])
{
    size_t at = 20;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return slice_from(digits + at, 20 - at);
}

static bool has_options(const struct h1_write *w)
{
    return w->is_close || w->is_keep_alive_1_0 || w->upgrade.len > 0 || w->wants_trailers;
}

/* Connection names what belongs to this hop (RFC 9110 7.6.1). There is something: most heads have nothing. */
static void put_connection(struct head *h, const struct h1_write *w)
{
    const struct slice options[] = {
        w->is_close ? SLICE("close") : SLICE_NONE,
        w->is_keep_alive_1_0 && !w->is_close ? SLICE("keep-alive") : SLICE_NONE,
        w->upgrade.len > 0 ? SLICE("upgrade") : SLICE_NONE,
        w->wants_trailers ? SLICE("TE") : SLICE_NONE,
    };
    struct slice before = SLICE("Connection: ");
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (options[i].len == 0)
            continue;
        h->at = put(put(h->at, before), options[i]);
        before = SLICE(", ");
    }
    put_line_end(h);
}

static void put_framing(struct head *h, const struct h1_write *w)
{
    char digits[20];
    if (w->framing == BODY_CHUNKED)
        put_field(h, field_names[FIELD_TRANSFER_ENCODING], SLICE("chunked"));
    else if (w->framing == BODY_LENGTH || (w->framing == BODY_NONE && w->has_content_length))
        put_field(h, field_names[FIELD_CONTENT_LENGTH], number_text(w->content_length, digits));
    if (has_options(w))
        put_connection(h, w);
    if (w->upgrade.len > 0)
        put_field(h, field_names[FIELD_UPGRADE], w->upgrade);
    if (w->wants_trailers)
        put_field(h, field_names[FIELD_TE], SLICE("trailers"));
}

/* The proof that nothing was smuggled in: the controls of the head are those of its line ends, and not one more. */
static bool is_clean(const struct head *h)
{
    return scan_count_controls(h->start, h->at) == 2 * h->line_count;
}

static size_t head_finish(struct head *h)
{
    put_line_end(h);
    CHECK(is_clean(h));
    return (size_t)(h->at - h->start);
}

size_t h1_head_bytes(const struct message *m)
{
    size_t bytes = m->method_name.len + m->target.len + m->reason_phrase.len + m->upgrade.len;
    return bytes + fields_bytes(m);
}

size_t h1_write_request(const struct message *m, struct slice target, const struct h1_write *w, char *out,
                        size_t capacity)
{
    size_t needed = m->method_name.len + target.len + fields_bytes(m) + w->upgrade.len;
    if (capacity < needed + FRAMING_BYTES)
        return 0;
    CHECK(target.len > 0 && scan_not_target(target.ptr, target.ptr + target.len) == target.ptr + target.len);
    struct head h = { .start = out, .at = out };
    h.at = put(h.at, m->method_name);
    *h.at++ = ' ';
    h.at = put(put(h.at, target), SLICE(" HTTP/1.1"));
    put_line_end(&h);
    put_fields(&h, m);
    put_framing(&h, w);
    return head_finish(&h);
}

struct slice h1_reason_phrase(uint16_t status)
{
    if (status < STATUS_MIN || status >= STATUS_MIN + STATUS_COUNT)
        return SLICE("");
    struct slice line = status_lines[status - STATUS_MIN];
    return line.len > 0 ? slice_from(line.ptr + 13, line.len - 15) : SLICE("");
}

/* The upstream's own phrase goes on; where there is none (ptr NULL), the standard one. */
static void put_status_line(struct head *h, const struct message *m)
{
    char digits[20];
    struct slice standard = h1_reason_phrase(m->status);
    if (standard.len > 0 && (m->reason_phrase.ptr == NULL || slice_equal(m->reason_phrase, standard))) {
        h->at = put(h->at, status_lines[m->status - STATUS_MIN]);
        h->line_count++;
        return;
    }
    h->at = put(put(h->at, SLICE("HTTP/1.1 ")), number_text(m->status, digits));
    *h->at++ = ' ';
    h->at = put(h->at, m->reason_phrase);
    put_line_end(h);
}

size_t h1_write_response(const struct message *m, const struct h1_write *w, char *out, size_t capacity)
{
    size_t needed = m->reason_phrase.len + fields_bytes(m) + w->upgrade.len;
    if (capacity < needed + FRAMING_BYTES)
        return 0;
    CHECK(m->status >= STATUS_MIN && m->status < STATUS_MIN + STATUS_COUNT);
    struct head h = { .start = out, .at = out };
    put_status_line(&h, m);
    put_fields(&h, m);
    put_framing(&h, w);
    return head_finish(&h);
}

size_t h1_write_chunk_size(uint64_t bytes, char out[18])
{
    static const char digits[] = "0123456789abcdef";
    CHECK(bytes > 0);
    size_t digit_count = (size_t)(67 - __builtin_clzll(bytes)) / 4;
    for (size_t i = digit_count; i-- > 0; bytes >>= 4)
        out[i] = digits[bytes & 15];
    memcpy(out + digit_count, "\r\n", 2);
    return digit_count + 2;
}

size_t h1_write_last_chunk(const struct message *trailers, char *out, size_t capacity)
{
    size_t needed = 5 + (trailers != NULL ? fields_bytes(trailers) : 0);
    if (capacity < needed)
        return 0;
    struct head h = { .start = out, .at = out };
    *h.at++ = '0';
    put_line_end(&h);
    if (trailers != NULL)
        put_fields(&h, trailers);
    return head_finish(&h);
}
