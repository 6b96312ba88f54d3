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
