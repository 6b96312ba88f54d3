/* tests/unit/stats/test_seen.c - what was added stays known; what is new is rarely taken for known, in any corner. */
#include "stats/seen.h"

#include <criterion/criterion.h>

Test(seen, a_key_is_new_once_for_each_kind)
{
    struct seen s;
    seen_init(&s, 1024);
    cr_expect(seen_add(&s, 7, 0));
    cr_expect_not(seen_add(&s, 7, 0));
    cr_expect(seen_add(&s, 7, 1));
    cr_expect(seen_add(&s, 8, 0));
    cr_expect_eq(s.added_count, 3);
    seen_clear(&s);
    cr_expect(seen_add(&s, 7, 0), "emptied");
    seen_fini(&s);
}

/* Keys of a canary are those whose hash is low: they must not fill a corner of their own. */
Test(seen, keys_that_are_all_low_are_taken_for_known_as_rarely_as_others)
{
    for (int is_low = 0; is_low < 2; is_low++) {
        struct seen s;
        seen_init(&s, 1u << 16);
        uint32_t lost = 0, n = 6000;
        for (uint32_t i = 0; i < n; i++)
            lost += !seen_add(&s, is_low ? i : (uint64_t)i << 40, 0);
        cr_expect_lt(lost, n / 50, "%u of %u", lost, n);
        for (uint32_t i = 0; i < n; i++)
            cr_expect_not(seen_add(&s, is_low ? i : (uint64_t)i << 40, 0));
        seen_fini(&s);
    }
}

Test(seen, a_full_one_knows_everything_and_stays_within_its_bits)
{
    struct seen s;
    seen_init(&s, 64);
    for (uint64_t i = 0; i < 1000; i++)
        seen_add(&s, i, 0);
    cr_expect_not(seen_add(&s, 123456789, 3));
    cr_expect_leq(s.added_count, 64);
    seen_fini(&s);
}
