/* tests/unit/server/test_access_writer.c - lines reach their file, and nobody waits for a reader that does not read. */
#include "server/access_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

static char folder[64];

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/weir-access-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void folder_remove(void)
{
    const char *const names[] = { "a", "b", "a.1", "pipe" };
    char path[96];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

TestSuite(access_writer, .init = folder_make, .fini = folder_remove);

static const char *path_of(const char *name)
{
    static char path[4][96];
    static int turn;
    char *out = path[turn++ % 4];
    snprintf(out, 96, "%s/%s", folder, name);
    return out;
}

static void submit(struct access_writer *w, const char *text)
{
    struct access_lines *lines = access_lines_create();
    lines->used = (uint32_t)strlen(text);
    lines->line_count = 1;
    memcpy(lines->bytes, text, lines->used);
    access_writer_submit(w, lines);
}

static void assert_file(const char *name, const char *expected)
{
    char bytes[256] = "";
    FILE *f = fopen(path_of(name), "r");
    cr_assert_not_null(f, "%s", name);
    size_t n = fread(bytes, 1, sizeof bytes - 1, f);
    fclose(f);
    bytes[n] = '\0';
    cr_assert_str_eq(bytes, expected);
}

static void wait_for_size(const char *name, off_t size)
{
    struct stat status;
    for (int i = 0; i < 5000; i++) {
        if (stat(path_of(name), &status) == 0 && status.st_size == size)
            return;
        usleep(1000);
    }
    cr_assert_fail("%s never had %ld bytes", name, (long)size);
}

Test(access_writer, lines_are_written_in_order_and_before_the_stop_ends)
{
    struct access_writer *w = access_writer_start();
    cr_assert(access_writer_open(w, path_of("a")));
    submit(w, "one\n");
    submit(w, "two\n");
    access_writer_stop(w);
    assert_file("a", "one\ntwo\n");
}

Test(access_writer, a_file_moved_away_is_made_again_when_reopened)
{
    struct access_writer *w = access_writer_start();
    cr_assert(access_writer_open(w, path_of("a")));
    submit(w, "old\n");
    wait_for_size("a", 4);
    cr_assert_eq(rename(path_of("a"), path_of("a.1")), 0);
    cr_assert(access_writer_open(w, path_of("a")));
    submit(w, "new\n");
    access_writer_stop(w);
    assert_file("a.1", "old\n");
    assert_file("a", "new\n");
}

Test(access_writer, a_path_that_cannot_be_opened_changes_nothing)
{
    struct access_writer *w = access_writer_start();
    cr_assert(access_writer_open(w, path_of("a")));
    cr_assert_not(access_writer_open(w, path_of("missing/a")));
    submit(w, "still\n");
    access_writer_stop(w);
    assert_file("a", "still\n");
}

/* A pipe nobody reads: the queue fills to its bound, the rest is counted, and the stop does not hang. */
Test(access_writer, a_reader_that_does_not_read_costs_lines_and_nothing_else)
{
    cr_assert_eq(mkfifo(path_of("pipe"), 0600), 0);
    int reader = open(path_of("pipe"), O_RDONLY | O_NONBLOCK);
    struct access_writer *w = access_writer_start();
    cr_assert(access_writer_open(w, path_of("pipe")));
    char line[ACCESS_LINES_BYTES];
    memset(line, 'x', sizeof line);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    uint32_t submitted = 2 * ACCESS_QUEUE_BYTES / ACCESS_LINES_BYTES;
    for (uint32_t i = 0; i < submitted; i++)
        submit(w, line);
    uint64_t dropped = access_writer_dropped_count(w);
    cr_assert_geq(dropped, submitted / 2 - 4);
    cr_assert_leq(dropped, submitted / 2 + 4);
    access_writer_stop(w);
    close(reader);
}

Test(access_writer, a_full_disk_is_counted)
{
    struct access_writer *w = access_writer_start();
    cr_assert(access_writer_open(w, "/dev/full"));
    submit(w, "lost\n");
    for (int i = 0; i < 5000 && access_writer_dropped_count(w) == 0; i++)
        usleep(1000);
    cr_assert_eq(access_writer_dropped_count(w), 1);
    access_writer_stop(w);
}
