/* unit/http/test_scan.c - the scans: what they look for, and that all instruction sets find the same byte. */
#include "http/scan.h"

#include "http/feed.h"

#include <criterion/criterion.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The rules once more, as the RFCs word them. */
static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7F;
}

static bool is_not_token(unsigned char c)
{
    bool is_alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return !is_alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL);
}

static bool is_not_target(unsigned char c)
{
    return c <= 0x20 || c >= 0x7F || c == '#';
}

/* One scan of one variant: `clean` is a byte it passes over. */
struct case_of_scan {
    const char *variant;
    scan_fn *scan;
    bool (*is_wanted)(unsigned char c);
    char clean;
};

static size_t cases_of(const struct scan_variant *v, struct case_of_scan cases[3])
{
    cases[0] = (struct case_of_scan){ v->name, v->control, is_control, ':' };
    cases[1] = (struct case_of_scan){ v->name, v->not_token, is_not_token, '-' };
    cases[2] = (struct case_of_scan){ v->name, v->not_target, is_not_target, '/' };
    return v->is_usable() ? 3 : 0;
}

/* In a run of `len` clean bytes before a guard page, one byte at `at` is c. */
static void check_one(const struct case_of_scan *c, size_t len, size_t at, unsigned char byte)
{
    char bytes[100];
    memset(bytes, c->clean, len);
    bytes[at] = (char)byte;
    struct slice run = feed_guarded(slice_from(bytes, len));
    const char *found = c->scan(run.ptr, run.ptr + len);
    size_t wanted = c->is_wanted(byte) ? at : len;
    cr_assert_eq((size_t)(found - run.ptr), wanted, "%s: byte 0x%02x at %zu of %zu", c->variant, byte, at, len);
}

Test(scan, every_byte_in_every_place)
{
    static const size_t lengths[] = { 1, 7, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100 };
    for (size_t v = 0; v < SCAN_VARIANT_COUNT; v++) {
        struct case_of_scan cases[3];
        size_t case_count = cases_of(&scan_variants[v], cases);
        for (size_t c = 0; c < case_count; c++)
            for (size_t l = 0; l < COUNT(lengths); l++)
                for (size_t at = 0; at < lengths[l]; at++)
                    for (unsigned byte = 0; byte < 256; byte++)
                        check_one(&cases[c], lengths[l], at, (unsigned char)byte);
    }
}

Test(scan, the_first_of_several_is_found)
{
    for (size_t v = 0; v < SCAN_VARIANT_COUNT; v++) {
        struct case_of_scan cases[3];
        size_t case_count = cases_of(&scan_variants[v], cases);
        for (size_t c = 0; c < case_count; c++) {
            char bytes[80];
            memset(bytes, '\n', sizeof bytes);
            for (size_t clean = 0; clean <= sizeof bytes; clean++) {
                memset(bytes, cases[c].clean, clean);
                const char *found = cases[c].scan(bytes, bytes + sizeof bytes);
                cr_assert_eq((size_t)(found - bytes), clean, "%s", cases[c].variant);
            }
        }
    }
}

Test(scan, controls_are_counted)
{
    for (size_t v = 0; v < SCAN_VARIANT_COUNT; v++) {
        if (!scan_variants[v].is_usable())
            continue;
        for (size_t len = 0; len <= 100; len++) {
            char bytes[100];
            size_t wanted = 0;
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (char)(i * i * 7);
                wanted += is_control((unsigned char)bytes[i]);
            }
            struct slice run = feed_guarded(slice_from(bytes, len));
            cr_expect_eq(scan_variants[v].count_controls(run.ptr, run.ptr + len), wanted, "%s, %zu bytes",
                         scan_variants[v].name, len);
        }
    }
    struct slice head = SLICE("a: b\r\nc: d\t\r\n\r\n");
    cr_expect_eq(scan_count_controls(head.ptr, head.ptr + head.len), 6);
}

Test(scan, an_empty_run_has_nothing)
{
    struct slice run = feed_guarded(SLICE(""));
    for (size_t v = 0; v < SCAN_VARIANT_COUNT; v++) {
        struct case_of_scan cases[3];
        size_t case_count = cases_of(&scan_variants[v], cases);
        for (size_t c = 0; c < case_count; c++)
            cr_assert_eq(cases[c].scan(run.ptr, run.ptr), run.ptr);
    }
    cr_assert_eq(scan_control(run.ptr, run.ptr), run.ptr);
}

Test(scan, the_chosen_one_works)
{
    struct slice s = SLICE("Content-Type: text/plain; charset=utf-8\r\n");
    cr_expect_eq(scan_control(s.ptr, s.ptr + s.len), s.ptr + s.len - 2);
    cr_expect_eq(scan_not_token(s.ptr, s.ptr + s.len), s.ptr + 12);
    cr_expect_eq(scan_not_target(s.ptr, s.ptr + s.len), s.ptr + 13);
}
