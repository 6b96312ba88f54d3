/* stats/tally.c - counting an outcome, and taking what was counted. */
#include "stats/tally.h"

#include <string.h>

uint32_t tally_columns(const struct tally_rules *rules, enum tally_arm arm, uint32_t columns, uint64_t duration_us)
{
    for (uint32_t i = 0; i < rules->slow_count; i++)
        if (duration_us > rules->slow_us[i][arm])
            columns |= 1u << (TALLY_SLOW + i);
    return columns;
}

/* With the count of requests last: who sees it sees the rest, and the worker is through with the tally. */
static void count_outcome(struct tally *t, enum tally_arm arm, uint32_t columns)
{
    for (uint32_t left = columns; left != 0; left &= left - 1)
        stats_cell_add(&t->columns[arm][__builtin_ctz(left)], 1);
    tally_add_end(&t->requests[arm]);
}

uint32_t tally_end(struct tally *t, const struct tally_rules *rules, enum tally_arm arm, uint32_t columns,
                   uint64_t duration_us)
{
    columns = tally_columns(rules, arm, columns, duration_us);
    if (arm == TALLY_STABLE)
        stats_cell_add(&t->stable_durations[histogram_bucket(duration_us)], 1);
    count_outcome(t, arm, columns);
    return columns;
}

/* Its duration is not among those that thresholds are learnt from: nobody knows how long it would have taken. */
uint32_t tally_give_up(struct tally *t, const struct tally_rules *rules, enum tally_arm arm, uint64_t duration_us)
{
    uint32_t columns = tally_columns(rules, arm, 0, duration_us);
    if (columns == 0)
        tally_discard(t, arm);
    else
        count_outcome(t, arm, columns);
    return columns;
}

bool tally_is_first(struct seen *seen, uint64_t key_hash, uint32_t columns)
{
    bool is_new = seen_add(seen, key_hash, TALLY_COLUMN_COUNT);
    for (uint32_t left = columns; left != 0; left &= left - 1)
        is_new |= seen_add(seen, key_hash, (uint32_t)__builtin_ctz(left));
    return is_new;
}

static uint64_t load(const stats_cell *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static uint64_t load_end(const stats_cell *cell)
{
    return atomic_load_explicit(cell, memory_order_acquire);
}

void tally_sum(struct tally_counts *into, const struct tally *t)
{
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        into->begun[arm] += load(&t->begun[arm]);
        into->requests[arm] += load_end(&t->requests[arm]);
        into->discarded[arm] += load_end(&t->discarded[arm]);
        for (int i = 0; i < TALLY_COLUMN_COUNT; i++)
            into->columns[arm][i] += load(&t->columns[arm][i]);
    }
    into->unmailed += load(&t->unmailed);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        into->stable_durations.buckets[i] += load(&t->stable_durations[i]);
}

static uint64_t take(uint64_t now, uint64_t *before, uint64_t most)
{
    uint64_t delta = now > *before ? now - *before : 0;
    delta = delta < most ? delta : most;
    *before += delta;
    return delta;
}

void tally_since(struct tally_counts *out, const struct tally_counts *now, struct tally_counts *before)
{
    memset(out, 0, sizeof *out);
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++) {
        out->begun[arm] = take(now->begun[arm], &before->begun[arm], UINT64_MAX);
        out->requests[arm] = take(now->requests[arm], &before->requests[arm], UINT64_MAX);
        out->discarded[arm] = take(now->discarded[arm], &before->discarded[arm], UINT64_MAX);
        for (int i = 0; i < TALLY_COLUMN_COUNT; i++)
            out->columns[arm][i] = take(now->columns[arm][i], &before->columns[arm][i], out->requests[arm]);
    }
    out->unmailed = take(now->unmailed, &before->unmailed, UINT64_MAX);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
        out->stable_durations.buckets[i] =
            take(now->stable_durations.buckets[i], &before->stable_durations.buckets[i], UINT64_MAX);
}
