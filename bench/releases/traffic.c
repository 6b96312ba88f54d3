/* bench/releases/traffic.c - the scenarios, and the second by second of a release. */
#include "releases/traffic.h"

#include "base/check.h"
#include "base/memory.h"
#include "releases/draw.h"
#include "route/block.h"

#include <math.h>
#include <string.h>

#define ERROR_REQUESTS_PER_S   100u
#define BLOCK_REQUESTS_PER_S   97u /* no multiple of a block: looks fall inside */
#define LATENCY_REQUESTS_PER_S 50u
#define BASE_RATE              0.01
#define USER_COUNT             2000u
#define WORKER_COUNT           2u

#define RATIO(m)                                                                                                       \
    {                                                                                                                  \
        .kind = GUARDRAIL_RATIO, .identity = 1, .name = "error_rate", .margin = (m), .confidence = 0.99                \
    }
#define POINTS(m)                                                                                                      \
    {                                                                                                                  \
        .kind = GUARDRAIL_POINTS, .identity = 2, .name = "error_rate", .margin = (m), .confidence = 0.99               \
    }
#define LATENCY(q, m)                                                                                                  \
    {                                                                                                                  \
        .kind = GUARDRAIL_LATENCY_RATIO, .identity = 3, .name = "latency", .column = TALLY_SLOW, .quantile = (q),      \
        .margin = (m), .confidence = 0.99                                                                              \
    }
#define SAME .relative_risk = 1

const struct scenario scenarios[] = {
    { "ratio 1: no difference", { RATIO(1) }, 1, SAME },
    { "ratio 1.5: at the edge", { RATIO(1.5) }, 1, .relative_risk = 1.5 },
    { "ratio 1, weight raised", { RATIO(1) }, 1, SAME, .has_raises = true },
    { "ratio 1.5: at the edge, weight raised", { RATIO(1.5) }, 1, .relative_risk = 1.5, .has_raises = true },
    { "ratio 1.5: at the edge, errors fall tenfold", { RATIO(1.5) }, 1, .relative_risk = 1.5, .trend = TREND_FALLS },
    { "ratio 1.5: at the edge, errors rise tenfold, weight raised",
      { RATIO(1.5) },
      1,
      .relative_risk = 1.5,
      .trend = TREND_RISES,
      .has_raises = true },
    { "ratio 1, draws from blocks", { RATIO(1) }, 1, SAME, .assignment = ASSIGN_BLOCKS },
    { "ratio 1.5: at the edge, draws from blocks, weight raised",
      { RATIO(1.5) },
      1,
      .relative_risk = 1.5,
      .assignment = ASSIGN_BLOCKS,
      .has_raises = true },
    { "ratio 1, sticky users", { RATIO(1) }, 1, SAME, .assignment = ASSIGN_STICKY },
    { "ratio 1, sticky users, weight raised", { RATIO(1) }, 1, SAME, .assignment = ASSIGN_STICKY, .has_raises = true },
    { "ratio 1.5: at the edge, sticky users, weight raised",
      { RATIO(1.5) },
      1,
      .relative_risk = 1.5,
      .assignment = ASSIGN_STICKY,
      .has_raises = true },
    { "ratio 1.5: at the edge, sticky users, errors rise tenfold, weight raised",
      { RATIO(1.5) },
      1,
      .relative_risk = 1.5,
      .assignment = ASSIGN_STICKY,
      .trend = TREND_RISES,
      .has_raises = true },
    { "points 0: no difference", { POINTS(0) }, 1, SAME },
    { "points 0.5: at the edge", { POINTS(0.005) }, 1, SAME, .excess = 0.005 },
    { "points 0.5: at the edge, weight raised", { POINTS(0.005) }, 1, SAME, .excess = 0.005, .has_raises = true },
    { "points 0.5: at the edge, errors fall tenfold",
      { POINTS(0.005) },
      1,
      SAME,
      .excess = 0.005,
      .trend = TREND_FALLS },
    { "points 0.5: at the edge, draws from blocks, weight raised",
      { POINTS(0.005) },
      1,
      SAME,
      .excess = 0.005,
      .assignment = ASSIGN_BLOCKS,
      .has_raises = true },
    { "latency p95, ratio 1: no difference", { LATENCY(0.95, 1) }, 1, SAME, .slower = 1 },
    { "latency p95, ratio 1.2: at the edge", { LATENCY(0.95, 1.2) }, 1, SAME, .slower = 1.2 },
    { "latency p95, ratio 1.2: at the edge, weight raised",
      { LATENCY(0.95, 1.2) },
      1,
      SAME,
      .slower = 1.2,
      .has_raises = true },
    { "latency p95, ratio 1.2: at the edge, all slower and slower",
      { LATENCY(0.95, 1.2) },
      1,
      SAME,
      .slower = 1.2,
      .trend = TREND_SLOWER },
    { "latency p95, ratio 1: sticky users", { LATENCY(0.95, 1) }, 1, SAME, .slower = 1, .assignment = ASSIGN_STICKY },
    { "latency p95, ratio 1.2: at the edge, sticky users, weight raised",
      { LATENCY(0.95, 1.2) },
      1,
      SAME,
      .slower = 1.2,
      .assignment = ASSIGN_STICKY,
      .has_raises = true },
    { "latency, ratio 1: no difference", { LATENCY(0, 1) }, 1, SAME, .slower = 1 },
    { "ratio 1, points 0 and latency p95 together: no difference",
      { RATIO(1), POINTS(0), LATENCY(0.95, 1) },
      3,
      SAME,
      .slower = 1 },
    { "(for comparison) ratio 1, sticky users, every error counted",
      { RATIO(1) },
      1,
      SAME,
      .assignment = ASSIGN_STICKY,
      .is_naive = true },
};
const uint32_t scenario_count = ARRAY_COUNT(scenarios);

struct guardrail rail_ratio(double margin)
{
    return (struct guardrail)RATIO(margin);
}

struct guardrail rail_points(double margin)
{
    return (struct guardrail)POINTS(margin);
}

struct guardrail rail_latency(double quantile, double margin)
{
    return (struct guardrail)LATENCY(quantile, margin);
}

/* ---- durations --------------------------------------------------------------------------------------------------------- */

/* The quantile function of the standard normal distribution, by bisection: it is only asked for a table. */
static double normal_quantile(double p)
{
    double low = -9, high = 9;
    while (high - low > 1e-9) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / M_SQRT2) < p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

#define QUANTILE_COUNT 8192u

struct quantiles {
    double us[QUANTILE_COUNT + 1];
};

/* Made at the first draw: 8,192 steps, and straight lines between. */
static const struct quantiles *quantiles(void)
{
    static struct quantiles table;
    if (table.us[0] > 0)
        return &table;
    for (uint32_t i = QUANTILE_COUNT + 1; i-- > 0;) {
        double p = fmin(fmax((double)i / QUANTILE_COUNT, 1e-6), 1 - 1e-6);
        table.us[i] = DURATION_MEDIAN_US * exp(DURATION_SIGMA * normal_quantile(p));
    }
    return &table;
}

double duration_draw_us(struct rng *rng)
{
    const struct quantiles *table = quantiles();
    double place = draw_unit(rng) * QUANTILE_COUNT;
    uint32_t i = (uint32_t)place;
    return table->us[i] + (table->us[i + 1] - table->us[i]) * (place - i);
}

void answers_add(struct rng *rng, struct tally *tally, const struct tally_rules *rules, enum tally_arm arm,
                 uint32_t count, double slower)
{
    for (uint32_t i = 0; i < count; i++) {
        tally_begin(tally, arm);
        tally_end(tally, rules, arm, 0, (uint64_t)(duration_draw_us(rng) * slower));
    }
}

/* ---- a release --------------------------------------------------------------------------------------------------------- */

void release_begin(struct release *r, const struct scenario *s, uint64_t seed)
{
    r->scenario = s;
    r->generation = 0;
    r->share = 0;
    rng_init(&r->rng, seed);
    evidence_init(&r->evidence, s->guardrails, s->guardrail_count, s->assignment == ASSIGN_STICKY && !s->is_naive);
}

void release_end(struct release *r)
{
    evidence_fini(&r->evidence);
}

void release_set_share(struct release *r, double share)
{
    r->share = share;
    evidence_begin_generation(&r->evidence, ++r->generation, share);
}

static struct mono_time moment(uint32_t second)
{
    return (struct mono_time){ (int64_t)second * 1000000 };
}

static double share_at(const struct scenario *s, uint32_t second, uint32_t seconds)
{
    static const double raises[] = { 0.05, 0.1, 0.25, 0.5 };
    return raises[s->has_raises ? second * 4 / seconds : 0];
}

static double wave(uint32_t second)
{
    return 1 + 0.3 * sin(2 * M_PI * second / 600);
}

/* Stable's errors. */
static double rate_at(const struct scenario *s, uint32_t second, uint32_t seconds)
{
    double part = (double)second / seconds;
    if (s->trend == TREND_FALLS)
        return (0.02 - 0.018 * part) * wave(second);
    if (s->trend == TREND_RISES)
        return (0.002 + 0.018 * part) * wave(second);
    return BASE_RATE;
}

/* ---- a second, by assignment ------------------------------------------------------------------------------------------- */

static void counts_add_requests(struct tally_counts *c, uint32_t canary, uint32_t stable)
{
    c->begun[TALLY_CANARY] = c->requests[TALLY_CANARY] = canary;
    c->begun[TALLY_STABLE] = c->requests[TALLY_STABLE] = stable;
}

static void draw_errors(struct release *r, struct tally_counts *c, double rate)
{
    const struct scenario *s = r->scenario;
    double canary_rate = rate * s->relative_risk + s->excess;
    c->columns[TALLY_CANARY][TALLY_ERRORS] = draw_binomial(&r->rng, (uint32_t)c->requests[TALLY_CANARY], canary_rate);
    c->columns[TALLY_STABLE][TALLY_ERRORS] = draw_binomial(&r->rng, (uint32_t)c->requests[TALLY_STABLE], rate);
}

static void add_errors(struct release *r, uint32_t canary, uint32_t requests, double rate, uint32_t second)
{
    struct tally_counts c;
    memset(&c, 0, sizeof c);
    counts_add_requests(&c, canary, requests - canary);
    draw_errors(r, &c, rate);
    evidence_add_counts(&r->evidence, r->generation, &c, moment(second));
}

/* How many of a worker's next requests are the canary's. Whole blocks have as many as they must; only the begun and the
   last one are drawn. */
static uint32_t draw_from_block(struct release *r, struct block *b, uint32_t requests)
{
    uint32_t percent = (uint32_t)lround(100 * r->share), weights[2] = { 100 - percent, percent }, canary = 0;
    while (requests > 0) {
        if (b->weights_generation == r->generation && b->left_total > 0 && b->left_total <= requests) {
            canary += b->left[1];
            requests -= b->left_total;
            b->left_total = b->left[0] = b->left[1] = 0;
        } else {
            canary += block_draw(b, 2, weights, r->generation, &r->rng);
            requests--;
        }
    }
    return canary;
}

static double slowness(const struct scenario *s, uint32_t second, uint32_t seconds)
{
    return s->trend == TREND_SLOWER ? (1 + (double)second / seconds) * wave(second) : 1;
}

static void add_tally(struct release *r, const struct tally *tally, uint32_t second)
{
    struct tally_counts c;
    memset(&c, 0, sizeof c);
    tally_sum(&c, tally);
    draw_errors(r, &c, BASE_RATE);
    evidence_add_counts(&r->evidence, r->generation, &c, moment(second));
    if (evidence_learn_thresholds(&r->evidence, moment(second)))
        release_set_share(r, r->share);
}

static void add_latencies(struct release *r, uint32_t second, uint32_t seconds)
{
    double slow = slowness(r->scenario, second, seconds);
    struct tally_rules rules;
    struct tally tally;
    memset(&tally, 0, sizeof tally);
    evidence_rules(&r->evidence, &rules);
    uint32_t canary = draw_binomial(&r->rng, LATENCY_REQUESTS_PER_S, r->share);
    answers_add(&r->rng, &tally, &rules, TALLY_CANARY, canary, slow * r->scenario->slower);
    answers_add(&r->rng, &tally, &rules, TALLY_STABLE, LATENCY_REQUESTS_PER_S - canary, slow);
    add_tally(r, &tally, second);
}

/* ---- sticky users ------------------------------------------------------------------------------------------------------ */

/* Nine in ten fail rarely, some ten times as often, and one in a hundred a hundred times: of all errors a half is theirs. */
static double user_weight(uint32_t user)
{
    return user % 100 == 0 ? 100 : user % 10 == 0 ? 10 : 1;
}

struct users {
    double positions[USER_COUNT]; /* in the pair */
    uint64_t keys[USER_COUNT];
    double up_to[USER_COUNT]; /* sums of weights: who an error happens to */
};

static void users_make(struct users *u, struct rng *rng)
{
    double sum = 0;
    for (uint32_t i = 0; i < USER_COUNT; i++) {
        u->positions[i] = draw_unit(rng);
        u->keys[i] = rng_next(rng);
        u->up_to[i] = sum += user_weight(i);
    }
}

static uint32_t users_draw(const struct users *u, struct rng *rng)
{
    double place = draw_unit(rng) * u->up_to[USER_COUNT - 1];
    uint32_t low = 0, high = USER_COUNT - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (u->up_to[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void mail(struct release *r, const struct users *u, uint32_t user, uint32_t columns)
{
    struct tally_rules rules;
    evidence_rules(&r->evidence, &rules);
    if (u->positions[user] * 1e6 < rules.fresh_from_ppm)
        return;
    struct tally_first first = { r->generation, u->keys[user], columns,
                                 u->positions[user] < r->share ? TALLY_CANARY : TALLY_STABLE };
    evidence_add_first(&r->evidence, &first);
}

/* Errors as they would fall on the worse of the two versions, of which stable's are then thinned out. */
static void add_user_errors(struct release *r, const struct users *u, double rate, uint32_t second)
{
    const struct scenario *s = r->scenario;
    uint32_t errors = draw_binomial(&r->rng, ERROR_REQUESTS_PER_S, rate * s->relative_risk);
    for (uint32_t i = 0; i < errors; i++) {
        uint32_t user = users_draw(u, &r->rng);
        bool is_canary = u->positions[user] < r->share;
        if (!is_canary && !draw_chance(&r->rng, 1 / s->relative_risk))
            continue;
        if (!s->is_naive) {
            mail(r, u, user, 1u << TALLY_ERRORS);
            continue;
        }
        struct tally_counts c;
        memset(&c, 0, sizeof c);
        c.columns[is_canary ? TALLY_CANARY : TALLY_STABLE][TALLY_ERRORS] = 1;
        evidence_add_counts(&r->evidence, r->generation, &c, moment(second));
    }
}

/* Whoever is far away or has much waits longer, always: a few users have most of the slow answers. */
static double user_slowness(uint32_t user)
{
    return user % 10 == 0 ? 1.6 : user % 3 == 0 ? 1.2 : 1;
}

static void add_user_latencies(struct release *r, const struct users *u, uint32_t second, uint32_t seconds)
{
    double slow = slowness(r->scenario, second, seconds);
    struct tally_rules rules;
    struct tally tally;
    memset(&tally, 0, sizeof tally);
    evidence_rules(&r->evidence, &rules);
    for (uint32_t i = 0; i < LATENCY_REQUESTS_PER_S; i++) {
        uint32_t user = (uint32_t)(draw_unit(&r->rng) * USER_COUNT);
        enum tally_arm arm = u->positions[user] < r->share ? TALLY_CANARY : TALLY_STABLE;
        double us = duration_draw_us(&r->rng) * slow * user_slowness(user);
        tally_begin(&tally, arm);
        us *= arm == TALLY_CANARY ? r->scenario->slower : 1;
        mail(r, u, user, tally_end(&tally, &rules, arm, 0, (uint64_t)us));
    }
    add_tally(r, &tally, second);
}

/* ---- many releases ----------------------------------------------------------------------------------------------------- */

/* What one worker or user population of a release needs beside the evidence. */
struct population {
    struct block *blocks[WORKER_COUNT];
    struct users users;
};

static void run_second(struct release *r, struct population *p, uint32_t second, uint32_t seconds)
{
    const struct scenario *s = r->scenario;
    double share = share_at(s, second, seconds), rate = rate_at(s, second, seconds);
    bool is_raise = share > r->share;
    if (is_raise)
        release_set_share(r, share);
    if (s->assignment == ASSIGN_STICKY) {
        /* Everybody shows up as a cohort begins. */
        for (uint32_t i = 0; is_raise && !s->is_naive && i < USER_COUNT; i++)
            mail(r, &p->users, i, 0);
        if (s->slower > 0)
            add_user_latencies(r, &p->users, second, seconds);
        else
            add_user_errors(r, &p->users, rate, second);
    } else if (s->slower > 0) {
        add_latencies(r, second, seconds);
    } else if (s->assignment == ASSIGN_BLOCKS) {
        uint32_t canary = 0;
        for (uint32_t w = 0; w < WORKER_COUNT; w++)
            canary += draw_from_block(r, p->blocks[w], (BLOCK_REQUESTS_PER_S + w) / WORKER_COUNT);
        add_errors(r, canary, BLOCK_REQUESTS_PER_S, rate, second);
    } else {
        add_errors(r, draw_binomial(&r->rng, ERROR_REQUESTS_PER_S, share), ERROR_REQUESTS_PER_S, rate, second);
    }
}

static void look(const struct release *r, uint32_t second, bool *is_breach, bool *is_void)
{
    for (uint32_t i = 0; i < r->scenario->guardrail_count; i++) {
        enum judge_verdict verdict = judge_guardrail(&r->evidence, i, moment(second));
        *is_breach |= verdict == JUDGE_BREACH;
        *is_void |= verdict == JUDGE_VOID;
    }
}

static void run_release(struct release *r, struct population *p, uint32_t seconds, struct outcome *out)
{
    bool is_breach = false, is_void = false;
    for (uint32_t second = 0; second < seconds && !is_breach; second++) {
        run_second(r, p, second, seconds);
        look(r, second, &is_breach, &is_void);
    }
    out->breaches += is_breach;
    out->voids += is_void;
}

struct outcome scenario_run(const struct scenario *scenario, uint32_t releases, uint32_t seconds, uint64_t seed)
{
    struct outcome out = { releases, 0, 0 };
    struct scenario s = *scenario;
    struct release *r = memory_zalloc(sizeof *r);
    struct population *p = memory_zalloc(sizeof *p);
    guardrails_assign_columns(s.guardrails, s.guardrail_count);
    for (uint32_t w = 0; w < WORKER_COUNT; w++)
        p->blocks[w] = memory_zalloc(block_bytes(2));
    for (uint32_t i = 0; i < releases; i++) {
        release_begin(r, &s, hash_mix(seed + i));
        if (s.assignment == ASSIGN_STICKY)
            users_make(&p->users, &r->rng);
        for (uint32_t w = 0; w < WORKER_COUNT; w++)
            memset(p->blocks[w], 0, block_bytes(2));
        run_release(r, p, seconds, &out);
        release_end(r);
    }
    for (uint32_t w = 0; w < WORKER_COUNT; w++)
        memory_free(p->blocks[w]);
    memory_free(p);
    memory_free(r);
    return out;
}

uint32_t outcome_limit(uint32_t releases, double alpha)
{
    return (uint32_t)(releases * alpha + 3 * sqrt(releases * alpha * (1 - alpha)));
}
