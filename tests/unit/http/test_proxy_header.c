/* unit/http/test_proxy_header.c - PROXY headers of both versions: what they say, where they end, what is refused. */
#include "http/proxy_header.h"

#include "base/check.h"
#include "base/text.h"
#include "http/feed.h"

#include <criterion/criterion.h>

#define SIGNATURE      "\r\n\r\n\0\r\nQUIT\n"
#define V4             "\xC0\x00\x02\x01\x0A\x00\x00\x01\xDC\x04\x01\xBB" /* 192.0.2.1 10.0.0.1 56324 443 */
#define V6_SOURCE      "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6             V6_SOURCE V6_SOURCE "\xDC\x04\x01\xBB"
#define BYTES(literal) (literal), sizeof(literal) - 1

struct row {
    const char *bytes;
    size_t length;
    const char *expected; /* SOURCE PORT, "local", "more", or the problem */
};

/* What is said of the bytes, after the same was said of every beginning that is not "more". */
static void check_row(const struct row *row, const char *behind, size_t behind_length)
{
    struct text input, said;
    text_init(&input);
    text_init(&said);
    text_add(&input, slice_from(row->bytes, row->length));
    text_add(&input, slice_from(behind, behind_length));
    bool is_over = false;
    for (size_t i = 0; i <= text_slice(&input).len; i++) {
        struct proxy_header header;
        enum proxy_header_result result = proxy_header_read(feed_guarded(slice_first(text_slice(&input), i)), &header);
        text_clear(&said);
        if (result == PROXY_HEADER_SOURCE) {
            char address[46];
            text_add(&said, slice_from(address, ip_format(&header.source, address)));
            text_printf(&said, " %u", header.source_port);
        } else {
            text_add_cstr(&said, result == PROXY_HEADER_MORE    ? "more"
                                 : result == PROXY_HEADER_LOCAL ? "local"
                                                                : header.problem);
        }
        if (result == PROXY_HEADER_SOURCE || result == PROXY_HEADER_LOCAL) {
            cr_assert_eq(header.length, row->length, "%s: %zu", row->expected, header.length);
            cr_assert_geq(i, row->length);
        }
        is_over = is_over || result != PROXY_HEADER_MORE;
        if (is_over)
            cr_assert(slice_equal(text_slice(&said), slice_from_cstr(row->expected)), "%s: at %zu bytes '%.*s'",
                      row->expected, i, SLICE_ARG(text_slice(&said)));
    }
    cr_assert_eq(is_over, strcmp(row->expected, "more") != 0, "%s", row->expected);
    text_fini(&input);
    text_fini(&said);
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_row(&rows[i], "", 0);
}

static const struct row complete[] = {
    { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"), "192.0.2.1 56324" },
    { BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255 65535" },
    { BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0 0" },
    { BYTES("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "2001:db8::1 1" },
    { BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), "192.0.2.1 1" },
    { BYTES(
          "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535" },
    { BYTES("PROXY UNKNOWN\r\n"), "local" },
    { BYTES("PROXY UNKNOWN whatever  it\0says\r\n"), "local" },
    { BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
            "65535\r\n"),
      "local" },
    { BYTES(SIGNATURE "\x21\x11\0\x0C" V4), "192.0.2.1 56324" },
    { BYTES(SIGNATURE "\x21\x11\0\x11" V4 "\x04\0\x02\0\0"), "192.0.2.1 56324" }, /* a TLV */
    { BYTES(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::1 56324" },
    { BYTES(SIGNATURE "\x21\x21\0\x25" V6 "\xFF"), "2001:db8::1 56324" }, /* passed over, whatever it is */
    { BYTES(SIGNATURE "\x20\0\0\0"), "local" },
    { BYTES(SIGNATURE "\x20\x11\0\x0C" V4), "local" },
    { BYTES(SIGNATURE "\x20\xFF\0\x01?"), "local" }, /* LOCAL: the family is ignored */
    { BYTES(SIGNATURE "\x21\0\0\x03"
                      "abc"),
      "local" },                                       /* UNSPEC */
    { BYTES(SIGNATURE "\x21\x12\0\x0C" V4), "local" }, /* UDP */
    { BYTES(SIGNATURE "\x21\x31\0\x02"
                      "ab"),
      "local" }, /* UNIX */
};

Test(proxy_header, says_whose_the_connection_is)
{
    check_rows(complete, ARRAY_COUNT(complete));
}

Test(proxy_header, ends_where_the_connection_begins)
{
    static const char *const behind[] = { "GET / HTTP/1.1\r\n\r\n", "\r\n", "\x16\x03\x01", "PROXY UNKNOWN\r\n" };
    for (size_t i = 0; i < ARRAY_COUNT(complete); i++)
        for (size_t j = 0; j < ARRAY_COUNT(behind); j++)
            check_row(&complete[i], behind[j], strlen(behind[j]));
}

#define NEITHER    "it begins like neither version"
#define LINE_END   "the line of version 1 does not end in CR LF"
#define PROTOCOL   "the protocol is none of TCP4, TCP6 and UNKNOWN"
#define NO_ADDRESS "an address is not valid"
#define NO_PORT    "a port is not valid"
#define NO_V2      "behind the signature of version 2 stands another version, or an unknown command"
#define NO_FAMILY  "the address family or protocol does not exist"
#define TOO_SHORT  "its length is too small for its addresses"

Test(proxy_header, refuses_a_bad_line)
{
    static const struct row rows[] = {
        { BYTES("GET / HTTP/1.1\r\n"), NEITHER },
        { BYTES("PRI * HTTP/2.0\r\n"), NEITHER },
        { BYTES("proxy UNKNOWN\r\n"), NEITHER },
        { BYTES("PROXY\tUNKNOWN\r\n"), NEITHER },
        { BYTES("\x16\x03\x01\x02\0"), NEITHER },
        { BYTES("\0"), NEITHER },
        { BYTES("PROXY UNKNOWN\n"), LINE_END },
        { BYTES("PROXY UNKNOWN\rX"), LINE_END },
        { BYTES("PROXY \r\n"), PROTOCOL },
        { BYTES("PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n"), PROTOCOL },
        { BYTES("PROXY UNKNOWN2\r\n"), PROTOCOL },
        { BYTES("PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n"), PROTOCOL },
        { BYTES("PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n"), PROTOCOL },
        { BYTES("PROXY TCP4\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4 192.0.2.1\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4 ::ffff:192.0.2.1 10.0.0.1 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP6 192.0.2.1 ::1 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.256 1 2\r\n"), NO_ADDRESS },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n"), NO_PORT },
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n"), NO_PORT },
    };
    check_rows(rows, ARRAY_COUNT(rows));
}

Test(proxy_header, refuses_a_bad_binary_header)
{
    static const struct row rows[] = {
        { BYTES("\r\n\r\n\r\n\r\n"), NEITHER },
        { BYTES(SIGNATURE "\x11\x11\0\x0C" V4), NO_V2 },
        { BYTES(SIGNATURE "\x31\x11\0\x0C" V4), NO_V2 },
        { BYTES(SIGNATURE "\x22\x11\0\x0C" V4), NO_V2 },
        { BYTES(SIGNATURE "\x21\x10\0\x0C" V4), NO_FAMILY },
        { BYTES(SIGNATURE "\x21\x01\0\x0C" V4), NO_FAMILY },
        { BYTES(SIGNATURE "\x21\x41\0\x0C" V4), NO_FAMILY },
        { BYTES(SIGNATURE "\x21\x11\0\x0B" V4), TOO_SHORT },
        { BYTES(SIGNATURE "\x21\x11\0\0"), TOO_SHORT },
        { BYTES(SIGNATURE "\x21\x21\0\x23" V6), TOO_SHORT },
    };
    check_rows(rows, ARRAY_COUNT(rows));
}

Test(proxy_header, waits_for_the_whole)
{
    static const struct row rows[] = {
        { BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r"), "more" },
        { BYTES(SIGNATURE "\x21\x11\0\x0D" V4), "more" },
        { BYTES(SIGNATURE "\x20\0\0\x01"), "more" },
    };
    check_rows(rows, ARRAY_COUNT(rows));
}

Test(proxy_header, is_bounded)
{
    static char line[PROXY_HEADER_V1_MAX_BYTES + 2], binary[PROXY_HEADER_MAX_BYTES + 1];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    struct row long_line = { line, PROXY_HEADER_V1_MAX_BYTES + 1, "the line of version 1 is longer than 107 bytes" };
    check_row(&long_line, "", 0);
    memcpy(line + PROXY_HEADER_V1_MAX_BYTES - 2, "\r\n", 2);
    check_row(&(struct row){ line, PROXY_HEADER_V1_MAX_BYTES, "local" }, "", 0);
    memcpy(line + PROXY_HEADER_V1_MAX_BYTES - 2, "x\r\n", 3);
    check_row(&long_line, "", 0);

    memcpy(binary, BYTES(SIGNATURE "\x21\x11\x0F\xF0" V4));
    check_row(&(struct row){ binary, PROXY_HEADER_MAX_BYTES, "192.0.2.1 56324" }, "", 0);
    binary[15] = (char)0xF1;
    check_row(&(struct row){ binary, PROXY_HEADER_MAX_BYTES + 1, "it is longer than 4096 bytes" }, "", 0);
}
