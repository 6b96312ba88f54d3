/* http/h2_head.c - reads a block of HTTP/2 fields: checks each one, then what they mean together. */
#include "http/h2_head.h"

#include "http/scan.h"
#include "http/validate.h"

#define METHOD_MAX_BYTES    32 /* as in a request line */
#define LINE_OVERHEAD_BYTES 4  /* ": " and the line end: the limit means the same in both versions */

/* Bytes of a field name: a token without upper case (RFC 9113 8.2.1). */
static const bool is_lower_token_byte[256] = {
    ['!'] = true, ['#' ... '\''] = true, ['*'] = true,         ['+'] = true, ['-'] = true,
    ['.'] = true, ['0' ... '9'] = true,  ['^' ... 'z'] = true, ['|'] = true, ['~'] = true,
};

static bool fail(struct h2_head *r, enum reason reason, const char *detail)
{
    if (r->reason == REASON_NONE) {
        r->reason = reason;
        r->error_detail = detail;
    }
    return false;
}

/* An error that the client is told by a status. */
static bool refuse(struct h2_head *r, enum reason reason, const char *detail)
{
    r->is_answerable = r->block == H2_BLOCK_REQUEST;
    return fail(r, reason, detail);
}

enum reason h2_head_reason(const struct h2_head *r, bool is_response)
{
    if (!is_response || r->reason == REASON_NONE)
        return r->reason;
    return r->reason == REASON_HEADERS_TOO_LARGE ? REASON_UPSTREAM_HEADERS : REASON_UPSTREAM_INVALID;
}

void h2_head_begin(struct h2_head *r, enum h2_block block, const struct h1_limits *limits, uint32_t spent_bytes,
                   struct arena *arena, struct message *m)
{
    enum method request_method = m->method;
    struct slice upgrade = m->upgrade;
    *r = (struct h2_head){
        .block = block,
        .limits = *limits,
        .bytes = spent_bytes,
        .arena = arena,
        .message = m,
        .reason = REASON_NONE,
    };
    message_init(m, arena, 0);
    m->version_major = 2;
    m->version_minor = 1;
    if (block == H2_BLOCK_RESPONSE) {
        m->is_response = true;
        m->method = request_method;
        r->protocol = upgrade;
    }
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

/* The limit means the same as in HTTP/1.1: bytes of lines. */
static bool has_room(struct h2_head *r, struct slice name, struct slice value)
{
    uint64_t bytes = (uint64_t)r->bytes + name.len + value.len + LINE_OVERHEAD_BYTES;
    if (bytes > r->limits.head_bytes)
        return refuse(r, REASON_HEADERS_TOO_LARGE, "the head is too long");
    if (r->message->field_count >= r->limits.field_count)
        return refuse(r, REASON_HEADERS_TOO_LARGE, "too many fields");
    r->bytes = (uint32_t)bytes;
    return true;
}

struct pseudo_field {
    struct slice name;
    enum h2_block block;
    size_t offset; /* of its slice in struct h2_head */
};

static const struct pseudo_field pseudo_fields[] = {
    { { ":method", 7 }, H2_BLOCK_REQUEST, offsetof(struct h2_head, method) },
    { { ":path", 5 }, H2_BLOCK_REQUEST, offsetof(struct h2_head, path) },
    { { ":scheme", 7 }, H2_BLOCK_REQUEST, offsetof(struct h2_head, scheme) },
    { { ":authority", 10 }, H2_BLOCK_REQUEST, offsetof(struct h2_head, authority) },
    { { ":status", 7 }, H2_BLOCK_RESPONSE, offsetof(struct h2_head, status) },
    { { ":protocol", 9 }, H2_BLOCK_REQUEST, offsetof(struct h2_head, protocol) },
};

/* In front of all others, known, once, and none in trailers (RFC 9113 8.3). What the value must be is asked at the
   end. */
static bool pseudo_field(struct h2_head *r, struct slice name, struct slice value)
{
    if (r->has_regular)
        return fail(r, REASON_MALFORMED, "a pseudo-field behind a regular one");
    for (size_t i = 0; i < ARRAY_COUNT(pseudo_fields); i++) {
        const struct pseudo_field *p = &pseudo_fields[i];
        if (p->block != r->block || !slice_equal(p->name, name))
            continue;
        struct slice *place = (struct slice *)(void *)((char *)r + p->offset);
        if (place->ptr != NULL)
            return fail(r, REASON_MALFORMED, "a pseudo-field is given twice");
        if (r->block == H2_BLOCK_RESPONSE && !has_room(r, name, value)) /* interim answers without end are bounded */
            return false;
        r->line_bytes += value.len;
        if (r->line_bytes > r->limits.request_line_bytes)
            return refuse(r, REASON_TARGET_TOO_LONG, "the pseudo-fields are too long");
        *place = arena_copy(r->arena, value);
        return true;
    }
    return fail(r, REASON_MALFORMED, "a pseudo-field that does not belong there");
}

/* Of a well-known name only the spelling is left to ask. */
static bool is_lower_token(struct slice name, enum field_id id)
{
    if (id != FIELD_OTHER)
        return memcmp(name.ptr, field_lower_names[id].ptr, name.len) == 0;
    for (size_t i = 0; i < name.len; i++)
        if (!is_lower_token_byte[(unsigned char)name.ptr[i]])
            return false;
    return name.len > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9113 8.2.1; beyond it we refuse all controls but HTAB, as HTTP/1.1 does (RFC 9110 5.5). */
static bool is_clean_value(struct slice value)
{
    if (value.len == 0)
        return true;
    return !is_blank(value.ptr[0]) && !is_blank(value.ptr[value.len - 1]) && is_field_value(value);
}

/* RFC 9113 8.2.2: what belongs to a connection has no place here. */
static const uint64_t connection_fields = 1ull << FIELD_CONNECTION | 1ull << FIELD_KEEP_ALIVE |
                                          1ull << FIELD_PROXY_CONNECTION | 1ull << FIELD_TRANSFER_ENCODING |
                                          1ull << FIELD_UPGRADE;
_Static_assert(FIELD_COUNT <= 64, "field ids fit a 64-bit set");

static bool content_length(struct h2_head *r, struct slice value)
{
    struct message *m = r->message;
    if (m->has_content_length)
        return fail(r, REASON_MALFORMED, "Content-Length is given twice");
    if (!slice_to_u64(value, &m->content_length) || m->content_length > INT64_MAX)
        return fail(r, REASON_MALFORMED, "Content-Length is not a number");
    m->has_content_length = true;
    return true;
}

static bool transfer_extensions(struct h2_head *r, struct slice value)
{
    if (!slice_equal_nocase(value, SLICE("trailers")))
        return fail(r, REASON_MALFORMED, "TE is something other than trailers");
    r->message->wants_trailers = true;
    return true;
}

/* Fields that mean something to the codec; false when one may not be there or is wrong. In trailers they mean nothing,
   and do not go on (trailers_filter). */
static bool known_field(struct h2_head *r, enum field_id id, struct slice value)
{
    if ((connection_fields >> id & 1) != 0)
        return fail(r, REASON_MALFORMED, "a field that belongs to a connection");
    if (r->block == H2_BLOCK_TRAILERS)
        return true;
    if (id == FIELD_CONTENT_LENGTH)
        return content_length(r, value);
    if (id == FIELD_TE && r->block == H2_BLOCK_REQUEST)
        return transfer_extensions(r, value);
    if (id == FIELD_HOST && r->block == H2_BLOCK_REQUEST && r->has_host++)
        return fail(r, REASON_BAD_HOST, "Host is given twice");
    if (id == FIELD_COOKIE && r->block == H2_BLOCK_REQUEST)
        r->crumb_count++;
    return true;
}

/* Well-known names are not copied. */
static void keep(struct h2_head *r, enum field_id id, struct slice name, struct slice value)
{
    size_t name_bytes = id == FIELD_OTHER ? name.len : 0;
    char *copy = arena_alloc(r->arena, name_bytes + value.len);
    struct slice kept = id == FIELD_OTHER ? slice_from(copy, name.len) : field_lower_names[id];
    if (name_bytes > 0)
        memcpy(copy, name.ptr, name_bytes);
    if (value.len > 0)
        memcpy(copy + name_bytes, value.ptr, value.len);
    message_add(r->message, r->arena, id, kept, slice_from(copy + name_bytes, value.len));
}

/* The Host line that HTTP/1.1 needs stands in front, as RFC 9110 7.2 likes it. */
static bool add_host_line(struct h2_head *r)
{
    if (r->authority.ptr == NULL || r->message->first_of[FIELD_HOST] != 0)
        return true;
    struct slice name = field_lower_names[FIELD_HOST];
    if (!has_room(r, name, r->authority))
        return false;
    message_add(r->message, r->arena, FIELD_HOST, name, r->authority);
    return true;
}

static bool regular_field(struct h2_head *r, struct slice name, struct slice value)
{
    r->has_regular = true;
    enum field_id id = field_id_from_name(name);
    if (!is_lower_token(name, id))
        return fail(r, REASON_MALFORMED, "a field name is no token in lower case");
    if (!is_clean_value(value))
        return fail(r, REASON_MALFORMED, "a field value holds a control or outer white space");
    if (!known_field(r, id, value))
        return false;
    if (id == FIELD_HOST && r->authority.ptr != NULL) /* RFC 9113 8.3.1 */
        return slice_equal_nocase(value, r->authority) || fail(r, REASON_BAD_HOST, "Host differs from :authority");
    if (!has_room(r, name, value))
        return false;
    keep(r, id, name, value);
    return true;
}

bool h2_head_field(struct h2_head *r, struct slice name, struct slice value)
{
    if (r->reason != REASON_NONE)
        return false;
    if (name.len > 0 && name.ptr[0] == ':')
        return pseudo_field(r, name, value);
    return add_host_line(r) && regular_field(r, name, value);
}

/* ---- what they mean together --------------------------------------------------------------------------------------- */

static bool settle_method(struct h2_head *r)
{
    struct message *m = r->message;
    if (!is_token(r->method) || r->method.len > METHOD_MAX_BYTES)
        return fail(r, REASON_MALFORMED, ":method is missing or no token");
    m->method_name = r->method;
    m->method = method_from_name(r->method);
    bool is_connect = m->method == METHOD_CONNECT;
    if (r->protocol.ptr != NULL && !is_connect)
        return fail(r, REASON_MALFORMED, ":protocol without CONNECT");
    if (is_connect && r->protocol.ptr == NULL)
        return refuse(r, REASON_METHOD_REFUSED, "CONNECT is not served");
    return true;
}

/* RFC 8441 4, as the HTTP/1.1 upgrade that it stands for. Neither h2c nor another HTTP: a client would speak past the
   proxy to the upstream. */
static bool settle_protocol(struct h2_head *r)
{
    struct message *m = r->message;
    if (r->protocol.ptr == NULL)
        return true;
    if (!is_token(r->protocol))
        return fail(r, REASON_MALFORMED, ":protocol is no token");
    if (slice_equal_nocase(r->protocol, SLICE("h2c")) || slice_equal_nocase(r->protocol, SLICE("http")))
        return refuse(r, REASON_METHOD_REFUSED, "CONNECT to another HTTP is not served");
    m->method = METHOD_GET;
    m->method_name = SLICE("GET");
    m->is_upgrade = true;
    m->upgrade = r->protocol;
    return true;
}

/* Only the two schemes whose paths we understand; which one it is, the connection knows better. */
static bool settle_scheme(struct h2_head *r)
{
    return slice_equal_nocase(r->scheme, SLICE("https")) || slice_equal_nocase(r->scheme, SLICE("http")) ||
           fail(r, REASON_MALFORMED, ":scheme is missing or neither http nor https");
}

/* RFC 9113 8.3.1: origin-form, or * of OPTIONS. */
static bool settle_path(struct h2_head *r)
{
    struct message *m = r->message;
    struct slice path = r->path;
    if (path.len == 0 || scan_not_target(path.ptr, path.ptr + path.len) != path.ptr + path.len)
        return fail(r, REASON_MALFORMED, ":path is missing or holds a byte it may not");
    bool is_asterisk = slice_equal(path, SLICE("*"));
    if (path.ptr[0] != '/' && !(is_asterisk && m->method == METHOD_OPTIONS))
        return fail(r, REASON_MALFORMED, ":path does not begin with a slash");
    m->target = path;
    size_t mark = slice_find(path, '?');
    m->path = slice_first(path, mark);
    if (mark < path.len)
        m->query = slice_after(path, mark + 1);
    return true;
}

static bool settle_authority(struct h2_head *r)
{
    struct message *m = r->message;
    if (!add_host_line(r))
        return false;
    const struct field *host = message_field(m, FIELD_HOST);
    if (host == NULL || (m->is_upgrade && r->authority.ptr == NULL))
        return fail(r, REASON_BAD_HOST, ":authority is missing");
    m->authority = host->value;
    return authority_is_valid(m->authority) || fail(r, REASON_BAD_HOST, ":authority is not a valid host");
}

/* One line, in the place of the first crumb. Empty ones are left out: the line may not end with a blank. */
static void join_crumbs(struct h2_head *r)
{
    struct message *m = r->message;
    struct field *first = message_field(m, FIELD_COOKIE);
    size_t bytes = 0;
    for (const struct field *f = first; f != NULL; f = message_next_field(m, f))
        bytes += f->value.len + 2;
    char *joined = arena_alloc(r->arena, bytes), *at = joined;
    for (struct field *f = first; f != NULL; f = message_next_field(m, f)) {
        f->is_dropped = f != first;
        if (f->value.len == 0)
            continue;
        if (at != joined)
            at = mempcpy(at, "; ", 2);
        at = mempcpy(at, f->value.ptr, f->value.len);
    }
    first->value = slice_from(joined, (size_t)(at - joined));
}

/* Expect (RFC 9110 10.1.1), as in HTTP/1.1: only 100-continue, and ignored without a body. */
static bool settle_expect(struct h2_head *r)
{
    struct message *m = r->message;
    for (const struct field *f = message_field(m, FIELD_EXPECT); f != NULL; f = message_next_field(m, f)) {
        if (!slice_equal_nocase(f->value, SLICE("100-continue")))
            return refuse(r, REASON_EXPECTATION, "Expect names something other than 100-continue");
        m->expects_continue = m->framing != BODY_NONE;
    }
    if (!m->expects_continue)
        message_drop(m, FIELD_EXPECT);
    return true;
}

/* Length zero without END_STREAM: the body is empty all the same, and its end comes later. */
static enum body_framing framing_of(const struct message *m, bool is_end)
{
    if (is_end || (m->has_content_length && m->content_length == 0))
        return BODY_NONE;
    return m->has_content_length ? BODY_LENGTH : BODY_CHUNKED;
}

static bool settle_request(struct h2_head *r, bool is_end)
{
    struct message *m = r->message;
    if (!settle_method(r) || !settle_protocol(r) || !settle_scheme(r) || !settle_path(r) || !settle_authority(r))
        return false;
    if (is_end && m->content_length > 0) /* RFC 9113 8.1.1 */
        return fail(r, REASON_MALFORMED, "Content-Length announces a body that does not come");
    if (r->crumb_count > 1)
        join_crumbs(r);
    m->is_keep_alive = true;
    m->framing = framing_of(m, is_end);
    if (m->is_upgrade && (is_end || m->has_content_length))
        return fail(r, REASON_MALFORMED, "an extended CONNECT with a length or an end");
    if (m->is_upgrade)
        m->framing = BODY_NONE;
    return settle_expect(r);
}

static bool settle_status(struct h2_head *r)
{
    struct slice s = r->status;
    uint64_t status;
    if (s.len != 3 || !slice_to_u64(s, &status) || status < 100 || status > 599) /* RFC 9110 15 */
        return fail(r, REASON_MALFORMED, ":status is missing or not between 100 and 599");
    r->message->status = (uint16_t)status;
    return status != 101 || fail(r, REASON_MALFORMED, "101 does not exist in HTTP/2"); /* RFC 9113 8.6 */
}

/* 2xx to an extended CONNECT: the tunnel is open (RFC 8441 5). */
static void settle_tunnel(struct h2_head *r)
{
    struct message *m = r->message;
    m->status = 101;
    m->is_upgrade = true;
    m->upgrade = r->protocol;
    m->is_keep_alive = false;
    m->has_content_length = false;
    m->content_length = 0;
    m->framing = BODY_NONE;
}

static bool settle_interim(struct h2_head *r, bool is_end)
{
    if (is_end || r->message->content_length > 0) /* RFC 9113 8.1 */
        return fail(r, REASON_MALFORMED, "an interim answer ends the stream or announces a body");
    r->message->has_content_length = false;
    r->message->framing = BODY_NONE;
    return true;
}

static bool settle_response(struct h2_head *r, bool is_end)
{
    struct message *m = r->message;
    if (!settle_status(r))
        return false;
    m->is_keep_alive = true;
    m->reason_phrase = SLICE_NONE;
    if (m->status < 200)
        return settle_interim(r, is_end);
    if (r->protocol.ptr != NULL && m->status < 300 && !is_end) {
        settle_tunnel(r);
        return true;
    }
    bool has_no_body = m->status == 204 || m->status == 304 || m->method == METHOD_HEAD;
    if (is_end && m->content_length > 0 && !has_no_body)
        return fail(r, REASON_MALFORMED, "Content-Length announces a body that does not come");
    if (m->status == 204) { /* may announce none (RFC 9110 8.6) */
        m->has_content_length = false;
        m->content_length = 0;
    }
    m->framing = has_no_body ? BODY_NONE : framing_of(m, is_end);
    if (is_end && !has_no_body) /* in HTTP/1.1 no length would mean a body until the connection closes */
        m->has_content_length = true;
    return true;
}

bool h2_head_end(struct h2_head *r, bool is_end)
{
    if (r->reason != REASON_NONE)
        return false;
    switch (r->block) {
    case H2_BLOCK_REQUEST:
        return settle_request(r, is_end);
    case H2_BLOCK_RESPONSE:
        return settle_response(r, is_end);
    case H2_BLOCK_TRAILERS:
        break;
    }
    return is_end || fail(r, REASON_MALFORMED, "trailers that do not end the stream"); /* RFC 9113 8.1 */
}
