/* tests/unit/rollout/test_calendar.c - windows, freezes and start_at by the wall clock, also where clocks are changed. */
#include "rollout/calendar.h"

#include <criterion/criterion.h>

#include "base/hash.h"
#include "rollout/fixture.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)

static struct wall_time at(const char *text)
{
    struct wall_time t;
    cr_assert(wall_parse(text, strlen(text), &t), "%s", text);
    return t;
}

static void expect_next(const struct made_rollout *m, const char *now, const char *expected)
{
    char found[25];
    wall_format(calendar_next_open(&m->config, at(now)), found);
    cr_expect_eq(strncmp(found, expected, 19), 0, "after %s: %s, not %s", now, found, expected);
    cr_expect(calendar_is_open(&m->config, at(expected)), "%s", expected);
}

Test(calendar, without_windows_it_is_open)
{
    struct made_rollout m;
    made_init(&m);
    cr_expect(calendar_is_open(&m.config, (struct wall_time){ NOON_UNIX_MS }));
    expect_next(&m, "2026-11-25T12:00:00Z", "2026-11-25T12:00:00Z");
}

Test(calendar, a_window_is_open_from_its_first_second_to_before_its_last)
{
    struct made_rollout m;
    made_init(&m);
    made_window(&m, 0x1f, 9, 17);
    cr_expect_not(calendar_is_open(&m.config, at("2026-11-25T08:59:59.999Z")));
    cr_expect(calendar_is_open(&m.config, at("2026-11-25T09:00:00Z")));
    cr_expect(calendar_is_open(&m.config, at("2026-11-25T16:59:59Z")));
    cr_expect_not(calendar_is_open(&m.config, at("2026-11-25T17:00:00Z")));
    cr_expect_not(calendar_is_open(&m.config, at("2026-11-28T12:00:00Z")), "a Saturday");
    expect_next(&m, "2026-11-25T17:00:00Z", "2026-11-26T09:00:00Z");
    expect_next(&m, "2026-11-27T18:30:12Z", "2026-11-30T09:00:00Z");
    expect_next(&m, "2026-11-25T08:30:12Z", "2026-11-25T09:00:00Z");
}

Test(calendar, a_freeze_and_start_at_go_before_windows)
{
    struct made_rollout m;
    struct calendar_view view;
    char why[120];
    made_init(&m);
    made_window(&m, 0x1f, 9, 17);
    made_freeze(&m, at("2026-12-20T00:00:00Z").unix_ms, at("2027-01-03T00:00:00Z").unix_ms);
    m.config.start_at = at("2026-12-01T12:00:00Z");
    calendar_look(&m.config, at("2026-12-21T12:00:00Z"), &view);
    cr_expect_eq(view.block, CALENDAR_FROZEN);
    calendar_say(&view, &m.config, why, sizeof why);
    cr_expect_str_eq(why, "freeze until 2027-01-03T00:00Z: holidays");
    expect_next(&m, "2026-12-21T12:00:00Z", "2027-01-04T09:00:00Z");
    calendar_look(&m.config, at("2026-11-25T12:00:00Z"), &view);
    cr_expect_eq(view.block, CALENDAR_BEFORE_START);
    expect_next(&m, "2026-11-25T12:00:00Z", "2026-12-01T12:00:00Z");
}

Test(calendar, what_never_opens_is_told)
{
    struct made_rollout m;
    made_init(&m);
    made_freeze(&m, 0, INT64_MAX);
    cr_expect_eq(calendar_next_open(&m.config, (struct wall_time){ NOON_UNIX_MS }).unix_ms, INT64_MAX);
}

/* Berlin, as its clocks have been changed since 1996. */
static void use_berlin(struct made_rollout *m)
{
    m->utc = (struct zone){ .has_rule = true,
                            .has_saving = true,
                            .standard_offset = 3600,
                            .saving_offset = 7200,
                            .saving_begins = { ZONE_CHANGE_WEEKDAY, 3, 5, 0, 7200 },
                            .saving_ends = { ZONE_CHANGE_WEEKDAY, 10, 5, 0, 10800 } };
}

Test(calendar, windows_keep_local_time_when_clocks_are_changed)
{
    struct made_rollout m;
    made_init(&m);
    made_window(&m, 0x7f, 9, 17);
    use_berlin(&m);
    expect_next(&m, "2026-03-28T17:00:00Z", "2026-03-29T07:00:00Z");
    expect_next(&m, "2026-10-24T17:00:00Z", "2026-10-25T08:00:00Z");
}

Test(calendar, an_opening_in_the_gap_of_spring_is_the_end_of_the_gap)
{
    struct made_rollout m;
    made_init(&m);
    m.windows[m.config.window_count++] =
        (struct window_config){ .days = 0x7f, .from_s = 9000, .to_s = 18000, .zone = &m.utc }; /* 02:30 to 05:00 */
    use_berlin(&m);
    expect_next(&m, "2026-03-28T20:00:00Z", "2026-03-29T01:00:00Z"); /* 03:00 local: there is no 02:30 */
    expect_next(&m, "2026-03-27T20:00:00Z", "2026-03-28T01:30:00Z");
}

/* Whatever the windows: the next opening is open, and no minute before it is. */
Test(calendar, the_next_opening_is_the_first)
{
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 300; round++) {
        struct made_rollout m;
        made_init(&m);
        for (uint32_t i = 0; i < 1 + rng_below(&rng, 2); i++) {
            int from = (int)rng_below(&rng, 23);
            made_window(&m, 1 + rng_below(&rng, 127), from, from + 1 + (int)rng_below(&rng, (uint32_t)(24 - from)));
        }
        use_berlin(&m);
        int64_t now = at("2026-03-27T00:00:00Z").unix_ms + rng_below(&rng, 5 * 1440) * INT64_C(60000);
        int64_t found = calendar_next_open(&m.config, (struct wall_time){ now }).unix_ms, first = now;
        while (!calendar_is_open(&m.config, (struct wall_time){ first }))
            first += 60000;
        cr_assert_eq(found, first, "round %d: %lld minutes off", round, (long long)(found - first) / 60000);
    }
}
