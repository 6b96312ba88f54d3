/* tests/unit/store/test_deed.c - deeds are whole or not there; what has to wait is written later, with its own times. */
#include "store/fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/journal.h"
#include "store/deed.h"

static struct store *s;

static void deed_fixture_init(void)
{
    fixture_init();
    s = open_good();
}

static void deed_fixture_fini(void)
{
    store_close(s);
    fixture_fini();
}

TestSuite(deed, .init = deed_fixture_init, .fini = deed_fixture_fini);

/* ---- what happens -------------------------------------------------------------------------------------------------------- */

static struct rollout_row a_row(int64_t step)
{
    return (struct rollout_row){ .name = SLICE("checkout-v2"),
                                 .revision = SLICE("2.4.1"),
                                 .state = step < 0 ? SLICE("rolled_back") : SLICE("running"),
                                 .step = step,
                                 .weight_ppm = step < 0 ? 0 : (uint32_t)(10000 * (step + 1)),
                                 .hold_left_ms = 600000,
                                 .started_by = SLICE("unix:alice"),
                                 .started_at = { 1700000000000 },
                                 .changed_at = { 1700000000000 + step },
                                 .detail = SLICE("{\"looks\":7}") };
}

static struct transition_row a_transition(const struct rollout_row *row, int64_t at)
{
    return (struct transition_row){ .rollout = row->name,
                                    .revision = row->revision,
                                    .at = { at },
                                    .from_state = SLICE("running"),
                                    .to_state = row->state,
                                    .step = row->step,
                                    .weight_ppm = row->weight_ppm,
                                    .who = SLICE("weir"),
                                    .reason = SLICE("error_rate"),
                                    .detail = SLICE("{}") };
}

static struct audit_line a_line(int64_t at)
{
    return (struct audit_line){ .at = { at },
                                .who = SLICE("weir"),
                                .role = SLICE("admin"),
                                .action = SLICE("rollout.step"),
                                .target = SLICE("checkout-v2"),
                                .reason = SLICE("its hold is over") };
}

static bool write_step(int64_t step)
{
    struct rollout_row row = a_row(step);
    struct transition_row transition = a_transition(&row, 1700000000000 + step);
    struct deed d = { .audit = a_line(1700000000000 + step), .rollout = &row, .transition = &transition };
    return deed_write(s, &d);
}

/* A rollback, with all that belongs to it. */
static bool keep_rollback(int64_t at)
{
    struct rollout_row row = a_row(-1);
    struct transition_row transition = a_transition(&row, at);
    struct incident incident = { .id = SLICE("checkout-v2-1"),
                                 .rollout = row.name,
                                 .revision = row.revision,
                                 .guardrail = SLICE("error_rate"),
                                 .cause = SLICE("4.1 % of errors, at most 2 %"),
                                 .detected_at = { at },
                                 .detect_ms = 840,
                                 .zero_exposure_ms = -1,
                                 .evidence = SLICE("{\"errors\":41}"),
                                 .timeline = SLICE("[]"),
                                 .told = SLICE("[]") };
    struct event_row event = {
        .at = { at }, .kind = SLICE("rollout.rolled_back"), .subject = row.name, .who = SLICE("weir")
    };
    struct deed d = {
        .audit = a_line(at), .rollout = &row, .transition = &transition, .incident = &incident, .event = &event
    };
    d.audit.action = SLICE("rollout.rollback");
    return deed_keep(s, &d);
}

static size_t waiting_count(void)
{
    struct journal_status status;
    journal_status(s, &status);
    return status.count;
}

static struct rollout_stored the_rollout(void)
{
    struct rollout_brief *list;
    struct rollout_stored *stored;
    size_t count;
    cr_assert(rollouts_list(s, &arena, &list, &count), "%s", store_message(s));
    cr_assert_eq(count, 1);
    cr_assert(rollouts_load(s, &arena, list[0].name, &stored), "%s", store_message(s));
    cr_assert_not_null(stored);
    cr_assert(slice_equal(stored->row.state, list[0].state));
    return *stored;
}

static void assert_chain(int64_t count)
{
    struct audit_verdict v;
    cr_assert(audit_verify(s, &v), "%s", store_message(s));
    cr_assert_eq(v.bad_id, 0, "line %lld: %s", (long long)v.bad_id, v.why);
    cr_assert_eq(v.checked_count, count);
}

static void reopen(void)
{
    store_close(s);
    s = open_good();
}

/* ---- whole or not there -------------------------------------------------------------------------------------------------- */

Test(deed, a_rollout_comes_back_as_it_was_written)
{
    struct transition_row *transitions;
    size_t count;
    cr_assert(write_step(0) && write_step(1), "%s", store_message(s));
    reopen();
    struct rollout_row row = the_rollout().row, wanted = a_row(1);
    cr_expect(slice_equal(row.name, wanted.name));
    cr_expect(slice_equal(row.revision, wanted.revision));
    cr_expect(slice_equal(row.state, wanted.state));
    cr_expect_eq(row.step, 1);
    cr_expect_eq(row.weight_ppm, 20000);
    cr_expect_eq(row.hold_left_ms, 600000);
    cr_expect(slice_equal(row.started_by, wanted.started_by));
    cr_expect_eq(row.started_at.unix_ms, 1700000000000);
    cr_expect_eq(row.changed_at.unix_ms, 1700000000001);
    cr_expect(slice_equal(row.detail, wanted.detail));
    cr_assert(transitions_list(s, &arena, row.name, 10, &transitions, &count));
    cr_assert_eq(count, 2);
    cr_expect_eq(transitions[0].step, 1);
    cr_expect_eq(transitions[0].audit_id, 2);
    cr_expect_eq(transitions[1].at.unix_ms, 1700000000000);
    assert_chain(2);
}

Test(deed, progress_needs_no_audit_line_and_changes_no_other_step)
{
    cr_assert(write_step(0));
    struct rollout_row row = a_row(0);
    row.hold_left_ms = 1234;
    row.detail = SLICE("{\"looks\":8}");
    cr_assert(rollouts_save_progress(s, &row, &(struct outcome_ids){ 0 }));
    cr_expect_eq(the_rollout().row.hold_left_ms, 1234);
    cr_expect(slice_equal(the_rollout().row.detail, SLICE("{\"looks\":8}")));
    row.step = 5;
    row.hold_left_ms = 99;
    cr_assert(rollouts_save_progress(s, &row, &(struct outcome_ids){ 0 }));
    cr_expect_eq(the_rollout().row.hold_left_ms, 1234);
    assert_chain(1);
}

static bool approve(const char *revision, const char *who)
{
    struct rollout_row row = a_row(0);
    row.revision = slice_from_cstr(revision);
    struct approval_row approval = { .rollout = row.name,
                                     .revision = row.revision,
                                     .step = 2,
                                     .who = slice_from_cstr(who),
                                     .at = { 5 },
                                     .reason = SLICE("looks good") };
    struct deed d = { .audit = a_line(5), .rollout = &row, .approval = &approval };
    return deed_write(s, &d);
}

Test(deed, approvals_are_one_for_each_person_and_end_with_their_revision)
{
    cr_assert(approve("2.4.1", "bob") && approve("2.4.1", "alice") && approve("2.4.1", "bob"));
    struct rollout_stored stored = the_rollout();
    cr_assert_eq(stored.approval_count, 2);
    cr_expect(slice_equal(stored.approvals[0].who, SLICE("alice")));
    cr_expect_eq(stored.approvals[0].step, 2);
    cr_expect(slice_equal(stored.approvals[1].reason, SLICE("looks good")));
    cr_assert(approve("2.4.2", "carol"));
    stored = the_rollout();
    cr_assert_eq(stored.approval_count, 1);
    cr_expect(slice_equal(stored.approvals[0].who, SLICE("carol")));
    assert_chain(4);
}

/* The weight is out of bounds, which the table refuses after the audit line went in. */
Test(deed, a_deed_of_which_one_row_fails_leaves_nothing_behind)
{
    struct rollout_row row = a_row(0);
    struct event_row event = { .kind = SLICE("deploy") }, *events;
    struct deed d = { .audit = a_line(1), .rollout = &row, .event = &event };
    size_t count;
    row.weight_ppm = 1000001;
    cr_assert_not(deed_write(s, &d));
    cr_assert_eq(store_problem(s), STORE_FAILED);
    cr_assert(events_find(s, &arena, &(struct event_filter){ .limit = 10 }, &events, &count));
    cr_assert_eq(count, 0);
    assert_chain(0);
    cr_assert(write_step(0));
    assert_chain(1);
}

Test(deed, a_rollout_that_is_forgotten_leaves_its_transitions)
{
    struct rollout_brief *list;
    struct rollout_stored *stored;
    struct transition_row *transitions;
    size_t count;
    cr_assert(write_step(0) && approve("2.4.1", "bob"));
    cr_assert(rollouts_forget(s, &(struct rollout_brief){ .name = SLICE("checkout-v2") }, 1));
    cr_assert(rollouts_list(s, &arena, &list, &count));
    cr_assert_eq(count, 0);
    cr_assert(rollouts_load(s, &arena, SLICE("checkout-v2"), &stored));
    cr_assert_null(stored);
    cr_assert(transitions_list(s, &arena, SLICE("checkout-v2"), 10, &transitions, &count));
    cr_assert_eq(count, 1);
}

Test(deed, events_are_numbered_paged_and_forgotten_beyond_the_bound)
{
    struct event_row *list, event = { .at = { 1 }, .kind = SLICE("deploy"), .text = SLICE("v2") };
    size_t count;
    for (int i = 1; i <= 5; i++) {
        struct deed d = { .audit = a_line(i), .event = &event };
        cr_assert(deed_write(s, &d));
        cr_assert_eq(event.id, i);
    }
    cr_assert(events_find(s, &arena, &(struct event_filter){ .limit = 2 }, &list, &count));
    cr_assert(count == 2 && list[0].id == 5 && list[1].id == 4);
    cr_assert(events_since(s, &arena, 3, 10, &list, &count));
    cr_assert(count == 2 && list[0].id == 4 && list[1].id == 5);
    cr_assert_eq(meddle("UPDATE events SET id = 30000 WHERE id = 5"), SQLITE_OK);
    struct deed d = { .audit = a_line(6), .event = &event };
    cr_assert(deed_write(s, &d));
    cr_assert(events_since(s, &arena, 0, 10, &list, &count));
    cr_assert(count == 2 && list[0].id == 30000 && list[1].id == 30001);
}

static bool put_drill(const char *id, const char *rollout, const char *state, int64_t at)
{
    const struct drill_row row = { .id = slice_from_cstr(id),
                                   .rollout = slice_from_cstr(rollout),
                                   .state = slice_from_cstr(state),
                                   .begun_at = { at },
                                   .detail = SLICE("{}") };
    struct deed d = { .audit = a_line(at), .drill = &row };
    return deed_write(s, &d);
}

Test(deed, a_drill_is_found_by_its_rollout_and_told_further_when_it_ends)
{
    struct drill_row *list;
    size_t count;
    cr_assert(put_drill("a-1", "a", "running", 1) && put_drill("b-2", "b", "running", 2));
    cr_assert(drills_running(s, &arena, 10, &list, &count));
    cr_assert_eq(count, 2);
    cr_assert(put_drill("a-1", "a", "passed", 1) && put_drill("a-3", "a", "failed", 3));
    cr_assert(drills_running(s, &arena, 10, &list, &count));
    cr_assert_eq(count, 1);
    cr_assert(slice_equal(list[0].id, SLICE("b-2")));
    cr_assert(drills_list(s, &arena, &(struct drill_filter){ .rollout = SLICE("a") }, 10, &list, &count));
    cr_assert_eq(count, 2);
    cr_assert(slice_equal(list[0].id, SLICE("a-3")) && slice_equal(list[1].state, SLICE("passed")));
    cr_assert(drills_list(s, &arena, &(struct drill_filter){ .before = SLICE_NONE }, 10, &list, &count));
    cr_assert_eq(count, 3);
    cr_assert(drills_list(s, &arena, &(struct drill_filter){ .state = SLICE("passed") }, 10, &list, &count));
    cr_assert(count == 1 && slice_equal(list[0].id, SLICE("a-1")));
    cr_assert(drills_list(s, &arena, &(struct drill_filter){ .before = SLICE("a-3") }, 10, &list, &count));
    cr_assert(count == 2 && slice_equal(list[0].id, SLICE("b-2")), "older ones");
}

Test(deed, an_incident_is_told_further_under_its_own_name)
{
    struct incident *list;
    size_t count;
    cr_assert(keep_rollback(1000));
    cr_assert(incidents_list(s, &arena, (struct wall_time){ 0 }, 10, &list, &count));
    cr_assert_eq(count, 1);
    struct incident again = list[0];
    again.zero_exposure_ms = 87;
    again.told = SLICE("[\"ops\"]");
    struct deed d = { .audit = a_line(1001), .incident = &again };
    cr_assert(deed_write(s, &d));
    cr_assert(incidents_list(s, &arena, (struct wall_time){ 0 }, 10, &list, &count));
    cr_assert_eq(count, 1);
    cr_expect_eq(list[0].detect_ms, 840);
    cr_expect_eq(list[0].zero_exposure_ms, 87);
    cr_expect(slice_equal(list[0].told, SLICE("[\"ops\"]")));
    cr_expect(slice_equal(list[0].evidence, SLICE("{\"errors\":41}")));
    cr_assert(incidents_list(s, &arena, (struct wall_time){ 1000 }, 10, &list, &count));
    cr_assert_eq(count, 0);
}

/* ---- what has to wait ---------------------------------------------------------------------------------------------------- */

static sqlite3 *lock(void)
{
    sqlite3 *other;
    cr_assert_eq(sqlite3_open(database, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return other;
}

/* The state that counts is in the store, and the log tells that it came late. */
static void assert_rolled_back_late(int64_t at)
{
    struct audit_line *lines;
    struct transition_row *transitions;
    struct incident *incidents;
    size_t count;
    cr_assert_eq(waiting_count(), 0);
    cr_expect(slice_equal(the_rollout().row.state, SLICE("rolled_back")));
    cr_assert(transitions_list(s, &arena, SLICE("checkout-v2"), 1, &transitions, &count));
    cr_expect_eq(transitions[0].at.unix_ms, at);
    cr_expect_gt(transitions[0].recorded_at.unix_ms, at);
    cr_assert(incidents_list(s, &arena, (struct wall_time){ 0 }, 1, &incidents, &count));
    cr_expect_eq(incidents[0].detected_at.unix_ms, at);
    cr_assert(audit_list(s, &arena, 0, 2, &lines, &count));
    cr_expect(slice_equal(lines[0].action, SLICE("audit.written_late")));
    cr_expect(slice_contains(lines[0].detail, SLICE("{\"lines\":1,\"lost\":0,\"since\":\"2023-")));
    cr_expect(slice_equal(lines[1].action, SLICE("rollout.rollback")));
    cr_expect_eq(lines[1].at.unix_ms, at);
    assert_chain(3);
}

Test(deed, a_locked_database_refuses_a_step_and_keeps_a_rollback)
{
    cr_assert(write_step(0));
    sqlite3 *other = lock();
    cr_assert_not(write_step(1));
    cr_assert_eq(store_problem(s), STORE_BUSY);
    cr_assert_not(keep_rollback(1700000000500));
    cr_assert_eq(waiting_count(), 1);
    cr_assert_not(write_step(1));                  /* nothing may be written in front of what waits */
    cr_assert_eq(the_rollout().row.weight_ppm, 0); /* what waits holds */
    sqlite3_close(other);
    cr_assert(journal_flush(s), "%s", store_message(s));
    assert_rolled_back_late(1700000000500);
}

Test(deed, what_waits_goes_in_front_of_the_next_write)
{
    cr_assert(write_step(0));
    sqlite3 *other = lock();
    cr_assert_not(keep_rollback(1700000000500));
    sqlite3_close(other);
    struct audit_line line = a_line(1700000000600), *lines;
    size_t count;
    cr_assert(audit_append(s, &line));
    cr_assert_eq(line.id, 4);
    cr_assert(audit_list(s, &arena, 0, 3, &lines, &count));
    cr_expect(slice_equal(lines[2].action, SLICE("rollout.rollback")));
    cr_expect(slice_equal(lines[1].action, SLICE("audit.written_late")));
}

Test(deed, what_waits_is_written_when_the_store_is_closed)
{
    cr_assert(write_step(0));
    sqlite3 *other = lock();
    cr_assert_not(keep_rollback(1700000000500));
    sqlite3_close(other);
    reopen();
    assert_rolled_back_late(1700000000500);
}

/* A process that kept a rollback, and was killed before it could write it. */
static void kill_while_it_waits(int64_t at)
{
    int status;
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        s = store_open(database);
        bool has_waited = !keep_rollback(at) && waiting_count() == 1;
        raise(has_waited ? SIGKILL : SIGTERM);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(WTERMSIG(status), SIGKILL);
}

Test(deed, a_rollback_that_waits_survives_a_kill)
{
    cr_assert(write_step(0));
    store_close(s);
    sqlite3 *other = lock();
    kill_while_it_waits(1700000000500);
    s = open_good(); /* still locked: it holds, and goes on waiting */
    cr_assert_eq(waiting_count(), 1);
    cr_expect(slice_equal(the_rollout().row.state, SLICE("rolled_back")));
    sqlite3_close(other);
    cr_assert(journal_flush(s), "%s", store_message(s));
    assert_rolled_back_late(1700000000500);
    reopen(); /* the file still has it, but the database has gone on */
    cr_assert_eq(waiting_count(), 0);
    assert_chain(3);
}

Test(deed, what_waits_survives_a_kill_after_other_things_were_written_late)
{
    struct journal_status status;
    cr_assert(write_step(0));
    sqlite3 *other = lock();
    cr_assert_not(keep_rollback(1700000000500));
    sqlite3_close(other);
    cr_assert(journal_flush(s) && write_step(0), "%s", store_message(s));
    other = lock();
    cr_assert_not(keep_rollback(1700000000600));
    struct store *next = open_good(); /* as the next process would find it */
    journal_status(next, &status);
    cr_expect_eq(status.count, 1);
    cr_expect_eq(status.oldest_at.unix_ms, 1700000000600);
    store_close(next);
    sqlite3_close(other);
}

Test(deed, a_file_of_what_waits_that_is_spoilt_is_passed_over)
{
    char path[100];
    cr_assert(write_step(0));
    store_close(s);
    sqlite3 *other = lock();
    kill_while_it_waits(1700000000500);
    sqlite3_close(other);
    snprintf(path, sizeof path, "%s.waiting", database);
    FILE *f = fopen(path, "r+");
    cr_assert_eq(fseek(f, 200, SEEK_SET), 0);
    fputc('#', f);
    fclose(f);
    s = open_good();
    cr_assert_eq(waiting_count(), 0);
    cr_expect_eq(the_rollout().row.step, 0);
    assert_chain(1);
}

Test(deed, a_deed_comes_back_from_its_text_and_nothing_else_does)
{
    struct rollout_row row = a_row(-1);
    struct transition_row transition = a_transition(&row, -5);
    struct deed d = { .audit = a_line(1700000000500), .rollout = &row, .transition = &transition };
    struct text text = { 0 }, again = { 0 };
    transition.reason = SLICE("1:2,\0.");
    deed_text_write(&d, &text);
    struct slice rest = text_slice(&text);
    const struct deed *back = deed_text_read(&rest, &arena);
    cr_assert_not_null(back);
    cr_expect_eq(rest.len, 0);
    cr_expect_eq(back->transition->at.unix_ms, -5);
    cr_expect_eq(back->rollout->step, -1);
    cr_expect(slice_equal(back->transition->reason, transition.reason));
    cr_expect_null(back->incident);
    deed_text_write(back, &again);
    cr_expect(slice_equal(text_slice(&text), text_slice(&again)));
    for (size_t length = 0; length < text.len; length++) {
        char *cut = malloc(length + 1); /* its end is where a sanitizer looks */
        memcpy(cut, text.bytes, length);
        rest = slice_from(cut, length);
        cr_expect_null(deed_text_read(&rest, &arena), "%zu bytes", length);
        free(cut);
    }
    text_fini(&text);
    text_fini(&again);
}

/* As a disk without room does it: no file may grow. */
static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(deed, a_full_disk_refuses_a_step_keeps_a_rollback_and_recovers_by_itself)
{
    cr_assert(write_step(0));
    set_file_limit(1);
    cr_assert_not(write_step(1));
    cr_assert_eq(store_problem(s), STORE_FULL, "%s", store_message(s));
    cr_assert_not(keep_rollback(1700000000500));
    cr_assert_not(journal_flush(s));
    cr_assert_eq(the_rollout().row.weight_ppm, 0); /* reading goes on, and what waits holds */
    set_file_limit(RLIM_INFINITY);
    cr_assert(journal_flush(s), "%s", store_message(s));
    assert_rolled_back_late(1700000000500);
}

/* Stops at every page that a deed may need: whichever write finds no room, nothing of the deed is there. */
Test(deed, wherever_the_disk_gets_full_a_deed_is_whole_or_not_there)
{
    int64_t written = 0;
    store_close(s);
    for (rlim_t bytes = 4096; bytes < 40 * 4096; bytes += 4096) {
        s = open_good();
        set_file_limit(bytes);
        while (written < 2000 && write_step(written))
            written++;
        set_file_limit(RLIM_INFINITY);
        assert_chain(written);
        if (written > 0)
            cr_assert_eq(the_rollout().row.step, written - 1);
        store_close(s);
    }
    s = open_good();
    cr_assert_gt(written, 0);
    cr_assert_lt(written, 2000);
}

Test(deed, a_deed_that_never_fits_does_not_stand_in_the_way)
{
    sqlite3 *other = lock();
    struct rollout_row row = a_row(0);
    struct deed bad = { .audit = a_line(1700000000400), .rollout = &row };
    struct audit_line *lines;
    size_t count;
    row.weight_ppm = 1000001;
    cr_assert_not(deed_keep(s, &bad));
    cr_assert_not(keep_rollback(1700000000500));
    sqlite3_close(other);
    cr_assert(journal_flush(s), "%s", store_message(s));
    cr_expect(slice_equal(the_rollout().row.state, SLICE("rolled_back")));
    cr_assert(audit_list(s, &arena, 0, 1, &lines, &count));
    cr_expect(slice_contains(lines[0].detail, SLICE("\"lines\":2,\"lost\":1")));
    assert_chain(2);
}

Test(deed, a_full_journal_loses_the_oldest_that_matters_least)
{
    struct journal_status status;
    sqlite3 *other = lock();
    cr_assert_not(keep_rollback(1700000000500));
    for (int i = 1; i <= JOURNAL_COUNT_MAX + 5; i++) {
        struct deed d = { .audit = a_line(1700000000500 + i) };
        journal_keep(s, &d);
    }
    journal_status(s, &status);
    cr_expect_eq(status.count, JOURNAL_COUNT_MAX);
    cr_expect_eq(status.lost_count, 6);
    cr_expect_eq(status.oldest_at.unix_ms, 1700000000500); /* where a rollout stands is told by this one alone */
    sqlite3_close(other);
    cr_assert(journal_flush(s), "%s", store_message(s));
    cr_expect(slice_equal(the_rollout().row.state, SLICE("rolled_back")));
    assert_chain(JOURNAL_COUNT_MAX + 1);
}
