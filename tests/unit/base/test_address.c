/* tests/unit/base/test_address.c - IP addresses, networks and places to bind or connect to. */
#include "base/check.h"
#include "base/units.h"

#include <criterion/criterion.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(address, text_forms_are_normalised)
{
    static const char *const rows[][2] = {
        { "192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "::ffff:c000:201", "192.0.2.1" },
        { "0.0.0.0", "0.0.0.0" },
        { "::", "::" },
        { "::1", "::1" },
        { "2001:0DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::" },
        { "fe80:1:2:3:4:5:6:7", "fe80:1:2:3:4:5:6:7" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ip_address a;
        char out[46];
        cr_assert(ip_parse(slice_from_cstr(rows[i][0]), &a), "%s", rows[i][0]);
        cr_assert_eq(ip_format(&a, out), strlen(rows[i][1]));
        cr_assert_str_eq(out, rows[i][1]);
    }
}

Test(address, malformed_addresses_are_refused)
{
    static const char *const rows[] = {
        "",         "1.2.3",     "1.2.3.4.5", "256.1.1.1",
        "01.2.3.4", "1.2.3.4 ",  " 1.2.3.4",  "0x1.2.3.4",
        "1.2.3.-4", ":::",       "1::2::3",   "1:2:3:4:5:6:7",
        "12345::",  "g::1",      "[::1]",     "fe80::1%eth0",
        "::1.2.3",  "1.2.3.4/8", "localhost", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    struct ip_address a;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(ip_parse(slice_from_cstr(rows[i]), &a), "%s", rows[i]);
    cr_assert_not(ip_parse(SLICE("1.2.3.4\0x"), &a), "an embedded NUL hides nothing");
}

static bool is_inside(const char *network, const char *address)
{
    struct ip_network n;
    struct ip_address a;
    cr_assert(ip_network_parse(slice_from_cstr(network), &n), "%s", network);
    cr_assert(ip_parse(slice_from_cstr(address), &a), "%s", address);
    return ip_network_contains(&n, &a);
}

Test(address, networks_contain_exactly_their_prefix)
{
    cr_assert(is_inside("10.0.0.0/8", "10.255.255.255"));
    cr_assert_not(is_inside("10.0.0.0/8", "11.0.0.0"));
    cr_assert(is_inside("192.0.2.128/25", "192.0.2.200"));
    cr_assert_not(is_inside("192.0.2.128/25", "192.0.2.127"));
    cr_assert(is_inside("192.0.2.7", "192.0.2.7"));
    cr_assert_not(is_inside("192.0.2.7", "192.0.2.6"));
    cr_assert(is_inside("0.0.0.0/0", "203.0.113.9"));
    cr_assert_not(is_inside("0.0.0.0/0", "2001:db8::1"), "all of IPv4, and no IPv6");
    cr_assert(is_inside("::/0", "203.0.113.9"));
    cr_assert(is_inside("2001:db8::/33", "2001:db8:7fff::1"));
    cr_assert_not(is_inside("2001:db8::/33", "2001:db8:8000::1"));
    cr_assert(is_inside("10.0.0.0/8", "::ffff:10.1.2.3"));
}

Test(address, networks_with_host_bits_or_bad_lengths_are_refused)
{
    static const char *const rows[] = { "10.0.0.1/8", "192.0.2.129/25", "2001:db8::1/64", "10.0.0.0/33",
                                        "::/129",     "10.0.0.0/",      "10.0.0.0/-1",    "10.0.0.0/8/8",
                                        "/8",         "10.0.0.0/ 8",    "10/8",           "" };
    struct ip_network n;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(ip_network_parse(slice_from_cstr(rows[i]), &n), "%s", rows[i]);
}

Test(address, socket_addresses_come_back_as_they_went)
{
    static const char *const rows[] = { "192.0.2.1:8080", "[2001:db8::1]:65535", "0.0.0.0:0" };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct endpoint_address a;
        struct sockaddr_storage storage;
        cr_assert(endpoint_address_parse(slice_from_cstr(rows[i]), &a), "%s", rows[i]);
        cr_assert_eq(a.kind, ADDRESS_IP);
        socklen_t len = endpoint_address_to_sockaddr(&a, &storage);
        cr_assert_eq(len, i == 1 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
        struct ip_address ip;
        uint16_t port;
        ip_from_sockaddr((struct sockaddr *)&storage, &ip, &port);
        cr_assert(ip_equal(&ip, &a.ip));
        cr_assert_eq(port, a.port);
    }
}

Test(address, a_unix_peer_has_the_zero_address)
{
    struct sockaddr sa = { .sa_family = AF_UNIX };
    struct ip_address ip, zero = { { 0 } };
    uint16_t port = 1;
    ip_from_sockaddr(&sa, &ip, &port);
    cr_assert(ip_equal(&ip, &zero));
    cr_assert_eq(port, 0);
}

Test(address, names_and_unix_paths_borrow_from_the_input)
{
    struct endpoint_address a;
    cr_assert(endpoint_address_parse(SLICE("svc_1.internal-x.:80"), &a));
    cr_assert_eq(a.kind, ADDRESS_NAME);
    cr_assert(slice_equal(a.name, SLICE("svc_1.internal-x.")));
    cr_assert_eq(a.port, 80);
    struct sockaddr_storage storage;
    cr_assert_eq(endpoint_address_to_sockaddr(&a, &storage), 0, "a name has no address yet");
    cr_assert(endpoint_address_parse(SLICE("unix:/run/x y.sock"), &a));
    cr_assert_eq(a.kind, ADDRESS_UNIX);
    socklen_t len = endpoint_address_to_sockaddr(&a, &storage);
    cr_assert_eq(len, offsetof(struct sockaddr_un, sun_path) + sizeof "/run/x y.sock");
    struct sockaddr_un un;
    memcpy(&un, &storage, sizeof un);
    cr_assert_str_eq(un.sun_path, "/run/x y.sock");
}

Test(address, a_unix_path_must_fit)
{
    char text[5 + 108 + 1] = "unix:";
    memset(text + 5, 'p', 107);
    struct endpoint_address a;
    struct sockaddr_storage storage;
    cr_assert(endpoint_address_parse(slice_from_cstr(text), &a));
    cr_assert_gt(endpoint_address_to_sockaddr(&a, &storage), 0);
    text[5 + 107] = 'p';
    cr_assert(endpoint_address_parse(slice_from(text, 5 + 108), &a));
    cr_assert_eq(endpoint_address_to_sockaddr(&a, &storage), 0);
}

Test(address, malformed_endpoints_are_refused)
{
    static const char *const rows[] = {
        "",         "8080",         ":8080",  "host",  "host:",    "host:65536",   "host:-1", "host:+80",
        "host:80x", "host:000080",  "::1:80", "[::1]", "[::1]80",  "[1.2.3.4]:80", "[::1:80", "ho st:80",
        "host/:80", "a..b:80",      ".a:80",  ".:80",  "1.2.3:80", "1.2.3.400:80", "unix:",   "http://h:80",
        "-\x7f:80", "h\xc3\xa4:80",
    };
    struct endpoint_address a;
    for (size_t i = 0; i < COUNT(rows); i++)
        cr_assert_not(endpoint_address_parse(slice_from_cstr(rows[i]), &a), "%s", rows[i]);
    cr_assert_not(endpoint_address_parse(SLICE("unix:/a\0b"), &a));
}

Test(address, host_names_end_at_253_bytes_and_labels_at_63)
{
    char text[300];
    struct endpoint_address a;
    memset(text, 'a', sizeof text);
    for (size_t i = 63; i < 255; i += 64)
        text[i] = '.';
    memcpy(text + 253, ":80", 3);
    cr_assert(endpoint_address_parse(slice_from(text, 256), &a));
    memcpy(text + 253, "a:80", 4);
    cr_assert_not(endpoint_address_parse(slice_from(text, 257), &a));
    memcpy(text + 63, "a.:80", 5);
    cr_assert_not(endpoint_address_parse(slice_from(text, 68), &a), "a label of 64");
}

Test(address, loopback_is_this_machine_alone)
{
    static const char *const inside[] = { "127.0.0.1", "127.255.255.255", "127.0.0.0", "::1", "::ffff:127.0.0.1" };
    static const char *const outside[] = { "0.0.0.0", "::", "126.255.255.255", "128.0.0.1", "10.0.0.1", "::2", "1::1" };
    struct ip_address a;
    for (size_t i = 0; i < ARRAY_COUNT(inside); i++)
        cr_expect(ip_parse(slice_from_cstr(inside[i]), &a) && ip_is_loopback(&a), "%s", inside[i]);
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++)
        cr_expect(ip_parse(slice_from_cstr(outside[i]), &a) && !ip_is_loopback(&a), "%s", outside[i]);
}
