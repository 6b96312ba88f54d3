/* http/h1_framing.c - what a complete head means: its authority, where its body ends, what becomes of the connection.
 *
 * Whatever two parties could read in two ways is refused here: it is how requests are smuggled. */
#include "http/h1_parts.h"

#include "http/validate.h"

/* Host, once and valid (RFC 9112 3.2); an absolute-form target's authority takes its place (3.2.2). */
static bool settle_host(struct h1_reader *r, struct message *m, struct arena *arena)
{
    bool is_absolute = m->authority.ptr != NULL;
    struct field *host = message_field(m, FIELD_HOST);
    if (host == NULL && m->version_minor > 0)
        return h1_fail(r, REASON_BAD_HOST, "Host is missing");
    if (host != NULL && message_next_field(m, host) != NULL)
        return h1_fail(r, REASON_BAD_HOST, "Host is given twice");
    if (host != NULL && !authority_is_valid(host->value))
        return h1_fail(r, REASON_BAD_HOST, "Host is not a valid host");
    if (host != NULL && is_absolute)
        host->value = m->authority;
    else if (host != NULL)
        m->authority = host->value;
    else if (is_absolute)
        message_add(m, arena, FIELD_HOST, field_names[FIELD_HOST], m->authority);
    return true;
}

/* One coding of Transfer-Encoding: nothing but a single `chunked` is understood (RFC 9112 6.1, 7). */
static bool read_coding(struct h1_reader *r, struct slice coding, bool *is_chunked)
{
    if (!is_token(coding))
        return h1_fail(r, REASON_MALFORMED, "Transfer-Encoding is not a list of codings");
    if (*is_chunked)
        return h1_fail(r, REASON_MALFORMED, "a coding stands behind chunked");
    if (!slice_equal_nocase(coding, SLICE("chunked")))
        return h1_fail(r, REASON_UNKNOWN_CODING, "a transfer coding other than chunked");
    *is_chunked = true;
    return true;
}

static bool read_transfer_encoding(struct h1_reader *r, const struct message *m, bool *is_chunked)
{
    *is_chunked = false;
    const struct field *f = message_field(m, FIELD_TRANSFER_ENCODING);
    if (f == NULL)
        return true;
    if (m->version_minor == 0) /* RFC 9112 6.1 */
        return h1_fail(r, REASON_MALFORMED, "Transfer-Encoding in HTTP/1.0");
    if (message_field(m, FIELD_CONTENT_LENGTH) != NULL) /* RFC 9112 6.3, rule 3 */
        return h1_fail(r, REASON_MALFORMED, "Transfer-Encoding and Content-Length together");
    for (; f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, coding;
        while (slice_next_item(&rest, ',', &coding))
            if (!read_coding(r, coding, is_chunked))
                return false;
    }
    return true;
}

/* Several lengths, in one line or many, only when all are equal (RFC 9112 6.3, rule 5). */
static bool read_content_length(struct h1_reader *r, struct message *m)
{
    for (const struct field *f = message_field(m, FIELD_CONTENT_LENGTH); f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, item;
        while (slice_next_item(&rest, ',', &item)) {
            uint64_t length;
            if (!slice_to_u64(item, &length) || length > INT64_MAX)
                return h1_fail(r, REASON_MALFORMED, "Content-Length is not a number");
            if (m->has_content_length && length != m->content_length)
                return h1_fail(r, REASON_MALFORMED, "Content-Length is given twice and differs");
            m->content_length = length;
            m->has_content_length = true;
        }
    }
    return true;
}

/* Connection options that mean something to us (RFC 9110 7.6.1). */
struct options {
    bool has_close, has_keep_alive, has_upgrade;
};

/* All lines, all items: Connection is a list however it is written. */
static struct options read_connection(const struct message *m)
{
    struct options o = { false, false, false };
    for (const struct field *f = message_field(m, FIELD_CONNECTION); f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, option;
        while (slice_next_item(&rest, ',', &option)) {
            o.has_close |= slice_equal_nocase(option, SLICE("close"));
            o.has_keep_alive |= slice_equal_nocase(option, SLICE("keep-alive"));
            o.has_upgrade |= slice_equal_nocase(option, SLICE("upgrade"));
        }
    }
    return o;
}

/* RFC 9112 9.3. */
static bool is_persistent(const struct message *m, struct options o)
{
    return !o.has_close && (m->version_minor > 0 || o.has_keep_alive);
}

/* The Upgrade value when it asks for exactly one protocol. HTTP/1.0 cannot (RFC 9110 7.8); h2c (RFC 9113 3.1,
   obsolete) would let a client speak past the proxy to the upstream. A request whose Upgrade is ignored goes on
   without it. */
static struct slice wanted_upgrade(const struct message *m, struct options o)
{
    const struct field *f = message_field(m, FIELD_UPGRADE);
    if (f == NULL || !o.has_upgrade || m->version_minor == 0 || message_next_field(m, f) != NULL)
        return SLICE_NONE;
    size_t name_bytes = slice_find(f->value, '/');
    bool is_one = is_token(slice_first(f->value, name_bytes)) &&
                  (name_bytes == f->value.len || is_token(slice_after(f->value, name_bytes + 1)));
    struct slice name = slice_first(f->value, name_bytes);
    bool is_http = slice_equal_nocase(name, SLICE("h2c")) || slice_equal_nocase(name, SLICE("http"));
    return is_one && !is_http ? f->value : SLICE_NONE;
}

/* Expect (RFC 9110 10.1.1): only 100-continue. In HTTP/1.0 and without a body it is ignored, and does not go on
   either. */
static bool read_expect(struct h1_reader *r, struct message *m)
{
    for (const struct field *f = message_field(m, FIELD_EXPECT); f != NULL; f = message_next_field(m, f)) {
        if (!slice_equal_nocase(f->value, SLICE("100-continue")))
            return h1_fail(r, REASON_EXPECTATION, "Expect names something other than 100-continue");
        m->expects_continue = m->version_minor > 0 && m->framing != BODY_NONE;
    }
    if (!m->expects_continue)
        message_drop(m, FIELD_EXPECT);
    return true;
}

/* TE: trailers (RFC 9110 10.1.4); other codings in TE are the next hop's own business and end here. */
static bool accepts_trailers(const struct message *m)
{
    for (const struct field *f = message_field(m, FIELD_TE); f != NULL; f = message_next_field(m, f)) {
        struct slice rest = f->value, item;
        while (slice_next_item(&rest, ',', &item))
            if (slice_equal_nocase(item, SLICE("trailers")))
                return true;
    }
    return false;
}

/* RFC 9112 6.3, rules 4 to 8. Chunked wins over nothing: a length beside it was refused before. */
static enum body_framing framing_of(const struct message *m, bool is_chunked)
{
    if (is_chunked)
        return BODY_CHUNKED;
    if (m->has_content_length && m->content_length > 0)
        return BODY_LENGTH;
    return m->is_response && !m->has_content_length ? BODY_UNTIL_CLOSE : BODY_NONE;
}

bool h1_settle_request(struct h1_reader *r, struct message *m, struct arena *arena)
{
    bool is_chunked;
    if (!settle_host(r, m, arena) || !read_transfer_encoding(r, m, &is_chunked) || !read_content_length(r, m))
        return false;
    m->framing = framing_of(m, is_chunked);
    struct options o = read_connection(m);
    m->is_keep_alive = is_persistent(m, o);
    m->upgrade = wanted_upgrade(m, o);
    m->is_upgrade = m->upgrade.len > 0;
    m->wants_trailers = accepts_trailers(m);
    return read_expect(r, m);
}

/* 1xx and 204 have no body and may announce none (RFC 9110 8.6, RFC 9112 6.1). Some upstreams do and then send one:
   its bytes would be taken for the next answer, so the connection is not used again. */
static void settle_without_body(struct message *m, bool is_chunked)
{
    if (m->status == 204 || m->status < 200) {
        if (is_chunked || m->content_length > 0)
            m->is_keep_alive = false;
        m->has_content_length = false;
        m->content_length = 0;
    }
    m->framing = BODY_NONE;
}

/* RFC 9112 6.3, rules 1 and 3 to 8. */
bool h1_settle_response(struct h1_reader *r, struct message *m)
{
    bool is_chunked;
    if (!read_transfer_encoding(r, m, &is_chunked) || !read_content_length(r, m))
        return false;
    if (m->status < 200 && (is_chunked || m->content_length > 0))
        return h1_fail(r, REASON_MALFORMED, "an interim answer announces a body");
    /* RFC 9110 7.8: HTTP/1.0 has no upgrades. Whether a 101 was asked for is its owner's to know (front/respond.c). */
    if (m->status == 101 && m->version_minor == 0)
        return h1_fail(r, REASON_MALFORMED, "101 in HTTP/1.0");
    struct options o = read_connection(m);
    m->is_keep_alive = is_persistent(m, o) && m->status != 101;
    m->framing = framing_of(m, is_chunked);
    if (m->status < 200 || m->status == 204 || m->status == 304 || m->method == METHOD_HEAD)
        settle_without_body(m, is_chunked);
    if (m->framing == BODY_UNTIL_CLOSE)
        m->is_keep_alive = false;
    m->is_upgrade = m->status == 101;
    const struct field *upgrade = message_field(m, FIELD_UPGRADE);
    if (m->is_upgrade && upgrade != NULL)
        m->upgrade = upgrade->value;
    return true;
}
