/* tests/unit/server/test_watch.c - bursts are one change, foreign files none. */
#include "server/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char folder[64], path[128];
static struct loop *loop;
static struct watch watch;
static int change_count;

static void on_change(void *arg)
{
    (void)arg;
    change_count++;
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void touch(const char *name)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

static void watch_fixture_init(void)
{
    snprintf(folder, sizeof folder, "/tmp/weir-watch-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    loop = loop_create(NULL);
    watch_init(&watch, loop, on_change, NULL);
    touch("weir.yaml");
    struct slice file = slice_from_cstr(in_folder("weir.yaml"));
    watch_set(&watch, &file, 1, NULL, 0);
}

static void watch_fixture_fini(void)
{
    static const char *const names[] = { "weir.yaml", "other.log", "a.part", "b.part", "..data", "weir.yaml~" };
    watch_fini(&watch);
    loop_destroy(loop);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        unlink(in_folder(names[i]));
    rmdir(folder);
}

TestSuite(watch, .init = watch_fixture_init, .fini = watch_fixture_fini);

static void on_time(void *arg)
{
    *(bool *)arg = true;
}

static void run_for(int64_t ms)
{
    struct timer timer;
    bool is_over = false;
    timer_init(&timer, on_time, &is_over);
    timer_start(loop, &timer, ms);
    while (!is_over)
        loop_turn(loop);
}

Test(watch, a_burst_is_one_change)
{
    for (int i = 0; i < 20; i++)
        touch("weir.yaml");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 1);
    touch("weir.yaml");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 2);
}

/* Turns, one by one, until the change that waits is known. */
static void turn_until_armed(void)
{
    struct timer guard; /* so that no turn waits for ever */
    bool ignored;
    timer_init(&guard, on_time, &ignored);
    for (int i = 0; i < 100 && !timer_is_armed(&watch.quiet); i++) {
        timer_start(loop, &guard, 0);
        loop_turn(loop);
    }
    timer_stop(loop, &guard);
    cr_assert(timer_is_armed(&watch.quiet));
}

Test(watch, an_event_waits_for_the_next_but_never_longer_than_the_bound)
{
    touch("weir.yaml");
    turn_until_armed();
    cr_assert_eq(mono_diff_us(watch.quiet.deadline, watch.first_event), WATCH_QUIET_MS * 1000);
    timer_stop(loop, &watch.quiet);
    watch.first_event.us -= (WATCH_LONGEST_MS - 10) * 1000; /* as if events had come all that time */
    touch("weir.yaml");
    turn_until_armed();
    cr_assert_leq(mono_diff_us(watch.quiet.deadline, watch.first_event), (WATCH_LONGEST_MS + 1) * 1000);
    cr_assert_eq(change_count, 0);
}

Test(watch, other_files_of_the_folder_are_none_of_our_business)
{
    touch("other.log");
    touch("weir.yaml~");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 0);
}

Test(watch, a_rename_over_the_file_counts)
{
    char from[128];
    touch("weir.yaml~");
    snprintf(from, sizeof from, "%s", in_folder("weir.yaml~"));
    cr_assert_eq(rename(from, in_folder("weir.yaml")), 0);
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 1);
}

Test(watch, the_link_of_a_mounted_volume_counts)
{
    cr_assert_eq(symlink("nowhere", in_folder("..data")), 0);
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 1);
}

Test(watch, files_that_appear_beside_a_pattern_count)
{
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%s", in_folder("*.part"));
    struct slice patterns = slice_from_cstr(pattern);
    watch_set(&watch, NULL, 0, &patterns, 1);
    touch("other.log");
    touch("weir.yaml");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 0);
    touch("a.part");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 1);
}

Test(watch, events_that_wait_survive_a_new_list_of_the_same_files)
{
    touch("weir.yaml");
    struct slice file = slice_from_cstr(in_folder("weir.yaml"));
    watch_set(&watch, &file, 1, NULL, 0);
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 1);
}

Test(watch, nothing_is_watched_after_an_empty_list)
{
    watch_set(&watch, NULL, 0, NULL, 0);
    touch("weir.yaml");
    run_for(3 * WATCH_QUIET_MS);
    cr_assert_eq(change_count, 0);
}
