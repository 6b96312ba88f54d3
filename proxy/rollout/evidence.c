/* rollout/evidence.c - counts, mails and samples find the windows and e-processes that they are for. */
#include "rollout/evidence.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

#define PPM 1000000.0
/* Kind of a key in the seen-set: its first request. Beside the columns, which are the kinds of first events. */
#define KIND_REQUEST TALLY_COLUMN_COUNT

/* ---- states ------------------------------------------------------------------------------------------------------------ */

static enum eprocess_side opposite(enum eprocess_side side)
{
    return side == EPROCESS_MORE ? EPROCESS_LESS : EPROCESS_MORE;
}

/* Thresholds of latency are per arm, and have the margin in them already: of what is left the margin is 1. */
static double margin_of(const struct guardrail *g)
{
    return g->kind == GUARDRAIL_LATENCY_RATIO ? 1 : g->margin;
}

/* How many mixtures a comparison holds. */
static uint32_t ratio_count(const struct guardrail *g)
{
    if (g->kind == GUARDRAIL_RATIO)
        return 1;
    return g->kind == GUARDRAIL_LATENCY_RATIO ? guardrail_slow_count(g) : 0;
}

static void comparison_init(struct comparison_test *c, const struct guardrail *g, enum eprocess_side side,
                            double reserve)
{
    if (g->kind == GUARDRAIL_POINTS)
        eprocess_points_init(&c->points, g->margin, side, reserve);
    for (uint32_t i = 0; i < ratio_count(g); i++)
        eprocess_ratio_init(&c->ratios[i], margin_of(g), side, reserve);
}

static void comparison_refill(struct comparison_test *c, const struct guardrail *g)
{
    if (g->kind == GUARDRAIL_POINTS)
        eprocess_points_refill(&c->points);
    for (uint32_t i = 0; i < ratio_count(g); i++)
        eprocess_ratio_refill(&c->ratios[i]);
}

static void state_init(struct guardrail_state *s, const struct guardrail *g)
{
    memset(s, 0, sizeof *s);
    if (guardrail_is_comparative(g)) {
        enum eprocess_side side = g->is_less_worse ? EPROCESS_LESS : EPROCESS_MORE;
        comparison_init(&s->worse, g, side, EVIDENCE_RESERVE);
        /* None here: a proof is about the whole time, and a good last minute is none. */
        comparison_init(&s->proof, g, opposite(side), 0);
    }
    if (g->kind == GUARDRAIL_RATE || g->kind == GUARDRAIL_LATENCY || g->kind == GUARDRAIL_BURN)
        window_init(&s->window, g->window_us);
    if (g->kind == GUARDRAIL_BURN)
        window_init(&s->short_window, g->short_window_us);
    if (g->kind == GUARDRAIL_BURN && g->slow_objective > 0) {
        window_init(&s->slow_window, g->window_us);
        window_init(&s->slow_short_window, g->short_window_us);
    }
}

void evidence_init(struct evidence *e, const struct guardrail *guardrails, uint32_t count, bool is_sticky)
{
    CHECK(count <= GUARDRAILS_MAX);
    memset(e, 0, sizeof *e);
    e->guardrails = guardrails;
    e->guardrail_count = count;
    e->is_sticky = is_sticky;
    for (uint32_t i = 0; i < count; i++)
        state_init(&e->states[i], &guardrails[i]);
    eprocess_ratio_init(&e->mismatch, 1, EPROCESS_EITHER, 0);
    if (is_sticky)
        seen_init(&e->seen, EVIDENCE_SEEN_BITS);
    e->stable_needed = EVIDENCE_THRESHOLDS_FROM;
    e->learnt.us = INT64_MIN;
    for (uint32_t i = 0; i < TALLY_SLOW_COUNT; i++)
        e->slow_us[i] = UINT64_MAX;
}

void evidence_fini(struct evidence *e)
{
    seen_fini(&e->seen);
}

/* Halving forgets: after a learning, what was known before weighs no more than what comes until the next. */
static void forget_half(struct histogram *h)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        h->buckets[i] /= 2;
}

/* Whatever was added since the last time. */
static bool learn(struct evidence *e)
{
    uint64_t known = histogram_count(&e->stable);
    if (known < EVIDENCE_THRESHOLDS_FROM)
        return false;
    for (uint32_t i = 0; i < e->guardrail_count; i++) {
        const struct guardrail *g = &e->guardrails[i];
        for (uint32_t k = 0; g->kind == GUARDRAIL_LATENCY_RATIO && k < guardrail_slow_count(g); k++)
            e->slow_us[g->column - TALLY_SLOW + k] = histogram_quantile_us(&e->stable, guardrail_quantile(g, k));
    }
    e->stable_since = 0;
    e->stable_needed = EVIDENCE_THRESHOLDS_EVERY;
    for (; known > EVIDENCE_THRESHOLDS_KEPT; known /= 2)
        forget_half(&e->stable);
    return true;
}

/* Windows that follow the holds (BURN) may have another length now. */
static void state_fit(struct guardrail_state *s, const struct guardrail *g)
{
    if (g->kind != GUARDRAIL_BURN)
        return;
    window_resize(&s->window, g->window_us);
    window_resize(&s->short_window, g->short_window_us);
    if (g->slow_objective > 0) {
        window_resize(&s->slow_window, g->window_us);
        window_resize(&s->slow_short_window, g->short_window_us);
    }
}

static const struct guardrail_state *state_of_identity(const struct guardrail *guardrails, uint32_t count,
                                                       const struct guardrail_state *states, uint64_t identity)
{
    for (uint32_t i = 0; i < count; i++)
        if (guardrails[i].identity == identity)
            return &states[i];
    return NULL;
}

/* Columns may have moved: what workers still report under older weights is for other guardrails, and thresholds are
   learnt anew from what is known of stable. */
void evidence_use_guardrails(struct evidence *e, const struct guardrail *guardrails, uint32_t count)
{
    CHECK(count <= GUARDRAILS_MAX);
    struct guardrail_state states[GUARDRAILS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        const struct guardrail_state *old =
            state_of_identity(e->guardrails, e->guardrail_count, e->states, guardrails[i].identity);
        if (old == NULL) {
            state_init(&states[i], &guardrails[i]);
            continue;
        }
        states[i] = *old;
        state_fit(&states[i], &guardrails[i]);
    }
    memcpy(e->states, states, count * sizeof *states);
    e->guardrails = guardrails;
    e->guardrail_count = count;
    for (uint32_t i = 0; i < EVIDENCE_GENERATIONS; i++)
        e->generations[i].generation = EVIDENCE_NO_GENERATION;
    for (uint32_t i = 0; i < TALLY_SLOW_COUNT; i++)
        e->slow_us[i] = UINT64_MAX;
    learn(e);
}

/* ---- thresholds -------------------------------------------------------------------------------------------------------- */

void evidence_seed_durations(struct evidence *e, const struct histogram *stable)
{
    histogram_merge(&e->stable, stable);
    learn(e);
}

static bool has_thresholds(const struct evidence *e)
{
    bool has = false;
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        has |= e->guardrails[i].kind == GUARDRAIL_LATENCY_RATIO;
    return has;
}

bool evidence_learn_thresholds(struct evidence *e, struct mono_time now)
{
    bool is_first = e->learnt.us == INT64_MIN;
    bool is_early = !is_first && mono_is_before(now, mono_add_ms(e->learnt, EVIDENCE_THRESHOLDS_MS));
    if (e->stable_since < e->stable_needed || is_early || !has_thresholds(e) || !learn(e))
        return false;
    e->learnt = now;
    return true;
}

static void rules_of_guardrail(const struct evidence *e, const struct guardrail *g, struct tally_rules *out)
{
    for (uint32_t k = 0; k < guardrail_slow_count(g); k++) {
        uint32_t i = guardrail_slow_column(g) - TALLY_SLOW + k;
        uint64_t stable_us = e->slow_us[i];
        bool is_known = stable_us != UINT64_MAX;
        if (g->kind != GUARDRAIL_LATENCY_RATIO)
            out->slow_us[i][TALLY_STABLE] = out->slow_us[i][TALLY_CANARY] = g->limit_us;
        else {
            out->slow_us[i][TALLY_STABLE] = stable_us;
            out->slow_us[i][TALLY_CANARY] = is_known ? (uint64_t)((double)stable_us * g->margin) : UINT64_MAX;
        }
        out->slow_count = i + 1 > out->slow_count ? i + 1 : out->slow_count;
    }
}

/* ---- generations ------------------------------------------------------------------------------------------------------- */

static const struct evidence_generation *newest(const struct evidence *e)
{
    return e->generation_count == 0 ? NULL : &e->generations[(e->generation_count - 1) % EVIDENCE_GENERATIONS];
}

static const struct evidence_generation *find_generation(const struct evidence *e, uint64_t generation)
{
    for (uint32_t i = 0; i < EVIDENCE_GENERATIONS && i < e->generation_count; i++) {
        const struct evidence_generation *g = &e->generations[(e->generation_count - 1 - i) % EVIDENCE_GENERATIONS];
        if (g->generation == generation)
            return g;
    }
    return NULL;
}

void evidence_rules(const struct evidence *e, struct tally_rules *out)
{
    const struct evidence_generation *g = newest(e);
    memset(out, 0, sizeof *out);
    out->is_sticky = e->is_sticky;
    out->fresh_from_ppm = (uint32_t)PPM; /* nobody */
    if (g != NULL && g->compared_share > 0)
        out->fresh_from_ppm = (uint32_t)lround(e->fresh_from * PPM);
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        rules_of_guardrail(e, &e->guardrails[i], out);
}

/* V4. The same weight again (a reload, new thresholds, a restart) goes on with the cohort that it has. */
static double cohort_share(struct evidence *e, double share)
{
    const struct evidence_generation *before = newest(e);
    if (share > e->share_most) {
        e->fresh_from = e->share_most;
        e->share_most = share;
        e->cohort++;
        seen_clear(&e->seen);
        return (share - e->fresh_from) / (1 - e->fresh_from);
    }
    return before != NULL && fabs(before->share - share) < 0.5 / PPM ? before->compared_share : 0;
}

/* Not after every report, since each gift makes the later ones smaller. */
static void refill(struct evidence *e)
{
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        if (guardrail_is_comparative(&e->guardrails[i]))
            comparison_refill(&e->states[i].worse, &e->guardrails[i]);
}

void evidence_begin_generation(struct evidence *e, uint64_t generation, double share)
{
    CHECK(share >= 0 && share <= 1);
    if (newest(e) != NULL && share > newest(e)->share)
        refill(e);
    double compared = e->is_sticky ? cohort_share(e, share) : share;
    e->generations[e->generation_count++ % EVIDENCE_GENERATIONS] =
        (struct evidence_generation){ generation, e->cohort, share, compared };
}

/* ---- counts ------------------------------------------------------------------------------------------------------------ */

static void comparison_sum(struct comparison_test *c, const struct guardrail *g)
{
    double logs[EVIDENCE_QUANTILES];
    if (g->kind == GUARDRAIL_POINTS)
        c->log_e = c->points.log_e;
    else if (ratio_count(g) == 1)
        c->log_e = c->ratios[0].log_e;
    else {
        for (uint32_t i = 0; i < ratio_count(g); i++)
            logs[i] = c->ratios[i].log_e;
        c->log_e = eprocess_log_mean(logs, ratio_count(g));
    }
    c->log_e_most = fmax(c->log_e_most, c->log_e);
}

static void comparison_add(struct comparison_test *c, const struct guardrail *g, double share,
                           const struct tally_counts *counts)
{
    const uint64_t *canary = &counts->columns[TALLY_CANARY][g->column],
                   *stable = &counts->columns[TALLY_STABLE][g->column];
    if (g->kind == GUARDRAIL_POINTS)
        eprocess_points_add(&c->points, share, counts->requests[TALLY_CANARY] + counts->requests[TALLY_STABLE], *canary,
                            *stable);
    for (uint32_t i = 0; i < ratio_count(g); i++)
        eprocess_ratio_add(&c->ratios[i], share, canary[i], stable[i]);
    comparison_sum(c, g);
}

static void add_absolute(struct guardrail_state *s, const struct guardrail *g, const struct tally_counts *counts,
                         struct mono_time now)
{
    uint64_t requests = counts->requests[TALLY_CANARY], events = counts->columns[TALLY_CANARY][g->column];
    if (g->kind == GUARDRAIL_CONNECT_FAILURES) {
        /* The order inside one report is not known; any success in it ends the row, so that a row is never made up. */
        uint64_t failures = counts->columns[TALLY_CANARY][TALLY_CONNECT_FAILURES];
        s->failures_in_a_row = requests > failures ? 0 : s->failures_in_a_row + failures;
        return;
    }
    window_add(&s->window, now, requests, events);
    if (g->kind == GUARDRAIL_BURN)
        window_add(&s->short_window, now, requests, events);
    if (g->kind == GUARDRAIL_BURN && g->slow_objective > 0) {
        uint64_t slow = counts->columns[TALLY_CANARY][g->slow_column];
        window_add(&s->slow_window, now, requests, slow);
        window_add(&s->slow_short_window, now, requests, slow);
    }
}

static void add_compared(struct guardrail_state *s, const struct guardrail *g, double share,
                         const struct tally_counts *counts)
{
    comparison_add(&s->worse, g, share, counts);
    comparison_add(&s->proof, g, share, counts);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        s->events[arm] += counts->columns[arm][g->column];
}

static void add_totals(struct evidence *e, const struct tally_counts *counts)
{
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        e->begun[arm] += counts->begun[arm];
        e->requests[arm] += counts->requests[arm];
        e->discarded[arm] += counts->discarded[arm];
    }
    e->unmailed += counts->unmailed;
    e->stable_since += histogram_count(&counts->stable_durations);
    histogram_merge(&e->stable, &counts->stable_durations);
}

/* By the clock alone: what is to be seen must have no say in it. */
static void refill_when_due(struct evidence *e, struct mono_time now)
{
    if (e->refill_due.us == 0)
        e->refill_due = mono_add_ms(now, EVIDENCE_REFILL_MS);
    if (mono_is_before(now, e->refill_due))
        return;
    e->refill_due = mono_add_ms(now, EVIDENCE_REFILL_MS);
    refill(e);
}

void evidence_add_counts(struct evidence *e, uint64_t generation, const struct tally_counts *counts,
                         struct mono_time now)
{
    const struct evidence_generation *g = find_generation(e, generation);
    if (g == NULL) {
        e->late++;
        return;
    }
    add_totals(e, counts);
    refill_when_due(e, now);
    bool is_compared = !e->is_sticky && g->compared_share > 0 && g->compared_share < 1;
    for (uint32_t i = 0; i < e->guardrail_count; i++) {
        const struct guardrail *rail = &e->guardrails[i];
        if (!guardrail_is_comparative(rail) && rail->kind != GUARDRAIL_SAMPLE)
            add_absolute(&e->states[i], rail, counts, now);
        else if (is_compared && guardrail_is_comparative(rail))
            add_compared(&e->states[i], rail, g->compared_share, counts);
    }
    if (!is_compared)
        return;
    eprocess_ratio_add(&e->mismatch, g->compared_share, counts->requests[TALLY_CANARY], counts->requests[TALLY_STABLE]);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        e->compared[arm] += counts->requests[arm];
}

/* ---- sticky users ------------------------------------------------------------------------------------------------------ */

/* Of the columns of one request, those that the key has for the first time. */
static uint32_t new_columns(struct evidence *e, const struct tally_first *first)
{
    uint32_t fresh = 0;
    for (uint32_t left = first->columns; left != 0; left &= left - 1) {
        uint32_t column = (uint32_t)__builtin_ctz(left);
        if (column < TALLY_COLUMN_COUNT && seen_add(&e->seen, first->key_hash, column))
            fresh |= 1u << column;
    }
    return fresh;
}

static void counts_of_one(struct tally_counts *out, enum tally_arm arm, uint32_t columns)
{
    memset(out, 0, sizeof *out);
    out->requests[arm] = 1;
    for (uint32_t left = columns; left != 0; left &= left - 1)
        out->columns[arm][__builtin_ctz(left)] = 1;
}

static uint32_t columns_of(const struct guardrail *g)
{
    uint32_t count = ratio_count(g);
    return count == 0 ? 0 : ((1u << count) - 1) << g->column;
}

static void add_first_events(struct evidence *e, double share, enum tally_arm arm, uint32_t fresh)
{
    struct tally_counts one;
    counts_of_one(&one, arm, fresh);
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        if (columns_of(&e->guardrails[i]) & fresh) {
            comparison_add(&e->states[i].worse, &e->guardrails[i], share, &one);
            e->states[i].events[arm] += one.columns[arm][e->guardrails[i].column];
        }
}

static void add_first_request(struct evidence *e, double share, enum tally_arm arm, uint32_t columns)
{
    struct tally_counts one;
    counts_of_one(&one, arm, columns);
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        if (columns_of(&e->guardrails[i]) & columns)
            comparison_add(&e->states[i].proof, &e->guardrails[i], share, &one);
    eprocess_ratio_add(&e->mismatch, share, arm == TALLY_CANARY, arm == TALLY_STABLE);
    e->compared[arm]++;
}

void evidence_add_first(struct evidence *e, const struct tally_first *first)
{
    const struct evidence_generation *g = find_generation(e, first->generation);
    if (g == NULL || g->cohort != e->cohort) {
        e->late++;
        return;
    }
    if (!e->is_sticky || g->compared_share <= 0 || g->compared_share >= 1)
        return;
    if (seen_add(&e->seen, first->key_hash, KIND_REQUEST))
        add_first_request(e, g->compared_share, first->arm, first->columns);
    uint32_t fresh = new_columns(e, first);
    if (fresh != 0)
        add_first_events(e, g->compared_share, first->arm, fresh);
}

/* ---- outcomes ---------------------------------------------------------------------------------------------------------- */

void evidence_compare_events(struct evidence *e, uint32_t guardrail, double share,
                             const uint64_t events[TALLY_ARM_COUNT])
{
    const struct guardrail *g = &e->guardrails[guardrail];
    struct guardrail_state *s = &e->states[guardrail];
    struct tally_counts counts = { 0 };
    CHECK(g->kind == GUARDRAIL_RATIO);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        counts.columns[arm][g->column] = events[arm];
        s->events[arm] += events[arm];
    }
    comparison_add(&s->worse, g, share, &counts);
    if (!e->is_sticky) /* there it takes first requests, which are over */
        comparison_add(&s->proof, g, share, &counts);
}

/* ---- samples ----------------------------------------------------------------------------------------------------------- */

void evidence_add_sample(struct evidence *e, uint32_t guardrail, double value, struct mono_time now)
{
    CHECK(guardrail < e->guardrail_count && e->guardrails[guardrail].kind == GUARDRAIL_SAMPLE);
    const struct guardrail *g = &e->guardrails[guardrail];
    struct guardrail_state *s = &e->states[guardrail];
    s->is_unknown = isnan(value);
    if (s->is_unknown)
        return;
    bool is_bad = value > g->max || value < g->min;
    s->failures_in_a_row = is_bad ? s->failures_in_a_row + 1 : 0;
    s->sample = value;
    s->sampled = now;
    s->sample_count++;
}
