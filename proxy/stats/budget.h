/* stats/budget.h - the error budget of an objective: how fast it burns, and what is left of it. Pure: time is a parameter.
 *
 * An objective of 99.9 % allows one bad request in 1,000. The burn rate over a window is the share that was bad in parts of
 * the share that is allowed: at 1 the budget lasts exactly as long as the objective's window. Windows are those of the
 * alerts in Google's SRE Workbook ("Alerting on SLOs"): 14.4 over 1 h and 5 m, 6 over 6 h and 30 m, 1 over 3 d and 6 h.
 * Where availability and latency are both asked for, each has a budget, and the worse one counts.
 *
 * Owner: who embeds it, some 14 KiB; one thread. */
#ifndef STATS_BUDGET_H
#define STATS_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "stats/window.h"

enum budget_kind { BUDGET_AVAILABILITY, BUDGET_LATENCY, BUDGET_KIND_COUNT };

enum budget_window { BUDGET_5M, BUDGET_30M, BUDGET_1H, BUDGET_6H, BUDGET_3D, BUDGET_WINDOW_COUNT };

extern const char *const budget_window_names[BUDGET_WINDOW_COUNT]; /* "5m" */
extern const char *const budget_kind_names[BUDGET_KIND_COUNT];

struct budget_counts {
    uint64_t requests, bad[BUDGET_KIND_COUNT];
};

struct budget {
    double allowed[BUDGET_KIND_COUNT]; /* shares; 0: not asked for */
    int64_t objective_us;
    struct window windows[BUDGET_WINDOW_COUNT][BUDGET_KIND_COUNT];
    struct window whole[BUDGET_KIND_COUNT]; /* of the objective */
};

/* objectives: 0.999; 0: not asked for. */
void budget_init(struct budget *b, const double objectives[BUDGET_KIND_COUNT], int64_t objective_us);
/* Other objectives for what was counted. */
void budget_allow(struct budget *b, const double objectives[BUDGET_KIND_COUNT]);
void budget_add(struct budget *b, struct mono_time at, const struct budget_counts *counts);
/* Whether the objective is long enough for this window to say something. */
bool budget_has_window(const struct budget *b, enum budget_window w);
/* Of the worse of both, which goes to *kind (NULL: nobody asks). 0 without requests. */
double budget_burn(const struct budget *b, enum budget_window w, struct mono_time now, enum budget_kind *kind);
/* 1: all of it; 0: used up; below: overdrawn. Over the objective's window. */
double budget_remaining(const struct budget *b, struct mono_time now, enum budget_kind *kind);
/* Over the objective's window. */
struct budget_counts budget_sum(const struct budget *b, struct mono_time now);

#endif
