/* tests/unit/stats/test_window.c - the last so many seconds, slice by slice. */
#include "stats/window.h"

#include <criterion/criterion.h>

static struct mono_time at(int64_t seconds)
{
    return (struct mono_time){ seconds * 1000000 };
}

static uint64_t events(const struct window *w, int64_t seconds)
{
    return window_sum(w, at(seconds)).events;
}

Test(window, what_is_older_than_the_window_falls_out)
{
    struct window w;
    window_init(&w, 60000000);
    cr_expect_eq(events(&w, 0), 0, "an empty one");
    window_add(&w, at(10), 100, 3);
    window_add(&w, at(40), 100, 5);
    cr_expect_eq(events(&w, 40), 8);
    cr_expect_eq(window_sum(&w, at(40)).requests, 200);
    cr_expect_eq(events(&w, 69), 8);
    cr_expect_eq(events(&w, 71), 5);
    cr_expect_eq(events(&w, 101), 0);
    window_add(&w, at(100000), 1, 1);
    cr_expect_eq(events(&w, 100000), 1, "a long pause leaves nothing behind");
}

Test(window, many_turns_of_the_ring_keep_the_sum)
{
    struct window w;
    window_init(&w, 60000000);
    for (int64_t t = -500; t < 500; t++) {
        window_add(&w, at(t), 2, 1);
        cr_expect_eq(events(&w, t), t < -440 ? (uint64_t)(t + 501) : 61, "at %lld", (long long)t);
    }
}

Test(window, a_report_that_comes_too_late_is_not_lost)
{
    struct window w;
    window_init(&w, 60000000);
    window_add(&w, at(50), 1, 1);
    window_add(&w, at(20), 1, 1);
    cr_expect_eq(events(&w, 50), 2);
    cr_expect_eq(events(&w, 20), 2, "nor by a clock that stands behind");
}

Test(window, another_length_keeps_what_is_not_too_old_for_it)
{
    struct window w;
    window_init(&w, 60000000);
    for (int64_t t = 0; t < 60; t++)
        window_add(&w, at(t), 2, 1);
    window_resize(&w, 600000000); /* ten times as long */
    cr_expect_eq(events(&w, 59), 60);
    cr_expect_eq(events(&w, 500), 60, "it is remembered for longer");
    cr_expect_eq(events(&w, 700), 0);
    window_add(&w, at(700), 2, 1);
    window_resize(&w, 6000000); /* and shorter */
    cr_expect_eq(events(&w, 700), 1);
    cr_expect_eq(events(&w, 707), 0);
    window_init(&w, 60000000); /* of nothing */
    window_resize(&w, 6000000);
    window_add(&w, at(1), 2, 1);
    cr_expect_eq(events(&w, 6), 1);
    cr_expect_eq(events(&w, 8), 0);
}

Test(window, a_shifted_one_goes_on_under_another_clock)
{
    struct window w;
    window_init(&w, 60000000);
    for (int64_t t = 100; t < 140; t++)
        window_add(&w, at(t), 2, 1);
    window_shift(&w, -1000 * INT64_C(1000000));
    cr_expect_eq(events(&w, -861), 40);
    cr_expect_eq(events(&w, -861 + 40), 21);
    window_add(&w, at(-860), 2, 1);
    cr_expect_eq(events(&w, -860), 41);
}
