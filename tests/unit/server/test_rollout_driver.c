/* tests/unit/server/test_rollout_driver.c - what the driver of rollouts does in cases that a random life meets too seldom. */
#include "server/world.h"

#include <criterion/criterion.h>

#include "base/log.h"
#include "store/journal.h"

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

TestSuite(rollout_driver, .init = fixture_init, .fini = fixture_fini);

#define ERROR_RATE "{ metric: error_rate, max: 50%, window: 1m, min_requests: 2 }"

static void configure(const char *steps, const char *guardrails)
{
    text_clear(&w.yaml);
    text_printf(&w.yaml,
                "listeners: { web: { bind: 127.0.0.1:0 } }\n"
                "upstreams: { s: { endpoints: [ 127.0.0.1:1 ] }, c: { endpoints: [ 127.0.0.1:2 ] } }\n"
                "routes: [ { name: shop, split: { s: 100, c: 0 } } ]\n"
                "notify: { ops: { webhook: \"http://127.0.0.1:9/told\" } }\n"
                "rollouts: { r: { route: shop, stable: s, canary: c, revision: \"1\", notify: [ ops ],\n"
                "  steps: [ %s, { weight: 100%% } ],\n"
                "  guardrails: [ %s ] } }\n",
                steps, guardrails);
}

static const struct progress *progress(void)
{
    return &world_rollout(&w)->progress;
}

static void begin(const char *steps, const char *guardrails)
{
    configure(steps, guardrails);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    world_take_all(&w);
}

static void start(const char *steps, const char *guardrails)
{
    begin(steps, guardrails);
    cr_assert_eq(world_say(&w, PLAN_START, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
}

/* So many looks, each with requests before it. */
static void watch(unsigned looks, int64_t ms_each, unsigned requests_each)
{
    for (unsigned i = 0; i < looks; i++) {
        world_pass(&w, ms_each);
        world_serve(&w, requests_each, 0);
        cr_assert(world_look(&w), "the driver looks again");
        world_take_all(&w);
    }
}

Test(rollout_driver, an_orderly_end_keeps_hold_and_evidence_to_the_last_request)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    watch(23, 100, 20);
    world_serve(&w, 40, 0); /* that nobody looked at yet */
    uint64_t ended[] = { w.ended[TALLY_STABLE], w.ended[TALLY_CANARY] };
    int64_t left_ms = progress()->left_ms;
    world_stop(&w);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    cr_assert_eq(progress()->state, ROLLOUT_HOLDING);
    cr_assert_eq(progress()->left_ms, left_ms);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        cr_assert_eq(world_rollout(&w)->evidence.requests[arm], ended[arm]);
}

Test(rollout_driver, a_store_that_fails_is_asked_less_and_less_often)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    world_break(&w, WORLD_UNREADABLE);
    watch(60, 100, 20); /* until the next save */
    cr_assert(progress()->is_store_down);
    uint64_t begun = w.write_attempts;
    watch(600, 100, 20);
    uint64_t in_a_minute = w.write_attempts - begun;
    cr_assert_lt(in_a_minute, 60, "%llu", (unsigned long long)in_a_minute);
    cr_assert_gt(in_a_minute, 5);
    world_break(&w, WORLD_WELL);
    watch(51, 100, 20);
    cr_assert(!progress()->is_store_down, "it is asked again every five seconds");
}

Test(rollout_driver, who_asks_for_something_does_not_wait_for_the_next_try)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    world_break(&w, WORLD_LOCKED);
    watch(600, 100, 20);
    cr_assert(progress()->is_store_down);
    cr_assert_eq(world_say(&w, PLAN_PAUSE, "alice"), ROLLOUT_NOT_STORED);
    world_break(&w, WORLD_WELL);
    cr_assert_eq(world_say(&w, PLAN_PAUSE, "alice"), ROLLOUT_DONE);
}

Test(rollout_driver, a_way_back_does_not_wait_for_the_next_try)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    world_break(&w, WORLD_LOCKED);
    watch(600, 100, 20);
    uint64_t published = w.publish_count;
    cr_assert_eq(world_say(&w, PLAN_ROLLBACK, "alice"), ROLLOUT_DONE);
    cr_assert_eq(progress()->weight_ppm, 0);
    cr_assert_eq(w.publish_count, published + 1);
    world_break(&w, WORLD_WELL);
    cr_assert_eq(world_say(&w, PLAN_ABORT, "alice"), ROLLOUT_DONE);
    watch(52, 100, 20);
    cr_assert_eq(progress()->state, ROLLOUT_ROLLED_BACK);
}

Test(rollout_driver, approvals_of_steps_that_were_changed_open_no_gate_after_a_restart)
{
    start("{ weight: 10%, hold: 1s }, { approve: 2 }", ERROR_RATE);
    watch(20, 100, 100);
    cr_assert_eq(progress()->state, ROLLOUT_AWAITING_APPROVAL);
    cr_assert_eq(world_say(&w, PLAN_APPROVE, "bob"), ROLLOUT_DONE);
    configure("{ weight: 10%, hold: 2s }, { approve: 2 }", ERROR_RATE);
    world_reload(&w);
    world_take_all(&w);
    watch(40, 100, 100);
    cr_assert_eq(progress()->state, ROLLOUT_AWAITING_APPROVAL);
    cr_assert_eq(progress()->approval_count, 0);
    world_kill(&w);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    cr_assert_eq(progress()->approval_count, 0, "after a restart they are as few");
}

#define SLOWER "{ metric: latency_p95, worse_than_stable: { ratio: 1.5 } }"

static const struct tally_rules *rules_in_use(void)
{
    const struct compiled_route *route = &publisher_snapshot(&w.publisher)->table->routes[0];
    const struct tally_sheet *sheet = weights_sheet_of(w.used[0], route);
    cr_assert_not_null(sheet);
    return &sheet->rules;
}

Test(rollout_driver, what_is_slow_is_known_at_the_canarys_first_request)
{
    begin("{ weight: 50%, hold: 1h }", SLOWER);
    cr_assert_eq(rules_in_use()->slow_us[0][TALLY_CANARY], UINT64_MAX);
    watch(4, 1000, 100);
    cr_assert_eq(progress()->state, ROLLOUT_PENDING);
    cr_assert_eq(world_say(&w, PLAN_START, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    cr_assert_neq(rules_in_use()->slow_us[0][TALLY_CANARY], UINT64_MAX);
    cr_assert_eq(world_rollout(&w)->evidence.compared[TALLY_CANARY], 0);
}

static void configure_revision_2(void)
{
    char *at = strstr(w.yaml.bytes, "revision: \"1\"");
    at[strlen("revision: \"")] = '2';
}

Test(rollout_driver, a_new_revision_knows_what_is_slow_and_nothing_else)
{
    start("{ weight: 50%, hold: 1h }", SLOWER);
    watch(40, 100, 50);
    configure("{ weight: 50%, hold: 1h }", SLOWER);
    configure_revision_2();
    world_reload(&w);
    world_take_all(&w);
    cr_assert_eq(progress()->state, ROLLOUT_PENDING);
    cr_assert_eq(world_rollout(&w)->evidence.requests[TALLY_CANARY], 0);
    cr_assert_neq(rules_in_use()->slow_us[0][TALLY_CANARY], UINT64_MAX);
    watch(2, 1000, 50);
    cr_assert_gt(world_rollout(&w)->evidence.requests[TALLY_STABLE], 50, "it is counted before its start, too");
}

Test(rollout_driver, a_new_revision_of_one_that_was_not_started_is_counted)
{
    begin("{ weight: 50%, hold: 1h }", SLOWER);
    watch(2, 1000, 50);
    configure_revision_2();
    world_reload(&w);
    world_take_all(&w);
    cr_assert_eq(world_rollout(&w)->evidence.requests[TALLY_STABLE], 0);
    watch(2, 1000, 50);
    cr_assert_gt(world_rollout(&w)->evidence.requests[TALLY_STABLE], 50);
}

/* All of the requests are the canary's, of half of them. */
Test(rollout_driver, a_split_without_its_share_is_told_loudly_and_once)
{
    start("{ weight: 50%, hold: 3s }", "{ metric: error_rate, worse_than_stable: { ratio: 1.5 } }");
    watch(20, 100, 10);
    struct tally_sheet *sheet = weights_sheet_of(w.used[0], &publisher_snapshot(&w.publisher)->table->routes[0]);
    for (int i = 0; i < 500; i++) {
        tally_begin(&sheet->tallies[0], TALLY_CANARY);
        tally_end(&sheet->tallies[0], &sheet->rules, TALLY_CANARY, 0, 1000);
    }
    watch(100, 100, 0);
    cr_assert_eq(progress()->state, ROLLOUT_HOLDING, "the step is held");
    cr_assert_not_null(strstr(w.notice.bytes, "sample_ratio_mismatch"), "%s", w.notice.bytes);
    cr_assert_eq(world_query(&w, "SELECT count(*) FROM audit WHERE action = 'rollout.sample_ratio_mismatch'"), 1);
}

/* ---- a kill between a breach and its end ---------------------------------------------------------------------------------- */

#define OF_INCIDENT(what) "SELECT " what " FROM incidents"

#define EVENT(name) "{ event: " name ", max: 50%, window: 1m, min_requests: 2 }"

/* No more may be told of than there were requests: a reload is no way around that. */
Test(rollout_driver, what_was_told_stays_told_over_a_reload_that_moves_its_column)
{
    start("{ weight: 50%, hold: 1h }", EVENT("a") ", " EVENT("b"));
    struct rollout *r = world_rollout(&w);
    cr_assert_eq(r->specs.event_count, 2);
    cr_assert(slice_equal(r->specs.events[1], SLICE("b")));
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        r->outcomes.told[arm][0] = 5;
        r->outcomes.told[arm][1] = 7 + (uint64_t)arm;
    }
    configure("{ weight: 50%, hold: 1h }", EVENT("c") ", " EVENT("d") ", " EVENT("b"));
    world_reload(&w);
    cr_assert(slice_equal(r->specs.events[2], SLICE("b")));
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        cr_expect_eq(r->outcomes.told[arm][0], 0, "nothing was told of c");
        cr_expect_eq(r->outcomes.told[arm][1], 0, "nor of d");
        cr_expect_eq(r->outcomes.told[arm][2], 7 + (uint64_t)arm);
    }
}

/* Taken back, and no worker has the new weights yet. */
static void breach(void)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    world_burst(&w, 20);
    world_pass(&w, 100);
    cr_assert(world_look(&w));
    cr_assert_eq(progress()->state, ROLLOUT_ROLLING_BACK);
    cr_assert_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1);
}

static void restart_after(int64_t ms)
{
    world_kill(&w);
    world_pass(&w, ms);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    world_take_all(&w);
    cr_assert(world_look(&w));
}

Test(rollout_driver, an_incident_that_a_kill_left_open_is_closed_by_the_next_process)
{
    breach();
    int64_t lines = world_query(&w, OF_INCIDENT("json_array_length(timeline)"));
    restart_after(1500);
    cr_assert_eq(progress()->state, ROLLOUT_ROLLED_BACK);
    cr_expect_eq(world_query(&w, OF_INCIDENT("count(*)")), 1);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 1500);
    /* What was there before, exposure at its end, and the transition behind that. */
    cr_expect_eq(world_query(&w, OF_INCIDENT("json_array_length(timeline)")), lines + 2);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM incidents, json_each(timeline) WHERE"
                                 " json_extract(value, '$.what') = 'no exposure in any worker, after a restart'"),
                 1);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM audit WHERE action = 'rollout.unexposed'"
                                 " AND reason = 'weight 0 is in force in every worker, after a restart'"),
                 1);
    restart_after(1000);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 1500, "it is closed once");
    cr_expect_eq(world_query(&w, OF_INCIDENT("json_array_length(timeline)")), lines + 2);
}

/* The breach is known to the file that waits beside the database alone, before and behind the kill. */
Test(rollout_driver, an_incident_that_could_not_be_written_before_a_kill_nor_behind_it_is_closed)
{
    start("{ weight: 50%, hold: 1h }", ERROR_RATE);
    world_break(&w, WORLD_LOCKED);
    world_burst(&w, 20);
    world_pass(&w, 100);
    cr_assert(world_look(&w));
    cr_assert_eq(progress()->state, ROLLOUT_ROLLING_BACK);
    world_kill(&w);
    cr_assert_eq(world_query(&w, OF_INCIDENT("count(*)")), 0);
    cr_assert_eq(sqlite3_exec(w.locker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    world_pass(&w, 700);
    world_boot(&w, WORLD_WELL);
    world_begin(&w);
    world_take_all(&w);
    cr_assert_eq(world_query(&w, OF_INCIDENT("count(*)")), 0);
    cr_assert_eq(sqlite3_exec(w.locker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    cr_assert(journal_flush(w.store), "%s", store_message(w.store));
    cr_expect_eq(world_query(&w, OF_INCIDENT("count(*)")), 1);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 700);
}

Test(rollout_driver, a_clock_that_was_put_back_makes_no_time_below_zero)
{
    breach();
    w.wall.unix_ms -= 3600 * 1000;
    restart_after(0);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 0);
}

Test(rollout_driver, an_incident_is_closed_though_the_next_process_has_a_new_revision)
{
    breach();
    for (char *at = strstr(w.yaml.bytes, "revision: \"1\""); at != NULL; at = NULL)
        at[strlen("revision: \"")] = '2';
    restart_after(0);
    cr_expect_eq(world_query(&w, OF_INCIDENT("count(*)")), 1);
    cr_expect_geq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 0,
                  "what was exposed is of it, and is not any more");
}

#define PAUSING "{ metric: error_rate, max: 50%, window: 1m, min_requests: 2, on_breach: pause }"

static void pause_by_breach(void)
{
    start("{ weight: 50%, hold: 1h }", PAUSING);
    world_burst(&w, 20);
    world_pass(&w, 100);
    cr_assert(world_look(&w));
    cr_assert_eq(progress()->state, ROLLOUT_PAUSED);
    cr_assert_eq(world_query(&w, OF_INCIDENT("count(*)")), 1);
}

static void vanish_and_return(void)
{
    char *at = strstr(w.yaml.bytes, "rollouts:");
    *at = '#'; /* that line, and the two behind it */
    for (int i = 0; i < 2; i++)
        *strstr(at, "\n  ") = ' ';
    world_reload(&w);
    world_take_all(&w);
    cr_assert_null(world_rollout(&w));
    configure("{ weight: 50%, hold: 1h }", PAUSING);
    world_reload(&w);
    world_take_all(&w);
    cr_assert(world_look(&w));
    cr_assert_eq(progress()->state, ROLLOUT_PENDING);
}

/* Its exposure ended some time later, by something else: that is not how long it took to take the canary back. */
Test(rollout_driver, a_breach_that_paused_has_no_time_to_zero_exposure_without_a_way_back)
{
    pause_by_breach();
    world_pass(&w, 24 * 3600 * 1000);
    vanish_and_return();
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1);
    restart_after(1000);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1, "nor after a restart at weight 0");
    cr_assert_eq(world_say(&w, PLAN_START, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    cr_assert_eq(world_say(&w, PLAN_ROLLBACK, "alice"), ROLLOUT_DONE);
    world_take_all(&w);
    cr_assert_eq(progress()->state, ROLLOUT_ROLLED_BACK);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1, "that was another run");
    restart_after(1000);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM audit WHERE action = 'rollout.unexposed'"), 0);
}

Test(rollout_driver, a_new_revision_after_a_breach_that_paused_is_no_way_back)
{
    pause_by_breach();
    world_pass(&w, 24 * 3600 * 1000);
    for (char *at = strstr(w.yaml.bytes, "revision: \"1\""); at != NULL; at = NULL)
        at[strlen("revision: \"")] = '2';
    world_reload(&w);
    world_take_all(&w);
    cr_assert(world_look(&w));
    world_take_all(&w);
    cr_assert_eq(progress()->weight_ppm, 0);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1);
}

Test(rollout_driver, somebodys_way_back_after_a_breach_that_paused_is_told_to_its_end)
{
    pause_by_breach();
    world_pass(&w, 1000);
    cr_assert_eq(world_say(&w, PLAN_ROLLBACK, "alice"), ROLLOUT_DONE);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), -1);
    restart_after(500);
    cr_expect_eq(world_query(&w, OF_INCIDENT("zero_exposure_ms")), 1500);
}

/* ---- gates -------------------------------------------------------------------------------------------------------------- */

#define GATE "{ webhook: \"http://127.0.0.1:9/gate\", timeout: 1h }"

static uint32_t questions(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w.errand_count; i++)
        count += w.errands[i].is_gate;
    return count;
}

static void answer_gate(unsigned status)
{
    for (uint32_t i = 0; i < w.errand_count; i++)
        if (w.errands[i].is_gate) {
            world_answer(&w, i, status);
            return;
        }
    cr_assert_fail("the gate is not asked");
}

static void expect_gate(uint64_t asked, unsigned status, const char *failure)
{
    const struct rollout_gate *gate = &world_rollout(&w)->gate;
    cr_expect_eq(gate->asked_count, asked, "%llu", (unsigned long long)gate->asked_count);
    cr_expect_eq(gate->status, status, "%u", gate->status);
    cr_expect(slice_equal(text_slice(&gate->failure), slice_from_cstr(failure)), "%s", gate->failure.bytes);
}

Test(rollout_driver, a_gate_that_is_slow_is_asked_once_and_its_late_answer_counts)
{
    start(GATE, ERROR_RATE);
    watch(2, 100, 0);
    cr_assert_eq(questions(), 1);
    watch(150, 100, 0); /* past the pace: the question is still under way */
    cr_assert_eq(questions(), 1, "%u", questions());
    answer_gate(0);
    expect_gate(1, 0, "nobody is there");
    cr_assert_eq(progress()->state, ROLLOUT_AWAITING_WEBHOOK);
    watch(200, 100, 0);
    expect_gate(2, 0, "nobody is there");
    watch(150, 100, 0);
    answer_gate(200);
    cr_assert_eq(progress()->state, ROLLOUT_HOLDING);
    expect_gate(2, 200, "");
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM transitions WHERE "
                                 "reason = 'webhook_passed: status 200, asked 2 times'"),
                 1);
}

Test(rollout_driver, a_gate_that_was_never_asked_for_want_of_room_is_asked_later)
{
    w.is_courier_full = true;
    start(GATE, ERROR_RATE);
    watch(50, 100, 0);
    expect_gate(0, 0, "");
    w.is_courier_full = false;
    watch(101, 100, 0);
    cr_assert_eq(questions(), 1);
    answer_gate(503);
    expect_gate(1, 503, "");
}

Test(rollout_driver, an_answer_to_a_question_of_before_a_change_opens_nothing)
{
    start(GATE, ERROR_RATE);
    watch(2, 100, 0);
    cr_assert_eq(questions(), 1);
    cr_assert_eq(world_say(&w, PLAN_PAUSE, "alice"), ROLLOUT_DONE);
    cr_assert_eq(world_say(&w, PLAN_RESUME, "alice"), ROLLOUT_DONE);
    answer_gate(200);
    cr_expect_eq(progress()->state, ROLLOUT_AWAITING_WEBHOOK);
    watch(2, 100, 0);
    answer_gate(200);
    cr_expect_eq(progress()->state, ROLLOUT_HOLDING);
}

Test(rollout_driver, a_gate_whose_time_is_over_says_what_it_said)
{
    start("{ webhook: \"http://127.0.0.1:9/gate\", timeout: 15s }", ERROR_RATE);
    watch(2, 100, 0);
    answer_gate(404);
    watch(160, 100, 0);
    cr_assert_eq(progress()->state, ROLLOUT_FAILED);
    cr_expect_eq(world_query(&w, "SELECT count(*) FROM transitions WHERE "
                                 "reason = 'webhook_failed: status 404, asked 2 times'"),
                 1);
}

/* ---- traffic ------------------------------------------------------------------------------------------------------------ */

/* Of silence for ten minutes no kind of guardrail says that all is well; nor one with a window of ten requests where it wants
   twenty. */
Test(rollout_driver, too_little_traffic_holds_a_step_however_long_it_lasts)
{
    static const char *const kinds[] = {
        "{ metric: error_rate, max: 50%, window: 10s }",
        "{ metric: latency_p95, max: 20ms, window: 10s }",
        "{ event: purchase, min: 50%, window: 10s }",
        "{ metric: error_rate, worse_than_stable: { ratio: 1.5 } }",
        "{ metric: latency_p95, worse_than_stable: { ratio: 1.5 } }",
        "{ event: purchase, worse_than_stable: { ratio: 0.9 } }",
    };
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        start("{ weight: 50%, hold: 1s }", kinds[i]);
        watch(600, 1000, 0);
        cr_expect_eq(progress()->state, ROLLOUT_HOLDING, "%s passed without a request", kinds[i]);
        cr_expect_eq(progress()->left_ms, 0);
        world_kill(&w);
        world_database_end(&w);
        world_database_begin(&w);
    }
    start("{ weight: 50%, hold: 1s }", kinds[0]);
    watch(600, 1000, 1);
    cr_assert_eq(progress()->state, ROLLOUT_HOLDING);
    watch(30, 1000, 50);
    cr_expect_eq(progress()->weight_ppm, 1000000, "traffic is what it waited for");
}

/* The word was for the step that was over: taken for the next one it would be a weight that nobody watched. */
Test(rollout_driver, a_promotion_ends_no_hold_that_began_behind_it)
{
    start("{ weight: 5%, hold: 1s }, { weight: 50%, hold: 1h }", ERROR_RATE);
    world_break(&w, WORLD_LOCKED);
    watch(600, 100, 40);
    cr_assert(progress()->is_store_down && progress()->weight_ppm == 50000);
    world_break(&w, WORLD_WELL);
    cr_expect_eq(world_say(&w, PLAN_PROMOTE, "alice"), ROLLOUT_REFUSED);
    cr_expect_eq(progress()->weight_ppm, 500000, "its own hold was over");
    cr_expect_eq(world_say(&w, PLAN_PROMOTE, "alice"), ROLLOUT_DONE);
}

Test(rollout_driver, an_approval_opens_the_gate_that_was_seen_and_no_other)
{
    start("{ weight: 5%, hold: 2s }, { approve: 1 }, { weight: 50%, hold: 1h }", ERROR_RATE);
    watch(15, 100, 100);
    world_break(&w, WORLD_LOCKED);
    watch(15, 100, 100);
    cr_assert(progress()->is_store_down && progress()->state == ROLLOUT_HOLDING);
    world_break(&w, WORLD_WELL);
    cr_expect_eq(world_say(&w, PLAN_APPROVE, "bob"), ROLLOUT_REFUSED);
    cr_expect_eq(progress()->state, ROLLOUT_AWAITING_APPROVAL, "it has come to the gate, and stands there");
    cr_expect_eq(world_say(&w, PLAN_APPROVE, "bob"), ROLLOUT_DONE);
    cr_expect_eq(progress()->weight_ppm, 500000);
}
