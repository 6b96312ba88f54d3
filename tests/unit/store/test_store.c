/* tests/unit/store/test_store.c - opening: new, again, damaged, newer, locked, read-only. */
#include "store/fixture.h"
#include "store/old_tables.h"

#include <sys/stat.h>

#include "base/slice.h"
#include "store/audit.h"
#include "store/overrides.h"
#include "store/versions.h"

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

/* Everything the file holds, in the arena. */
static struct slice file_bytes(void)
{
    struct stat status;
    FILE *f = fopen(database, "r");
    cr_assert_eq(fstat(fileno(f), &status), 0);
    char *bytes = arena_alloc(&arena, (size_t)status.st_size);
    cr_assert_eq(fread(bytes, 1, (size_t)status.st_size, f), (size_t)status.st_size);
    fclose(f);
    return slice_from(bytes, (size_t)status.st_size);
}

Test(store, a_newer_database_is_refused_and_not_a_byte_of_it_changes)
{
    store_close(open_good());
    cr_assert_eq(meddle("INSERT INTO schema_version VALUES (999)"), SQLITE_OK);
    struct slice before = file_bytes();
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s));
    cr_assert_eq(store_problem(s), STORE_NEWER);
    assert_message(s, "newer weir (tables 999");
    store_close(s);
    cr_assert(slice_equal(file_bytes(), before));
}

/* ---- migrations ---------------------------------------------------------------------------------------------------------- */

/* A row of each kind that the old tables had is there, and the log goes on where it ended. */
static void assert_old_rows(struct store *s)
{
    struct override *overrides;
    struct version version;
    struct audit_verdict v;
    struct slice text;
    size_t count;
    bool is_found;
    cr_assert(overrides_list(s, &arena, &overrides, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(overrides[0].entry_count, 2);
    cr_assert(versions_newest(s, &arena, &version));
    cr_assert_eq(version.generation, 2);
    cr_assert(versions_get(s, 2, &arena, &version, &text, &is_found) && is_found);
    cr_assert(slice_is_empty(version.diff));
    cr_assert(audit_verify(s, &v), "%s", store_message(s));
    cr_assert_eq(v.bad_id, 0, "line %lld: %s", (long long)v.bad_id, v.why);
    cr_assert_eq(v.checked_count, 3); /* and that the file with the end was begun */
}

Test(store, tables_of_version_1_are_brought_up_to_date)
{
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    struct store *s = open_good();
    assert_old_rows(s);
    store_close(s);
}

Test(store, tables_of_version_2_are_brought_up_to_date)
{
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    cr_assert_eq(meddle(old_tables_2), SQLITE_OK);
    struct store *s = open_good();
    assert_old_rows(s);
    struct audit_line *list;
    size_t count;
    cr_assert(audit_list(s, &arena, 0, 1, &list, &count));
    cr_assert(slice_equal(list[0].previous_hash, SLICE(OLD_CHAIN_NEWEST)));
    store_close(s);
}

/* The step fails at its last statement: nothing of it stays, and the next start may try again. */
Test(store, a_migration_that_fails_leaves_the_version_it_began_with)
{
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    cr_assert_eq(meddle(old_tables_2), SQLITE_OK);
    cr_assert_eq(meddle("CREATE TABLE audit_head (wrong INTEGER)"), SQLITE_OK);
    struct store *s = store_open(database);
    cr_assert_not(store_is_usable(s));
    assert_message(s, "the tables cannot be made");
    store_close(s);
    cr_assert_neq(meddle("SELECT * FROM rollouts"), SQLITE_OK);
    cr_assert_eq(meddle("DROP TABLE audit_head"), SQLITE_OK);
    s = open_good();
    assert_old_rows(s);
    store_close(s);
}

Test(store, reading_alone_refuses_tables_of_another_version)
{
    cr_assert_eq(meddle(old_tables_1), SQLITE_OK);
    struct store *s = store_open_to_read(database);
    cr_assert_not(store_is_usable(s));
    assert_message(s, "earlier weir (tables 1");
    store_close(s);
}

/* ---- in use -------------------------------------------------------------------------------------------------------------- */

Test(store, a_locked_database_fails_the_call_and_works_later)
{
    struct store *s = open_good();
    struct override o = an_override();
    sqlite3 *other;
    cr_assert_eq(sqlite3_open(database, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_not(overrides_put(s, &o));
    assert_message(s, "another process has locked it");
    cr_assert_eq(store_problem(s), STORE_BUSY);
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
