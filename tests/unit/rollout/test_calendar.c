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

/* Zones, as their clocks have been changed for years; and one as some countries had it, which lose and repeat the hour at
   midnight, so that a day begins twice or an hour late. */
static const struct zone berlin = { .has_rule = true,
                                    .has_saving = true,
                                    .standard_offset = 3600,
                                    .saving_offset = 7200,
                                    .saving_begins = { ZONE_CHANGE_WEEKDAY, 3, 5, 0, 7200 },
                                    .saving_ends = { ZONE_CHANGE_WEEKDAY, 10, 5, 0, 10800 } };
static const struct zone new_york = { .has_rule = true,
                                      .has_saving = true,
                                      .standard_offset = -5 * 3600,
                                      .saving_offset = -4 * 3600,
                                      .saving_begins = { ZONE_CHANGE_WEEKDAY, 3, 2, 0, 7200 },
                                      .saving_ends = { ZONE_CHANGE_WEEKDAY, 11, 1, 0, 7200 } };
static const struct zone lord_howe = { .has_rule = true,
                                       .has_saving = true,
                                       .standard_offset = 10 * 3600 + 1800,
                                       .saving_offset = 11 * 3600,
                                       .saving_begins = { ZONE_CHANGE_WEEKDAY, 10, 1, 0, 7200 },
                                       .saving_ends = { ZONE_CHANGE_WEEKDAY, 4, 1, 0, 7200 } };
static const struct zone at_midnight = { .has_rule = true,
                                         .has_saving = true,
                                         .standard_offset = -4 * 3600,
                                         .saving_offset = -3 * 3600,
                                         .saving_begins = { ZONE_CHANGE_WEEKDAY, 3, 4, 0, 0 },
                                         .saving_ends = { ZONE_CHANGE_WEEKDAY, 10, 4, 0, 0 } };

static void use_berlin(struct made_rollout *m)
{
    m->utc = berlin;
}

/* All days, in minutes of the day. */
static void made_minutes(struct made_rollout *m, int from_minute, int to_minute)
{
    m->windows[m->config.window_count++] =
        (struct window_config){ .days = 0x7f, .from_s = from_minute * 60, .to_s = to_minute * 60, .zone = &m->utc };
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
    made_minutes(&m, 150, 300); /* 02:30 to 05:00 */
    use_berlin(&m);
    expect_next(&m, "2026-03-28T20:00:00Z", "2026-03-29T01:00:00Z"); /* 03:00 local: there is no 02:30 */
    expect_next(&m, "2026-03-27T20:00:00Z", "2026-03-28T01:30:00Z");
}

Test(calendar, an_hour_that_autumn_repeats_opens_a_window_twice)
{
    struct made_rollout m;
    made_init(&m);
    m.utc = new_york;
    made_minutes(&m, 60, 90); /* 01:00 to 01:30, both before and after 02:00 EDT has become 01:00 EST at 06:00Z */
    expect_next(&m, "2026-11-01T03:00:00Z", "2026-11-01T05:00:00Z");
    expect_next(&m, "2026-11-01T05:40:00Z", "2026-11-01T06:00:00Z");
    expect_next(&m, "2026-11-01T06:40:00Z", "2026-11-02T06:00:00Z");
    m.windows[0].from_s = 75 * 60;
    expect_next(&m, "2026-11-01T05:40:00Z", "2026-11-01T06:15:00Z");
    m.windows[0].from_s = 30 * 60; /* at 01:00 EST clocks are in its middle again */
    expect_next(&m, "2026-11-01T05:40:00Z", "2026-11-01T06:00:00Z");
}

Test(calendar, a_window_within_the_gap_of_spring_waits_for_the_next_day)
{
    struct made_rollout m;
    made_init(&m);
    m.utc = new_york;
    made_minutes(&m, 130, 170); /* 02:10 to 02:50, which the eighth of March does not have */
    expect_next(&m, "2026-03-08T05:00:00Z", "2026-03-09T06:10:00Z");
    m.windows[0].days = 1u << 6; /* Sundays alone */
    expect_next(&m, "2026-03-02T05:00:00Z", "2026-03-15T06:10:00Z");
}

Test(calendar, clocks_may_be_changed_by_half_an_hour)
{
    struct made_rollout m;
    made_init(&m);
    m.utc = lord_howe;
    made_minutes(&m, 75, 100); /* 01:15 to 01:40; at 15:00Z 02:00 becomes 01:30 */
    expect_next(&m, "2026-04-04T12:00:00Z", "2026-04-04T14:15:00Z");
    expect_next(&m, "2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z");
    expect_next(&m, "2026-04-04T15:10:00Z", "2026-04-05T14:45:00Z");
    m.windows[0].from_s = 130 * 60; /* 02:10 to 03:00; at 15:30Z 02:00 becomes 02:30 */
    m.windows[0].to_s = 180 * 60;
    expect_next(&m, "2026-10-03T14:00:00Z", "2026-10-03T15:30:00Z");
}

/* A window ends on its day: one across midnight is written as two. */
Test(calendar, two_windows_across_midnight_are_one_also_where_clocks_are_changed)
{
    struct made_rollout m;
    made_init(&m);
    made_minutes(&m, 22 * 60, 24 * 60);
    made_minutes(&m, 0, 2 * 60);
    m.utc = berlin;
    expect_next(&m, "2026-03-28T20:00:00Z", "2026-03-28T21:00:00Z");
    cr_expect(calendar_is_open(&m.config, at("2026-03-28T22:59:59.999Z")) &&
              calendar_is_open(&m.config, at("2026-03-28T23:00:00Z")));
    expect_next(&m, "2026-03-29T01:00:00Z", "2026-03-29T20:00:00Z");
    expect_next(&m, "2026-10-25T00:00:00Z", "2026-10-25T21:00:00Z");
    m.utc = new_york; /* 01:59:59 EDT, and the hour from 01:00 EST on */
    cr_expect(calendar_is_open(&m.config, at("2026-11-01T05:59:59Z")) &&
              calendar_is_open(&m.config, at("2026-11-01T06:59:59Z")));
    expect_next(&m, "2026-11-01T07:00:00Z", "2026-11-02T03:00:00Z");
    m.utc = at_midnight; /* 23:59:59, and 23:00:00 of the same Saturday; clocks of a Sunday in March begin at 01:00 */
    expect_next(&m, "2026-10-24T12:00:00Z", "2026-10-25T01:00:00Z");
    cr_expect(calendar_is_open(&m.config, at("2026-10-25T05:59:59Z")));
    expect_next(&m, "2026-10-25T06:00:00Z", "2026-10-26T02:00:00Z");
    cr_expect_not(calendar_is_open(&m.config, at("2026-03-22T05:00:00Z")));
}

Test(calendar, start_at_that_has_passed_opens_nothing_that_is_frozen)
{
    struct made_rollout m;
    struct calendar_view view;
    made_init(&m);
    made_freeze(&m, at("2026-12-20T00:00:00Z").unix_ms, at("2027-01-03T00:00:00Z").unix_ms);
    made_freeze(&m, at("2027-01-02T00:00:00Z").unix_ms, at("2027-01-04T12:00:00Z").unix_ms);
    m.config.start_at = at("2026-12-24T18:00:00Z");
    calendar_look(&m.config, at("2026-12-24T18:00:00Z"), &view);
    cr_expect_eq(view.block, CALENDAR_FROZEN);
    expect_next(&m, "2026-12-24T18:00:00Z", "2027-01-04T12:00:00Z");
    expect_next(&m, "2026-12-22T00:00:00Z", "2027-01-04T12:00:00Z");
    expect_next(&m, "2027-01-04T12:00:00Z", "2027-01-04T12:00:00Z");
    made_window(&m, 0x1f, 9, 11);
    expect_next(&m, "2026-12-24T18:00:00Z", "2027-01-05T09:00:00Z");
}

static struct window_config random_window(struct rng *rng, const struct zone *zone)
{
    int from = (int)rng_below(rng, 1439), most = rng_below(rng, 2) == 0 ? 45 : 1440;
    int left = 1440 - from < most ? 1440 - from : most;
    return (struct window_config){ .days = 1 + rng_below(rng, 127),
                                   .from_s = from * 60,
                                   .to_s = (from + 1 + (int)rng_below(rng, (uint32_t)left)) * 60,
                                   .zone = zone };
}

/* Whatever the windows: the next opening is open, and no minute before it is. */
Test(calendar, the_next_opening_is_the_first)
{
    static const struct {
        const struct zone *zone;
        const char *changes[2]; /* days just before */
    } places[] = { { &berlin, { "2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z" } },
                   { &new_york, { "2026-03-06T00:00:00Z", "2026-10-30T00:00:00Z" } },
                   { &lord_howe, { "2026-04-02T00:00:00Z", "2026-10-01T00:00:00Z" } },
                   { &at_midnight, { "2026-03-20T00:00:00Z", "2026-10-23T00:00:00Z" } } };
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 800; round++) {
        struct made_rollout m;
        made_init(&m);
        m.utc = *places[round % 4].zone;
        for (uint32_t i = 0; i < 1 + rng_below(&rng, 2); i++)
            m.windows[m.config.window_count++] = random_window(&rng, &m.utc);
        int64_t now = at(places[round % 4].changes[round / 4 % 2]).unix_ms + rng_below(&rng, 3 * 1440) * INT64_C(60000);
        int64_t found = calendar_next_open(&m.config, (struct wall_time){ now }).unix_ms, first = now;
        while (!calendar_is_open(&m.config, (struct wall_time){ first }))
            first += 60000;
        cr_assert_eq(found, first, "round %d: %lld minutes off", round, (long long)(found - first) / 60000);
    }
}
