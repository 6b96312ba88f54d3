/* tests/unit/server/test_rollout_properties.c - the invariants of docs/design.md, "What a rollout's driver keeps", on random lives.
 *
 * A life is some dozen random things that befall a driver with a real store (world.h): looks, words, traffic, clocks that
 * jump, reloads, a store that fails, answers that come late, processes that are killed at any instant. A witness
 * (witness.h) says what it must keep.
 *
 *   WEIR_LIVES=20      so many times as many lives
 *   WEIR_LIVES_OF=7    others than those of a normal run (0), so that long runs can be made in turns
 *   WEIR_LIFE=123      that one life alone, as a failure names it */
#include "server/witness.h"

#include <stdlib.h>

#include "base/log.h"
#include "store/audit.h"
#include "store/statement.h"

/* Of the leak checker, where there is one. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

#define LIVES        300 /* of each part */
#define THINGS       70  /* that befall one */
#define PEOPLE       4
#define MAX_WATCH_MS PLAN_WATCH_GAP_MS

static const char *const people[PEOPLE] = { "alice", "bob", "carol", "unix:root" };

static void write_yaml(struct life *l)
{
    text_clear(&l->w.yaml);
    made_write(&l->plan, &l->w.yaml);
}

/* ---- restarts -------------------------------------------------------------------------------------------------------------- */

static void take_up(struct life *l)
{
    const struct rollout *r = world_rollout(&l->w);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        l->seen.evidence[arm] = l->seen.stored[arm] = r->evidence.requests[arm];
    l->seen.unseen = 0;
    /* Killed behind a record and before its publication; or before a way back that was in force could be written down. */
    uint32_t weight_ppm = now_of(l)->weight_ppm;
    if (l->seen.hold.weight_ppm != weight_ppm)
        l->seen.hold = l->seen.hold_before.weight_ppm == weight_ppm ? l->seen.hold_before
                                                                    : (struct witness_hold){ .weight_ppm = weight_ppm };
    witness_note(l);
    l->restarts++;
}

/* What nobody can read is nobody's guess: no canary until it can be read again. */
static void meet_unreadable(struct life *l)
{
    HOLDS(!world_rollout(&l->w)->is_loaded && now_of(l)->weight_ppm == 0, "D4: nobody is sent anywhere on a guess");
    world_begin(&l->w);
    for (int i = 0; i < 3; i++) {
        world_pass(&l->w, 1000);
        world_look(&l->w);
        HOLDS(world_say(&l->w, i == 0 ? PLAN_START : PLAN_PROMOTE, "alice") == ROLLOUT_NOT_STORED &&
                  now_of(l)->weight_ppm == 0,
              "D4: nobody is sent anywhere on a guess");
    }
    world_break(&l->w, WORLD_WELL);
}

static void restart(struct life *l, bool is_crash)
{
    struct progress before = *now_of(l);
    bool was_well = l->w.fault == WORLD_WELL && !before.is_store_down, is_stop = !is_crash && chance(l, 30);
    if (is_stop)
        world_break(&l->w, WORLD_WELL);
    (is_stop ? world_stop : world_kill)(&l->w);
    if (chance(l, 10))
        l->w.wall.unix_ms += ((int64_t)rng_below(&l->rng, 200) - 100) * 60000;
    l->w.on_publish = NULL;
    enum world_fault fault = chance(l, 60) ? WORLD_WELL : rng_below(&l->rng, WORLD_FAULT_COUNT);
    world_boot(&l->w, fault);
    if (fault == WORLD_UNREADABLE) {
        meet_unreadable(l);
        world_kill(&l->w);
        world_boot(&l->w, WORLD_WELL);
    }
    witness_expect_resumed(l, &before, is_crash, was_well);
    take_up(l);
    l->w.on_publish = witness_on_publish;
    world_begin(&l->w);
    witness_check(l);
}

/* ---- what befalls one -------------------------------------------------------------------------------------------------------- */

static void pass(struct life *l, int64_t ms)
{
    bool is_held = now_of(l)->state == ROLLOUT_HOLDING && world_is_in_force(&l->w);
    l->seen.hold.watched_ms += is_held ? (ms < MAX_WATCH_MS ? ms : MAX_WATCH_MS) : 0;
    world_pass(&l->w, ms);
}

static void serve(struct life *l, unsigned count, unsigned failing_percent)
{
    uint64_t before = l->w.ended[TALLY_CANARY];
    world_serve(&l->w, count, failing_percent);
    l->seen.hold.requests += l->w.ended[TALLY_CANARY] - before;
    l->seen.unseen += l->w.ended[TALLY_CANARY] - before;
}

static void look(struct life *l)
{
    world_look(&l->w);
    l->seen.unseen = 0;
}

/* The commonest: time passes, requests come, the driver looks. */
static void live_on(struct life *l)
{
    static const int64_t gaps_ms[] = { 100, 100, 1000, 1000, 1000, 1000, 2000, 2000, 12000, 3600000 };
    pass(l, gaps_ms[rng_below(&l->rng, chance(l, 90) ? 8 : 10)]);
    serve(l, 150, 0);
    look(l);
}

/* D1, by a person. */
static void go_back(struct life *l)
{
    enum rollout_state was = now_of(l)->state;
    uint64_t published = l->w.publish_count;
    bool is_there = rollout_state_is_over(was) || was == ROLLOUT_ROLLING_BACK;
    enum rollout_answer answer =
        world_say(&l->w, chance(l, 50) ? PLAN_ROLLBACK : PLAN_ABORT, people[rng_below(&l->rng, PEOPLE)]);
    HOLDS(answer == ROLLOUT_DONE && now_of(l)->weight_ppm == 0, "D1: a rollback wins");
    HOLDS(is_there || l->w.publish_count > published, "D1: and reaches the workers");
    l->backs++;
}

static void note_approval(struct life *l, unsigned who, const struct progress *before)
{
    const struct made_step *gate = &l->plan.steps[before->step];
    HOLDS(before->state == ROLLOUT_AWAITING_APPROVAL && !(l->seen.approvals >> who & 1u),
          "D2: different people approve");
    HOLDS(gate->is_starter_allowed || strcmp(before->started_by, people[who]) != 0, "D2: none of them started it");
    l->seen.approvals |= 1u << who;
}

/* Before the word is said: whether it opens the gate. */
static void speak(struct life *l)
{
    static const enum plan_event_kind kinds[] = { PLAN_START,   PLAN_START,  PLAN_APPROVE, PLAN_APPROVE, PLAN_APPROVE,
                                                  PLAN_PROMOTE, PLAN_RESUME, PLAN_RESUME,  PLAN_PAUSE };
    unsigned who = rng_below(&l->rng, PEOPLE);
    enum plan_event_kind kind = kinds[rng_below(&l->rng, ARRAY_COUNT(kinds))];
    struct progress before = *now_of(l);
    bool is_last = kind == PLAN_APPROVE && before.state == ROLLOUT_AWAITING_APPROVAL &&
                   (unsigned)__builtin_popcount(l->seen.approvals) + 1 >= l->plan.steps[before.step].approve_count;
    if (is_last) /* looked at in on_publish, when the word is taken; else nothing rises */
        l->seen.is_passed[before.step] = true;
    bool was_promoted = l->seen.hold.is_promoted, was_well = l->w.fault == WORLD_WELL || l->w.fault == WORLD_FULL;
    l->seen.hold.is_promoted |= kind == PLAN_PROMOTE;
    enum rollout_answer answer = world_say(&l->w, kind, people[who]);
    if (answer != ROLLOUT_DONE)
        l->seen.hold.is_promoted = was_promoted;
    HOLDS(was_well || answer != ROLLOUT_DONE || kind == PLAN_RESUME || kind == PLAN_PAUSE,
          "D5: what cannot be written down is not done");
    if (is_last && answer != ROLLOUT_DONE)
        l->seen.is_passed[before.step] = false;
    if (kind == PLAN_APPROVE && answer == ROLLOUT_DONE)
        note_approval(l, who, &before);
}

/* To the other rollout. */
static void speak_beside(struct life *l)
{
    static const enum plan_event_kind kinds[] = { PLAN_PROMOTE, PLAN_PROMOTE, PLAN_RESUME, PLAN_PAUSE, PLAN_ROLLBACK };
    enum plan_event_kind kind = world_beside(&l->w)->progress.state == ROLLOUT_PENDING
                                    ? PLAN_START
                                    : kinds[rng_below(&l->rng, ARRAY_COUNT(kinds))];
    bool was_well = l->w.fault == WORLD_WELL || l->w.fault == WORLD_FULL;
    enum rollout_answer answer = world_say_beside(&l->w, kind, "dora");
    HOLDS(kind != PLAN_ROLLBACK || (answer == ROLLOUT_DONE && world_beside(&l->w)->progress.weight_ppm == 0),
          "D1: a rollback of the other wins");
    HOLDS(was_well || answer != ROLLOUT_DONE || kind >= PLAN_PAUSE, "D5: what cannot be written down is not done");
    l->raises_beside += kind <= PLAN_PROMOTE && answer == ROLLOUT_DONE;
}

/* Late, twice, or of a question that nobody asks any more: the driver must know which is which. */
static void answer(struct life *l)
{
    if (l->w.errand_count == 0)
        return;
    uint32_t i = rng_below(&l->rng, l->w.errand_count);
    struct world_errand e = l->w.errands[i];
    const struct rollout *r = world_rollout(&l->w);
    bool is_yes = chance(l, 70);
    bool is_the_one =
        e.is_gate && r != NULL && r->gate.ticket == e.ticket && r->progress.state == ROLLOUT_AWAITING_WEBHOOK;
    if (is_the_one && is_yes)
        l->seen.is_passed[r->progress.step] = true;
    world_answer(&l->w, i, is_yes ? 200 : chance(l, 50) ? 503 : 0);
    if (chance(l, 20) && l->w.errand_count < WORLD_ERRANDS_MAX) {
        l->w.errands[l->w.errand_count++] = e;
        world_answer(&l->w, l->w.errand_count - 1, 200);
    }
}

/* D1, by a guardrail: more errors than ever were good requests. */
static void turn_bad(struct life *l)
{
    const struct rollout *r = world_rollout(&l->w);
    world_take_all(&l->w);
    bool is_watched = rollout_state_is_active(now_of(l)->state) && r->is_loaded && now_of(l)->weight_ppm > 0;
    bool is_counted = weights_sheet_of(l->w.used[0], r->route) != NULL;
    if (!is_watched || !is_counted)
        return;
    world_burst(&l->w, (unsigned)(2 * r->evidence.requests[TALLY_CANARY] + 200));
    l->seen.unseen += 1000000; /* not counted one by one */
    world_pass(&l->w, 100);
    look(l);
    HOLDS(now_of(l)->weight_ppm == 0 && !rollout_state_is_active(now_of(l)->state),
          "D1: evidence ends exposure at the next look");
    l->backs++;
}

static void reload(struct life *l)
{
    uint32_t dice = rng_below(&l->rng, 10);
    if (dice < 4)
        made_steps(&l->plan, &l->rng);
    else if (dice < 6)
        l->plan.revision++;
    else if (dice < 7)
        l->plan.canary = l->plan.canary == 'c' ? 'd' : 'c';
    else if (dice < 8)
        l->plan.is_sticky = !l->plan.is_sticky;
    else if (dice < 9)
        l->plan.beside_revision++;
    write_yaml(l);
    if (dice < 7)
        memset(l->seen.is_passed, 0, sizeof l->seen.is_passed);
    world_reload(&l->w);
}

/* Out of the file, and back: what was under way begins anew (D2), and all else is found again in the store. */
static void vanish(struct life *l)
{
    double pair;
    struct progress before = *now_of(l);
    if (before.is_store_down || l->w.fault != WORLD_WELL)
        return;
    l->plan.is_gone = true;
    write_yaml(l);
    world_reload(&l->w);
    cr_assert(world_rollout(&l->w) == NULL && world_canary_share(&l->w, &pair) < 0);
    world_take_all(&l->w);
    l->plan.is_gone = false;
    write_yaml(l);
    l->w.on_publish = NULL;
    world_kill(&l->w); /* its file came back while it was down: the same as a reload, but for the look that follows */
    world_boot(&l->w, WORLD_WELL);
    bool was_under_way = rollout_state_is_active(before.state) || before.state == ROLLOUT_PAUSED;
    HOLDS(!was_under_way || (now_of(l)->state == ROLLOUT_PENDING && now_of(l)->weight_ppm == 0), "D2: it begins anew");
    witness_expect_resumed(l, &before, was_under_way, false);
    memset(l->seen.is_passed, 0, sizeof l->seen.is_passed);
    take_up(l);
    l->w.on_publish = witness_on_publish;
    world_begin(&l->w);
}

/* Somebody sets the wall clock: a little, by days or years, or to the edge of the freeze. */
static void set_wall(struct life *l)
{
    int64_t by = (int64_t)rng_below(&l->rng, 200) - 100;
    switch (rng_below(&l->rng, 4)) {
    case 0:
        l->w.wall.unix_ms += by * 10000;
        break;
    case 1:
        l->w.wall.unix_ms += by * INT64_C(86400000) / 10;
        break;
    case 2:
        l->w.wall.unix_ms += by * INT64_C(86400000) * 365 / 10;
        break;
    default:
        l->w.wall.unix_ms = (chance(l, 50) ? MADE_FREEZE_BEGIN_MS : MADE_FREEZE_END_MS) + by * 100;
    }
}

static void befall(struct life *l)
{
    uint32_t dice = rng_below(&l->rng, 1000);
    l->may_crash = dice < 935 || (dice >= 950 && dice < 975);
    if (dice < 500)
        live_on(l);
    else if (dice < 560)
        speak_beside(l);
    else if (dice < 680)
        speak(l);
    else if (dice < 690)
        go_back(l);
    else if (dice < 780)
        answer(l);
    else if (dice < 830)
        world_take(&l->w, rng_below(&l->rng, WORLD_WORKERS));
    else if (dice < 860)
        world_break(&l->w, 1 + rng_below(&l->rng, WORLD_FAULT_COUNT - 1)), l->faults++;
    else if (dice < 910)
        world_break(&l->w, WORLD_WELL);
    else if (dice < 935)
        reload(l);
    else if (dice < 940)
        vanish(l);
    else if (dice < 950)
        turn_bad(l);
    else if (dice < 965)
        set_wall(l);
    else if (dice < 975)
        l->w.is_courier_full = !l->w.is_courier_full;
    else
        restart(l, false);
    l->may_crash = false;
    if (chance(l, 75))
        world_take_all(&l->w);
    witness_check(l);
}

static void begin_life(struct life *l, uint64_t seed)
{
    l->seed = seed;
    rng_init(&l->rng, seed);
    rng_init(&l->w.rng, seed ^ 1);
    l->plan = (struct made_plan){ .revision = 1, .canary = 'c', .is_sticky = chance(l, 30) };
    l->seen = (struct witness){ 0 };
    l->w.wall.unix_ms = WORLD_NOON_MS;
    l->w.is_courier_full = false;
    made_steps(&l->plan, &l->rng);
    write_yaml(l);
    world_database_begin(&l->w);
    world_boot(&l->w, WORLD_WELL);
    witness_note(l);
    l->w.on_publish = witness_on_publish;
    l->w.on_instant = witness_on_instant;
    l->w.arg = l;
    world_begin(&l->w);
    witness_check(l);
}

/* Of a row that cannot be read nothing is gone on with. */
static void end_life(struct life *l)
{
    bool is_torn =
        l->w.store->journal.count == 0 && world_query(&l->w, "SELECT count(*) FROM rollouts WHERE name = 'r'") > 0;
    world_kill(&l->w);
    l->w.on_publish = NULL;
    sqlite3_exec(l->w.locker, "UPDATE rollouts SET detail = 'torn'", NULL, NULL, NULL);
    world_boot(&l->w, WORLD_WELL);
    world_begin(&l->w);
    world_take_all(&l->w);
    HOLDS(!is_torn || (now_of(l)->weight_ppm == 0 && now_of(l)->state == ROLLOUT_FAILED),
          "D4: what is torn has failed");
    struct audit_verdict verdict;
    HOLDS(audit_verify(l->w.store, &verdict) && verdict.bad_id == 0, "D3: the audit log is whole");
    world_kill(&l->w);
    world_database_end(&l->w);
}

static void live(struct life *l, uint64_t seed)
{
    begin_life(l, seed);
    if (witness_is_frail(l) && __lsan_disable != NULL)
        __lsan_disable();
    for (volatile int i = 0; i < THINGS; i++) {
        if (setjmp(l->crash) == 0) {
            befall(l);
            continue;
        }
        l->may_crash = false;
        l->crashes++;
        restart(l, true);
    }
    if (witness_is_frail(l) && __lsan_enable != NULL)
        __lsan_enable();
    end_life(l);
}

static void expect_all_was_met(const struct life *l)
{
    for (unsigned state = 0; state < ROLLOUT_STATE_COUNT; state++)
        cr_expect_gt(l->states[state], 2, "%s was reached %llu times", rollout_state_names[state],
                     (unsigned long long)l->states[state]);
    cr_expect_gt(l->raises - l->raises_by_promote, 300);
    cr_expect_gt(l->backs, 100);
    cr_expect_gt(l->restarts, 300);
    cr_expect_gt(l->crashes, 5);
    cr_expect_gt(l->resets, 50);
    cr_expect_gt(l->raises_beside, 100);
}

static void live_many(uint64_t part)
{
    static struct life l; /* large */
    const char *times = getenv("WEIR_LIVES"), *one = getenv("WEIR_LIFE");
    log_set_level(getenv("WEIR_LIFE") != NULL ? LOG_INFO : LOG_ERROR + 1);
    const char *of = getenv("WEIR_LIVES_OF");
    part += of != NULL ? 2 * strtoull(of, NULL, 10) : 0;
    world_init(&l.w, part);
    long lives = LIVES * (times != NULL ? strtol(times, NULL, 10) : 1);
    for (long i = 0; one == NULL && i < lives; i++)
        live(&l, part * 1000000 + (uint64_t)i);
    if (one != NULL)
        live(&l, strtoull(one, NULL, 10));
    else
        expect_all_was_met(&l);
    text_fini(&l.state);
    world_fini(&l.w);
}

/* In parts, which run beside each other: some seconds of work each, and some minutes on a machine that has much else to do. */
Test(rollout_properties, hold_for_all_lives_of_part_1, .timeout = 600)
{
    live_many(1);
}

Test(rollout_properties, hold_for_all_lives_of_part_2, .timeout = 600)
{
    live_many(2);
}
