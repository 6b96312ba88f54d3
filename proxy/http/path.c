/* http/path.c - the one normal form in which paths are matched (RFC 3986 6.2.2).
 *
 * Rules are matched against what an upstream will make of the path, or a client could reach what a rule withholds by
 * spelling it otherwise: /%61dmin, /x/../admin. What upstreams disagree about (%00, backslashes, climbing out of the
 * root) is refused; what they may tell apart (//, %2F, parameters behind a semicolon) is kept. */
#include "http/validate.h"

enum { BYTE_REFUSED, BYTE_PLAIN, BYTE_DOT, BYTE_PERCENT };

/* Of the bytes a path may hold raw, only dots and %-sequences can make it differ from its normal form. */
static const uint8_t byte_kinds[256] = {
    ['!' ... '"'] = BYTE_PLAIN, ['$'] = BYTE_PLAIN,         ['%'] = BYTE_PERCENT,       ['&' ... '-'] = BYTE_PLAIN,
    ['.'] = BYTE_DOT,           ['/' ... '['] = BYTE_PLAIN, [']' ... '~'] = BYTE_PLAIN,
};

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that a %-sequence at the beginning stands for, or -1 when there is none. */
static int percent_value(struct slice s)
{
    int high = s.len >= 3 ? hex_value(s.ptr[1]) : -1;
    int low = high >= 0 ? hex_value(s.ptr[2]) : -1;
    return low >= 0 ? high * 16 + low : -1;
}

static bool is_dots(struct slice segment)
{
    return slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE(".."));
}

enum path_look { LOOK_NORMAL, LOOK_OTHER, LOOK_REFUSED };

/* One pass that finds most paths normal. `raw` begins with a slash. */
static enum path_look path_look(struct slice raw)
{
    enum path_look look = LOOK_NORMAL;
    for (size_t i = 0; i < raw.len; i++) {
        switch (byte_kinds[(unsigned char)raw.ptr[i]]) {
        case BYTE_PLAIN:
            break;
        case BYTE_DOT:
            if (raw.ptr[i - 1] == '/') /* perhaps a dot-segment */
                look = LOOK_OTHER;
            break;
        case BYTE_PERCENT:
            look = LOOK_OTHER;
            break;
        default:
            return LOOK_REFUSED;
        }
    }
    return look;
}

/* Writes a segment with its %-sequences in their normal form, at most as long as it was. */
static bool put_segment(struct slice raw, char **out, bool *has_encoded_slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; raw.len > 0; raw = slice_after(raw, 1)) {
        if (raw.ptr[0] != '%') {
            *(*out)++ = raw.ptr[0];
            continue;
        }
        int value = percent_value(raw);
        if (value <= 0 || value == '\\')
            return false;
        raw = slice_after(raw, 2);
        if (is_unreserved((char)value)) {
            *(*out)++ = (char)value;
            continue;
        }
        *has_encoded_slash |= value == '/';
        *(*out)++ = '%';
        *(*out)++ = digits[value >> 4];
        *(*out)++ = digits[value & 15];
    }
    return true;
}

/* Segment by segment (RFC 3986 5.2.4). `at` is always behind a slash when a segment begins; what is written never gets
   ahead of what is read. */
static bool path_rewrite(struct slice raw, char *out, size_t *out_len, bool *has_encoded_slash)
{
    struct slice rest = slice_after(raw, 1), segment;
    char *at = out;
    *at++ = '/';
    while (slice_next_item(&rest, '/', &segment)) {
        char *start = at;
        if (!put_segment(segment, &at, has_encoded_slash))
            return false;
        struct slice written = slice_from(start, (size_t)(at - start));
        if (!is_dots(written)) {
            if (rest.ptr != NULL)
                *at++ = '/';
            continue;
        }
        at = start;
        if (written.len == 1)
            continue;
        if (start == out + 1)
            return false; /* above the root */
        do
            at--;
        while (at[-1] != '/');
    }
    *out_len = (size_t)(at - out);
    return true;
}

enum path_verdict path_normalise(struct slice raw, struct arena *arena, struct slice *out, bool *has_encoded_slash)
{
    *has_encoded_slash = false;
    *out = raw;
    if (slice_equal(raw, SLICE("*")))
        return PATH_OK;
    if (raw.len == 0 || raw.ptr[0] != '/')
        return PATH_INVALID;
    enum path_look look = path_look(raw);
    if (look != LOOK_OTHER)
        return look == LOOK_NORMAL ? PATH_OK : PATH_INVALID;
    char *bytes = arena_alloc(arena, raw.len);
    size_t len = 0;
    if (!path_rewrite(raw, bytes, &len, has_encoded_slash))
        return PATH_INVALID;
    if (!slice_equal(slice_from(bytes, len), raw))
        *out = slice_from(bytes, len);
    return PATH_OK;
}
