/* base/address.c - reads and writes IP addresses, networks and endpoint addresses (declared in base/units.h).
 *
 * Everything is kept as IPv6: 192.0.2.1 is ::ffff:192.0.2.1, which is also how a socket of both families sees its IPv4
 * peers. So one comparison serves all, and an IPv4 network's prefix is 96 bits longer than it was written.
 *
 * Names are only checked for their form here: who asks a name server is net/resolve.c. */
#include "base/units.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define HOST_NAME_MAX_BYTES 253 /* RFC 1035, section 2.3.4, in text form */

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff }; /* ::ffff:0:0/96 */

static bool is_mapped(const struct ip_address *a)
{
    return memcmp(a->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void ip_from_v4(const void *v4, struct ip_address *out)
{
    memcpy(out->bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(out->bytes + sizeof mapped_prefix, v4, 4);
}

/* inet_pton wants a NUL, so the text is copied first; what does not fit the buffer is no address. It takes no
   shortened IPv4 ("10.1"), no zone ("fe80::1%eth0") and no leading zeros that some would read as octal. */
bool ip_parse(struct slice s, struct ip_address *out)
{
    char text[INET6_ADDRSTRLEN];
    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        ip_from_v4(&v4, out);
        return true;
    }
    return inet_pton(AF_INET6, text, out->bytes) == 1;
}

/* The mask of byte `i` of a prefix. */
static uint8_t prefix_mask(unsigned prefix_bits, unsigned i)
{
    if (prefix_bits >= (i + 1) * 8)
        return 0xff;
    if (prefix_bits <= i * 8)
        return 0;
    return (uint8_t)(0xff00u >> (prefix_bits - i * 8) & 0xffu);
}

bool ip_network_parse(struct slice s, struct ip_network *out)
{
    size_t bar = slice_find(s, '/');
    struct slice address = slice_first(s, bar);
    if (!ip_parse(address, &out->address))
        return false;
    /* How it was written counts: "::ffff:10.0.0.0/104" is 10.0.0.0/8, and "::/0" is every address of both families. */
    bool is_v4_text = slice_find(address, ':') == address.len;
    uint64_t bits, bits_max = is_v4_text ? 32 : 128;
    if (bar == s.len)
        bits = bits_max;
    else if (!slice_to_u64(slice_after(s, bar + 1), &bits) || bits > bits_max)
        return false;
    out->prefix_bits = (uint8_t)(is_v4_text ? bits + 96 : bits);
    /* 10.0.0.1/8 may be meant as 10.0.0.0/8 or as one host: refused, since it says who is trusted. */
    for (unsigned i = 0; i < sizeof out->address.bytes; i++)
        if (out->address.bytes[i] & ~prefix_mask(out->prefix_bits, i))
            return false;
    return true;
}

/* Whole bytes first, then the byte that the prefix cuts, if it cuts one. */
bool ip_network_contains(const struct ip_network *n, const struct ip_address *a)
{
    unsigned whole = n->prefix_bits / 8u;
    if (memcmp(n->address.bytes, a->bytes, whole) != 0)
        return false;
    return whole == sizeof a->bytes ||
           ((n->address.bytes[whole] ^ a->bytes[whole]) & prefix_mask(n->prefix_bits, whole)) == 0;
}

bool ip_is_in(const struct ip_address *a, const struct ip_network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ip_network_contains(&networks[i], a))
            return true;
    return false;
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool ip_is_loopback(const struct ip_address *a)
{
    static const uint8_t v4[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127 };
    static const struct ip_address v6 = { .bytes[15] = 1 };
    return memcmp(a->bytes, v4, sizeof v4) == 0 || ip_equal(a, &v6);
}

/* Dotted decimal. Every request carries its client's address on: inet_ntop, which prints by format, costs twenty times
   as much. */
static size_t ipv4_format(const uint8_t bytes[4], char *out)
{
    char *at = out;
    for (int i = 0; i < 4; i++) {
        unsigned n = bytes[i];
        if (n >= 100)
            *at++ = (char)('0' + n / 100);
        if (n >= 10)
            *at++ = (char)('0' + n / 10 % 10);
        *at++ = (char)('0' + n % 10);
        *at++ = '.';
    }
    at[-1] = '\0';
    return (size_t)(at - out) - 1;
}

size_t ip_format(const struct ip_address *a, char out[46])
{
    if (is_mapped(a))
        return ipv4_format(a->bytes + sizeof mapped_prefix, out);
    inet_ntop(AF_INET6, a->bytes, out, 46);
    return strlen(out);
}

/* Copies before it looks: a sockaddr need not be aligned for its family. */
void ip_from_sockaddr(const struct sockaddr *sa, struct ip_address *out_address, uint16_t *out_port)
{
    *out_address = (struct ip_address){ { 0 } };
    *out_port = 0;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sa, sizeof v4);
        ip_from_v4(&v4.sin_addr, out_address);
        *out_port = ntohs(v4.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sa, sizeof v6);
        memcpy(out_address->bytes, &v6.sin6_addr, sizeof out_address->bytes);
        *out_port = ntohs(v6.sin6_port);
    }
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Letters, digits, '-' and '_' in labels of 1 to 63. A last label of digits would be a mistyped IPv4 address. */
static bool is_host_name(struct slice name)
{
    if (name.len == 0 || name.len > HOST_NAME_MAX_BYTES)
        return false;
    struct slice rest = name, label = SLICE_NONE;
    while (slice_next_item(&rest, '.', &label)) {
        if (label.len == 0 && rest.ptr == NULL) /* a final dot */
            return label.ptr != name.ptr;
        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_host_char(label.ptr[i]))
                return false;
    }
    uint64_t number;
    return !slice_to_u64(label, &number);
}

/* The part in front of the port. Brackets are for IPv6 alone. */
static bool parse_host(struct slice host, struct endpoint_address *out)
{
    if (slice_has_prefix(host, SLICE("[")) && slice_has_suffix(host, SLICE("]"))) {
        host = slice_first(slice_after(host, 1), host.len - 2);
        out->kind = ADDRESS_IP;
        return slice_find(host, ':') < host.len && ip_parse(host, &out->ip);
    }
    if (slice_find(host, ':') < host.len) /* IPv6 without brackets: where would the port begin? */
        return false;
    if (ip_parse(host, &out->ip)) {
        out->kind = ADDRESS_IP;
        return true;
    }
    out->kind = ADDRESS_NAME;
    out->name = host;
    return is_host_name(host);
}

bool endpoint_address_parse(struct slice s, struct endpoint_address *out)
{
    *out = (struct endpoint_address){ .kind = ADDRESS_UNIX };
    if (slice_has_prefix(s, SLICE("unix:"))) {
        out->name = slice_after(s, 5);
        return out->name.len > 0 && slice_find(out->name, '\0') == out->name.len;
    }
    /* The last colon: those of an IPv6 address stand in brackets before it. */
    const char *colon = s.len ? memrchr(s.ptr, ':', s.len) : NULL;
    if (colon == NULL)
        return false;
    size_t host_len = (size_t)(colon - s.ptr);
    struct slice port_text = slice_after(s, host_len + 1);
    uint64_t port;
    if (port_text.len > 5 || !slice_to_u64(port_text, &port) || port > UINT16_MAX)
        return false;
    out->port = (uint16_t)port;
    return parse_host(slice_first(s, host_len), out);
}

/* sun_path has room for 107 bytes and the NUL. */
static socklen_t unix_to_sockaddr(struct slice path, struct sockaddr_storage *out)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (path.len >= sizeof un.sun_path)
        return 0;
    memcpy(un.sun_path, path.ptr, path.len);
    memcpy(out, &un, sizeof un);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
}

static socklen_t ip_to_sockaddr(const struct ip_address *ip, uint16_t port, struct sockaddr_storage *out)
{
    if (is_mapped(ip)) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
        memcpy(&v4.sin_addr, ip->bytes + sizeof mapped_prefix, sizeof v4.sin_addr);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    memcpy(&v6.sin6_addr, ip->bytes, sizeof v6.sin6_addr);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}

socklen_t endpoint_address_to_sockaddr(const struct endpoint_address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    switch (a->kind) {
    case ADDRESS_IP:
        return ip_to_sockaddr(&a->ip, a->port, out);
    case ADDRESS_UNIX:
        return unix_to_sockaddr(a->name, out);
    case ADDRESS_NAME:
        break;
    }
    return 0;
}
