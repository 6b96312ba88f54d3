/* bench/releases/detect.h - how soon a bad release is noticed: by weir, by the best that could be, by its peers.
 *
 * The limit is Wald's sequential probability ratio test (1945) that is told both true rates, at the same alpha, over the
 * same events: nobody knows these rates before, so nobody can be as fast. Both look ten times a second, as often as workers
 * report. */
#ifndef RELEASES_DETECT_H
#define RELEASES_DETECT_H

#include <stdbool.h>
#include <stdint.h>

#include "releases/traffic.h"

struct fault {
    const char *name;
    double rate, bad_rate; /* errors of stable, of the canary */
    double slower;         /* latency: the canary's, at p95; 0: errors */
};

extern const struct fault faults[];
extern const uint32_t fault_count;

/* Medians over releases; INFINITY when fewer than half were noticed within the time given. */
struct detection {
    double requests, limit_requests; /* both arms together, until the judge and until the limit noticed */
    double seconds;                  /* until the judge did */
};

struct detection fault_detect(const struct fault *f, const struct guardrail *g, uint32_t requests_per_s, double share,
                              uint32_t releases, uint32_t seconds, uint64_t seed);

/* The share of events on a log-normal canary `slower` times as slow that lie above stable's p95. */
double slow_share(double slower);

/* Who watches an hour of a release at a constant weight. */
enum watcher {
    WATCHER_WEIR,    /* ratio or latency_p95, margin 1, confidence 99 % */
    WATCHER_LIMIT,   /* the test that knows the true rates */
    WATCHER_FLAGGER, /* each minute the last minute against a threshold; the fifth failed check rolls back */
    WATCHER_ARGO,    /* the same, failureLimit 0: the first failed measurement aborts */
    WATCHER_ARGO_3,  /* failureLimit 3, as its documentation's examples have it */
    WATCHER_KAYENTA, /* every ten minutes a Mann-Whitney test of the canary's minutes against stable's */
    WATCHER_COUNT
};

extern const char *const watcher_names[WATCHER_COUNT];

struct watch {
    double false_alarms; /* parts of releases without a difference */
    double misses;       /* parts of bad releases */
    double median_s;     /* until a bad one was noticed, missed ones counted as never */
};

void fault_watch(const struct fault *f, uint32_t requests_per_s, double share, uint32_t releases, uint64_t seed,
                 struct watch out[WATCHER_COUNT]);

#endif
