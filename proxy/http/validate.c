/* http/validate.c - tokens, values and authorities. */
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

/* RFC 3986 lets almost anything be a registered name. These bytes cannot end a host early in anybody's eyes, unlike
   '@', '/', '\' or '#': unreserved and sub-delims (RFC 3986 2.2, 2.3). */
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

/* "[" IPv6 "]" (RFC 3986 3.2.2); zones and future versions are refused. */
static bool is_ip_literal(struct slice s)
{
    struct ip_address address;
    struct slice inside = slice_from(s.ptr + 1, s.len - 2);
    return slice_find(inside, ':') < inside.len && ip_parse(inside, &address);
}

/* Empty is allowed by RFC 3986 3.2.3 and refused here: "host:" and "host" would be two spellings of one authority. */
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
    return end == authority.len || (authority.ptr[end] == ':' && is_port(slice_after(authority, end + 1)));
}

/* "a." and "a" are one name, fully qualified or not; the port chooses a listener, not a site. */
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
