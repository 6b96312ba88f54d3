/* tests/unit/stats/test_recent.c - the latest are known exactly, and memory stays what it is. */
#include "stats/recent.h"

#include <criterion/criterion.h>

Test(recent, nothing_is_known_or_allocated_at_first)
{
    struct recent r = { 0 };
    cr_expect_not(recent_has(&r, 0));
    cr_expect_not(recent_has(&r, 1));
    cr_expect_null(r.slots[0]);
    recent_fini(&r);
}

Test(recent, the_second_time_is_no_news)
{
    struct recent r = { 0 };
    cr_expect(recent_add(&r, 7));
    cr_expect_not(recent_add(&r, 7));
    cr_expect(recent_add(&r, 0));
    cr_expect_not(recent_add(&r, 0));
    recent_fini(&r);
}

Test(recent, as_many_as_promised_are_known_and_older_ones_are_forgotten)
{
    struct recent r = { 0 };
    const uint64_t count = 10 * UINT64_C(32768) + 5;
    for (uint64_t i = 1; i <= count; i++)
        cr_assert(recent_add(&r, i * UINT64_C(0x9e3779b97f4a7c15)));
    for (uint64_t i = count; i > count - RECENT_COUNT; i--)
        cr_assert(recent_has(&r, i * UINT64_C(0x9e3779b97f4a7c15)));
    cr_expect_not(recent_has(&r, UINT64_C(0x9e3779b97f4a7c15)));
    recent_fini(&r);
}
