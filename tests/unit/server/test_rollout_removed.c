/* tests/unit/server/test_rollout_removed.c - what becomes of rollouts that the configuration has no more. */
#include "server/world.h"

#include <criterion/criterion.h>

#include <stdlib.h>

#include "base/log.h"
#include "store/journal.h"
#include "store/statement.h"

static struct world w;

static void fixture_init(void)
{
    log_set_level(LOG_ERROR + 1);
    world_init(&w, 1);
    world_database_begin(&w);
}

static void fixture_fini(void)
{
    world_kill(&w);
    world_database_end(&w);
    world_fini(&w);
}

TestSuite(rollout_removed, .init = fixture_init, .fini = fixture_fini);

/* The file has it, or not. */
static void configure(bool has_it)
{
    text_clear(&w.yaml);
    text_add_cstr(&w.yaml, "listeners: { web: { bind: 127.0.0.1:0 } }\n"
                           "upstreams: { s: { endpoints: [ 127.0.0.1:1 ] }, c: { endpoints: [ 127.0.0.1:2 ] } }\n"
                           "routes: [ { name: shop, split: { s: 100, c: 0 } } ]\n");
    if (has_it)
        text_add_cstr(&w.yaml, "rollouts: { r: { route: shop, stable: s, canary: c, revision: \"1\",\n"
                               "  steps: [ { weight: 50%, hold: 1h }, { weight: 100% } ],\n"
                               "  guardrails: [ { metric: error_rate, max: 50%, window: 1m, min_requests: 2 } ] } }\n");
}

static void start(void)
{
    configure(true);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    world_take_all(&w);
    cr_assert_eq(world_say(&w, PLAN_START, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
}

static void reload(bool has_it)
{
    configure(has_it);
    world_reload(&w);
    world_take_all(&w);
}

static void execute(const char *sql)
{
    cr_assert_eq(sqlite3_exec(w.locker, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(w.locker));
}

/* As many rollouts of long ago, all over, with evidence; the higher the number, the longer ago. */
static void leave_old_rows(unsigned count)
{
    char *sql = sqlite3_mprintf(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) INSERT INTO rollouts (name,"
        " revision, state, step, weight_ppm, hold_left_ms, started_by, started_at_unix_ms, changed_at_unix_ms, detail)"
        " SELECT 'old-' || i, revision, 'rolled_back', step, 0, 0, started_by, started_at_unix_ms, 1000000 - i,"
        " replace(detail, '\"evidence\": \"', '\"evidence\": \"' || hex(zeroblob(4000))) FROM rollouts, n"
        " WHERE name = 'r'",
        count);
    execute(sql);
    sqlite3_free(sql);
}

static int64_t evidence_bytes(const char *where)
{
    char *sql = sqlite3_mprintf("SELECT max(length(detail)) FROM rollouts WHERE %s", where);
    int64_t bytes = world_query(&w, sql);
    sqlite3_free(sql);
    return bytes;
}

static int count_reads(unsigned what, void *arg, void *st, void *sql)
{
    (void)what, (void)st;
    *(unsigned *)arg += strstr(sql, "SELECT") != NULL && strstr(sql, "detail FROM rollouts") != NULL;
    return 0;
}

Test(rollout_removed, what_is_over_loses_its_evidence_with_its_place_in_the_file_and_stays_over)
{
    start();
    world_serve(&w, 40, 0);
    cr_assert_eq(world_say(&w, PLAN_ROLLBACK, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    cr_assert_eq(world_rollout(&w)->progress.state, ROLLOUT_ROLLED_BACK);
    int64_t before = evidence_bytes("name = 'r'");
    reload(false);
    cr_expect_lt(evidence_bytes("name = 'r'"), before);
    cr_expect_eq(world_query(&w, "SELECT detail LIKE '%\"evidence\": \"\"%' FROM rollouts WHERE name = 'r'"), 1);
    reload(true);
    cr_expect_eq(world_rollout(&w)->progress.state, ROLLOUT_ROLLED_BACK);
}

Test(rollout_removed, evidence_that_a_locked_store_keeps_goes_with_the_next_configuration)
{
    start();
    leave_old_rows(1);
    cr_assert_eq(world_say(&w, PLAN_ROLLBACK, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    execute("UPDATE rollouts SET detail = (SELECT detail FROM rollouts WHERE name = 'old-1')");
    world_break(&w, WORLD_LOCKED);
    reload(false);
    world_break(&w, WORLD_WELL);
    cr_assert_gt(evidence_bytes("name = 'r'"), 4000);
    reload(false);
    cr_expect_lt(evidence_bytes("name = 'r'"), 4000);
}

Test(rollout_removed, a_reload_reads_no_evidence_of_those_that_are_over)
{
    unsigned reads = 0;
    start();
    world_stop(&w);
    leave_old_rows(20);
    world_boot(&w, WORLD_WELL);
    cr_expect_lt(evidence_bytes("name LIKE 'old-%'"), 4000, "the boot has taken it away");
    sqlite3_trace_v2(w.store->db, SQLITE_TRACE_STMT, count_reads, &reads);
    reload(true);
    reload(true);
    cr_expect_eq(reads, 0);
    reload(false);
    reload(true);
    cr_expect_eq(reads, 1, "its own row, by name: %u", reads);
}

Test(rollout_removed, those_long_gone_are_pruned_and_none_that_the_file_names)
{
    start();
    world_stop(&w);
    leave_old_rows(ROLLOUTS_KEPT + 10);
    execute("UPDATE rollouts SET changed_at_unix_ms = 1 WHERE name = 'r'");
    execute("UPDATE rollouts SET state = 'holding' WHERE name = 'old-1010'"); /* ended: that is its last change */
    execute("UPDATE rollouts SET detail = (SELECT detail FROM rollouts WHERE name = 'r')"); /* quicker */
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    cr_expect_eq(world_rollout(&w)->progress.state, ROLLOUT_HOLDING);
    reload(true);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM rollouts WHERE name LIKE 'old-%'"), ROLLOUTS_KEPT);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM rollouts WHERE name IN ('r', 'old-1', 'old-1010')"), 3);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM rollouts WHERE name IN ('old-1000', 'old-1009')"), 0);
}

/* ---- a store that refuses ------------------------------------------------------------------------------------------------ */

static void expect_to_begin_anew(void)
{
    const struct rollout *r = world_rollout(&w);
    double pair;
    cr_expect(r->is_loaded);
    cr_expect_eq(r->progress.state, ROLLOUT_PENDING, "%s", rollout_state_names[r->progress.state]);
    cr_expect_eq(r->progress.weight_ppm, 0);
    cr_expect_eq(r->evidence.requests[TALLY_CANARY], 0);
    cr_expect_lt(world_canary_share(&w, &pair), 1);
}

static void expect_end_written_once(void)
{
    world_break(&w, WORLD_WELL);
    cr_assert(journal_flush(w.store), "%s", store_message(w.store));
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM audit WHERE action = 'rollout.removed' AND target = 'r'"), 1);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM transitions WHERE rollout = 'r' AND to_state = 'pending'"), 1);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM rollouts WHERE state = 'pending' AND weight_ppm = 0"), 1);
}

Test(rollout_removed, an_end_that_the_store_refuses_is_written_later)
{
    static const enum world_fault faults[] = { WORLD_LOCKED, WORLD_FULL, WORLD_UNREADABLE };
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        start();
        world_serve(&w, 40, 0);
        world_break(&w, faults[i]);
        reload(false);
        if (faults[i] == WORLD_UNREADABLE)
            world_break(&w, WORLD_WELL);
        reload(true);
        expect_to_begin_anew();
        expect_end_written_once();
        world_kill(&w);
        world_database_end(&w);
        world_database_begin(&w);
    }
    world_boot(&w, WORLD_WELL); /* for the fixture to end */
}

/* It was never read where it stood, and so nobody could write down that it is over when it went. */
Test(rollout_removed, one_that_could_not_be_read_while_it_went_begins_anew_when_it_comes_back)
{
    start();
    world_serve(&w, 40, 0);
    world_stop(&w);
    world_boot(&w, WORLD_UNREADABLE);
    world_begin(&w);
    cr_assert_not(world_rollout(&w)->is_loaded);
    reload(false);
    world_break(&w, WORLD_WELL);
    reload(true);
    expect_to_begin_anew();
    expect_end_written_once();
}

Test(rollout_removed, so_does_one_that_is_read_some_time_after_it_came_back)
{
    start();
    world_serve(&w, 40, 0);
    world_stop(&w);
    world_boot(&w, WORLD_UNREADABLE);
    world_begin(&w);
    reload(false);
    reload(true);
    cr_assert_not(world_rollout(&w)->is_loaded);
    world_break(&w, WORLD_WELL);
    world_pass(&w, ROLLOUT_RETRY_MOST_MS);
    cr_assert(world_look(&w));
    world_take_all(&w);
    expect_to_begin_anew();
    expect_end_written_once();
}

/* The end of it is its own: a store that could not be read at the boot takes nothing from who was there all the time. */
Test(rollout_removed, one_that_was_never_gone_goes_on_when_it_can_be_read)
{
    start();
    world_stop(&w);
    world_boot(&w, WORLD_UNREADABLE);
    world_begin(&w);
    reload(true);
    world_break(&w, WORLD_WELL);
    world_pass(&w, ROLLOUT_RETRY_MOST_MS);
    cr_assert(world_look(&w));
    cr_expect_eq(world_rollout(&w)->progress.state, ROLLOUT_HOLDING);
}
