/* tests/unit/store/test_store.c - opening: new, again, damaged, newer, locked, read-only. */
#include "store/fixture.h"

#include <sys/stat.h>

#include "base/slice.h"
#include "store/overrides.h"

TestSuite(store, .init = fixture_init, .fini = fixture_fini);

static void assert_message(const struct store *s, const char *part)
{
    cr_assert(slice_contains(slice_from_cstr(store_message(s)), slice_from_cstr(part)), "\"%s\" lacks \"%s\"",
              store_message(s), part);
}

static struct override an_override(void)
{
    static struct override_entry entries[] = { { SLICE("v1"), 95 }, { SLICE("v2"), 5 } };
    return (struct override){ .route = SLICE("checkout"),
                              .fingerprint = SLICE("f00d"),
                              .set_by = SLICE("unix:root"),
                              .reason = SLICE("try it"),
                              .at = { 1234 },
                              .entries = entries,
                              .entry_count = 2 };
}

Test(store, a_new_database_is_only_for_its_owner)
{
    struct stat status;
    umask(0);
    store_close(open_good());
    cr_assert_eq(stat(database, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
}

Test(store, opening_again_keeps_what_was_stored)
{
    struct override o = an_override(), *list;
    size_t count;
    struct store *s = open_good();
    cr_assert(overrides_put(s, &o));
    store_close(s);
    s = open_good();
    cr_assert(overrides_list(s, &arena, &list, &count));
    cr_assert_eq(count, 1);
    store_close(s);
}

Test(store, a_folder_that_is_missing_makes_a_store_that_says_so)
{
    struct store *s = store_open("/nowhere/at/all/weir.db");
    cr_assert_not(store_is_usable(s));
    assert_message(s, "/nowhere/at/all/weir.db: No such file or directory");
    struct override o = an_override();
    cr_assert_not(overrides_put(s, &o));
    assert_message(s, "No such file or directory");
    store_close(s);
}

Test(store, a_file_that_is_no_database_is_left_as_it_is)
{
    FILE *f = fopen(database, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", f);
    fclose(f);
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s));
    assert_message(s, "damaged");
    assert_message(s, "move it away");
    store_close(s);
    struct stat status;
    cr_assert_eq(stat(database, &status), 0);
    cr_assert_eq(status.st_size, 20000);
}

Test(store, a_page_overwritten_is_found_at_the_start)
{
    store_close(open_good());
    FILE *f = fopen(database, "r+");
    fseek(f, 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++)
        fputc(0x5a, f);
    fclose(f);
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s));
    assert_message(s, "damaged");
    store_close(s);
}

Test(store, a_newer_database_is_refused)
{
    store_close(open_good());
    cr_assert_eq(meddle("INSERT INTO schema_version VALUES (999)"), SQLITE_OK);
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s));
    assert_message(s, "newer weir (tables 999");
    store_close(s);
}

Test(store, a_locked_database_fails_the_call_and_works_later)
{
    struct store *s = open_good();
    struct override o = an_override();
    sqlite3 *other;
    cr_assert_eq(sqlite3_open(database, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_not(overrides_put(s, &o));
    assert_message(s, "another process has locked it");
    cr_assert(store_is_usable(s));
    sqlite3_close(other);
    cr_assert(overrides_put(s, &o), "%s", store_message(s));
    store_close(s);
}

Test(store, an_override_replaces_the_one_before_and_can_be_deleted)
{
    struct override o = an_override(), *list;
    struct override_entry one[] = { { SLICE("v2"), 1 } };
    size_t count;
    struct store *s = open_good();
    cr_assert(overrides_put(s, &o));
    o.entries = one;
    o.entry_count = 1;
    o.reason = SLICE("all of it");
    cr_assert(overrides_put(s, &o));
    cr_assert(overrides_list(s, &arena, &list, &count));
    cr_assert_eq(count, 1);
    cr_assert(slice_equal(list[0].route, SLICE("checkout")));
    cr_assert(slice_equal(list[0].fingerprint, SLICE("f00d")));
    cr_assert(slice_equal(list[0].set_by, SLICE("unix:root")));
    cr_assert(slice_equal(list[0].reason, SLICE("all of it")));
    cr_assert_eq(list[0].at.unix_ms, 1234);
    cr_assert_eq(list[0].entry_count, 1);
    cr_assert(slice_equal(list[0].entries[0].upstream, SLICE("v2")));
    cr_assert_eq(list[0].entries[0].weight, 1);
    cr_assert(overrides_delete(s, SLICE("checkout")));
    cr_assert(overrides_delete(s, SLICE("checkout")));
    cr_assert(overrides_list(s, &arena, &list, &count));
    cr_assert_eq(count, 0);
    store_close(s);
}

Test(store, a_failed_put_leaves_the_old_override_whole)
{
    struct override o = an_override(), *list;
    struct override_entry twice[] = { { SLICE("v1"), 1 }, { SLICE("v1"), 2 } };
    size_t count;
    struct store *s = open_good();
    cr_assert(overrides_put(s, &o));
    o.entries = twice;
    cr_assert_not(overrides_put(s, &o));
    assert_message(s, "UNIQUE");
    cr_assert(overrides_list(s, &arena, &list, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(list[0].entry_count, 2);
    cr_assert_eq(list[0].entries[0].weight, 95);
    store_close(s);
}
