/* http/h1_head.c - blocks of lines (heads and trailer blocks): line ends, limits, field lines.
 *
 * Each line is found and parsed once, as soon as it is complete, so that an error shows at the same byte however the input was
 * cut. Slices point into the input, which may move between calls: a block that took several is parsed once more at its end. */
#include "http/h1_parts.h"

#include "http/scan.h"

void h1_block_rewind(struct h1_reader *r)
{
    r->scanned_bytes = 0;
    r->line_start_bytes = 0;
    r->fields_start_bytes = 0;
    r->line_count = 0;
}

enum line_end h1_line_end(const char *at, const char *end, const char **found)
{
    at = scan_control(at, end);
    *found = at;
    if (at == end || (*at == '\r' && at + 1 == end))
        return LINE_END_MORE;
    return at[0] == '\r' && at[1] == '\n' ? LINE_END_FOUND : LINE_END_BROKEN;
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

static bool is_in_first_line(const struct h1_reader *r)
{
    return r->state == H1_STATE_HEAD && r->line_count == 0;
}

/* The block's bytes that may hold the current line, its CRLF and an empty line's: what goes beyond is over the limit. */
static size_t window_bytes(const struct h1_reader *r)
{
    if (is_in_first_line(r))
        return (size_t)r->limits->request_line_bytes + 2;
    return (size_t)r->fields_start_bytes + r->limits->head_bytes + 2;
}

/* No line ends in [line_start_bytes, looked_at_bytes). */
static enum h1_event line_is_incomplete(struct h1_reader *r, struct slice input, size_t window)
{
    bool is_first = is_in_first_line(r);
    size_t seen = input.len < window ? input.len : window;
    if (is_first && !h1_start_is_plausible(r, slice_first(input, seen)))
        return H1_ERROR;
    if (input.len < window)
        return H1_MORE;
    h1_fail(r, is_first ? REASON_TARGET_TOO_LONG : REASON_HEADERS_TOO_LARGE,
            is_first ? "the first line is too long" : "the head is too long");
    return H1_ERROR;
}

/* Takes the next line of the block; H1_DATA when there is one. */
static enum h1_event line_next(struct h1_reader *r, struct slice input, struct slice *line)
{
    CHECK(r->scanned_bytes <= input.len);
    size_t window = window_bytes(r);
    const char *end = input.ptr + (input.len < window ? input.len : window);
    const char *at;
    enum line_end found = h1_line_end(input.ptr + r->scanned_bytes, end, &at);
    r->scanned_bytes = (uint32_t)(at - input.ptr);
    if (found == LINE_END_MORE)
        return line_is_incomplete(r, input, window);
    if (found == LINE_END_BROKEN) {
        h1_fail(r, REASON_MALFORMED, h1_line_fault(at));
        return H1_ERROR;
    }
    *line = slice_from(input.ptr + r->line_start_bytes, r->scanned_bytes - r->line_start_bytes);
    r->scanned_bytes += 2;
    r->line_start_bytes = r->scanned_bytes;
    r->line_count++;
    return H1_DATA;
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

/* name ":" OWS value OWS (RFC 9112 5). `limit`: as far as may be read; the CR behind the line ends every name. */
static bool field_line(struct h1_reader *r, struct slice line, const char *limit,
                       struct arena *arena, struct message *m)
{
    const char *colon = scan_not_token(line.ptr, limit);
    if (colon == line.ptr || *colon != ':')
        return h1_fail(r, REASON_MALFORMED, name_fault(line, colon));
    if (m == NULL)
        return true;
    struct slice name = slice_from(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = slice_trim(slice_after(line, name.len + 1));
    message_add(m, arena, field_id_from_name(name), name, value);
    return true;
}

static bool first_line(struct h1_reader *r, struct slice line, struct arena *arena,
                       struct message *m)
{
    CHECK(m != NULL);
    message_init(m, arena, 0);
    r->fields_start_bytes = r->line_start_bytes;
    return r->is_response ? h1_status_line(r, line, m) : h1_request_line(r, line, m);
}

static bool has_too_many_fields(const struct h1_reader *r)
{
    uint32_t first_line_count = r->state == H1_STATE_HEAD;
    return r->line_count - first_line_count > r->limits->field_count;
}

enum h1_event h1_block_read(struct h1_reader *r, struct slice input, struct arena *arena,
                            struct message *m)
{
    for (;;) {
        bool is_first = is_in_first_line(r);
        struct slice line;
        enum h1_event e = line_next(r, input, &line);
        if (e != H1_DATA)
            return e;
        bool is_good;
        if (is_first)
            is_good = first_line(r, line, arena, m);
        else if (line.len == 0)
            return H1_END;
        else if (has_too_many_fields(r))
            is_good = h1_fail(r, REASON_HEADERS_TOO_LARGE, "too many fields");
        else
            is_good = field_line(r, line, input.ptr + input.len, arena, m);
        if (!is_good)
            return H1_ERROR;
    }
}
