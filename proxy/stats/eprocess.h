/* stats/eprocess.h - evidence that may be looked at after every event: two tests of a canary against its stable. Pure.
 *
 * An e-process E begins at 1 and, as long as the hypothesis holds, is a non-negative supermartingale: its expectation
 * never rises, whatever was seen. By Ville's inequality the probability that it ever reaches 1/a is then at most a, however
 * often one looks and whenever one stops. When the hypothesis is false, E grows exponentially. It is kept as ln E.
 *
 * struct eprocess_ratio: is an event theta_0 times as likely on the canary, or more?
 *   After Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022, arXiv 2011.03567).
 *   Only events (errors, slow answers) are looked at; what went well costs nothing and the base rate may drift.
 *     rho     the canary's share when the request was assigned
 *     theta   how many times as likely an event is on the canary as on stable
 *     q(t)  = rho t / (rho t + 1 - rho), the probability that an event is the canary's at theta = t
 *     E     = mean over k of Product over events of q(t_k) / q(t_0) when it is the canary's, and of
 *             (1 - q(t_k)) / (1 - q(t_0)) when it is stable's
 *   A factor's expectation is linear in the true q, and 1 at q(t_0). With all t_k above t_0 it rises with q, so E tests
 *   theta <= t_0 (EPROCESS_MORE); with all below it falls, and E tests theta >= t_0 (EPROCESS_LESS); with some on either
 *   side E tests theta = t_0 only (EPROCESS_EITHER: has this split the share it should have?). Given rho only the two
 *   counts matter: with c_k = ln((rho t_0 + 1 - rho) / (rho t_k + 1 - rho)),
 *     ln(Product_k) = k_events ln(t_k / t_0) + (k_events + m_events) c_k.
 *
 * struct eprocess_points: is the canary's rate more than d above stable's?
 *   A betting martingale (Waudby-Smith and Ramdas, arXiv 2010.09686). For each request, with x = 1 for the canary's
 *   and y = 1 for an error,
 *     Z = x y / rho - (1 - x) y / (1 - rho) - d       whose mean is p_canary - p_stable - d, at any base rate
 *     E = mean over f of Product of (1 + l_f Z),      l_f = f (1 - rho) / (1 + d (1 - rho))
 *   Z is at least -(1 + d (1 - rho)) / (1 - rho), so each factor is at least 1 - f > 0. EPROCESS_LESS bets on -Z, which
 *   is at least d - 1/rho, with l_f = f rho / (1 - d rho). All requests count here, since d is about rates.
 *
 * A reserve, for what turns bad late. Evidence that nothing is wrong pulls E far below 1, and a canary that breaks then has
 * to make good for all of it first. So a small part of the initial 1 may be held back, and given out to all alternatives
 * anew now and then, as if E had begun only then: a mixture over the time of the change, which is an e-process as well.
 * When it is given out must not depend on what has not been seen yet (a clock will do). The j-th gift is c / (j (j + 1)).
 *
 * A batch of counts may be added in one step, in any order within it: the same E as one by one. */
#ifndef STATS_EPROCESS_H
#define STATS_EPROCESS_H

#include <stdint.h>

#define EPROCESS_GRID_MAX  12u /* alternatives of a mixture */
#define EPROCESS_BET_COUNT 7u  /* stakes f */

/* Which alternative the evidence is for. */
enum eprocess_side {
    EPROCESS_MORE,  /* E large: theta > theta_0, or the difference is above d */
    EPROCESS_LESS,  /* E large: below */
    EPROCESS_EITHER /* E large: not theta_0; ratio only */
};

/* What is held back. E is the mean of the products, and this. */
struct eprocess_reserve {
    double left;    /* in [0, 1) */
    uint32_t given; /* gifts so far */
};

/* Embedded; plain numbers, all of which may be stored and read back. */
struct eprocess_ratio {
    double theta_0; /* > 0 */
    enum eprocess_side side;
    uint32_t grid_count;
    struct eprocess_reserve reserve;
    double log_steps[EPROCESS_GRID_MAX];    /* ln(t_k / t_0) */
    double log_products[EPROCESS_GRID_MAX]; /* ln of each alternative's product so far */
    double log_e, log_e_most;               /* ln E now, and its greatest so far */
    double rho;                             /* of the last batch; what `log_costs` are for. 0: none yet */
    double log_costs[EPROCESS_GRID_MAX];    /* c_k */
};

/* reserve: the part of E that is held back; 0: none. */
void eprocess_ratio_init(struct eprocess_ratio *e, double theta_0, enum eprocess_side side, double reserve);
/* Gives out the next part of the reserve. */
void eprocess_ratio_refill(struct eprocess_ratio *e);
/* Events that were the canary's and stable's while it had the share rho. Shares of 0 and 1 compare nothing: ignored. */
void eprocess_ratio_add(struct eprocess_ratio *e, double rho, uint64_t canary_events, uint64_t stable_events);

struct eprocess_points {
    double d; /* in (-1, 1): 0.005 for half a point */
    enum eprocess_side side;
    struct eprocess_reserve reserve;
    double log_products[EPROCESS_BET_COUNT];
    double log_e, log_e_most;
    double rho; /* as above */
    double log_canary[EPROCESS_BET_COUNT], log_stable[EPROCESS_BET_COUNT], log_quiet[EPROCESS_BET_COUNT];
};

void eprocess_points_init(struct eprocess_points *e, double d, enum eprocess_side side, double reserve);
void eprocess_points_refill(struct eprocess_points *e);
/* requests: of both arms, with and without an event. */
void eprocess_points_add(struct eprocess_points *e, double rho, uint64_t requests, uint64_t canary_events,
                         uint64_t stable_events);

/* ln of the mean of values given by their logarithms: how a mixture, or an average of e-values, is summed when its terms
   are beyond doubles. */
double eprocess_log_mean(const double *logs, uint32_t count);

/* The growth of ln E per event at the true theta, of the alternative that grows fastest: about (ln(1/a) + ln
   grid_count) / growth events are needed. Not above 0 when E cannot grow there. For forecasts. */
double eprocess_ratio_growth(const struct eprocess_ratio *e, double rho, double theta);

#endif
