/* tests/unit/server/test_rollout_properties.c - the invariants of docs/design.md, "What a rollout's driver keeps", on random lives.
 *
 * A life is some dozen random things that befall a driver with a real store (world.h): looks, words, traffic, clocks that
 * jump, reloads, a store that fails, answers that come late, processes that are killed at any instant. A witness keeps books
 * of its own, from what went in and what workers, disk and courier saw come out.
 *
 *   WEIR_LIVES=20      so many times as many lives
 *   WEIR_LIFE=123      that one life alone, as a failure names it */
#include "server/made_plan.h"
#include "server/world.h"

#include <criterion/criterion.h>

#include <setjmp.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/audit.h"
#include "store/statement.h"

#define LIVES        300 /* of each part */
#define THINGS       70  /* that befall one */
#define STEPS_MOST   8
#define PEOPLE       4
#define MAX_WATCH_MS PLAN_WATCH_GAP_MS

static const char *const people[PEOPLE] = { "alice", "bob", "carol", "unix:root" };

struct witness {
    uint32_t weight_ppm; /* of the newest publication */
    enum rollout_state state;
    int64_t watched_ms; /* at this weight, in force everywhere, while it held */
    uint64_t requests;  /* of the canary that ended since this weight was ordered */
    uint64_t unseen;    /* that ended since the last look */
    bool is_passed[MADE_STEPS_MOST];
    unsigned approvals; /* bits: at the gate it waits at */
    bool is_promoted;   /* somebody has ended the hold at this weight */
    char revision[REVISION_MAX_BYTES + 1];
    uint64_t pair_hash, steps_hash;
    uint64_t evidence[TALLY_ARM_COUNT], stored[TALLY_ARM_COUNT];
};

struct life {
    uint64_t seed;
    struct rng rng;
    struct world w;
    struct made_plan plan;
    struct witness seen;
    bool may_crash;
    jmp_buf crash;
    struct text state;
    uint64_t raises, raises_by_promote, backs, restarts, crashes, faults, resets, states[ROLLOUT_STATE_COUNT];
};

#define HOLDS(condition, what)                                                                                         \
    cr_assert(condition, "life %llu: %s (now %s at %u ppm, before %s at %u ppm)", (unsigned long long)l->seed, what,   \
              rollout_state_names[now_of(l)->state], now_of(l)->weight_ppm, rollout_state_names[l->seen.state],        \
              l->seen.weight_ppm)

static bool chance(struct life *l, uint32_t percent)
{
    return rng_below(&l->rng, 100) < percent;
}

static const struct progress *now_of(struct life *l)
{
    static const struct progress none;
    const struct rollout *r = world_rollout(&l->w);
    return r != NULL ? &r->progress : &none;
}

static void write_yaml(struct life *l)
{
    text_clear(&l->w.yaml);
    made_write(&l->plan, &l->w.yaml);
}

/* ---- a weight rises ------------------------------------------------------------------------------------------------------ */

static uint32_t step_of(const struct life *l, uint32_t weight_ppm)
{
    uint32_t i = 0;
    while (i < l->plan.count &&
           (l->plan.steps[i].kind != STEP_WEIGHT || l->plan.steps[i].percent * 10000 != weight_ppm))
        i++;
    return i;
}

static bool is_frozen_now(const struct life *l)
{
    return l->plan.is_frozen && l->w.wall.unix_ms >= MADE_FREEZE_BEGIN_MS && l->w.wall.unix_ms < MADE_FREEZE_END_MS;
}

/* D2: of the judge, and of the driver's watch. */
static void expect_watched(struct life *l)
{
    const struct made_step *step = &l->plan.steps[step_of(l, l->seen.weight_ppm)];
    const struct judge_result *judged = &world_rollout(&l->w)->judged;
    if (l->seen.is_promoted || l->seen.weight_ppm == 0)
        return;
    HOLDS(l->seen.watched_ms >= step->hold_ms, "D2: the hold was watched in full");
    HOLDS(l->seen.requests + l->seen.unseen >= step->min_requests, "D2: the canary had its requests");
    HOLDS(judged->count > 0 && !judged->is_breach && judged->guardrails[0].verdict == JUDGE_HEALTHY,
          "D2: a verdict holds nothing back");
}

static void expect_raise(struct life *l, uint32_t weight_ppm)
{
    uint32_t to = step_of(l, weight_ppm), from = l->seen.weight_ppm == 0 ? UINT32_MAX : step_of(l, l->seen.weight_ppm);
    HOLDS(to < l->plan.count, "D2: a weight of the plan");
    HOLDS(from == UINT32_MAX || from < to, "D2: the next one");
    for (uint32_t i = from + 1; i < to; i++)
        HOLDS(l->plan.steps[i].kind != STEP_WEIGHT && l->seen.is_passed[i], "D2: every gate before it was passed");
    HOLDS(l->w.fault == WORLD_WELL || l->w.fault == WORLD_FULL,
          "D5: nothing rises while the store fails"); /* if full, see D3 */
    HOLDS(!is_frozen_now(l), "D2: the calendar is open");
    HOLDS(world_query(&l->w,
                      "SELECT a.detail LIKE '%\"weight_ppm\":' || t.weight_ppm || ',%' FROM transitions t JOIN audit a"
                      " ON a.id = t.audit_id ORDER BY t.id DESC LIMIT 1") == 1 &&
              world_query(&l->w, "SELECT weight_ppm FROM transitions ORDER BY id DESC LIMIT 1") == weight_ppm,
          "D3: its audit line is on the disk before it");
    expect_watched(l);
    l->raises++;
    l->raises_by_promote += l->seen.is_promoted;
}

/* What the plan says was earned by the pair that it was said of: until another one's beginning is stored, that has nothing. */
static bool is_of_this_pair(struct life *l)
{
    return now_of(l)->pair_hash == progress_pair_hash(world_rollout(&l->w)->config);
}

static void expect_plans_weight(struct life *l)
{
    double pair, ppm = world_canary_share(&l->w, &pair);
    uint32_t weight_ppm = is_of_this_pair(l) ? now_of(l)->weight_ppm : 0;
    HOLDS(ppm > weight_ppm - 0.5 && ppm < weight_ppm + 0.5, "D6: workers get what the plan says");
    HOLDS(pair > 0.6 - 1e-9 && pair < 0.6 + 1e-9, "D6: other shares stay");
}

/* D1, and what any publication must be. */
static void on_publish(void *arg)
{
    struct life *l = arg;
    uint32_t weight_ppm = now_of(l)->weight_ppm;
    expect_plans_weight(l);
    if (weight_ppm > l->seen.weight_ppm)
        expect_raise(l, weight_ppm);
    if (l->may_crash && chance(l, 8))
        longjmp(l->crash, 1);
    if (weight_ppm != l->seen.weight_ppm) {
        l->seen.watched_ms = 0;
        l->seen.requests = 0;
        l->seen.is_promoted = false;
    }
    l->seen.weight_ppm = weight_ppm;
}

/* ---- whatever happens ---------------------------------------------------------------------------------------------------- */

/* D3. */
static void expect_recorded(struct life *l)
{
    uint32_t weight_ppm;
    const struct progress *p = now_of(l);
    if (p->state == l->seen.state)
        return;
    HOLDS(world_newest_transition(&l->w, &l->state, &weight_ppm), "D3: a transition was written down");
    HOLDS(strcmp(l->state.bytes, rollout_state_names[p->state]) == 0 && weight_ppm == p->weight_ppm,
          "D3: the transition that was written down is the one that happened");
    l->states[p->state]++;
}

static bool is_of_another(const struct life *l, const struct progress *p)
{
    return strcmp(p->revision, l->seen.revision) != 0 || p->pair_hash != l->seen.pair_hash;
}

/* D7. */
static void expect_evidence(struct life *l)
{
    const struct rollout *r = world_rollout(&l->w);
    bool is_reset = is_of_another(l, &r->progress);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        HOLDS(!is_reset || r->evidence.requests[arm] == 0, "D7: of another revision or pair nothing is known");
        HOLDS(is_reset || r->evidence.requests[arm] >= l->seen.evidence[arm], "D7: evidence is not forgotten");
        if (is_reset)
            l->seen.stored[arm] = 0;
        else if (r->progress.state != l->seen.state && l->w.fault == WORLD_WELL && r->is_loaded)
            l->seen.stored[arm] = l->seen.evidence[arm]; /* with the transition; at least what was known before it */
        l->seen.evidence[arm] = r->evidence.requests[arm];
    }
    l->resets += is_reset;
}

static void note_progress(struct life *l)
{
    const struct progress *p = now_of(l);
    if (is_of_another(l, p) || p->steps_hash != l->seen.steps_hash)
        memset(l->seen.is_passed, 0, sizeof l->seen.is_passed);
    bool is_at_gate = p->state == ROLLOUT_AWAITING_APPROVAL || p->state == ROLLOUT_PAUSED;
    if (!is_at_gate || is_of_another(l, p) || p->steps_hash != l->seen.steps_hash)
        l->seen.approvals = 0;
    memcpy(l->seen.revision, p->revision, sizeof l->seen.revision);
    l->seen.pair_hash = p->pair_hash;
    l->seen.steps_hash = p->steps_hash;
    l->seen.state = p->state;
}

static void check(struct life *l)
{
    if (world_rollout(&l->w) == NULL)
        return;
    expect_plans_weight(l);
    HOLDS(timer_is_armed(&l->w.all.timer), "D8: the driver looks again");
    expect_recorded(l);
    expect_evidence(l);
    note_progress(l);
}

/* ---- restarts -------------------------------------------------------------------------------------------------------------- */

/* D4: what is on the disk is what it goes on with. */
static void expect_resumed(struct life *l, const struct progress *before, bool is_crash, bool was_well)
{
    uint32_t weight_ppm = 0;
    const struct rollout *r = world_rollout(&l->w);
    bool has = world_newest_transition(&l->w, &l->state, &weight_ppm);
    HOLDS(has ? strcmp(l->state.bytes, rollout_state_names[now_of(l)->state]) == 0
              : now_of(l)->state == ROLLOUT_PENDING,
          "D4: the state that was written down");
    HOLDS(now_of(l)->weight_ppm == weight_ppm, "D4: the weight that was written down");
    if (is_crash)
        return;
    HOLDS(now_of(l)->state == before->state && now_of(l)->weight_ppm == before->weight_ppm, "D4: as it was");
    HOLDS(now_of(l)->step == before->step || !rollout_state_is_active(before->state), "D4: the same step");
    HOLDS(now_of(l)->approval_count == before->approval_count, "D4: the same approvals");
    HOLDS(now_of(l)->left_ms >= before->left_ms || !rollout_state_is_active(before->state), "D4: no hold is shortened");
    HOLDS(!was_well || now_of(l)->left_ms <= before->left_ms + PLAN_SAVE_EVERY_MS, "D4: nor much longer");
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        HOLDS(r->evidence.requests[arm] >= l->seen.stored[arm] || rollout_state_is_over(before->state) ||
                  before->state == ROLLOUT_PENDING || before->state == ROLLOUT_SUCCEEDED,
              "D4: evidence that was stored is there");
}

static void take_up(struct life *l)
{
    const struct rollout *r = world_rollout(&l->w);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        l->seen.evidence[arm] = l->seen.stored[arm] = r->evidence.requests[arm];
    l->seen.unseen = 0;
    l->seen.weight_ppm = now_of(l)->weight_ppm;
    note_progress(l);
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
    bool is_unreadable = chance(l, 15);
    world_boot(&l->w, is_unreadable ? WORLD_UNREADABLE : WORLD_WELL);
    if (is_unreadable) {
        meet_unreadable(l);
        world_kill(&l->w);
        world_boot(&l->w, WORLD_WELL);
    }
    expect_resumed(l, &before, is_crash, was_well);
    take_up(l);
    l->w.on_publish = on_publish;
    world_begin(&l->w);
    check(l);
}

/* ---- what befalls one -------------------------------------------------------------------------------------------------------- */

static void pass(struct life *l, int64_t ms)
{
    bool is_held = now_of(l)->state == ROLLOUT_HOLDING && world_is_in_force(&l->w);
    l->seen.watched_ms += is_held ? (ms < MAX_WATCH_MS ? ms : MAX_WATCH_MS) : 0;
    world_pass(&l->w, ms);
}

static void serve(struct life *l, unsigned count, unsigned failing_percent)
{
    uint64_t before = l->w.ended[TALLY_CANARY];
    world_serve(&l->w, count, failing_percent);
    l->seen.requests += l->w.ended[TALLY_CANARY] - before;
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
    bool was_promoted = l->seen.is_promoted;
    l->seen.is_promoted |= kind == PLAN_PROMOTE;
    enum rollout_answer answer = world_say(&l->w, kind, people[who]);
    if (answer != ROLLOUT_DONE)
        l->seen.is_promoted = was_promoted;
    HOLDS(l->w.fault == WORLD_WELL || answer != ROLLOUT_DONE || l->w.fault == WORLD_FULL || kind == PLAN_RESUME ||
              kind == PLAN_PAUSE,
          "D5: what cannot be written down is not done");
    if (is_last && answer != ROLLOUT_DONE)
        l->seen.is_passed[before.step] = false;
    if (kind == PLAN_APPROVE && answer == ROLLOUT_DONE)
        note_approval(l, who, &before);
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
    write_yaml(l);
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
    expect_resumed(l, &before, was_under_way, false);
    memset(l->seen.is_passed, 0, sizeof l->seen.is_passed);
    take_up(l);
    l->w.on_publish = on_publish;
    world_begin(&l->w);
}

static void befall(struct life *l)
{
    uint32_t dice = rng_below(&l->rng, 1000);
    l->may_crash = dice < 680;
    if (dice < 560)
        live_on(l);
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
        l->w.wall.unix_ms += ((int64_t)rng_below(&l->rng, 200) - 100) * 10000;
    else if (dice < 975)
        l->w.is_courier_full = !l->w.is_courier_full;
    else
        restart(l, false);
    l->may_crash = false;
    if (chance(l, 75))
        world_take_all(&l->w);
    check(l);
}

static void begin_life(struct life *l, uint64_t seed)
{
    l->seed = seed;
    rng_init(&l->rng, seed);
    rng_init(&l->w.rng, seed ^ 1);
    l->plan = (struct made_plan){ .revision = 1, .canary = 'c' };
    l->seen = (struct witness){ 0 };
    l->w.wall.unix_ms = WORLD_NOON_MS;
    l->w.is_courier_full = false;
    made_steps(&l->plan, &l->rng);
    write_yaml(l);
    world_database_begin(&l->w);
    world_boot(&l->w, WORLD_WELL);
    note_progress(l);
    l->w.on_publish = on_publish;
    l->w.arg = l;
    world_begin(&l->w);
    check(l);
}

/* Of a row that cannot be read nothing is gone on with. */
static void end_life(struct life *l)
{
    bool is_torn = l->w.store->journal.count == 0 && world_query(&l->w, "SELECT count(*) FROM rollouts") > 0;
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
    for (volatile int i = 0; i < THINGS; i++) {
        if (setjmp(l->crash) == 0) {
            befall(l);
            continue;
        }
        l->may_crash = false;
        l->crashes++;
        restart(l, true);
    }
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
}

static void live_many(uint64_t part)
{
    static struct life l; /* large */
    const char *times = getenv("WEIR_LIVES"), *one = getenv("WEIR_LIFE");
    log_set_level(getenv("WEIR_LIFE") != NULL ? LOG_INFO : LOG_ERROR + 1);
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
