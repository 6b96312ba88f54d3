/* tests/unit/server/witness.c - what each publication, each thing that befalls and each restart must keep. */
#include "server/witness.h"

#include <stdlib.h>

/* ---- a weight rises ------------------------------------------------------------------------------------------------------ */

static uint32_t step_of(const struct life *l, uint32_t weight_ppm)
{
    uint32_t i = 0;
    while (i < l->plan.count &&
           (l->plan.steps[i].kind != STEP_WEIGHT || l->plan.steps[i].percent * 10000 != weight_ppm))
        i++;
    return i;
}

static bool is_closed_now(const struct life *l)
{
    int64_t now_ms = l->w.wall.unix_ms, hour = now_ms / 3600000 % 24;
    return (l->plan.is_frozen && now_ms >= MADE_FREEZE_BEGIN_MS && now_ms < MADE_FREEZE_END_MS) ||
           (l->plan.is_windowed && (hour < 11 || hour >= 13));
}

/* D2: of the judge, and of the driver's watch. */
static void expect_watched(struct life *l)
{
    const struct made_step *step = &l->plan.steps[step_of(l, l->seen.hold.weight_ppm)];
    const struct judge_result *judged = &world_rollout(&l->w)->judged;
    if (l->seen.hold.is_promoted || l->seen.hold.weight_ppm == 0)
        return;
    HOLDS(l->seen.hold.watched_ms >= step->hold_ms, "D2: the hold was watched in full");
    HOLDS(l->seen.hold.requests + l->seen.unseen >= step->min_requests, "D2: the canary had its requests");
    HOLDS(judged->count > 0 && !judged->is_breach && judged->guardrails[0].verdict == JUDGE_HEALTHY,
          "D2: a verdict holds nothing back");
}

static void expect_raise(struct life *l, uint32_t weight_ppm)
{
    uint32_t to = step_of(l, weight_ppm),
             from = l->seen.hold.weight_ppm == 0 ? UINT32_MAX : step_of(l, l->seen.hold.weight_ppm);
    HOLDS(to < l->plan.count, "D2: a weight of the plan");
    HOLDS(from == UINT32_MAX || from < to, "D2: the next one");
    for (uint32_t i = from + 1; i < to; i++)
        HOLDS(l->plan.steps[i].kind != STEP_WEIGHT && l->seen.is_passed[i], "D2: every gate before it was passed");
    HOLDS(l->w.fault == WORLD_WELL || l->w.fault == WORLD_FULL,
          "D5: nothing rises while the store fails"); /* if full, see D3 */
    HOLDS(!is_closed_now(l), "D2: the calendar is open");
    HOLDS(world_query(&l->w,
                      "SELECT a.detail LIKE '%\"weight_ppm\":' || t.weight_ppm || ',%' FROM transitions t JOIN audit a"
                      " ON a.id = t.audit_id WHERE t.rollout = 'r' ORDER BY t.id DESC LIMIT 1") == 1 &&
              world_query(&l->w, "SELECT weight_ppm FROM transitions WHERE rollout = 'r' ORDER BY id DESC LIMIT 1") ==
                  weight_ppm,
          "D3: its audit line is on the disk before it");
    expect_watched(l);
    l->raises++;
    l->raises_by_promote += l->seen.hold.is_promoted;
}

/* Of the other rollout, which knows of this one's troubles only what the store has to do with them. */
static void expect_beside(struct life *l)
{
    double pair, ppm = world_beside_share(&l->w, &pair);
    const struct rollout *q = world_beside(&l->w);
    if (q == NULL)
        return;
    uint32_t weight_ppm = q->progress.weight_ppm;
    HOLDS(ppm > weight_ppm - 0.5 && ppm < weight_ppm + 0.5, "D6: workers get what the other plan says");
    HOLDS(pair > 0.8 - 1e-9 && pair < 0.8 + 1e-9, "D6: other shares of the other split stay");
    if (weight_ppm > l->seen.beside_ppm) {
        HOLDS(l->w.fault == WORLD_WELL || l->w.fault == WORLD_FULL, "D5: nothing rises while the store fails");
        HOLDS(world_query(&l->w, "SELECT weight_ppm FROM transitions WHERE rollout = 'q' ORDER BY id DESC LIMIT 1") ==
                  weight_ppm,
              "D3: the other's audit line is on the disk before its weight rises");
    }
    l->seen.beside_ppm = weight_ppm;
}

/* D3 and D4: what was written down of the other rollout is where it stands. */
static void expect_beside_recorded(struct life *l)
{
    uint32_t weight_ppm = 0;
    const struct rollout *q = world_beside(&l->w);
    bool has = world_newest_transition(&l->w, "q", &l->state, &weight_ppm);
    HOLDS(has ? strcmp(l->state.bytes, rollout_state_names[q->progress.state]) == 0
              : q->progress.state == ROLLOUT_PENDING,
          "D3, D4: the other's state is the one that was written down");
    HOLDS(q->progress.weight_ppm == weight_ppm, "D3, D4: and so is its weight");
    l->seen.beside_ppm = weight_ppm;
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
void witness_on_publish(void *arg)
{
    struct life *l = arg;
    uint32_t weight_ppm = now_of(l)->weight_ppm;
    expect_plans_weight(l);
    expect_beside(l);
    if (weight_ppm > l->seen.hold.weight_ppm)
        expect_raise(l, weight_ppm);
    if (l->may_crash && chance(l, 8))
        longjmp(l->crash, 1);
    if (weight_ppm != l->seen.hold.weight_ppm) {
        l->seen.hold_before = l->seen.hold;
        l->seen.hold = (struct witness_hold){ .weight_ppm = weight_ppm };
    }
}

/* Of those that may be killed anywhere: nothing is freed then, so that no leak is looked for in them. */
bool witness_is_frail(const struct life *l)
{
    return l->seed % 3 == 0;
}

/* Between any two things that the driver does it may be killed, or the store begin to fail. */
void witness_on_instant(void *arg)
{
    struct life *l = arg;
    if (!l->may_crash || rng_below(&l->rng, 200) != 0)
        return;
    if (witness_is_frail(l) && chance(l, 80))
        longjmp(l->crash, 1);
    if (l->w.fault == WORLD_WELL)
        world_break(&l->w, 1 + rng_below(&l->rng, WORLD_FAULT_COUNT - 1)), l->faults++;
}

/* ---- whatever happens ---------------------------------------------------------------------------------------------------- */

/* D3. */
static void expect_recorded(struct life *l)
{
    uint32_t weight_ppm;
    const struct progress *p = now_of(l);
    if (p->state == l->seen.state)
        return;
    HOLDS(world_newest_transition(&l->w, "r", &l->state, &weight_ppm), "D3: a transition was written down");
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
    bool is_reset = is_of_another(l, &r->progress) || l->plan.is_sticky != l->seen.is_sticky;
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        HOLDS(!is_reset || r->evidence.requests[arm] == 0,
              "D7: of another revision, pair or kind of route nothing is known");
        HOLDS(is_reset || r->evidence.requests[arm] >= l->seen.evidence[arm], "D7: evidence is not forgotten");
        if (is_reset)
            l->seen.stored[arm] = 0;
        else if (r->progress.state != l->seen.state && l->w.fault == WORLD_WELL && r->is_loaded)
            l->seen.stored[arm] = l->seen.evidence[arm]; /* with the transition; at least what was known before it */
        l->seen.evidence[arm] = r->evidence.requests[arm];
    }
    l->resets += is_reset;
}

void witness_note(struct life *l)
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
    l->seen.is_sticky = l->plan.is_sticky;
    l->seen.state = p->state;
}

void witness_check(struct life *l)
{
    if (world_rollout(&l->w) == NULL)
        return;
    expect_plans_weight(l);
    HOLDS(timer_is_armed(&l->w.all.timer), "D8: the driver looks again");
    expect_recorded(l);
    expect_evidence(l);
    expect_beside(l);
    if (world_beside(&l->w)->progress.state != l->seen.beside_state)
        expect_beside_recorded(l);
    l->seen.beside_state = world_beside(&l->w)->progress.state;
    witness_note(l);
}

/* ---- restarts -------------------------------------------------------------------------------------------------------------- */

/* D4: what is on the disk is what it goes on with. */
void witness_expect_resumed(struct life *l, const struct progress *before, bool is_crash, bool was_well)
{
    uint32_t weight_ppm = 0;
    const struct rollout *r = world_rollout(&l->w);
    bool has = world_newest_transition(&l->w, "r", &l->state, &weight_ppm);
    HOLDS(has ? strcmp(l->state.bytes, rollout_state_names[now_of(l)->state]) == 0
              : now_of(l)->state == ROLLOUT_PENDING,
          "D4: the state that was written down");
    HOLDS(now_of(l)->weight_ppm == weight_ppm, "D4: the weight that was written down");
    expect_beside_recorded(l);
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
