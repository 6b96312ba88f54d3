/* http/h1_head.c - blocks of lines (heads and trailer blocks): line ends, limits, field lines.
 *
 * Each line is found and parsed once, as soon as it is complete, so that an error shows at the same byte however the
 * input was cut. Slices point into the input, which may move between calls: a block that took several is parsed once
 * more at its end. */
#include "http/h1_parts.h"

#include "http/scan.h"

void h1_block_rewind(struct h1_reader *r)
{
    r->scanned_bytes = 0;
    r->line_start_bytes = 0;
    r->fields_start_bytes = 0;
    r->line_count = 0;
}

const char *h1_line_fault(const char *at)
{
    switch (*at) {
    case '\n':
        return "a line ends with LF alone"; /* RFC 9112 2.2 lets us take it; two parties may differ */
    case '\r':
        return "CR stands without LF"; /* RFC 9112 2.2 */
    case '\0':
        return "NUL in a line"; /* RFC 9110 5.5 */
    default:
        return "a control character in a line";
    }
}

/* The scan of a line stopped at `at`, where no CRLF stands: may the line go on? Not behind the block's first `window`
   bytes. */
static enum h1_event line_is_incomplete(struct h1_reader *r, struct slice input, const char *at, size_t window)
{
    struct slice part = slice_first(input, window);
    bool is_start = r->state == H1_STATE_HEAD && r->line_count == 0;
    r->scanned_bytes = (uint32_t)(at - input.ptr);
    if (!h1_is_half_line_end(at, part.ptr + part.len))
        h1_fail(r, REASON_MALFORMED, h1_line_fault(at));
    else if (is_start && !h1_start_is_plausible(r, part))
        return H1_ERROR;
    else if (input.len < window)
        return H1_MORE;
    else if (is_start)
        h1_fail(r, REASON_TARGET_TOO_LONG, "the first line is too long");
    else
        h1_fail(r, REASON_HEADERS_TOO_LARGE, "the head is too long");
    return H1_ERROR;
}

/* The line that ends with the CRLF at `at`. */
static inline struct slice line_take(struct h1_reader *r, struct slice input, const char *at)
{
    const char *start = input.ptr + r->line_start_bytes;
    r->scanned_bytes = (uint32_t)(at + 2 - input.ptr);
    r->line_start_bytes = r->scanned_bytes;
    r->line_count++;
    return slice_from(start, (size_t)(at - start));
}

/* Why `at`, the first byte of a line that is not a name's, is not the colon behind one. */
static const char *name_fault(struct slice line, const char *at)
{
    bool is_blank = *at == ' ' || *at == '\t';
    if (at == line.ptr && is_blank)
        return "a line begins with white space"; /* obs-fold, or before the first: RFC 9112 2.2, 5.2 */
    if (is_blank)
        return "white space between field name and colon"; /* RFC 9112 5.1 */
    return "not a field line";
}

/* OWS value OWS; blanks are SP and HTAB. */
static struct slice trimmed(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return slice_from(at, (size_t)(end - at));
}

/* name ":" OWS value OWS (RFC 9112 5). `limit`: as far as may be read; the CR behind the line ends every name. */
static bool field_line(struct h1_reader *r, struct slice line, const char *limit, struct arena *arena,
                       struct message *m)
{
    const char *colon = scan_not_token(line.ptr, limit);
    if (colon == line.ptr || *colon != ':')
        return h1_fail(r, REASON_MALFORMED, name_fault(line, colon));
    if (m == NULL)
        return true;
    struct slice name = slice_from(line.ptr, (size_t)(colon - line.ptr));
    message_add(m, arena, field_id_from_name(name), name, trimmed(colon + 1, line.ptr + line.len));
    return true;
}

/* The first line of a head; H1_DATA when it was good. Its window is its own limit and two for the CRLF: what ends
   later is too long, whatever it is. */
static enum h1_event start_read(struct h1_reader *r, struct slice input, struct arena *arena, struct message *m)
{
    size_t window = (size_t)r->limits->request_line_bytes + 2;
    const char *end = input.ptr + (input.len < window ? input.len : window);
    const char *at = scan_control(input.ptr + r->scanned_bytes, end);
    if (!h1_is_line_end(at, end))
        return line_is_incomplete(r, input, at, window);
    struct slice line = line_take(r, input, at);
    r->fields_start_bytes = r->line_start_bytes;
    message_init(m, arena, 0);
    bool is_good = r->is_response ? h1_status_line(r, line, m) : h1_request_line(r, line, m);
    return is_good ? H1_DATA : H1_ERROR;
}

/* Field lines, up to and with the empty one. The block may hold head_bytes of them and two for the empty one. */
static enum h1_event fields_read(struct h1_reader *r, struct slice input, struct arena *arena, struct message *m)
{
    size_t window = (size_t)r->fields_start_bytes + r->limits->head_bytes + 2;
    const char *end = input.ptr + (input.len < window ? input.len : window);
    /* The first line of a head counts as a line and is no field; a trailer block has none. */
    uint32_t line_limit = r->limits->field_count + (uint32_t)(r->state == H1_STATE_HEAD);
    for (;;) {
        const char *at = scan_control(input.ptr + r->scanned_bytes, end);
        if (!h1_is_line_end(at, end))
            return line_is_incomplete(r, input, at, window);
        struct slice line = line_take(r, input, at);
        if (line.len == 0)
            return H1_END;
        bool is_good = r->line_count <= line_limit ? field_line(r, line, end, arena, m)
                                                   : h1_fail(r, REASON_HEADERS_TOO_LARGE, "too many fields");
        if (!is_good)
            return H1_ERROR;
    }
}

enum h1_event h1_block_read(struct h1_reader *r, struct slice input, struct arena *arena, struct message *m)
{
    CHECK(r->scanned_bytes <= input.len);
    if (r->state == H1_STATE_HEAD && r->line_count == 0) {
        CHECK(m != NULL);
        enum h1_event e = start_read(r, input, arena, m);
        if (e != H1_DATA)
            return e;
    }
    return fields_read(r, input, arena, m);
}
