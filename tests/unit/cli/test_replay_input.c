/* tests/unit/cli/test_replay_input.c - lines of files: in order, however they are cut, and never more than one in memory. */
#include "cli/replay.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/weir-replay-XXXXXX";
static struct arena strings;

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    arena_init(&strings, NULL, 0);
}

static void end(void)
{
    static const char *const names[] = { "a", "b", "c" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        unlink(arena_printf(&strings, "%s/%s", folder, names[i]).ptr);
    arena_reset(&strings);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(replay_input, .init = begin, .fini = end);

static const char *path_of(const char *name)
{
    return arena_printf(&strings, "%s/%s", folder, name).ptr;
}

/* A line whose target tells its time: "/7" came at 7 ms, with a body of so many bytes. */
static void add_line(struct text *out, int ms, size_t body_bytes)
{
    struct text body = { 0 };
    for (size_t i = 0; i < body_bytes; i++)
        text_add_char(&body, 'x');
    struct recorded r = { .at = { ms },
                          .route = SLICE("r"),
                          .upstream = SLICE("u"),
                          .shadow = SLICE("s"),
                          .method = SLICE("GET"),
                          .scheme = SLICE("http"),
                          .host = SLICE("h"),
                          .target = arena_printf(&strings, "/%d", ms),
                          .body = text_slice(&body) };
    recorded_write(&r, out);
    text_fini(&body);
}

static const char *write_file(const char *name, struct slice bytes)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    fclose(file);
    return path;
}

/* All targets, one behind the other. */
static struct slice read_all(struct replay_input *input, const char *const *files, size_t count)
{
    struct text found = { 0 }, error = { 0 };
    struct recorded r;
    struct replay_place place;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    cr_assert(replay_input_open(input, &strings, files, count, &error), "%s", error.bytes);
    while (replay_input_next(input, &arena, &r, &place)) {
        text_add(&found, r.target);
        arena_reset(&arena);
    }
    replay_input_close(input);
    struct slice all = arena_copy(&strings, text_slice(&found));
    text_fini(&found);
    return all;
}

static void assert_targets(struct slice found, const char *expected)
{
    cr_assert(slice_equal(found, slice_from_cstr(expected)), "%.*s is not %s", SLICE_ARG(found), expected);
}

Test(replay_input, a_file_cut_at_any_byte_loses_its_last_line_only)
{
    struct text bytes = { 0 };
    add_line(&bytes, 1, 0);
    add_line(&bytes, 2, 0);
    size_t whole = bytes.len;
    add_line(&bytes, 3, 0);
    for (size_t cut = whole; cut <= bytes.len; cut++) {
        struct replay_input input;
        const char *file = write_file("a", slice_first(text_slice(&bytes), cut));
        bool is_complete = cut + 1 >= bytes.len; /* the newline may be missing */
        assert_targets(read_all(&input, &file, 1), is_complete ? "/1/2/3" : "/1/2");
        cr_assert_eq(input.cut_count, !is_complete && cut > whole);
        cr_assert_eq(input.bad_count, 0);
        cr_assert(input.cut_count == 0 || (input.cut.line == 3 && strcmp(input.cut.file, file) == 0));
        cr_assert_eq(input.done_bytes, cut);
        cr_assert_eq(input.total_bytes, cut);
    }
    text_fini(&bytes);
}

Test(replay_input, bad_lines_are_counted_with_their_places_and_passed_over)
{
    struct text bytes = { 0 };
    struct replay_input input;
    text_add_cstr(&bytes, "\n# no JSON\n");
    add_line(&bytes, 1, 0);
    text_add_cstr(&bytes, "{}\n\n[1]\n\xff\n");
    add_line(&bytes, 2, 0);
    const char *file = write_file("a", text_slice(&bytes));
    assert_targets(read_all(&input, &file, 1), "/1/2");
    cr_assert_eq(input.bad_count, 4);
    cr_assert_eq(input.bad[0].place.line, 2);
    cr_assert_eq(input.bad[1].place.line, 4);
    cr_assert_eq(input.bad[2].place.line, 6);
    cr_assert_not_null(strstr(input.bad[1].why, "weir_record"));
    text_fini(&bytes);
}

/* 64 KiB is what is read at a time: lines end just before, at and behind that border, and are longer than it. */
Test(replay_input, lines_of_any_length_are_read)
{
    struct text bytes = { 0 };
    struct replay_input input;
    for (int i = 0; i < 40; i++)
        add_line(&bytes, i, 65536 - 400 + (size_t)i * 20);
    add_line(&bytes, 40, 1000000);
    const char *file = write_file("a", text_slice(&bytes));
    struct text expected = { 0 };
    for (int i = 0; i <= 40; i++)
        text_printf(&expected, "/%d", i);
    assert_targets(read_all(&input, &file, 1), expected.bytes);
    text_fini(&expected);
    text_fini(&bytes);
}

Test(replay_input, a_line_without_end_is_passed_over)
{
    struct text bytes = { 0 };
    struct replay_input input;
    for (size_t i = 0; i < RECORD_LINE_MAX_BYTES / 4096 + 40; i++)
        text_printf(&bytes, "%4096s", "x");
    text_add_char(&bytes, '\n');
    add_line(&bytes, 1, 0);
    const char *file = write_file("a", text_slice(&bytes));
    assert_targets(read_all(&input, &file, 1), "/1");
    cr_assert_eq(input.bad_count, 1);
    cr_assert_not_null(strstr(input.bad[0].why, "longer than"));
    text_fini(&bytes);
}

/* As a shell gives them: shadow.jsonl shadow.jsonl.1 shadow.jsonl.2, the newest first. */
Test(replay_input, files_are_read_in_the_order_of_their_times)
{
    static const char *const names[] = { "a", "b", "c" };
    static const int times[] = { 30, 20, 10 };
    const char *files[3];
    struct replay_input input;
    for (int i = 0; i < 3; i++) {
        struct text bytes = { 0 };
        text_add_cstr(&bytes, "a bad line in front\n");
        add_line(&bytes, times[i], 0);
        add_line(&bytes, times[i] + 1, 0);
        files[i] = write_file(names[i], text_slice(&bytes));
        text_fini(&bytes);
    }
    assert_targets(read_all(&input, files, 3), "/10/11/20/21/30/31");
    cr_assert_eq(input.bad_count, 3);
}

Test(replay_input, files_that_cannot_be_read_are_named)
{
    struct replay_input input;
    struct text error = { 0 };
    const char *missing = path_of("none"), *directory = folder;
    cr_assert_not(replay_input_open(&input, &strings, &missing, 1, &error));
    cr_assert_not_null(strstr(error.bytes, "none: No such file or directory"));
    replay_input_close(&input);
    text_clear(&error);
    cr_assert_not(replay_input_open(&input, &strings, &directory, 1, &error));
    cr_assert_not_null(strstr(error.bytes, ": Is a directory"));
    replay_input_close(&input);
    text_fini(&error);
}
