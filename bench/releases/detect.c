/* bench/releases/detect.c - bad releases against the clock. */
#include "releases/detect.h"

#include "base/check.h"
#include "base/memory.h"
#include "releases/draw.h"
#include "releases/peers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TICKS_PER_S  10u
#define P95_Z        1.6448536
#define SEED_ANSWERS 2000u /* of stable before the release: what its quantile is learnt from */
#define CONFIDENCE   0.99

const struct fault faults[] = {
    { "errors 0.1 % → 1 %", 0.001, 0.01, 0 },
    { "errors 1 % → 2 %", 0.01, 0.02, 0 },
    { "errors 5 % → 6 %", 0.05, 0.06, 0 },
    { "latency p95 × 1.3", 0.01, 0.01, 1.3 },
};
const uint32_t fault_count = ARRAY_COUNT(faults);

const char *const watcher_names[WATCHER_COUNT] = {
    [WATCHER_WEIR] = "weir",
    [WATCHER_LIMIT] = "the limit",
    [WATCHER_FLAGGER] = "Flagger",
    [WATCHER_ARGO] = "Argo, failureLimit 0",
    [WATCHER_ARGO_3] = "Argo, failureLimit 3",
    [WATCHER_KAYENTA] = "Kayenta",
};

double slow_share(double slower)
{
    return 0.5 * erfc((P95_Z - log(slower) / DURATION_SIGMA) / M_SQRT2);
}

/* ---- the limit --------------------------------------------------------------------------------------------------------- */

/* Wald's test of theta = 1 against the true theta; ends at ln(1/alpha). */
struct limit {
    double canary, stable; /* what an event adds */
    double log_ratio;
};

static void limit_init(struct limit *l, double share, double theta)
{
    double base = share * theta + 1 - share;
    l->canary = log(theta / base);
    l->stable = log(1 / base);
    l->log_ratio = 0;
}

static bool limit_add(struct limit *l, uint64_t canary, uint64_t stable)
{
    l->log_ratio += (double)canary * l->canary + (double)stable * l->stable;
    return l->log_ratio >= -log1p(-CONFIDENCE);
}

/* ---- one release ------------------------------------------------------------------------------------------------------- */

/* Traffic of a tenth of a second, as the judge and as the limit sees it. */
struct tick {
    struct tally_counts counts;
    uint64_t canary_events, stable_events; /* of the limit: errors, or answers above stable's true p95 */
};

struct run {
    const struct fault *fault;
    struct release release;
    struct tally_rules rules;
    struct limit limit;
    double slower, canary_rate;
};

static void seed_durations(struct run *run)
{
    struct histogram before;
    memset(&before, 0, sizeof before);
    for (uint32_t i = 0; i < SEED_ANSWERS; i++)
        histogram_add(&before, (uint64_t)duration_draw_us(&run->release.rng));
    evidence_seed_durations(&run->release.evidence, &before);
}

static void run_begin(struct run *run, const struct fault *f, const struct scenario *s, double share, bool is_bad,
                      uint64_t seed)
{
    run->fault = f;
    run->slower = is_bad && f->slower > 0 ? f->slower : 1;
    run->canary_rate = is_bad ? f->bad_rate : f->rate;
    release_begin(&run->release, s, seed);
    if (f->slower > 0)
        seed_durations(run);
    release_set_share(&run->release, share);
    evidence_rules(&run->release.evidence, &run->rules);
    limit_init(&run->limit, share, f->slower > 0 ? slow_share(f->slower) / slow_share(1) : f->bad_rate / f->rate);
}

static void add_answers(struct run *run, struct tick *t, struct tally *tally, enum tally_arm arm, uint32_t count)
{
    double true_p95_us = DURATION_MEDIAN_US * exp(DURATION_SIGMA * P95_Z);
    double slower = arm == TALLY_CANARY ? run->slower : 1;
    for (uint32_t i = 0; i < count; i++) {
        double us = duration_draw_us(&run->release.rng) * slower;
        tally_begin(tally, arm);
        tally_end(tally, &run->rules, arm, 0, (uint64_t)us);
        *(arm == TALLY_CANARY ? &t->canary_events : &t->stable_events) += us > true_p95_us;
    }
}

static void run_tick(struct run *run, uint32_t requests, struct tick *t)
{
    struct release *r = &run->release;
    uint32_t canary = draw_binomial(&r->rng, requests, r->share), stable = requests - canary;
    memset(t, 0, sizeof *t);
    if (run->fault->slower > 0) {
        struct tally tally;
        memset(&tally, 0, sizeof tally);
        add_answers(run, t, &tally, TALLY_CANARY, canary);
        add_answers(run, t, &tally, TALLY_STABLE, stable);
        tally_sum(&t->counts, &tally);
        return;
    }
    struct tally_counts *c = &t->counts;
    c->begun[TALLY_CANARY] = c->requests[TALLY_CANARY] = canary;
    c->begun[TALLY_STABLE] = c->requests[TALLY_STABLE] = stable;
    c->columns[TALLY_CANARY][TALLY_ERRORS] = t->canary_events = draw_binomial(&r->rng, canary, run->canary_rate);
    c->columns[TALLY_STABLE][TALLY_ERRORS] = t->stable_events = draw_binomial(&r->rng, stable, run->fault->rate);
}

static bool run_report(struct run *run, const struct tick *t, struct mono_time now)
{
    struct release *r = &run->release;
    evidence_add_counts(&r->evidence, r->generation, &t->counts, now);
    if (evidence_learn_thresholds(&r->evidence, now)) {
        release_set_share(r, r->share);
        evidence_rules(&r->evidence, &run->rules);
    }
    return judge_guardrail(&r->evidence, 0, now) == JUDGE_BREACH;
}

/* ---- medians ----------------------------------------------------------------------------------------------------------- */

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, compare_reals);
    return values[count / 2];
}

/* ---- time to detect ---------------------------------------------------------------------------------------------------- */

struct found {
    double judge_ticks, limit_ticks; /* INFINITY: not within the time given */
};

static struct found detect_one(struct run *run, uint32_t requests_per_tick, uint32_t ticks)
{
    struct found found = { INFINITY, INFINITY };
    struct tick t;
    for (uint32_t tick = 1; tick <= ticks && (isinf(found.judge_ticks) || isinf(found.limit_ticks)); tick++) {
        run_tick(run, requests_per_tick, &t);
        bool is_breach = run_report(run, &t, (struct mono_time){ (int64_t)tick * (1000000 / TICKS_PER_S) });
        bool is_at_limit = limit_add(&run->limit, t.canary_events, t.stable_events);
        if (is_breach && isinf(found.judge_ticks))
            found.judge_ticks = tick;
        if (is_at_limit && isinf(found.limit_ticks))
            found.limit_ticks = tick;
    }
    return found;
}

static struct scenario scenario_of(const struct guardrail *g)
{
    struct scenario s = { .name = "", .guardrails = { *g }, .guardrail_count = 1, .relative_risk = 1 };
    guardrails_assign_columns(s.guardrails, 1);
    return s;
}

struct detection fault_detect(const struct fault *f, const struct guardrail *g, uint32_t requests_per_s, double share,
                              uint32_t releases, uint32_t seconds, uint64_t seed)
{
    struct scenario s = scenario_of(g);
    struct run *run = memory_zalloc(sizeof *run);
    double *judge = memory_alloc(releases * sizeof *judge), *limit = memory_alloc(releases * sizeof *limit);
    for (uint32_t i = 0; i < releases; i++) {
        run_begin(run, f, &s, share, true, hash_mix(seed + i));
        struct found found = detect_one(run, requests_per_s / TICKS_PER_S, seconds * TICKS_PER_S);
        judge[i] = found.judge_ticks;
        limit[i] = found.limit_ticks;
        release_end(&run->release);
    }
    double per_tick = requests_per_s / (double)TICKS_PER_S;
    struct detection d = { median(judge, releases) * per_tick, median(limit, releases) * per_tick, 0 };
    d.seconds = d.requests / requests_per_s;
    memory_free(judge);
    memory_free(limit);
    memory_free(run);
    return d;
}

/* ---- beside the peers -------------------------------------------------------------------------------------------------- */

/* What the minute's metric is: the rate of errors, or the p95 of latency. */
struct minute {
    uint64_t requests[TALLY_ARM_COUNT], errors[TALLY_ARM_COUNT];
    struct histogram durations[TALLY_ARM_COUNT];
};

static double minute_value(const struct fault *f, const struct minute *m, enum tally_arm arm)
{
    if (f->slower > 0)
        return (double)histogram_quantile_us(&m->durations[arm], 0.95);
    return m->requests[arm] > 0 ? (double)m->errors[arm] / (double)m->requests[arm] : 0;
}

static double threshold_of(const struct fault *f)
{
    double p95_us = DURATION_MEDIAN_US * exp(DURATION_SIGMA * P95_Z);
    return f->slower > 0 ? p95_us * (1 + f->slower) / 2 : (f->rate + f->bad_rate) / 2;
}

/* The judge and the limit, second by second, and the series that the peers are given. */
static void watch_second(struct run *run, struct minute *m, uint32_t requests, uint32_t second, double found[2])
{
    struct tick t;
    struct release *r = &run->release;
    memset(&t, 0, sizeof t);
    uint32_t canary = draw_binomial(&r->rng, requests, r->share);
    uint32_t of_arm[TALLY_ARM_COUNT] = { [TALLY_STABLE] = requests - canary, [TALLY_CANARY] = canary };
    struct tally tally;
    memset(&tally, 0, sizeof tally);
    double true_p95_us = DURATION_MEDIAN_US * exp(DURATION_SIGMA * P95_Z);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        uint64_t *events = arm == TALLY_CANARY ? &t.canary_events : &t.stable_events;
        double rate = arm == TALLY_CANARY ? run->canary_rate : run->fault->rate;
        for (uint32_t i = 0; run->fault->slower > 0 && i < of_arm[arm]; i++) {
            double us = duration_draw_us(&r->rng) * (arm == TALLY_CANARY ? run->slower : 1);
            tally_end(&tally, &run->rules, (enum tally_arm)arm, 0, (uint64_t)us);
            histogram_add(&m->durations[arm], (uint64_t)us);
            *events += us > true_p95_us;
        }
        if (run->fault->slower <= 0) {
            *events = draw_binomial(&r->rng, of_arm[arm], rate);
            t.counts.columns[arm][TALLY_ERRORS] = *events;
        }
        m->requests[arm] += of_arm[arm];
        m->errors[arm] += *events;
    }
    tally_sum(&t.counts, &tally);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        t.counts.begun[arm] = t.counts.requests[arm] = of_arm[arm];
    if (run_report(run, &t, (struct mono_time){ (int64_t)second * 1000000 }) && isinf(found[0]))
        found[0] = second;
    if (limit_add(&run->limit, t.canary_events, t.stable_events) && isinf(found[1]))
        found[1] = second;
}

static void watch_hour(struct run *run, uint32_t requests, double found[WATCHER_COUNT])
{
    struct series series;
    double first[2] = { INFINITY, INFINITY };
    for (uint32_t minute = 0; minute < PEER_MINUTES; minute++) {
        struct minute m;
        memset(&m, 0, sizeof m);
        for (uint32_t second = 1; second <= 60; second++)
            watch_second(run, &m, requests, minute * 60 + second, first);
        series.canary[minute] = minute_value(run->fault, &m, TALLY_CANARY);
        series.stable[minute] = minute_value(run->fault, &m, TALLY_STABLE);
    }
    double threshold = threshold_of(run->fault);
    uint32_t minutes[WATCHER_COUNT] = { [WATCHER_FLAGGER] = peer_threshold(&series, threshold, 5),
                                        [WATCHER_ARGO] = peer_threshold(&series, threshold, 1),
                                        [WATCHER_ARGO_3] = peer_threshold(&series, threshold, 4),
                                        [WATCHER_KAYENTA] = peer_kayenta(&series) };
    for (int w = 0; w < WATCHER_COUNT; w++)
        found[w] = minutes[w] > 0 ? minutes[w] * 60.0 : INFINITY;
    found[WATCHER_WEIR] = first[0];
    found[WATCHER_LIMIT] = first[1];
}

void fault_watch(const struct fault *f, uint32_t requests_per_s, double share, uint32_t releases, uint64_t seed,
                 struct watch out[WATCHER_COUNT])
{
    struct guardrail g = f->slower > 0 ? rail_latency(0.95, 1) : rail_ratio(1);
    struct scenario s = scenario_of(&g);
    struct run *run = memory_zalloc(sizeof *run);
    double *times = memory_alloc(WATCHER_COUNT * releases * sizeof *times);
    memset(out, 0, WATCHER_COUNT * sizeof *out);
    for (int is_bad = 0; is_bad < 2; is_bad++)
        for (uint32_t i = 0; i < releases; i++) {
            double found[WATCHER_COUNT];
            run_begin(run, f, &s, share, is_bad, hash_mix(seed + i + is_bad * (uint64_t)releases));
            watch_hour(run, requests_per_s, found);
            release_end(&run->release);
            for (int w = 0; w < WATCHER_COUNT; w++) {
                times[(uint32_t)w * releases + i] = found[w];
                out[w].false_alarms += !is_bad && isfinite(found[w]);
                out[w].misses += is_bad && isinf(found[w]);
            }
        }
    for (int w = 0; w < WATCHER_COUNT; w++) {
        out[w].false_alarms /= releases;
        out[w].misses /= releases;
        out[w].median_s = median(&times[(uint32_t)w * releases], releases);
    }
    memory_free(times);
    memory_free(run);
}
