/* tests/unit/stats/test_mark.c - what an upstream is told of an exposure comes back as it was. */
#include "stats/mark.h"

#include <criterion/criterion.h>

static void expect_same(const struct mark *a, const struct mark *b)
{
    cr_expect_eq(a->arm, b->arm);
    cr_expect_eq(a->share_ppm, b->share_ppm);
    cr_expect_eq(a->fresh_from_ppm, b->fresh_from_ppm);
    cr_expect_eq(a->tag, b->tag);
    cr_expect_eq(a->has_user, b->has_user);
    cr_expect_eq(a->user, b->user);
    cr_expect_eq(a->at.unix_ms, b->at.unix_ms);
    cr_expect(slice_equal(a->rollout, b->rollout));
}

Test(mark, comes_back_as_it_was)
{
    const struct mark marks[] = {
        { TALLY_CANARY, 100000, 0, 0x0123456789abcdefu, false, 0, { 1795608000123 }, SLICE("checkout-v2") },
        { TALLY_STABLE, 1000000, 999999, UINT64_MAX, true, UINT64_MAX, { 0 }, SLICE("a.b-c_d") },
        { TALLY_CANARY,
          0,
          1000000,
          0,
          true,
          0,
          { INT64_MAX / 2 },
          SLICE("0123456789012345678901234567890123456789012345678901234567890123") },
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        char text[MARK_BYTES];
        struct mark back;
        size_t len = mark_write(&marks[i], text);
        cr_assert(mark_read(slice_from(text, len), &back), "%s", text);
        expect_same(&marks[i], &back);
    }
}

Test(mark, what_is_none_is_refused)
{
    static const char *const texts[] = {
        "",
        "1",
        "2.c.100000.0.0123456789abcdef.-.5.shop",
        "1.x.100000.0.0123456789abcdef.-.5.shop",
        "1.c.1000001.0.0123456789abcdef.-.5.shop",
        "1.c.-1.0.0123456789abcdef.-.5.shop",
        "1.c.100000..0123456789abcdef.-.5.shop",
        "1.c.100000.0.0123456789abcde.-.5.shop",
        "1.c.100000.0.0123456789abcdeg.-.5.shop",
        "1.c.100000.0.0123456789abcdef.12.5.shop",
        "1.c.100000.0.0123456789abcdef.-.5.",
        "1.c.100000.0.0123456789abcdef.-.5",
        "1.c.100000.0.0123456789abcdef.-.shop",
        "1.c.100000.0.0123456789abcdef.-.99999999999999999999.shop",
    };
    struct mark out;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        cr_expect_not(mark_read(slice_from_cstr(texts[i]), &out), "%s", texts[i]);
    cr_expect(mark_read(SLICE("1.c.100000.0.0123456789abcdef.-.5.shop"), &out));
}
