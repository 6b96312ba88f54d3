/* bench/releases/peers.c - a threshold that may be missed so often, and a Mann-Whitney test that is looked at repeatedly. */
#include "releases/peers.h"

#include <math.h>
#include <stdlib.h>

#define KAYENTA_EVERY_MINUTES 10u
#define KAYENTA_Z             2.3263 /* both sides of 0.98 */
#define KAYENTA_TOLERANCE     0.25

uint32_t peer_threshold(const struct series *s, double threshold, uint32_t failures)
{
    uint32_t failed = 0;
    for (uint32_t minute = 0; minute < PEER_MINUTES; minute++) {
        failed += s->canary[minute] > threshold;
        if (failed == failures)
            return minute + 1;
    }
    return 0;
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* All differences in order: their median is the Hodges-Lehmann estimate of the shift, and the interval ends where the
   normal approximation of the rank sum's distribution says. */
static bool is_high(const struct series *s, uint32_t n)
{
    static double differences[PEER_MINUTES * PEER_MINUTES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++)
            differences[count++] = s->canary[i] - s->stable[k];
    qsort(differences, count, sizeof *differences, compare_reals);
    double estimate = (differences[(count - 1) / 2] + differences[count / 2]) / 2;
    double rank = count / 2.0 - KAYENTA_Z * sqrt((double)n * n * (2 * n + 1) / 12.0);
    double lower = differences[rank > 0 ? (uint32_t)rank : 0];
    return lower > KAYENTA_TOLERANCE * fabs(estimate);
}

uint32_t peer_kayenta(const struct series *s)
{
    for (uint32_t minutes = KAYENTA_EVERY_MINUTES; minutes <= PEER_MINUTES; minutes += KAYENTA_EVERY_MINUTES)
        if (is_high(s, minutes))
            return minutes;
    return 0;
}
