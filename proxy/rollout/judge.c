/* rollout/judge.c - evidence to verdict, one function a kind, and the sentence that says why. */
#include "rollout/judge.h"

#include "base/check.h"
#include "stats/eprocess.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const judge_verdict_names[JUDGE_VERDICT_COUNT] = {
    [JUDGE_INSUFFICIENT] = "insufficient",
    [JUDGE_UNDECIDED] = "undecided",
    [JUDGE_HEALTHY] = "healthy",
    [JUDGE_NOT_WORSE] = "not_worse",
    [JUDGE_BREACH] = "breach",
    [JUDGE_UNKNOWN] = "unknown",
    [JUDGE_VOID] = "void",
};

static double clamp01(double value)
{
    return fmin(fmax(value, 0), 1);
}

/* ---- the split --------------------------------------------------------------------------------------------------------- */

static uint64_t in_flight(const struct evidence *e, enum tally_arm arm)
{
    uint64_t ended = e->requests[arm] + e->discarded[arm];
    return e->begun[arm] > ended ? e->begun[arm] - ended : 0;
}

/* Two conditions, so that the probability of a false alarm stays that of the first. A canary that hangs has its requests
   in flight, not lost: they will end as errors, and that is a matter for the guardrails, not for this. */
static bool is_mismatch(const struct evidence *e)
{
    double bound = log(1 / EVIDENCE_SRM_ALPHA);
    if (e->mismatch.log_e < bound)
        return false;
    struct eprocess_ratio with_running = e->mismatch;
    eprocess_ratio_add(&with_running, with_running.rho, in_flight(e, TALLY_CANARY), in_flight(e, TALLY_STABLE));
    return with_running.log_e >= bound;
}

/* ---- absolute ---------------------------------------------------------------------------------------------------------- */

/* More than the limit's part of the window's requests; of the minimum, as long as there are fewer: so that a canary that
   is wholly broken need not fill the minimum, and a breach still takes three events by the default one. */
static bool is_above(struct window_slice sum, double share, uint64_t minimum)
{
    double counted = (double)(sum.requests > minimum ? sum.requests : minimum);
    return (double)sum.events > share * counted;
}

static enum judge_verdict judge_shares(const struct guardrail *g, struct window_slice sum, double most, double least)
{
    uint64_t minimum = guardrail_minimum_count(g);
    if (is_above(sum, most, minimum))
        return JUDGE_BREACH;
    if (sum.requests < minimum)
        return JUDGE_INSUFFICIENT;
    return (double)sum.events < least * (double)sum.requests ? JUDGE_BREACH : JUDGE_HEALTHY;
}

/* One budget of an objective over both windows. */
struct burn {
    double budget; /* the share that is allowed */
    struct window_slice sum, recent;
};

static struct burn burn_of(const struct guardrail *g, const struct guardrail_state *s, struct mono_time now)
{
    return (struct burn){ 1 - g->objective, window_sum(&s->window, now), window_sum(&s->short_window, now) };
}

static struct burn slow_burn_of(const struct guardrail *g, const struct guardrail_state *s, struct mono_time now)
{
    return (struct burn){ 1 - g->slow_objective, window_sum(&s->slow_window, now),
                          window_sum(&s->slow_short_window, now) };
}

/* Both windows: the long one says that it matters, the short one that it still goes on. */
static enum judge_verdict judge_budget(const struct guardrail *g, const struct burn *b)
{
    enum judge_verdict verdict = judge_shares(g, b->sum, g->max * b->budget, 0);
    return verdict == JUDGE_BREACH && !is_above(b->recent, g->max * b->budget, 1) ? JUDGE_HEALTHY : verdict;
}

/* Of an objective about both, either budget is enough. Whether there were enough requests is the same for both. */
static enum judge_verdict judge_burn(const struct guardrail *g, const struct guardrail_state *s, struct mono_time now)
{
    struct burn burn = burn_of(g, s, now);
    enum judge_verdict verdict = judge_budget(g, &burn);
    if (verdict == JUDGE_BREACH || g->slow_objective <= 0)
        return verdict;
    burn = slow_burn_of(g, s, now);
    return judge_budget(g, &burn);
}

/* ---- comparative ------------------------------------------------------------------------------------------------------- */

static enum judge_verdict judge_comparison(const struct evidence *e, const struct guardrail *g,
                                           const struct guardrail_state *s)
{
    double bound = guardrail_log_bound(e->guardrails, e->guardrail_count, g);
    if (is_mismatch(e))
        return JUDGE_VOID;
    if (s->worse.log_e_most >= bound)
        return JUDGE_BREACH;
    if (e->compared[TALLY_CANARY] < guardrail_minimum_count(g))
        return JUDGE_INSUFFICIENT;
    return s->proof.log_e_most >= bound && e->unmailed == 0 ? JUDGE_NOT_WORSE : JUDGE_UNDECIDED;
}

/* ---- sampled ----------------------------------------------------------------------------------------------------------- */

static enum judge_verdict judge_sample(const struct guardrail *g, const struct guardrail_state *s, struct mono_time now)
{
    uint32_t needed = g->in_a_row > 0 ? g->in_a_row : 1;
    if (s->failures_in_a_row >= needed)
        return JUDGE_BREACH;
    if (s->sample_count == 0 && !s->is_unknown)
        return JUDGE_INSUFFICIENT;
    if (s->is_unknown || (g->window_us > 0 && mono_diff_us(now, s->sampled) > g->window_us))
        return JUDGE_UNKNOWN;
    return JUDGE_HEALTHY;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------------- */

enum judge_verdict judge_guardrail(const struct evidence *e, uint32_t guardrail, struct mono_time now)
{
    CHECK(guardrail < e->guardrail_count);
    const struct guardrail *g = &e->guardrails[guardrail];
    const struct guardrail_state *s = &e->states[guardrail];
    switch (g->kind) {
    case GUARDRAIL_RATE:
        return judge_shares(g, window_sum(&s->window, now), g->max, g->min);
    case GUARDRAIL_LATENCY:
        return judge_shares(g, window_sum(&s->window, now), 1 - g->quantile, 0);
    case GUARDRAIL_BURN:
        return judge_burn(g, s, now);
    case GUARDRAIL_CONNECT_FAILURES:
        return s->failures_in_a_row >= g->in_a_row ? JUDGE_BREACH : JUDGE_HEALTHY;
    case GUARDRAIL_RATIO:
    case GUARDRAIL_POINTS:
    case GUARDRAIL_LATENCY_RATIO:
        return judge_comparison(e, g, s);
    case GUARDRAIL_SAMPLE:
        return judge_sample(g, s, now);
    case GUARDRAIL_KIND_COUNT:
        break;
    }
    CHECK(g->kind < GUARDRAIL_KIND_COUNT);
    return JUDGE_INSUFFICIENT;
}

/* ---- reasons ----------------------------------------------------------------------------------------------------------- */

/* The part of the limit that a share of the window has reached. */
static double part_of(struct window_slice sum, double most, uint64_t minimum)
{
    double counted = (double)(sum.requests > minimum ? sum.requests : minimum);
    return most > 0 ? clamp01((double)sum.events / counted / most) : sum.events > 0;
}

static double percent_of(struct window_slice sum)
{
    return sum.requests > 0 ? 100 * (double)sum.events / (double)sum.requests : 0;
}

static void say_shares(const struct guardrail *g, struct window_slice sum, double most, struct judgement *j)
{
    j->progress = isfinite(most) ? part_of(sum, most, guardrail_minimum_count(g)) : 0;
    j->is_suspect = isfinite(most) ? j->progress >= 0.5 : (double)sum.events < g->min * (double)sum.requests;
    const char *what = g->kind == GUARDRAIL_LATENCY ? "slower than the limit" : "with it";
    snprintf(j->reason, sizeof j->reason,
             "%s: %" PRIu64 " of the canary's last %" PRIu64
             " requests %s (%.3g %%, limit %.3g %%), in %.3g s; looks at %" PRIu64 " or more",
             g->name, sum.events, sum.requests, what, percent_of(sum), 100 * (isfinite(most) ? most : g->min),
             (double)g->window_us / 1e6, guardrail_minimum_count(g));
}

/* The worse of the two is told; `slow` may be NULL. */
static const struct burn *worse_burn(const struct guardrail *g, const struct burn *errors, const struct burn *slow)
{
    if (slow == NULL || judge_budget(g, errors) == JUDGE_BREACH)
        return errors;
    if (judge_budget(g, slow) == JUDGE_BREACH)
        return slow;
    return percent_of(slow->sum) / slow->budget > percent_of(errors->sum) / errors->budget ? slow : errors;
}

static void say_burn(const struct guardrail *g, const struct guardrail_state *s, struct mono_time now,
                     struct judgement *j)
{
    bool has_both = g->slow_objective > 0; /* else the slow windows were never begun */
    struct burn errors = burn_of(g, s, now), slow = has_both ? slow_burn_of(g, s, now) : errors;
    const struct burn *b = worse_burn(g, &errors, has_both ? &slow : NULL);
    bool is_slow = b == &slow || (!has_both && g->limit_us > 0);
    j->progress = part_of(b->sum, g->max * b->budget, guardrail_minimum_count(g));
    j->is_suspect = j->progress >= 0.5;
    snprintf(j->reason, sizeof j->reason,
             "%s: the canary burns %.3g times the budget of %s over %.4g s and %.3g times over %.4g s, limit %.3g in "
             "both; %" PRIu64 " of %" PRIu64 " requests",
             g->name, percent_of(b->sum) / 100 / b->budget, is_slow ? "latency" : "availability",
             (double)g->window_us / 1e6, percent_of(b->recent) / 100 / b->budget, (double)g->short_window_us / 1e6,
             g->max, b->sum.events, b->sum.requests);
}

static void say_margin(const struct guardrail *g, char *out, size_t size)
{
    if (g->kind == GUARDRAIL_POINTS)
        snprintf(out, size, "%.3g points above stable", 100 * g->margin);
    else
        snprintf(out, size, "%s %.3g times stable's", g->is_less_worse ? "fewer than" : "more than", g->margin);
}

/* "1", "37", "100": as a number while that can be read, else its power of ten. */
static const char *say_evidence(double log10, char out[16])
{
    double value = pow(10, log10);
    snprintf(out, 16, log10 > 6 ? "10^%.1f" : value < 10 ? "%.2g" : "%.0f", log10 > 6 ? log10 : value);
    return out;
}

static void say_comparison(const struct evidence *e, const struct guardrail *g, const struct guardrail_state *s,
                           struct judgement *j)
{
    double bound = guardrail_log_bound(e->guardrails, e->guardrail_count, g);
    char margin[64], grown[16], most[16];
    say_margin(g, margin, sizeof margin);
    j->progress = clamp01(s->worse.log_e_most / bound);
    j->proof_progress = clamp01(s->proof.log_e_most / bound);
    j->is_suspect = s->worse.log_e > 0;
    j->evidence_log10 = s->worse.log_e_most / M_LN10;
    j->bound_log10 = bound / M_LN10;
    snprintf(j->reason, sizeof j->reason,
             "%s: canary %" PRIu64 " of %" PRIu64 " %s, stable %" PRIu64 " of %" PRIu64 "; evidence for %s: %s of %s",
             g->name, s->events[TALLY_CANARY], e->compared[TALLY_CANARY], e->is_sticky ? "users" : "requests",
             s->events[TALLY_STABLE], e->compared[TALLY_STABLE], margin, say_evidence(j->evidence_log10, grown),
             say_evidence(j->bound_log10, most));
}

static void say_failures(const struct guardrail *g, const struct guardrail_state *s, struct judgement *j)
{
    j->progress = g->in_a_row > 0 ? clamp01((double)s->failures_in_a_row / g->in_a_row) : 0;
    j->is_suspect = s->failures_in_a_row > 0;
    snprintf(j->reason, sizeof j->reason, "%s: %" PRIu64 " failed connections in a row, limit %" PRIu32, g->name,
             s->failures_in_a_row, g->in_a_row);
}

static void say_sample(const struct guardrail *g, const struct guardrail_state *s, struct judgement *j)
{
    bool is_max = isfinite(g->max);
    j->progress = j->verdict == JUDGE_BREACH ? 1 : is_max && g->max > 0 ? fmin(clamp01(s->sample / g->max), 0.99) : 0;
    j->is_suspect = s->failures_in_a_row > 0;
    if (j->verdict == JUDGE_UNKNOWN || s->sample_count == 0)
        snprintf(j->reason, sizeof j->reason, "%s: no recent answer", g->name);
    else
        snprintf(j->reason, sizeof j->reason, "%s: %.4g, %s %.4g; bad %" PRIu64 " times in a row of %" PRIu32, g->name,
                 s->sample, is_max ? "at most" : "at least", is_max ? g->max : g->min, s->failures_in_a_row,
                 g->in_a_row > 0 ? g->in_a_row : 1);
}

static void say(const struct evidence *e, uint32_t i, struct mono_time now, struct judgement *j)
{
    const struct guardrail *g = &e->guardrails[i];
    const struct guardrail_state *s = &e->states[i];
    switch (g->kind) {
    case GUARDRAIL_RATE:
        say_shares(g, window_sum(&s->window, now), g->max, j);
        break;
    case GUARDRAIL_LATENCY:
        say_shares(g, window_sum(&s->window, now), 1 - g->quantile, j);
        break;
    case GUARDRAIL_BURN:
        say_burn(g, s, now, j);
        break;
    case GUARDRAIL_CONNECT_FAILURES:
        say_failures(g, s, j);
        break;
    case GUARDRAIL_RATIO:
    case GUARDRAIL_POINTS:
    case GUARDRAIL_LATENCY_RATIO:
        say_comparison(e, g, s, j);
        break;
    case GUARDRAIL_SAMPLE:
        say_sample(g, s, j);
        break;
    case GUARDRAIL_KIND_COUNT:
        break;
    }
}

static void say_void(const struct evidence *e, char *out, size_t size)
{
    const struct evidence_generation *g = &e->generations[(e->generation_count - 1) % EVIDENCE_GENERATIONS];
    double all = (double)(e->compared[TALLY_CANARY] + e->compared[TALLY_STABLE]);
    snprintf(out, size,
             "sample ratio mismatch: %.4g %% of the compared %s were the canary's (the share is now %.4g %%); %" PRIu64
             " of the canary's and %" PRIu64 " of stable's were discarded",
             100 * (double)e->compared[TALLY_CANARY] / fmax(all, 1), e->is_sticky ? "users" : "requests",
             100 * g->compared_share, e->discarded[TALLY_CANARY], e->discarded[TALLY_STABLE]);
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

void judge(const struct evidence *e, struct mono_time now, struct judge_result *out)
{
    uint32_t comparative = 0, proven = 0;
    memset(out, 0, sizeof *out);
    out->count = e->guardrail_count;
    for (uint32_t i = 0; i < e->guardrail_count; i++) {
        struct judgement *j = &out->guardrails[i];
        j->verdict = judge_guardrail(e, i, now);
        say(e, i, now, j);
        if (j->verdict == JUDGE_BREACH) {
            j->progress = 1;
            j->is_suspect = true;
            out->cause = out->is_breach ? out->cause : i;
            out->is_breach = true;
        }
        out->is_held |= j->verdict == JUDGE_INSUFFICIENT || j->verdict == JUDGE_UNKNOWN || j->verdict == JUDGE_VOID;
        comparative += guardrail_is_comparative(&e->guardrails[i]);
        proven += j->verdict == JUDGE_NOT_WORSE;
    }
    out->is_not_worse = comparative > 0 && proven == comparative;
    out->is_void = is_mismatch(e);
    if (out->is_void)
        say_void(e, out->void_reason, sizeof out->void_reason);
}

/* ---- forecasts --------------------------------------------------------------------------------------------------------- */

/* Of the points: the growth per request of the best stake. */
static double points_growth(double d, double share, double base, double theta)
{
    double canary = fmin(base * theta, 1), best = -INFINITY;
    for (double f = 0.01; f < 0.9; f *= 1.5) {
        double bet = f * (1 - share) / (1 + d * (1 - share));
        double growth = share * canary * log1p(bet * (1 / share - d)) +
                        (1 - share) * base * log1p(bet * (-1 / (1 - share) - d)) +
                        (1 - share * canary - (1 - share) * base) * log1p(-bet * d);
        best = fmax(best, growth);
    }
    return best;
}

double judge_requests_needed(const struct guardrail *all, uint32_t count, uint32_t guardrail, double share, double base,
                             double theta)
{
    const struct guardrail *g = &all[guardrail];
    if (!guardrail_is_comparative(g) || share <= 0 || share >= 1 || base <= 0)
        return INFINITY;
    double bound = guardrail_log_bound(all, count, g), growth;
    if (g->kind == GUARDRAIL_POINTS) {
        growth = points_growth(g->margin, share, base, theta);
        bound += log(EPROCESS_BET_COUNT);
    } else {
        struct eprocess_ratio e;
        double margin = g->kind == GUARDRAIL_LATENCY_RATIO ? 1 : g->margin;
        eprocess_ratio_init(&e, margin, g->is_less_worse ? EPROCESS_LESS : EPROCESS_MORE, 0);
        growth = eprocess_ratio_growth(&e, share, theta) * base * (share * theta + 1 - share);
        /* Neighbours of the alternative that grows fastest grow as well: half of the mixture's cost is what remains. */
        bound += log(e.grid_count) / 2;
    }
    return growth > 0 ? bound / growth : INFINITY;
}
