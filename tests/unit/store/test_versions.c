/* tests/unit/store/test_versions.c - configuration versions: texts once, newest first, old ones forgotten. */
#include "store/fixture.h"
#include "store/old_tables.h"

#include "base/memory.h"
#include "store/versions.h"

TestSuite(versions, .init = fixture_init, .fini = fixture_fini);

static void put(struct store *s, uint64_t generation, const char *digest, const char *text)
{
    struct file_text file = { SLICE("weir.yaml"), SLICE("/etc/weir.yaml"), slice_from_cstr(text) };
    struct version v = { .generation = generation,
                         .digest = slice_from_cstr(digest),
                         .applied_at = { 1000 + (int64_t)generation },
                         .source = SLICE("hup"),
                         .applied_by = SLICE("signal"),
                         .file_count = 1,
                         .text_bytes = strlen(text) };
    cr_assert(versions_put(s, &v, &file), "%s", store_message(s));
}

Test(versions, none_is_the_newest_of_none)
{
    struct version v;
    struct store *s = open_good();
    cr_assert_not(versions_newest(s, &arena, &v));
    cr_assert_eq(v.generation, 0);
    store_close(s);
}

Test(versions, a_text_that_comes_back_is_kept_once_and_found_by_both)
{
    struct version v;
    struct slice text;
    bool is_found;
    struct store *s = open_good();
    put(s, 1, "aa", "routes: []\n");
    put(s, 2, "bb", "routes: [x]\n");
    put(s, 3, "aa", "routes: []\n");
    cr_assert(versions_get(s, 3, &arena, &v, &text, &is_found) && is_found);
    cr_assert(slice_equal(text, SLICE("# weir.yaml\nroutes: []\n")));
    cr_assert(slice_equal(v.source, SLICE("hup")));
    cr_assert(slice_equal(v.applied_by, SLICE("signal")));
    cr_assert_eq(v.applied_at.unix_ms, 1003);
    cr_assert_eq(v.file_count, 1);
    cr_assert_eq(v.text_bytes, 11);
    cr_assert(versions_get(s, 9, &arena, &v, &text, &is_found));
    cr_assert_not(is_found);
    /* Division by zero would be NULL, which the column refuses. */
    cr_assert_eq(meddle("CREATE TABLE probe (n INTEGER NOT NULL);"
                        "INSERT INTO probe SELECT 1 / (count(*) = 2) FROM config_texts;"
                        "INSERT INTO probe SELECT 1 / (count(*) = 2) FROM config_files"),
                 SQLITE_OK);
    store_close(s);
}

Test(versions, the_list_is_newest_first_and_ends_at_the_bound)
{
    struct version *list, newest;
    size_t count;
    char digest[24];
    struct store *s = open_good();
    for (uint64_t g = 1; g <= VERSIONS_KEPT + 5; g++) {
        snprintf(digest, sizeof digest, "%llu", (unsigned long long)g);
        put(s, g, digest, "text");
    }
    cr_assert(versions_list(s, &arena, &list, &count));
    cr_assert_eq(count, VERSIONS_KEPT);
    cr_assert_eq(list[0].generation, VERSIONS_KEPT + 5);
    cr_assert_eq(list[count - 1].generation, 6);
    cr_assert(versions_newest(s, &arena, &newest));
    cr_assert_eq(newest.generation, VERSIONS_KEPT + 5);
    store_close(s);
}

Test(versions, large_texts_are_kept_up_to_a_number_of_bytes)
{
    struct version *list;
    size_t count;
    size_t bytes = 20 * 1024 * 1024;
    char *text = memory_alloc(bytes + 1), digest[24];
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    struct store *s = open_good();
    for (uint64_t g = 1; g <= 5; g++) {
        snprintf(digest, sizeof digest, "%llu", (unsigned long long)g);
        put(s, g, digest, text);
    }
    cr_assert(versions_list(s, &arena, &list, &count));
    cr_assert_eq(count, VERSIONS_BYTES_KEPT / bytes);
    cr_assert_eq(list[0].generation, 5);
    memory_free(text);
    store_close(s);
}

Test(versions, a_generation_is_stored_once)
{
    struct store *s = open_good();
    struct version v = { .generation = 1, .digest = SLICE("aa"), .source = SLICE("api") };
    put(s, 1, "aa", "text");
    cr_assert_not(versions_put(s, &v, NULL));
    store_close(s);
}

Test(versions, several_files_come_back_apart_and_in_their_order)
{
    /* The first holds the very line that stands between them in the text; the second has no line's end; the third is empty. */
    static const struct file_text files[] = {
        { SLICE("weir.yaml"), SLICE("/etc/weir.yaml"), SLICE("a: 1\n# b.yaml\nc: 1\n") },
        { SLICE("b.yaml"), SLICE("/etc/b.yaml"), SLICE("b: \0 1") },
        { SLICE("c.yaml"), SLICE("/etc/c.yaml"), SLICE("") },
    };
    struct version v = { .generation = 1, .digest = SLICE("aa"), .file_count = 3 };
    struct file_text *got;
    struct slice text;
    size_t count;
    bool is_found;
    struct store *s = open_good();
    cr_assert(versions_put(s, &v, files), "%s", store_message(s));
    cr_assert(versions_get(s, 1, &arena, &v, &text, &is_found) && is_found);
    cr_expect(slice_equal(text, SLICE("# weir.yaml\na: 1\n# b.yaml\nc: 1\n# b.yaml\nb: \0 1\n# c.yaml\n\n")));
    cr_assert(versions_files(s, &v, &arena, &got, &count));
    cr_assert_eq(count, 3);
    for (size_t i = 0; i < count; i++) {
        cr_expect(slice_equal(got[i].name, files[i].name));
        cr_expect(slice_equal(got[i].path, files[i].path));
        cr_expect(slice_equal(got[i].bytes, files[i].bytes));
    }
    store_close(s);
}

Test(versions, files_go_with_the_last_generation_that_had_them)
{
    char digest[24];
    struct store *s = open_good();
    for (uint64_t g = 1; g <= VERSIONS_KEPT + 1; g++) {
        snprintf(digest, sizeof digest, "%llu", (unsigned long long)g);
        put(s, g, digest, "text");
    }
    cr_assert_eq(meddle("CREATE TABLE probe (n INTEGER NOT NULL);"
                        "INSERT INTO probe SELECT 1 / (count(*) = 200) FROM config_files"),
                 SQLITE_OK);
    store_close(s);
}

Test(versions, a_single_file_of_the_first_tables_is_taken_over)
{
    struct version v;
    struct slice text;
    struct file_text *files;
    size_t count;
    bool is_found;
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    struct store *s = open_good();
    cr_assert(versions_get(s, 2, &arena, &v, &text, &is_found) && is_found, "%s", store_message(s));
    cr_expect(slice_equal(text, SLICE("# caf\u00e9\u00e9.yaml\n# x\na\0b\n")));
    cr_assert(versions_files(s, &v, &arena, &files, &count));
    cr_assert_eq(count, 1);
    cr_expect(slice_equal(files[0].name, SLICE("caf\u00e9\u00e9.yaml")));
    cr_expect(slice_is_empty(files[0].path));
    cr_expect(slice_equal(files[0].bytes, SLICE("# x\na\0b\n")));
    store_close(s);
}

Test(versions, several_files_of_the_first_tables_stay_one_text)
{
    struct version v;
    struct slice text;
    struct file_text *files;
    size_t count;
    bool is_found;
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    struct store *s = open_good();
    cr_assert(versions_get(s, 1, &arena, &v, &text, &is_found) && is_found, "%s", store_message(s));
    cr_expect(slice_equal(text, SLICE("# a\nx\n# b\ny\n")));
    cr_expect_eq(v.file_count, 2);
    cr_assert(versions_files(s, &v, &arena, &files, &count));
    cr_assert_eq(count, 0);
    store_close(s);
}
