/* http/h1_chunk.c - the line in front of each chunk: its size and its extensions (RFC 9112 7.1).
 *
 * Extensions end here (7.1.1), but a malformed one is refused all the same: parsers that skip "to the line's end"
 * disagree about where that is. The line is looked at again from its start while it is incomplete, its extension only
 * from where the last look ended; digits are 16 at most. */
#include "http/h1_parts.h"

#include "http/scan.h"

#define SIZE_MAX_DIGITS     16  /* 64 bits: what overflows has more digits */
#define EXTENSION_MAX_BYTES 256 /* ours; more is an attack (CVE-2023-39326) */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void skip_blanks(struct slice *s)
{
    while (s->len > 0 && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
        *s = slice_after(*s, 1);
}

/* Steps over blanks and `c`, or over nothing. */
static bool take_char(struct slice *s, char c)
{
    struct slice rest = *s;
    skip_blanks(&rest);
    if (rest.len == 0 || rest.ptr[0] != c)
        return false;
    *s = slice_after(rest, 1);
    return true;
}

/* The line holds no control but HTAB, so only the closing quote and pairs of backslash and byte matter (RFC 9110
   5.6.4). */
static bool take_quoted(struct slice *s)
{
    for (size_t i = 1; i < s->len; i++) {
        if (s->ptr[i] == '"') {
            *s = slice_after(*s, i + 1);
            return true;
        }
        if (s->ptr[i] == '\\')
            i++;
    }
    return false;
}

static bool take_word(struct slice *s, bool may_be_quoted)
{
    skip_blanks(s);
    if (may_be_quoted && s->len > 0 && s->ptr[0] == '"')
        return take_quoted(s);
    const char *end = scan_not_token(s->ptr, s->ptr + s->len);
    size_t len = (size_t)(end - s->ptr);
    *s = slice_after(*s, len);
    return len > 0;
}

/* *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) */
static bool is_extension(struct slice s)
{
    while (s.len > 0) {
        if (!take_char(&s, ';') || !take_word(&s, false))
            return false;
        if (take_char(&s, '=') && !take_word(&s, true))
            return false;
    }
    return true;
}

/* The line behind its `digit_count` digits. */
static enum h1_event extension_read(struct h1_reader *r, struct slice *input, size_t digit_count)
{
    struct slice rest = slice_first(slice_after(*input, digit_count), EXTENSION_MAX_BYTES + 2);
    size_t from = r->scanned_bytes > digit_count ? r->scanned_bytes - digit_count : 0;
    const char *end = rest.ptr + rest.len;
    const char *at = scan_control(rest.ptr + from, end);
    struct slice extension = slice_from(rest.ptr, (size_t)(at - rest.ptr));
    r->scanned_bytes = 0;
    if (h1_is_line_end(at, end)) {
        *input = slice_from(at + 2, (size_t)(input->ptr + input->len - at - 2));
        if (is_extension(extension))
            return H1_DATA;
        h1_fail(r, REASON_MALFORMED, "a chunk extension is malformed");
    } else if (!h1_is_half_line_end(at, end)) {
        h1_fail(r, REASON_MALFORMED, h1_line_fault(at));
    } else if (rest.len == EXTENSION_MAX_BYTES + 2) {
        h1_fail(r, REASON_MALFORMED, "chunk extensions are too long");
    } else {
        r->scanned_bytes = (uint32_t)(digit_count + extension.len);
        return H1_MORE;
    }
    return H1_ERROR;
}

enum h1_event h1_chunk_size_read(struct h1_reader *r, struct slice *input)
{
    uint64_t size = 0;
    size_t digit_count = 0;
    for (; digit_count < input->len && hex_value(input->ptr[digit_count]) >= 0; digit_count++) {
        if (digit_count == SIZE_MAX_DIGITS)
            break;
        size = size << 4 | (uint64_t)hex_value(input->ptr[digit_count]);
    }
    if (digit_count == input->len)
        return H1_MORE;
    char next = input->ptr[digit_count];
    if (digit_count == 0 || (next != '\r' && next != ';' && next != ' ' && next != '\t') || size > INT64_MAX) {
        h1_fail(r, REASON_MALFORMED, "a chunk has no valid size");
        return H1_ERROR;
    }
    r->remaining_bytes = size;
    return extension_read(r, input, digit_count);
}
