/* tests/unit/base/test_zone.c - local time as the zone database has it, from files and from the rules at their end. */
#include "base/zone.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* A file of version 2 without transitions: all there is to know stands in the footer. */
static const char head_bytes[44] = { 'T', 'Z', 'i', 'f', '2', [39] = 1, [43] = 1 };
static const char types_bytes[7] = { 0 };

static struct slice file_of(struct arena *arena, const char *footer)
{
    char *file = arena_zalloc(arena, 256);
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(file + at, head_bytes, sizeof head_bytes);
        memcpy(file + at + sizeof head_bytes, types_bytes, sizeof types_bytes);
        at += sizeof head_bytes + sizeof types_bytes;
    }
    size_t len = strlen(footer);
    memcpy(file + at, footer, len);
    return slice_from(file, at + len);
}

static int64_t unix_s_of(const char *text)
{
    struct wall_time t;
    cr_assert(wall_parse(text, strlen(text), &t), "%s", text);
    return t.unix_ms / 1000;
}

static int32_t offset_of(const struct zone *zone, const char *text)
{
    return zone_offset_at(zone, unix_s_of(text));
}

Test(zone, berlin_changes_its_clocks_on_the_last_sundays_of_march_and_october)
{
    struct arena arena;
    struct zone zone;
    arena_init(&arena, NULL, 0);
    cr_assert(zone_read(file_of(&arena, "\nCET-1CEST,M3.5.0,M10.5.0/3\n"), &arena, &zone));
    cr_expect_eq(offset_of(&zone, "2026-03-29T00:59:59Z"), 3600);
    cr_expect_eq(offset_of(&zone, "2026-03-29T01:00:00Z"), 7200);
    cr_expect_eq(offset_of(&zone, "2026-10-25T00:59:59Z"), 7200);
    cr_expect_eq(offset_of(&zone, "2026-10-25T01:00:00Z"), 3600);
    struct zone_time local = zone_local(&zone, unix_s_of("2026-11-25T23:30:00Z"));
    cr_expect_eq(local.weekday, 3, "the 26th of November 2026 is a Thursday");
    cr_expect_eq(local.second, 1800);
    arena_reset(&arena);
}

Test(zone, south_of_the_equator_saving_spans_the_turn_of_the_year)
{
    struct arena arena;
    struct zone zone;
    arena_init(&arena, NULL, 0);
    cr_assert(zone_read(file_of(&arena, "\nAEST-10AEDT,M10.1.0,M4.1.0/3\n"), &arena, &zone));
    cr_expect_eq(offset_of(&zone, "2026-01-01T00:00:00Z"), 11 * 3600);
    cr_expect_eq(offset_of(&zone, "2026-07-01T00:00:00Z"), 10 * 3600);
    cr_expect_eq(offset_of(&zone, "2026-12-31T23:59:59Z"), 11 * 3600);
    arena_reset(&arena);
}

Test(zone, footers_of_every_form_are_read_and_bad_ones_refused)
{
    static const char *const good[] = { "\n\n",
                                        "\nUTC0\n",
                                        "\n<+0330>-3:30\n",
                                        "\nEST5EDT,J60/2,J300\n",
                                        "\nA1B,59,300/-1:30\n",
                                        "\nIST-2IDT,M3.4.4/26,M10.5.0\n",
                                        "\nGMT0IST-1,M10.5.0,M3.5.0/1\n" };
    static const char *const bad[] = { "",
                                       "UTC0\n",
                                       "\n5\n",
                                       "\nUTC\n",
                                       "\nCET-1CEST\n",
                                       "\nA1B,M3.5.0\n",
                                       "\nA1B,M13.1.0,M1.1.0\n",
                                       "\nA1B,M3.0.0,M1.1.0\n",
                                       "\nA1B,J0,J1\n",
                                       "\n<x-1\n",
                                       "\nA1B,M3.5.0,M10.5.0 \n",
                                       "\nA999\n" };
    struct arena arena;
    struct zone zone;
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(zone_read(file_of(&arena, good[i]), &arena, &zone), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(zone_read(file_of(&arena, bad[i]), &arena, &zone), "%s", bad[i]);
    arena_reset(&arena);
}

Test(zone, a_file_that_is_cut_off_anywhere_is_refused)
{
    struct arena arena;
    struct zone zone;
    arena_init(&arena, NULL, 0);
    struct slice whole = file_of(&arena, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    size_t footer_at = whole.len - strlen("\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    for (size_t len = 0; len <= footer_at; len++) {
        char *copy = malloc(len + 1); /* NOLINT: an exact size, so that reading past it is seen */
        memcpy(copy, whole.ptr, len);
        cr_expect_not(zone_read(slice_from(copy, len), &arena, &zone), "%zu bytes", len);
        free(copy);
    }
    arena_reset(&arena);
}

/* The system's own answer; TZ is the process's, and this process has one thread. */
static void expect_as_system(const char *name, const char *path)
{
    static char bytes[65536];
    struct arena arena;
    struct zone zone;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return; /* a machine without this zone */
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    arena_init(&arena, NULL, 0);
    cr_assert(zone_read(slice_from(bytes, len), &arena, &zone), "%s", path);
    setenv("TZ", name, 1);
    tzset();
    for (int64_t at = INT64_C(-3000000000); at < INT64_C(4500000000); at += 40009) {
        time_t moment = (time_t)at;
        struct tm tm;
        localtime_r(&moment, &tm);
        cr_assert_eq(zone_offset_at(&zone, at), tm.tm_gmtoff, "%s at %lld: %d, not %ld", name, (long long)at,
                     zone_offset_at(&zone, at), tm.tm_gmtoff);
    }
    arena_reset(&arena);
}

Test(zone, agrees_with_the_system_from_1875_to_2112)
{
    static const char *const names[] = { "Europe/Berlin",    "America/New_York",  "Australia/Lord_Howe", "Asia/Kolkata",
                                         "America/St_Johns", "Africa/Casablanca", "Europe/Dublin",       "Pacific/Apia",
                                         "Asia/Tehran",      "America/Nuuk",      "Asia/Gaza",           "UTC" };
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", names[i]);
        expect_as_system(names[i], path);
    }
}
