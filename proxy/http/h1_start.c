/* http/h1_start.c - the first line of a head: request line, request target and status line.
 *
 * A request line is read as RFC 9112 3 spells it and in no other way: its advice to split leniently at any white space
 * is what makes two parties see two targets. */
#include "http/h1_parts.h"

#include "http/scan.h"
#include "http/validate.h"

#define METHOD_MAX_BYTES 32

/* HTTP/DIGIT.DIGIT in exactly eight bytes (RFC 9112 2.3); we speak 1.0 and 1.1. */
static bool version_read(struct h1_reader *r, struct slice text, struct message *m)
{
    if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 || text.ptr[6] != '.' || text.ptr[5] < '0' ||
        text.ptr[5] > '9' || text.ptr[7] < '0' || text.ptr[7] > '9')
        return h1_fail(r, REASON_MALFORMED, "the first line names no HTTP version");
    if (text.ptr[5] != '1' || text.ptr[7] > '1')
        return h1_fail(r, REASON_VERSION_REFUSED, "neither HTTP/1.0 nor HTTP/1.1");
    m->version_minor = (uint8_t)(text.ptr[7] - '0');
    return true;
}

static void split_query(struct message *m, struct slice path_and_query)
{
    size_t mark = slice_find(path_and_query, '?');
    m->path = slice_first(path_and_query, mark);
    if (mark < path_and_query.len)
        m->query = slice_after(path_and_query, mark + 1);
}

/* The bytes behind "http://" or "https://"; len 0 when the target has neither scheme. */
static struct slice after_scheme(struct slice target)
{
    static const struct slice schemes[] = { { "http://", 7 }, { "https://", 8 } };
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++)
        if (slice_equal_nocase(slice_first(target, schemes[i].len), schemes[i]))
            return slice_after(target, schemes[i].len);
    return SLICE_NONE;
}

/* RFC 9112 3.2.2; an empty path is "/", or "*" for OPTIONS without a query (3.2.4). */
static bool absolute_form(struct h1_reader *r, struct message *m)
{
    struct slice rest = after_scheme(m->target);
    if (rest.len == 0)
        return h1_fail(r, REASON_MALFORMED, "not a request target");
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    m->authority = slice_first(rest, end);
    if (!authority_is_valid(m->authority))
        return h1_fail(r, REASON_BAD_HOST, "the target's authority is not a valid host");
    split_query(m, slice_after(rest, end));
    if (m->path.len == 0)
        m->path = m->method == METHOD_OPTIONS && m->query.ptr == NULL ? SLICE("*") : SLICE("/");
    return true;
}

/* Which of the four forms the target has (RFC 9112 3.2). */
static bool target_read(struct h1_reader *r, struct message *m)
{
    if (m->method == METHOD_CONNECT)
        return h1_fail(r, REASON_METHOD_REFUSED, "CONNECT is not served");
    if (m->target.ptr[0] == '/') {
        split_query(m, m->target);
        return true;
    }
    if (slice_equal(m->target, SLICE("*"))) {
        m->path = m->target;
        return m->method == METHOD_OPTIONS || h1_fail(r, REASON_MALFORMED, "the target * is for OPTIONS only");
    }
    return absolute_form(r, m);
}

/* method SP request-target SP HTTP-version (RFC 9112 3), split at single spaces only. */
bool h1_request_line(struct h1_reader *r, struct slice line, struct message *m)
{
    const char *end = line.ptr + line.len;
    const char *at = scan_not_token(line.ptr, end);
    m->method_name = slice_from(line.ptr, (size_t)(at - line.ptr));
    if (m->method_name.len == 0 || m->method_name.len > METHOD_MAX_BYTES || at == end || *at != ' ')
        return h1_fail(r, REASON_MALFORMED, "the first line begins with no method");
    const char *target = at + 1;
    at = scan_not_target(target, end);
    m->target = slice_from(target, (size_t)(at - target));
    if (m->target.len == 0 || at == end || *at != ' ')
        return h1_fail(r, REASON_MALFORMED, "the request target is missing or holds a byte it may not");
    if (!version_read(r, slice_from(at + 1, (size_t)(end - at - 1)), m))
        return false;
    m->method = method_from_name(m->method_name);
    return target_read(r, m);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP-version SP 3DIGIT SP [ reason-phrase ] (RFC 9112 4). Lenient: without a phrase the second space may be missing
   too. */
bool h1_status_line(struct h1_reader *r, struct slice line, struct message *m)
{
    m->is_response = true;
    m->method = r->request_method;
    if (!version_read(r, slice_first(line, 8), m))
        return false;
    const char *at = line.ptr + 8;
    if (line.len < 12 || at[0] != ' ' || !is_digit(at[1]) || !is_digit(at[2]) || !is_digit(at[3]) ||
        (line.len > 12 && at[4] != ' '))
        return h1_fail(r, REASON_MALFORMED, "the status line has no status of three digits");
    m->status = (uint16_t)((at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0'));
    m->reason_phrase = slice_after(line, 13);
    if (m->status < 100 || m->status > 599) /* RFC 9110 15: all others are invalid */
        return h1_fail(r, REASON_MALFORMED, "the status is not between 100 and 599");
    return true;
}

static bool request_is_plausible(struct h1_reader *r, struct slice part)
{
    struct slice start = slice_first(part, METHOD_MAX_BYTES + 1);
    const char *end = start.ptr + start.len;
    const char *at = scan_not_token(start.ptr, end);
    bool is_method_so_far = at == end && start.len <= METHOD_MAX_BYTES;
    bool is_method = at < end && at > start.ptr && *at == ' ';
    return is_method_so_far || is_method || h1_fail(r, REASON_MALFORMED, "the first line begins with no method");
}

bool h1_start_is_plausible(struct h1_reader *r, struct slice part)
{
    if (!r->is_response)
        return request_is_plausible(r, part);
    return slice_has_prefix(SLICE("HTTP/1."), slice_first(part, 7)) ||
           h1_fail(r, REASON_MALFORMED, "the answer does not begin with HTTP/1");
}
