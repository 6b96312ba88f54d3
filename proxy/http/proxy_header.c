/* http/proxy_header.c - reads the header of PROXY protocol, version 1 (a line) or 2 (binary).
 *
 *   1   PROXY TCP4|TCP6 <source> <destination> <port> <port> CR LF      PROXY UNKNOWN ... CR LF
 *   2   signature [0,12)  version, command [12]  family, protocol [13]  length [14,16)  addresses  TLVs
 *
 * Strict: who trusts a header must not find two ways to read it. */
#include "http/proxy_header.h"

#include "base/check.h"

#include <string.h>

#define V2_FIXED_BYTES 16u

static const struct slice v1_signature = SLICE("PROXY ");
static const struct slice v2_signature = SLICE("\r\n\r\n\0\r\nQUIT\n");

static enum proxy_header_result bad(struct proxy_header *out, const char *problem)
{
    out->problem = problem;
    return PROXY_HEADER_BAD;
}

/* Does one of them begin with the other? */
static bool agrees(struct slice a, struct slice b)
{
    return memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len) == 0;
}

/* ---- version 1 ------------------------------------------------------------------------------------------------------- */

static struct slice take_word(struct slice *rest)
{
    size_t length = slice_find(*rest, ' ');
    struct slice word = slice_first(*rest, length);
    *rest = length < rest->len ? slice_after(*rest, length + 1) : SLICE_NONE;
    return word;
}

/* Each family in its own form: an IPv4 address written as IPv6 is IPv6's. */
static bool read_address(struct slice word, bool is_v6, struct ip_address *out)
{
    return (slice_find(word, ':') < word.len) == is_v6 && ip_parse(word, out);
}

/* "heading zeroes are not permitted" */
static bool read_port(struct slice word, uint16_t *out)
{
    uint64_t number;
    if (!slice_to_u64(word, &number) || number > UINT16_MAX || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    *out = (uint16_t)number;
    return true;
}

/* Behind "PROXY ", without CR LF. */
static enum proxy_header_result read_line(struct slice rest, struct proxy_header *out)
{
    struct ip_address destination;
    uint16_t destination_port;
    struct slice protocol = take_word(&rest);
    if (slice_equal(protocol, SLICE("UNKNOWN")))
        return PROXY_HEADER_LOCAL; /* "must ignore anything presented before the CRLF" */
    bool is_v6 = slice_equal(protocol, SLICE("TCP6"));
    if (!is_v6 && !slice_equal(protocol, SLICE("TCP4")))
        return bad(out, "the protocol is none of TCP4, TCP6 and UNKNOWN");
    if (!read_address(take_word(&rest), is_v6, &out->source) || !read_address(take_word(&rest), is_v6, &destination))
        return bad(out, "an address is not valid");
    if (!read_port(take_word(&rest), &out->source_port) || !read_port(rest, &destination_port))
        return bad(out, "a port is not valid");
    return PROXY_HEADER_SOURCE;
}

static enum proxy_header_result read_v1(struct slice bytes, struct proxy_header *out)
{
    struct slice seen = slice_first(bytes, PROXY_HEADER_V1_MAX_BYTES);
    size_t end = v1_signature.len;
    while (end < seen.len && seen.ptr[end] != '\r' && seen.ptr[end] != '\n')
        end++;
    if (end + 2 > PROXY_HEADER_V1_MAX_BYTES)
        return bad(out, "the line of version 1 is longer than 107 bytes");
    if (end < seen.len && seen.ptr[end] == '\n')
        return bad(out, "the line of version 1 does not end in CR LF");
    if (end + 2 > seen.len)
        return PROXY_HEADER_MORE;
    if (seen.ptr[end + 1] != '\n')
        return bad(out, "the line of version 1 does not end in CR LF");
    out->length = end + 2;
    return read_line(slice_after(slice_first(seen, end), v1_signature.len), out);
}

/* ---- version 2 ------------------------------------------------------------------------------------------------------- */

/* The pairs of family and protocol that exist. What is not TCP is not understood here, which makes the header LOCAL. */
static const struct v2_kind {
    uint8_t code;
    uint8_t address_bytes; /* of each of both ends; 0: passed over */
} v2_kinds[] = { { 0x00, 0 }, { 0x11, 4 }, { 0x12, 0 }, { 0x21, 16 }, { 0x22, 0 }, { 0x31, 0 }, { 0x32, 0 } };

static const struct v2_kind *find_kind(uint8_t code)
{
    for (size_t i = 0; i < ARRAY_COUNT(v2_kinds); i++)
        if (v2_kinds[i].code == code)
            return &v2_kinds[i];
    return NULL;
}

static uint16_t u16_at(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* source, destination, source port, destination port */
static void read_addresses(const uint8_t *at, size_t address_bytes, struct proxy_header *out)
{
    memset(out->source.bytes, 0, 10); /* IPv4 is kept as ::ffff:a.b.c.d */
    memset(out->source.bytes + 10, 0xFF, 2);
    memcpy(out->source.bytes + sizeof(out->source.bytes) - address_bytes, at, address_bytes);
    out->source_port = u16_at(at + 2 * address_bytes);
}

static enum proxy_header_result read_v2(struct slice bytes, struct proxy_header *out)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    if (bytes.len < V2_FIXED_BYTES)
        return PROXY_HEADER_MORE;
    size_t body_bytes = u16_at(at + 14);
    bool is_local = at[12] == 0x20; /* its family is to be ignored */
    const struct v2_kind *kind = find_kind(at[13]);
    if (!is_local && at[12] != 0x21)
        return bad(out, "behind the signature of version 2 stands another version, or an unknown command");
    if (!is_local && kind == NULL)
        return bad(out, "the address family or protocol does not exist");
    if (!is_local && kind->address_bytes > 0 && body_bytes < 2 * kind->address_bytes + 4u)
        return bad(out, "its length is too small for its addresses");
    if (V2_FIXED_BYTES + body_bytes > PROXY_HEADER_MAX_BYTES)
        return bad(out, "it is longer than 4096 bytes");
    if (bytes.len < V2_FIXED_BYTES + body_bytes)
        return PROXY_HEADER_MORE;
    out->length = V2_FIXED_BYTES + body_bytes;
    if (is_local || kind->address_bytes == 0)
        return PROXY_HEADER_LOCAL;
    read_addresses(at + V2_FIXED_BYTES, kind->address_bytes, out);
    return PROXY_HEADER_SOURCE;
}

enum proxy_header_result proxy_header_read(struct slice bytes, struct proxy_header *out)
{
    *out = (struct proxy_header){ 0 };
    if (bytes.len == 0)
        return PROXY_HEADER_MORE;
    if (agrees(bytes, v2_signature))
        return read_v2(bytes, out);
    if (agrees(bytes, v1_signature))
        return read_v1(bytes, out);
    return bad(out, "it begins like neither version");
}
