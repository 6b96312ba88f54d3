/* stats/budget.c - windows of an objective, and the worse of its budgets. */
#include "stats/budget.h"

#define MINUTE_US (INT64_C(60) * 1000000)

const char *const budget_window_names[BUDGET_WINDOW_COUNT] = { "5m", "30m", "1h", "6h", "3d" };
const char *const budget_kind_names[BUDGET_KIND_COUNT] = { "availability", "latency" };

static const int64_t lengths_us[BUDGET_WINDOW_COUNT] = { 5 * MINUTE_US, 30 * MINUTE_US, 60 * MINUTE_US, 360 * MINUTE_US,
                                                         72 * 60 * MINUTE_US };

void budget_init(struct budget *b, const double objectives[BUDGET_KIND_COUNT], int64_t objective_us)
{
    *b = (struct budget){ .objective_us = objective_us };
    budget_allow(b, objectives);
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++) {
        window_init(&b->whole[kind], objective_us);
        for (int w = 0; w < BUDGET_WINDOW_COUNT; w++)
            window_init(&b->windows[w][kind], lengths_us[w]);
    }
}

void budget_allow(struct budget *b, const double objectives[BUDGET_KIND_COUNT])
{
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++)
        b->allowed[kind] = objectives[kind] > 0 ? 1 - objectives[kind] : 0;
}

void budget_add(struct budget *b, struct mono_time at, const struct budget_counts *counts)
{
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++) {
        window_add(&b->whole[kind], at, counts->requests, counts->bad[kind]);
        for (int w = 0; w < BUDGET_WINDOW_COUNT; w++)
            window_add(&b->windows[w][kind], at, counts->requests, counts->bad[kind]);
    }
}

bool budget_has_window(const struct budget *b, enum budget_window w)
{
    return lengths_us[w] <= b->objective_us;
}

static double burn_of(const struct budget *b, const struct window windows[BUDGET_KIND_COUNT], struct mono_time now,
                      enum budget_kind *worse)
{
    double most = 0;
    enum budget_kind which = b->allowed[BUDGET_AVAILABILITY] > 0 ? BUDGET_AVAILABILITY : BUDGET_LATENCY;
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++) {
        struct window_slice sum = window_sum(&windows[kind], now);
        if (sum.requests == 0 || b->allowed[kind] <= 0)
            continue;
        double burn = (double)sum.events / (double)sum.requests / b->allowed[kind];
        if (burn > most) {
            most = burn;
            which = (enum budget_kind)kind;
        }
    }
    if (worse != NULL)
        *worse = which;
    return most;
}

double budget_burn(const struct budget *b, enum budget_window w, struct mono_time now, enum budget_kind *kind)
{
    return burn_of(b, b->windows[w], now, kind);
}

double budget_remaining(const struct budget *b, struct mono_time now, enum budget_kind *kind)
{
    return 1 - burn_of(b, b->whole, now, kind);
}

struct budget_counts budget_sum(const struct budget *b, struct mono_time now)
{
    struct budget_counts counts = { 0 };
    for (int kind = 0; kind < BUDGET_KIND_COUNT; kind++) {
        struct window_slice sum = window_sum(&b->whole[kind], now);
        counts.requests = sum.requests;
        counts.bad[kind] = sum.events;
    }
    return counts;
}
