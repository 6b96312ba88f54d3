/* tests/unit/shadow/test_record.c - record files: appended, rotated, reopened; what cannot be written is counted. */
#include "shadow/record.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-record-XXXXXX";
static char path[64];
static struct records *records;
static struct record_settings settings;

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/shadow.jsonl", folder);
    settings = (struct record_settings){ slice_from_cstr(path), 1 << 20, 3 };
    records = records_create();
}

static const char *rotated(unsigned number)
{
    static char name[80];
    snprintf(name, sizeof(name), "%s.%u", path, number);
    return name;
}

static void end(void)
{
    if (records != NULL)
        records_destroy(records);
    unlink(path);
    for (unsigned i = 1; i <= 9; i++)
        unlink(rotated(i));
    chmod(folder, 0700);
    cr_assert_eq(rmdir(folder), 0, "something is left in %s", folder);
}

TestSuite(record, .init = begin, .fini = end);

/* A line that tells its number by its target: "/7". */
static void add(unsigned number)
{
    char target[16];
    snprintf(target, sizeof(target), "/%u", number);
    struct recorded r = { .route = SLICE("r"),
                          .upstream = SLICE("u"),
                          .shadow = SLICE("s"),
                          .method = SLICE("GET"),
                          .scheme = SLICE("http"),
                          .host = SLICE("h"),
                          .target = slice_from_cstr(target),
                          .body = SLICE("") };
    records_add(records, &settings, &r);
}

static size_t line_bytes(void)
{
    struct text line = { 0 };
    struct recorded r = { .target = SLICE("/1"),
                          .route = SLICE("r"),
                          .upstream = SLICE("u"),
                          .shadow = SLICE("s"),
                          .method = SLICE("GET"),
                          .scheme = SLICE("http"),
                          .host = SLICE("h") };
    recorded_write(&r, &line);
    size_t length = line.len;
    text_fini(&line);
    return length;
}

/* The targets of a file's lines, one behind the other: "/1/2"; "!" for a line that is none, "-" for no file. */
static const char *targets(const char *name)
{
    static struct text found;
    FILE *file = fopen(name, "r");
    char *line = NULL;
    size_t capacity = 0;
    text_clear(&found);
    text_add_cstr(&found, file == NULL ? "-" : "");
    for (ssize_t length; file != NULL && (length = getline(&line, &capacity, file)) > 0;) {
        struct arena arena;
        struct text error = { 0 };
        struct recorded r;
        arena_init(&arena, NULL, 0);
        if (recorded_read(slice_from(line, (size_t)length), &arena, &r, &error))
            text_add(&found, r.target);
        else
            text_add_char(&found, '!');
        arena_reset(&arena);
        text_fini(&error);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return found.bytes;
}

static void assert_counts(uint64_t written, uint64_t lost)
{
    cr_assert_eq(records_written_count(records), written);
    cr_assert_eq(records_lost_count(records), lost);
}

Test(record, lines_are_in_the_file_after_a_flush_and_nobody_else_may_read_it)
{
    struct stat status;
    add(1);
    add(2);
    assert_counts(0, 0);
    records_flush(records);
    assert_counts(2, 0);
    cr_assert_str_eq(targets(path), "/1/2");
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0600);
}

Test(record, the_end_writes_what_is_buffered)
{
    add(1);
    records_destroy(records);
    records = NULL;
    cr_assert_str_eq(targets(path), "/1");
}

Test(record, a_full_buffer_is_written_by_itself)
{
    unsigned count = 0;
    while (records_written_count(records) == 0 && count < RECORD_BUFFER_BYTES)
        add(count++);
    cr_assert_geq(count * (line_bytes() + 5), RECORD_BUFFER_BYTES);
    cr_assert_eq(records_written_count(records), count);
}

Test(record, files_are_rotated_by_size_and_the_oldest_goes)
{
    settings.max_bytes = 2 * line_bytes();
    settings.keep_count = 2;
    for (unsigned i = 1; i <= 9; i++)
        add(i);
    records_flush(records);
    cr_assert_str_eq(targets(path), "/9");
    cr_assert_str_eq(targets(rotated(1)), "/7/8");
    cr_assert_str_eq(targets(rotated(2)), "/5/6");
    cr_assert_str_eq(targets(rotated(3)), "-");
    assert_counts(9, 0);
}

Test(record, without_kept_files_only_the_newest_lines_are_there)
{
    settings.max_bytes = 2 * line_bytes();
    settings.keep_count = 0;
    for (unsigned i = 1; i <= 3; i++)
        add(i);
    records_flush(records);
    cr_assert_str_eq(targets(path), "/3");
    cr_assert_str_eq(targets(rotated(1)), "-");
}

Test(record, a_line_longer_than_a_file_gets_one_of_its_own)
{
    settings.max_bytes = 1;
    add(1);
    add(2);
    records_flush(records);
    cr_assert_str_eq(targets(rotated(1)), "/1");
    cr_assert_str_eq(targets(path), "/2");
}

Test(record, a_file_that_is_there_is_continued_and_its_size_counts)
{
    settings.max_bytes = 2 * line_bytes();
    add(1);
    records_destroy(records);
    records = records_create();
    add(2);
    add(3);
    records_flush(records);
    cr_assert_str_eq(targets(rotated(1)), "/1/2");
    cr_assert_str_eq(targets(path), "/3");
}

Test(record, reopening_follows_the_name)
{
    add(1);
    records_flush(records);
    cr_assert_eq(rename(path, rotated(7)), 0);
    add(2);
    records_flush(records);
    cr_assert_str_eq(targets(rotated(7)), "/1/2");
    add(3);
    records_reopen(records);
    add(4);
    records_flush(records);
    cr_assert_str_eq(targets(rotated(7)), "/1/2/3");
    cr_assert_str_eq(targets(path), "/4");
}

/* Another process has rotated: what it writes to by now is not pushed down the row. */
Test(record, only_the_file_with_the_name_is_rotated)
{
    struct records *mine = records, *others = records_create();
    settings.max_bytes = line_bytes();
    add(1);
    records_flush(records);
    cr_assert_eq(rename(path, rotated(7)), 0);
    records = others;
    add(2);
    records_destroy(others);
    records = mine;
    add(3);
    records_flush(records);
    cr_assert_str_eq(targets(rotated(7)), "/1");
    cr_assert_str_eq(targets(rotated(1)), "-");
    cr_assert_str_eq(targets(path), "/2/3");
}

Test(record, what_cannot_be_opened_is_counted)
{
    char missing[80];
    snprintf(missing, sizeof(missing), "%s/none/shadow.jsonl", folder);
    settings.path = slice_from_cstr(missing);
    add(1);
    add(2);
    records_flush(records);
    assert_counts(0, 2);
    settings.path = slice_from_cstr(folder);
    add(3);
    assert_counts(0, 3);
    settings.path = SLICE("/dev/full");
    add(4);
    assert_counts(0, 4);
    settings.path = slice_from_cstr(path);
    add(5);
    records_flush(records);
    assert_counts(1, 4);
}

Test(record, a_pipe_that_nobody_reads_holds_nobody_up)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    add(1);
    assert_counts(0, 1);
}

/* The nearest thing to a full disk that needs no disk: the process may write no more than that into a file. */
static void set_disk_bytes(rlim_t bytes)
{
    struct rlimit limit = { bytes, RLIM_INFINITY };
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(record, a_full_disk_costs_the_lines_that_do_not_fit_and_leaves_the_others_readable)
{
    size_t length = line_bytes();
    set_disk_bytes(2 * length + length / 2);
    for (unsigned i = 1; i <= 4; i++)
        add(i);
    records_flush(records);
    set_disk_bytes(RLIM_INFINITY);
    assert_counts(2, 2);
    add(5); /* within a second nothing is tried */
    assert_counts(2, 3);
    while (records_written_count(records) == 2) {
        add(6);
        records_flush(records);
        usleep(20000);
    }
    cr_assert_str_eq(targets(path), "/1/2!/6");
}

Test(record, files_are_bounded_in_number)
{
    char name[80];
    for (unsigned i = 0; i <= RECORD_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "%s/f%u", folder, i);
        settings.path = slice_from_cstr(name);
        add(i);
    }
    records_flush(records);
    assert_counts(RECORD_FILES_MAX, 1);
    for (unsigned i = 0; i < RECORD_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "%s/f%u", folder, i);
        cr_assert_eq(unlink(name), 0);
    }
}
