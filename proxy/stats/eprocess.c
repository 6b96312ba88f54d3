/* stats/eprocess.c - the sums behind the evidence. */
#include "stats/eprocess.h"

#include "base/check.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Alternatives as multiples of theta_0: whichever is near the truth grows fastest, and the others cost a factor of their
   number at most. */
static const double above[] = { 1.1, 1.25, 1.5, 2, 3, 5, 10, 30, 100 };
/* A canary can do no better than never to fail, so below there is less to tell apart. */
static const double below[] = { 0.9, 0.8, 0.7, 0.5, 0.3, 0.1, 0.01 };
static const double around[] = { 0.5, 0.67, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.5, 2 };

static const double stakes[EPROCESS_BET_COUNT] = { .01, .02, .05, .1, .2, .4, .8 };

static bool is_comparison(double rho)
{
    return rho > 0 && rho < 1;
}

/* Less than the last bit of a double, beside the largest term. */
#define NOTHING_LOG (-40)

/* Summed from the largest term on, since the terms themselves leave the range of doubles after some thousand events. Most
   alternatives are soon far behind, and an exponential is what all this costs. */
double eprocess_log_mean(const double *logs, uint32_t count)
{
    double most = -INFINITY, sum = 0;
    for (uint32_t k = 0; k < count; k++)
        most = fmax(most, logs[k]);
    for (uint32_t k = 0; k < count; k++)
        if (logs[k] - most > NOTHING_LOG)
            sum += exp(logs[k] - most);
    return most + log(sum / count);
}

/* ln of exp(a) + exp(b). */
static double log_add(double a, double b)
{
    double most = fmax(a, b);
    return isinf(most) ? most : most + log1p(exp(fmin(a, b) - most));
}

/* ---- the reserve ------------------------------------------------------------------------------------------------------- */

static void reserve_init(struct eprocess_reserve *r, double part, double *log_products, uint32_t count)
{
    CHECK(part >= 0 && part < 1);
    *r = (struct eprocess_reserve){ part, 0 };
    for (uint32_t k = 0; k < count; k++)
        log_products[k] = log1p(-part);
}

/* c / (j (j + 1)) is the part 1 / (j + 1) of what is left after j - 1 gifts, c / j. The sum stays what it was. */
static void reserve_give(struct eprocess_reserve *r, double *log_products, uint32_t count)
{
    if (r->left <= 0)
        return;
    double gift = r->left / (++r->given + 1);
    r->left -= gift;
    for (uint32_t k = 0; k < count; k++)
        log_products[k] = log_add(log_products[k], log(gift));
}

static double log_evidence(const struct eprocess_reserve *r, const double *log_products, uint32_t count)
{
    return log_add(eprocess_log_mean(log_products, count), log(r->left));
}

/* ---- ratio ------------------------------------------------------------------------------------------------------------- */

static const struct {
    const double *steps;
    uint32_t count;
} grids[] = {
    [EPROCESS_MORE] = { above, ARRAY_COUNT(above) },
    [EPROCESS_LESS] = { below, ARRAY_COUNT(below) },
    [EPROCESS_EITHER] = { around, ARRAY_COUNT(around) },
};

void eprocess_ratio_init(struct eprocess_ratio *e, double theta_0, enum eprocess_side side, double reserve)
{
    CHECK(theta_0 > 0);
    memset(e, 0, sizeof *e);
    e->theta_0 = theta_0;
    e->side = side;
    e->grid_count = grids[side].count;
    for (uint32_t k = 0; k < e->grid_count; k++)
        e->log_steps[k] = log(grids[side].steps[k]);
    reserve_init(&e->reserve, reserve, e->log_products, e->grid_count);
}

void eprocess_ratio_refill(struct eprocess_ratio *e)
{
    reserve_give(&e->reserve, e->log_products, e->grid_count);
}

/* Shares change rarely, and a logarithm costs more than all the rest of a batch. */
static void ratio_use_share(struct eprocess_ratio *e, double rho)
{
    e->rho = rho;
    double base = rho * e->theta_0 + 1 - rho;
    for (uint32_t k = 0; k < e->grid_count; k++)
        e->log_costs[k] = log(base / (rho * e->theta_0 * exp(e->log_steps[k]) + 1 - rho));
}

void eprocess_ratio_add(struct eprocess_ratio *e, double rho, uint64_t canary_events, uint64_t stable_events)
{
    if (!is_comparison(rho) || canary_events + stable_events == 0)
        return;
    if (e->rho < rho || e->rho > rho)
        ratio_use_share(e, rho);
    double canary = (double)canary_events, all = canary + (double)stable_events;
    for (uint32_t k = 0; k < e->grid_count; k++)
        e->log_products[k] += canary * e->log_steps[k] + all * e->log_costs[k];
    e->log_e = log_evidence(&e->reserve, e->log_products, e->grid_count);
    e->log_e_most = fmax(e->log_e_most, e->log_e);
}

double eprocess_ratio_growth(const struct eprocess_ratio *e, double rho, double theta)
{
    struct eprocess_ratio copy = *e;
    double q = rho * theta / (rho * theta + 1 - rho), most = -INFINITY;
    ratio_use_share(&copy, rho);
    for (uint32_t k = 0; k < copy.grid_count; k++)
        most = fmax(most, q * copy.log_steps[k] + copy.log_costs[k]);
    return most;
}

/* ---- points ------------------------------------------------------------------------------------------------------------ */

void eprocess_points_init(struct eprocess_points *e, double d, enum eprocess_side side, double reserve)
{
    CHECK(d > -1 && d < 1 && side != EPROCESS_EITHER);
    memset(e, 0, sizeof *e);
    e->d = d;
    e->side = side;
    reserve_init(&e->reserve, reserve, e->log_products, EPROCESS_BET_COUNT);
}

void eprocess_points_refill(struct eprocess_points *e)
{
    reserve_give(&e->reserve, e->log_products, EPROCESS_BET_COUNT);
}

static void points_use_share(struct eprocess_points *e, double rho)
{
    double sign = e->side == EPROCESS_MORE ? 1 : -1;
    double scale = e->side == EPROCESS_MORE ? (1 - rho) / (1 + e->d * (1 - rho)) : rho / (1 - e->d * rho);
    e->rho = rho;
    for (uint32_t i = 0; i < EPROCESS_BET_COUNT; i++) {
        double bet = sign * stakes[i] * scale;
        e->log_canary[i] = log1p(bet * (1 / rho - e->d));
        e->log_stable[i] = log1p(bet * (-1 / (1 - rho) - e->d));
        e->log_quiet[i] = log1p(bet * -e->d);
    }
}

void eprocess_points_add(struct eprocess_points *e, double rho, uint64_t requests, uint64_t canary_events,
                         uint64_t stable_events)
{
    CHECK(requests >= canary_events + stable_events);
    if (!is_comparison(rho) || requests == 0)
        return;
    if (e->rho < rho || e->rho > rho)
        points_use_share(e, rho);
    double canary = (double)canary_events, stable = (double)stable_events;
    double quiet = (double)(requests - canary_events - stable_events);
    for (uint32_t i = 0; i < EPROCESS_BET_COUNT; i++)
        e->log_products[i] += canary * e->log_canary[i] + stable * e->log_stable[i] + quiet * e->log_quiet[i];
    e->log_e = log_evidence(&e->reserve, e->log_products, EPROCESS_BET_COUNT);
    e->log_e_most = fmax(e->log_e_most, e->log_e);
}
