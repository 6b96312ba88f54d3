/* rollout/evidence_store.c - evidence as bytes for the store, and back: a restart goes on where it was.
 *
 * Little-endian 64-bit words in the order of the functions below; a bit set is preceded by its length. Each part is
 * written and read by one pair of functions, side by side. What is read is checked to be what could have been written:
 * a store may be from another release, or damaged. */
#include "rollout/evidence.h"

#include "base/check.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

#define STORED_MAGIC UINT64_C(0x33656369766572) /* "rvice3": changed with the layout */

/* ---- words ------------------------------------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *bytes;
    size_t left;
    bool is_ok;
};

static void put_u64(struct text *out, uint64_t value)
{
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(unsigned char)(value >> 8 * i);
    text_add(out, slice_from(bytes, sizeof bytes));
}

static uint64_t get_u64(struct reader *in)
{
    uint64_t value = 0;
    if (in->left < 8) {
        in->is_ok = false;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)in->bytes[i] << 8 * i;
    in->bytes += 8;
    in->left -= 8;
    return value;
}

static void put_real(struct text *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(out, bits);
}

/* Evidence is never infinite, so what is not finite was not written by us. */
static double get_real(struct reader *in)
{
    uint64_t bits = get_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) {
        in->is_ok = false;
        return 0;
    }
    return value;
}

static void put_words(struct text *out, const uint64_t *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_u64(out, words[i]);
}

static void get_words(struct reader *in, uint64_t *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        words[i] = get_u64(in);
}

static void put_reals(struct text *out, const double *reals, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put_real(out, reals[i]);
}

static void get_reals(struct reader *in, double *reals, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        reals[i] = get_real(in);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------- */

/* Margins and grids come from the guardrail's settings, which its identity stands for. */
static void put_reserve(struct text *out, const struct eprocess_reserve *r)
{
    put_real(out, r->left);
    put_u64(out, r->given);
}

static void get_reserve(struct reader *in, struct eprocess_reserve *r)
{
    r->left = get_real(in);
    r->given = (uint32_t)get_u64(in);
    in->is_ok = in->is_ok && r->left >= 0 && r->left < 1;
}

static void put_ratio(struct text *out, const struct eprocess_ratio *e)
{
    put_reserve(out, &e->reserve);
    put_reals(out, e->log_products, e->grid_count);
    put_real(out, e->log_e);
    put_real(out, e->log_e_most);
}

static void get_ratio(struct reader *in, struct eprocess_ratio *e)
{
    get_reserve(in, &e->reserve);
    get_reals(in, e->log_products, e->grid_count);
    e->log_e = get_real(in);
    e->log_e_most = get_real(in);
}

/* Unused mixtures have no grid and no products: the same layout for every kind. */
static void put_comparison(struct text *out, const struct comparison_test *c)
{
    for (uint32_t i = 0; i < EVIDENCE_QUANTILES; i++)
        put_ratio(out, &c->ratios[i]);
    put_reserve(out, &c->points.reserve);
    put_reals(out, c->points.log_products, EPROCESS_BET_COUNT);
    put_real(out, c->points.log_e);
    put_real(out, c->points.log_e_most);
    put_real(out, c->log_e);
    put_real(out, c->log_e_most);
}

static void get_comparison(struct reader *in, struct comparison_test *c)
{
    for (uint32_t i = 0; i < EVIDENCE_QUANTILES; i++)
        get_ratio(in, &c->ratios[i]);
    get_reserve(in, &c->points.reserve);
    get_reals(in, c->points.log_products, EPROCESS_BET_COUNT);
    c->points.log_e = get_real(in);
    c->points.log_e_most = get_real(in);
    c->log_e = get_real(in);
    c->log_e_most = get_real(in);
}

/* The newest slice's age, then slices from the newest to the oldest. */
static void put_window(struct text *out, const struct window *w, struct mono_time now)
{
    bool is_used = w->slice_us > 0 && w->newest != INT64_MIN;
    put_u64(out, is_used);
    if (!is_used)
        return;
    put_u64(out, (uint64_t)w->slice_us);
    put_u64(out, (uint64_t)(now.us - w->newest * w->slice_us));
    put_words(out, &w->slices[0].requests, 2 * WINDOW_SLICE_COUNT);
    put_u64(out, (uint64_t)w->newest);
}

/* Of anything in the past, or almost: what may be added and taken away without an overflow. */
static bool is_age(int64_t us)
{
    return us >= -INT64_MAX / 4 && us <= INT64_MAX / 4;
}

static void get_window(struct reader *in, struct window *w, struct mono_time then)
{
    if (get_u64(in) == 0)
        return;
    int64_t slice_us = w->slice_us; /* that of today: a hold may be another one since */
    w->slice_us = (int64_t)get_u64(in);
    int64_t age_us = (int64_t)get_u64(in);
    get_words(in, &w->slices[0].requests, 2 * WINDOW_SLICE_COUNT);
    w->newest = (int64_t)get_u64(in);
    if (slice_us <= 0 || w->slice_us <= 0 || w->slice_us > INT64_MAX / 4 / WINDOW_SLICE_COUNT ||
        w->newest > INT64_MAX / 2 / w->slice_us || w->newest < -(INT64_MAX / 2 / w->slice_us) || !is_age(age_us)) {
        in->is_ok = false;
        return;
    }
    window_shift(w, then.us - age_us - w->newest * w->slice_us);
    window_resize(w, slice_us * (WINDOW_SLICE_COUNT - 1));
}

/* By their age: on another clock they keep their distances. */
static void put_slots(struct text *out, const struct outcome_slots *s, int64_t told_us, struct mono_time now)
{
    put_u64(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        put_u64(out, (uint64_t)(now.us - outcome_slot_middle(&s->items[i], told_us).us));
        put_u64(out, s->items[i].share_ppm);
        put_u64(out, s->items[i].fresh_from_ppm);
        put_words(out, s->items[i].counts, TALLY_ARM_COUNT);
    }
}

#define PPM_MOST   1000000u
#define COUNT_MOST (UINT64_C(1) << 52) /* sums of them are exact as reals */

static void get_slot(struct reader *in, struct outcome_slots *s, int64_t told_us, struct mono_time then)
{
    int64_t age_us = (int64_t)get_u64(in);
    uint64_t share_ppm = get_u64(in), fresh_from_ppm = get_u64(in);
    struct outcome_slot slot = { .share_ppm = (uint32_t)share_ppm, .fresh_from_ppm = (uint32_t)fresh_from_ppm };
    get_words(in, slot.counts, TALLY_ARM_COUNT);
    in->is_ok = in->is_ok && is_age(age_us) && share_ppm <= PPM_MOST && fresh_from_ppm <= PPM_MOST &&
                slot.counts[TALLY_STABLE] <= COUNT_MOST && slot.counts[TALLY_CANARY] <= COUNT_MOST;
    if (in->is_ok)
        in->is_ok = outcome_slots_put_back(s, told_us, (struct mono_time){ then.us - age_us }, &slot);
}

/* There are none behind evidence of before they were stored, and none that a guardrail of another kind could compare. */
static void get_slots(struct reader *in, struct outcome_slots *s, const struct guardrail *g, struct mono_time then)
{
    uint64_t count = in->left > 0 ? get_u64(in) : 0;
    in->is_ok = in->is_ok && count <= (g->kind == GUARDRAIL_RATIO ? OUTCOME_SLOTS : 0);
    for (uint64_t i = 0; i < count && in->is_ok; i++)
        get_slot(in, s, g->told_us, then);
}

static void put_state(struct text *out, const struct guardrail_state *s, const struct guardrail *g,
                      struct mono_time now)
{
    put_window(out, &s->window, now);
    put_window(out, &s->short_window, now);
    put_comparison(out, &s->worse);
    put_comparison(out, &s->proof);
    put_words(out, s->events, TALLY_ARM_COUNT);
    put_u64(out, s->failures_in_a_row);
    put_u64(out, s->is_unknown);
    put_real(out, s->sample);
    put_u64(out, (uint64_t)(now.us - s->sampled.us));
    put_u64(out, s->sample_count);
    put_window(out, &s->slow_window, now);
    put_window(out, &s->slow_short_window, now);
    put_slots(out, &s->outcomes, g->told_us, now);
}

static void get_state(struct reader *in, struct guardrail_state *s, const struct guardrail *g, struct mono_time then)
{
    get_window(in, &s->window, then);
    get_window(in, &s->short_window, then);
    get_comparison(in, &s->worse);
    get_comparison(in, &s->proof);
    get_words(in, s->events, TALLY_ARM_COUNT);
    s->failures_in_a_row = get_u64(in);
    s->is_unknown = get_u64(in) != 0;
    s->sample = get_real(in);
    int64_t age_us = (int64_t)get_u64(in);
    in->is_ok = in->is_ok && is_age(age_us);
    s->sampled.us = in->is_ok ? then.us - age_us : 0;
    s->sample_count = get_u64(in);
    get_window(in, &s->slow_window, then);
    get_window(in, &s->slow_short_window, then);
    get_slots(in, &s->outcomes, g, then);
}

static void put_seen(struct text *out, const struct seen *s)
{
    put_u64(out, s->added_count);
    if (s->added_count > 0)
        put_words(out, s->words, s->word_count);
}

static void get_seen(struct reader *in, struct seen *s)
{
    s->added_count = get_u64(in);
    if (s->added_count > 0)
        get_words(in, s->words, s->word_count);
}

static void put_common(struct text *out, const struct evidence *e, struct mono_time now)
{
    uint32_t last = (e->generation_count + EVIDENCE_GENERATIONS - 1) % EVIDENCE_GENERATIONS;
    put_u64(out, e->generation_count > 0);
    put_u64(out, (uint64_t)(e->refill_due.us - now.us));
    put_real(out, e->generations[last].share);
    put_real(out, e->generations[last].compared_share);
    put_real(out, e->share_most);
    put_real(out, e->fresh_from);
    put_u64(out, e->cohort);
    put_ratio(out, &e->mismatch);
    put_words(out, e->requests, TALLY_ARM_COUNT);
    put_words(out, e->discarded, TALLY_ARM_COUNT);
    put_words(out, e->compared, TALLY_ARM_COUNT);
    put_u64(out, e->unmailed);
    put_u64(out, e->late);
    put_words(out, e->stable.buckets, HISTOGRAM_BUCKET_COUNT);
    put_u64(out, e->stable_since);
    put_u64(out, e->stable_needed);
}

/* Thresholds are not read back but learnt from the histogram, since columns may have moved. What was in flight is gone
   with the process that carried it. */
static void get_common(struct reader *in, struct evidence *e, struct mono_time then)
{
    e->generation_count = get_u64(in) != 0;
    e->refill_due.us = (int64_t)((uint64_t)then.us + get_u64(in));
    if (e->refill_due.us > then.us + EVIDENCE_REFILL_MS * INT64_C(1000))
        e->refill_due.us = 0;
    e->generations[0].generation = EVIDENCE_NO_GENERATION;
    e->generations[0].share = get_real(in);
    e->generations[0].compared_share = get_real(in);
    e->share_most = get_real(in);
    e->fresh_from = get_real(in);
    e->cohort = (uint32_t)get_u64(in);
    e->generations[0].cohort = e->cohort;
    get_ratio(in, &e->mismatch);
    get_words(in, e->requests, TALLY_ARM_COUNT);
    get_words(in, e->discarded, TALLY_ARM_COUNT);
    get_words(in, e->compared, TALLY_ARM_COUNT);
    e->unmailed = get_u64(in);
    e->late = get_u64(in);
    get_words(in, e->stable.buckets, HISTOGRAM_BUCKET_COUNT);
    e->stable_since = get_u64(in);
    e->stable_needed = get_u64(in);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        e->begun[arm] = e->requests[arm] + e->discarded[arm];
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

void evidence_save(const struct evidence *e, struct mono_time now, struct text *out)
{
    put_u64(out, STORED_MAGIC);
    put_u64(out, e->is_sticky);
    put_common(out, e, now);
    if (e->is_sticky)
        put_seen(out, &e->seen);
    put_u64(out, e->guardrail_count);
    for (uint32_t i = 0; i < e->guardrail_count; i++) {
        struct text state = { 0 };
        put_state(&state, &e->states[i], &e->guardrails[i], now);
        put_u64(out, e->guardrails[i].identity);
        put_u64(out, state.len);
        text_add(out, text_slice(&state));
        text_fini(&state);
    }
}

static struct guardrail_state *find_state(struct evidence *e, uint64_t identity)
{
    for (uint32_t i = 0; i < e->guardrail_count; i++)
        if (e->guardrails[i].identity == identity)
            return &e->states[i];
    return NULL;
}

/* Of a guardrail that is no longer there: passed over. */
static void get_states(struct reader *in, struct evidence *e, struct mono_time then)
{
    uint64_t count = get_u64(in);
    if (count > GUARDRAILS_MAX)
        in->is_ok = false;
    for (uint64_t i = 0; in->is_ok && i < count; i++) {
        struct guardrail_state *state = find_state(e, get_u64(in));
        uint64_t bytes = get_u64(in);
        if (bytes > in->left) {
            in->is_ok = false;
            return;
        }
        struct reader part = { in->bytes, (size_t)bytes, true };
        if (state != NULL)
            get_state(&part, state, &e->guardrails[state - e->states], then);
        in->is_ok = in->is_ok && part.is_ok && (state == NULL || part.left == 0);
        in->bytes += bytes;
        in->left -= (size_t)bytes;
    }
}

static bool get_all(struct reader *in, struct evidence *e, struct mono_time then)
{
    if (get_u64(in) != STORED_MAGIC || get_u64(in) != e->is_sticky)
        return false;
    get_common(in, e, then);
    if (e->is_sticky)
        get_seen(in, &e->seen);
    get_states(in, e, then);
    bool are_shares = e->share_most >= 0 && e->share_most <= 1 && e->fresh_from >= 0 && e->fresh_from < 1;
    return in->is_ok && in->left == 0 && are_shares && e->stable_needed > 0;
}

bool evidence_load(struct evidence *e, struct slice bytes, struct mono_time now, int64_t down_us)
{
    struct evidence *read = memory_alloc(sizeof *read);
    evidence_init(read, e->guardrails, e->guardrail_count, e->is_sticky);
    struct reader in = { (const unsigned char *)bytes.ptr, bytes.len, true };
    struct mono_time then = { now.us - (down_us > 0 ? down_us : 0) };
    bool is_good = get_all(&in, read, then);
    if (is_good) {
        evidence_fini(e);
        *e = *read;
        struct histogram stable = e->stable;
        memset(&e->stable, 0, sizeof e->stable);
        evidence_seed_durations(e, &stable);
    } else {
        evidence_fini(read);
    }
    memory_free(read);
    return is_good;
}
