/* bench/releases/traffic.h - simulated releases that feed the evidence which the server uses, and what the judge says.
 *
 * A scenario is a kind of release in which nothing is wrong, or as much as its margin allows; each alarm is a false one. All
 * is drawn from the seed: the same numbers on every machine. */
#ifndef RELEASES_TRAFFIC_H
#define RELEASES_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "rollout/evidence.h"
#include "rollout/judge.h"

enum assignment {
    ASSIGN_DRAWS,  /* each request by itself */
    ASSIGN_BLOCKS, /* without replacement from blocks (route/block.h), on two workers, looked at inside blocks */
    ASSIGN_STICKY  /* users, of whom some fail far more often than others */
};

enum trend {
    TREND_NONE,
    TREND_FALLS, /* errors: from 2 % to 0.2 %, with a wave of 30 % every ten minutes */
    TREND_RISES, /* the other way round */
    TREND_SLOWER /* latency: twice as slow at the end, with the same wave */
};

struct scenario {
    const char *name;
    struct guardrail guardrails[3];
    uint32_t guardrail_count;
    enum assignment assignment;
    bool has_raises; /* 5, 10, 25 and 50 % for a quarter of the time each; else 5 % */
    enum trend trend;
    double relative_risk, excess; /* the canary's errors: so many times as many, and so much above. 1, 0: the same */
    double slower;                /* the canary's latency; 0: no latencies are simulated, only errors */
    bool is_naive;                /* sticky: every request is counted, which weir does not do */
};

extern const struct scenario scenarios[];
extern const uint32_t scenario_count;

struct outcome {
    uint32_t releases;
    uint32_t breaches; /* with a breach of any guardrail at any second */
    uint32_t voids;    /* in which the split was ever called mismatched */
};

/* So many releases of so many seconds, looked at every second. */
struct outcome scenario_run(const struct scenario *s, uint32_t releases, uint32_t seconds, uint64_t seed);
/* The greatest number of breaches that an error rate of alpha explains: three standard errors above it. */
uint32_t outcome_limit(uint32_t releases, double alpha);

/* One release as it goes. The steps of a second are public for bench/releases/detect.c. */
struct release {
    const struct scenario *scenario;
    struct evidence evidence;
    struct rng rng;
    uint64_t generation;
    double share;
};

void release_begin(struct release *r, const struct scenario *s, uint64_t seed);
void release_end(struct release *r);
void release_set_share(struct release *r, double share);

/* Durations drawn by a table of quantiles: log-normal, median 50 ms, sigma 0.5, as services behind one proxy often are. */
#define DURATION_MEDIAN_US 50000.0
#define DURATION_SIGMA     0.5
double duration_draw_us(struct rng *rng);
/* Counts so many answers of an arm in a worker's own struct; the canary's take `slower` times as long as stable's. */
void answers_add(struct rng *rng, struct tally *tally, const struct tally_rules *rules, enum tally_arm arm,
                 uint32_t count, double slower);

struct guardrail rail_ratio(double margin);
struct guardrail rail_points(double margin);
struct guardrail rail_latency(double quantile, double margin);

#endif
