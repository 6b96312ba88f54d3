/* http/validate.c - tokens, values, authorities, and the fields that end at a hop. */
#include "http/validate.h"

#include "base/units.h"

#include "http/scan.h"

bool is_token(struct slice s)
{
    return s.len > 0 && scan_not_token(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

bool is_field_value(struct slice s)
{
    return s.len == 0 || scan_control(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* unreserved and sub-delims (RFC 3986 2.2, 2.3). */
static const bool is_name_byte[256] = {
    ['!'] = true, ['$'] = true,         ['&' ... '.'] = true, ['0' ... '9'] = true, [';'] = true,
    ['='] = true, ['A' ... 'Z'] = true, ['_'] = true,         ['a' ... 'z'] = true, ['~'] = true,
};

static bool is_reg_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_name_byte[(unsigned char)s.ptr[i]])
            continue;
        if (s.ptr[i] != '%' || s.len - i < 3 || !is_hex(s.ptr[i + 1]) || !is_hex(s.ptr[i + 2]))
            return false;
        i += 2;
    }
    return s.len > 0;
}

/* "[" IPv6 "]"; zones and future versions are refused. */
static bool is_ip_literal(struct slice s)
{
    struct ip_address address;
    struct slice inside = slice_from(s.ptr + 1, s.len - 2);
    return slice_find(inside, ':') < inside.len && ip_parse(inside, &address);
}

static bool is_port(struct slice s)
{
    uint64_t port;
    return s.len <= 5 && slice_to_u64(s, &port) && port <= 65535;
}

/* Where the host ends: behind the closing bracket, or at the first colon; authority.len when there is no port. */
static size_t host_bytes(struct slice authority)
{
    if (authority.len == 0 || authority.ptr[0] != '[')
        return slice_find(authority, ':');
    size_t bracket = slice_find(authority, ']');
    return bracket < authority.len ? bracket + 1 : authority.len;
}

bool authority_is_valid(struct slice authority)
{
    size_t end = host_bytes(authority);
    struct slice host = slice_first(authority, end);
    bool is_literal = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (!(is_literal ? is_ip_literal(host) : is_reg_name(host)))
        return false;
    return end == authority.len ||
           (authority.ptr[end] == ':' && is_port(slice_after(authority, end + 1)));
}

struct slice host_normalise(struct slice authority, char *out)
{
    struct slice host = slice_first(authority, host_bytes(authority));
    if (slice_has_suffix(host, SLICE(".")))
        host.len--;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return slice_from(out, host.len);
}

/* What Connection may not take away: a client could otherwise strip what upstreams trust the proxy for. */
static bool is_protected(enum field_id id)
{
    static const bool protected_ids[FIELD_COUNT] = {
        [FIELD_AUTHORIZATION] = true,     [FIELD_CONTENT_LENGTH] = true,
        [FIELD_CONTENT_TYPE] = true,      [FIELD_COOKIE] = true,
        [FIELD_FORWARDED] = true,         [FIELD_HOST] = true,
        [FIELD_SET_COOKIE] = true,        [FIELD_TRACEPARENT] = true,
        [FIELD_TRACESTATE] = true,        [FIELD_VIA] = true,
        [FIELD_X_FORWARDED_FOR] = true,   [FIELD_X_FORWARDED_HOST] = true,
        [FIELD_X_FORWARDED_PROTO] = true, [FIELD_X_REQUEST_ID] = true,
        [FIELD_X_WEIR_ERROR] = true,      [FIELD_X_WEIR_UPSTREAM] = true,
    };
    return protected_ids[id];
}

static void drop_named_by_connection(struct message *m)
{
    for (const struct field *f = message_field(m, FIELD_CONNECTION); f != NULL;
         f = message_next_field(m, f)) {
        struct slice rest = f->value, name;
        while (slice_next_item(&rest, ',', &name))
            if (is_token(name) && !is_protected(field_id_from_name(name)))
                message_drop_named(m, name);
    }
}

void hop_by_hop_drop(struct message *m)
{
    static const uint8_t ids[] = { FIELD_CONNECTION,        FIELD_KEEP_ALIVE,
                                   FIELD_PROXY_CONNECTION,  FIELD_TE,
                                   FIELD_TRANSFER_ENCODING, FIELD_UPGRADE };
    drop_named_by_connection(m);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        message_drop(m, (enum field_id)ids[i]);
}

void trailers_filter(struct message *trailers)
{
    static const uint8_t ids[] = {
        FIELD_AUTHORIZATION,
        FIELD_CONNECTION,
        FIELD_CONTENT_LENGTH,
        FIELD_CONTENT_TYPE,
        FIELD_COOKIE,
        FIELD_DATE,
        FIELD_EXPECT,
        FIELD_FORWARDED,
        FIELD_HOST,
        FIELD_KEEP_ALIVE,
        FIELD_LOCATION,
        FIELD_MAX_FORWARDS,
        FIELD_PROXY_AUTHENTICATE,
        FIELD_PROXY_AUTHORIZATION,
        FIELD_PROXY_CONNECTION,
        FIELD_SET_COOKIE,
        FIELD_TE,
        FIELD_TRACEPARENT,
        FIELD_TRACESTATE,
        FIELD_TRAILER,
        FIELD_TRANSFER_ENCODING,
        FIELD_UPGRADE,
        FIELD_VIA,
        FIELD_X_FORWARDED_FOR,
        FIELD_X_FORWARDED_HOST,
        FIELD_X_FORWARDED_PROTO,
        FIELD_X_REQUEST_ID,
        FIELD_X_WEIR_ERROR,
        FIELD_X_WEIR_UPSTREAM,
    };
    static const struct slice names[] = {
        { "content-encoding", 16 },
        { "content-range", 13 },
        { "cache-control", 13 },
        { "if-match", 8 },
        { "if-none-match", 13 },
        { "if-modified-since", 17 },
        { "if-unmodified-since", 19 },
        { "if-range", 8 },
        { "range", 5 },
        { "vary", 4 },
        { "age", 3 },
        { "expires", 7 },
        { "pragma", 6 },
        { "retry-after", 11 },
        { "www-authenticate", 16 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        message_drop(trailers, (enum field_id)ids[i]);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        message_drop_named(trailers, names[i]);
}
