/* server/slos.h - the objectives of `slos:`: what their routes answer is counted, and their budgets are watched.
 *
 *   counters of /metrics --5 s--> budget (stats/budget.h) --> /metrics, GET /api/v1/slos
 *                          \----> a stretch of five minutes --> store/slos.h --> budget, after a restart
 *
 * Of a route everything counts that got an answer, whoever gave it: upstreams of any kind, and the proxy itself. Bad for
 * availability are statuses from 500; slow is what took longer than `latency.below`, known to a third of it at worst (stats/histogram.h).
 * Owner: the server. Thread: main. Costs as much as there are series, every five seconds, and nothing without objectives. */
#ifndef SERVER_SLOS_H
#define SERVER_SLOS_H

#include "base/list.h"
#include "json/json.h"
#include "net/timer.h"
#include "route/snapshot.h"
#include "stats/metrics.h"
#include "stats/stats.h"
#include "store/slos.h"

struct slos {
    struct loop *loop; /* all borrowed */
    struct stats *stats;
    struct store *store;
    struct list items; /* struct slo, in the order of the configuration */
    struct timer timer;
};

void slos_init(struct slos *all);
/* Writes what is not stored yet. */
void slos_fini(struct slos *all);
/* A snapshot is in force: objectives of the same name that count the same go on, others begin, from the store. */
void slos_configure(struct slos *all, const struct snapshot *snapshot);

void slos_describe(struct slos *all, struct json *array);
/* Into the arena. */
void slos_fill_metrics(struct slos *all, struct arena *arena, struct metrics_facts *facts);

#endif
