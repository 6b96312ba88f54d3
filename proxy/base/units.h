/* base/units.h - durations, sizes, shares and addresses as people write them.
 *
 * One reader and one writer for each unit, whoever asks: configuration files, defaults, command lines, messages. What
 * is written by units_format_* reads back as the same number; but units_say_span is for eyes alone. Internally a number's unit stands in its name: _ms, _us,
 * _bytes, _ppm. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

/* "250ms" "10s" "5m" "1h" "30d", "0s"; a whole number and one unit. */
bool units_parse_duration(struct slice s, int64_t *out_ms);
/* "64KiB" "1MiB" "2GiB" "512B", or a bare number of bytes. Powers of 1024 only: nobody agrees what "1MB" is. */
bool units_parse_size(struct slice s, uint64_t *out_bytes);
/* "5%" "0.1%" "100%", at most four decimals: parts per million, 0..1,000,000. The percent sign is required. */
bool units_parse_share(struct slice s, uint32_t *out_ppm);
/* "100/s" "5/m" "1000/h": events per second as a rational, count (at least 1) per period_ms. */
bool units_parse_rate(struct slice s, uint32_t *out_count, uint32_t *out_period_ms);
/* The shortest exact form: 90000 -> "90s", 65536 -> "64KiB", 1000 ppm -> "0.1%". out is NUL-terminated. */
void units_format_duration(int64_t ms, char *out, size_t out_size);
void units_format_size(uint64_t bytes, char *out, size_t out_size);
void units_format_share(uint32_t ppm, char *out, size_t out_size);

#define UNITS_SPAN_BYTES 32u
/* How long something took or will take, for people, in at most two units and cut down to what they need: "850us" "2.8ms"
   "28ms" "1.4s" "3m 20s" "4h 05m" "12d 03h", "0s". Less than nothing is nothing. out is NUL-terminated. */
void units_say_span(int64_t us, char out[UNITS_SPAN_BYTES]);

/* An IP address without port; IPv4 is kept as IPv4-mapped IPv6, so that one comparison serves both. */
struct ip_address {
    uint8_t bytes[16];
};
struct ip_network {
    struct ip_address address; /* host bits zero */
    uint8_t prefix_bits;       /* of 128: an IPv4 /8 is 104 */
};
/* "192.0.2.1" or "2001:db8::1"; no brackets, no port, no zone. */
bool ip_parse(struct slice s, struct ip_address *out);
/* "10.0.0.0/8", "2001:db8::/32", or a bare address (a full-length network); false also when host bits are set. */
bool ip_network_parse(struct slice s, struct ip_network *out);
bool ip_network_contains(const struct ip_network *n, const struct ip_address *a);
/* In one of them. */
bool ip_is_in(const struct ip_address *a, const struct ip_network *networks, size_t count);
bool ip_equal(const struct ip_address *a, const struct ip_address *b);
/* 127.0.0.0/8 or ::1. */
bool ip_is_loopback(const struct ip_address *a);
/* The usual text form ("192.0.2.1", "2001:db8::1") into out[46]; returns its length. */
size_t ip_format(const struct ip_address *a, char out[46]);

/* AF_INET and AF_INET6; of any other family, "::" and port 0. */
void ip_from_sockaddr(const struct sockaddr *sa, struct ip_address *out_address, uint16_t *out_port);

/* A place to bind or connect to: "127.0.0.1:8080", "[::1]:8080", "svc.internal:80", "unix:/run/x.sock". */
struct endpoint_address {
    enum { ADDRESS_IP, ADDRESS_NAME, ADDRESS_UNIX } kind;
    struct ip_address ip; /* ADDRESS_IP */
    struct slice name;    /* ADDRESS_NAME: host; ADDRESS_UNIX: path; borrowed from the input */
    uint16_t port;        /* host order; 0 allowed only for binding */
};
/* Port and host are needed but for unix:. A name is checked for its form (RFC 1123, and '_'), never looked up; one
   whose last label is a number is refused, since it would be a mistyped IPv4 address. False: *out is not to be read. */
bool endpoint_address_parse(struct slice s, struct endpoint_address *out);
/* For ADDRESS_IP and ADDRESS_UNIX. Returns the length to pass to bind or connect, 0 when the path is too long. */
socklen_t endpoint_address_to_sockaddr(const struct endpoint_address *a, struct sockaddr_storage *out);

#endif
