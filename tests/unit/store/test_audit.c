/* tests/unit/store/test_audit.c - the chain holds, and every way of meddling with it shows. */
#include "store/fixture.h"

#include "store/audit.h"

static struct store *s;

static void audit_fixture_init(void)
{
    fixture_init();
    s = open_good();
}

static void audit_fixture_fini(void)
{
    store_close(s);
    fixture_fini();
}

TestSuite(audit, .init = audit_fixture_init, .fini = audit_fixture_fini);

static int64_t append(const char *action, const char *reason)
{
    struct audit_line line = { .at = { 1700000000000 },
                               .who = SLICE("unix:root"),
                               .role = SLICE("admin"),
                               .action = slice_from_cstr(action),
                               .target = SLICE("checkout"),
                               .reason = slice_from_cstr(reason),
                               .detail = SLICE("{\"v1\":95}") };
    cr_assert(audit_append(s, &line), "%s", store_message(s));
    return line.id;
}

static void append_three(void)
{
    append("split.set", "one");
    append("split.set", "two");
    append("reload", "three");
}

/* The triggers stop an honest program, not somebody with the file in hand. */
static void meddle_freely(const char *sql)
{
    cr_assert_eq(meddle("DROP TRIGGER audit_is_never_changed;"
                        "DROP TRIGGER audit_is_never_shortened"),
                 SQLITE_OK);
    cr_assert_eq(meddle(sql), SQLITE_OK, "%s", sql);
}

static void assert_bad(int64_t id, const char *why)
{
    struct audit_verdict v;
    cr_assert(audit_verify(s, &v));
    cr_assert_eq(v.bad_id, id);
    cr_assert_str_eq(v.why, why);
    cr_assert_lt(v.checked_count, id);
}

Test(audit, an_empty_chain_holds)
{
    struct audit_verdict v;
    cr_assert(audit_verify(s, &v));
    cr_assert_eq(v.bad_id, 0);
    cr_assert_eq(v.checked_count, 0);
    cr_assert_str_eq(v.newest_hash, "");
}

Test(audit, lines_are_numbered_chained_and_listed_newest_first)
{
    struct audit_line *list;
    struct audit_verdict v;
    size_t count;
    append_three();
    cr_assert(audit_verify(s, &v));
    cr_assert_eq(v.bad_id, 0);
    cr_assert_eq(v.checked_count, 3);
    cr_assert(audit_list(s, &arena, 0, 2, &list, &count));
    cr_assert_eq(count, 2);
    cr_assert_eq(list[0].id, 3);
    cr_assert(slice_equal(list[0].hash, slice_from_cstr(v.newest_hash)));
    cr_assert(slice_equal(list[0].previous_hash, list[1].hash));
    cr_assert(slice_equal(list[0].action, SLICE("reload")));
    cr_assert(slice_equal(list[0].reason, SLICE("three")));
    cr_assert(slice_equal(list[1].detail, SLICE("{\"v1\":95}")));
    cr_assert(audit_list(s, &arena, 2, 10, &list, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(list[0].id, 1);
    cr_assert(
        slice_equal(list[0].previous_hash, SLICE("0000000000000000000000000000000000000000000000000000000000000000")));
}

/* Pinned, so that chains written by one version verify with the next. */
Test(audit, the_hash_of_a_line_never_changes_its_recipe)
{
    struct audit_verdict v;
    append("split.set", "one");
    cr_assert(audit_verify(s, &v));
    cr_assert_str_eq(v.newest_hash, "fd15334c320f114acb206d9e795424329195bd0c7c71fcb15dc1e50350fec682");
}

Test(audit, the_tables_refuse_changes_and_deletions)
{
    append_three();
    cr_assert_neq(meddle("UPDATE audit SET who = 'nobody' WHERE id = 2"), SQLITE_OK);
    cr_assert_neq(meddle("DELETE FROM audit WHERE id = 3"), SQLITE_OK);
    cr_assert_eq(append("reload", "four"), 4);
}

Test(audit, a_changed_field_shows)
{
    append_three();
    meddle_freely("UPDATE audit SET reason = 'innocent' WHERE id = 2");
    assert_bad(2, "it was changed");
}

Test(audit, bytes_moved_from_one_field_to_the_next_show)
{
    append_three();
    meddle_freely("UPDATE audit SET action = 'split.setc', target = 'heckout' WHERE id = 1");
    assert_bad(1, "it was changed");
}

Test(audit, a_removed_line_shows)
{
    append_three();
    meddle_freely("DELETE FROM audit WHERE id = 2");
    assert_bad(3, "lines before it are missing");
}

Test(audit, a_removed_line_shows_even_when_the_rest_is_renumbered)
{
    append_three();
    meddle_freely("DELETE FROM audit WHERE id = 1;"
                  "UPDATE audit SET id = 1 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3");
    assert_bad(1, "it does not follow the line before it");
}

/* ---- the end ------------------------------------------------------------------------------------------------------------- */

static void reopen(void)
{
    store_close(s);
    s = open_good();
}

static void head_path(char out[100])
{
    snprintf(out, 100, "%s.audit-head", database);
}

Test(audit, lines_cut_off_show_by_the_row_that_knows_the_end)
{
    append_three();
    meddle_freely("DELETE FROM audit WHERE id > 1");
    assert_bad(2, "lines at the end are missing");
    /* What is written afterwards does not close the gap. */
    cr_assert_eq(append("reload", "four"), 4);
    assert_bad(4, "lines before it are missing");
}

Test(audit, lines_cut_off_with_their_row_show_by_the_file_beside_the_database)
{
    append_three();
    meddle_freely("DELETE FROM audit WHERE id > 1;"
                  "UPDATE audit_head SET id = 1, hash = (SELECT hash FROM audit WHERE id = 1)");
    assert_bad(2, "lines at the end are missing, which the file that keeps it knows");
    reopen();
    cr_assert_not_null(audit_head_fault(s));
    assert_bad(2, "lines at the end are missing, which the file that keeps it knows");
    /* Not when as many others stand in their place, either. */
    append("reload", "other");
    append("reload", "other");
    append("reload", "other");
    assert_bad(5, "the file that keeps the end knows another log");
    reopen();
    cr_assert_not_null(audit_head_fault(s));
}

Test(audit, a_log_that_was_thrown_away_shows)
{
    append_three();
    store_close(s);
    cr_assert_eq(unlink(database), 0);
    s = open_good();
    assert_bad(1, "lines at the end are missing, which the file that keeps it knows");
}

Test(audit, a_file_that_is_behind_is_no_contradiction_and_catches_up)
{
    char path[100], line[128] = "";
    struct audit_verdict v;
    append_three();
    head_path(path);
    FILE *f = fopen(path, "r");
    cr_assert_eq(fread(line, 1, sizeof line, f), 86);
    fclose(f);
    append("reload", "four");
    f = fopen(path, "w");
    fwrite(line, 1, 86, f);
    fclose(f);
    cr_assert(audit_verify(s, &v) && v.bad_id == 0);
    reopen();
    cr_assert_null(audit_head_fault(s));
    cr_assert(audit_verify(s, &v) && v.bad_id == 0);
    cr_assert_eq(v.checked_count, 4);
    f = fopen(path, "r");
    cr_assert_eq(fread(line, 1, sizeof line, f), 86);
    fclose(f);
    cr_assert(slice_has_prefix(slice_from_cstr(line), SLICE("00000000000000000004 ")));
    cr_assert(slice_contains(slice_from_cstr(line), slice_from_cstr(v.newest_hash)));
}

Test(audit, a_missing_file_shows_and_a_new_one_leaves_a_line)
{
    char path[100];
    struct audit_line *list;
    struct audit_verdict v;
    size_t count;
    append_three();
    head_path(path);
    cr_assert_eq(unlink(path), 0);
    assert_bad(4, "the file that keeps the end of the log is missing");
    reopen();
    cr_assert(audit_list(s, &arena, 0, 1, &list, &count));
    cr_assert(slice_equal(list[0].action, SLICE("audit.head_begun")));
    cr_assert(audit_verify(s, &v) && v.bad_id == 0);
    cr_assert_eq(v.checked_count, 4);
}

Test(audit, a_spoilt_file_is_left_alone_and_told_at_every_look)
{
    char path[100];
    append_three();
    head_path(path);
    FILE *f = fopen(path, "w");
    fputs("00000000000000000003 no hash\n", f);
    fclose(f);
    reopen();
    cr_assert_not_null(audit_head_fault(s));
    assert_bad(4, "the file that keeps the end of the log cannot be read");
    append("reload", "four");
    assert_bad(5, "the file that keeps the end of the log cannot be read");
}

Test(audit, a_store_that_is_only_read_verifies_while_another_writes)
{
    struct audit_verdict v;
    append_three();
    struct store *reader = store_open_to_read(database);
    cr_assert(store_is_usable(reader), "%s", store_message(reader));
    cr_assert(audit_verify(reader, &v) && v.bad_id == 0);
    cr_assert_eq(v.checked_count, 3);
    append("reload", "four");
    cr_assert(audit_verify(reader, &v) && v.bad_id == 0);
    cr_assert_eq(v.checked_count, 4);
    struct audit_line line = { .action = SLICE("split.set") };
    cr_assert_not(audit_append(reader, &line));
    store_close(reader);
    append("reload", "five");
}
