/* http/scan.h - finds the first byte of a run that breaks a rule: line ends, bad names, bad targets.
 *
 * Nearly all bytes of a head are good, so the question is never what a byte is but where the next bad one stands. */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Each looks at [at, end), reads no byte outside it, and answers the address of the first byte it looks for, or
   `end`. */
typedef const char *scan_fn(const char *at, const char *end);

/* A control: below 0x20 except HTAB, or 0x7F. CR and LF are controls, so this finds line ends too. */
const char *scan_control(const char *at, const char *end);
/* A byte that is not one of a token (RFC 9110 5.6.2). */
const char *scan_not_token(const char *at, const char *end);
/* A byte that may not stand in a request target: not visible ASCII, or '#' (RFC 9112 3.2, RFC 3986 3.5). */
const char *scan_not_target(const char *at, const char *end);

/* How many controls there are in [at, end). */
size_t scan_count_controls(const char *at, const char *end);

/* One row for each instruction set; they agree on every input. For tests and fuzzers: the functions above choose by
   themselves. */
struct scan_variant {
    const char *name; /* "plain", "sse4.2", "avx2" */
    bool (*is_usable)(void);
    scan_fn *control, *not_token, *not_target;
    size_t (*count_controls)(const char *at, const char *end);
};

#if defined __x86_64__
#define SCAN_VARIANT_COUNT 3
#else
#define SCAN_VARIANT_COUNT 1
#endif
extern const struct scan_variant scan_variants[SCAN_VARIANT_COUNT];

#endif
