/* server/deployments.h - events that somebody told, tied to metrics: what traffic was like before each and after it.
 *
 *   POST /api/v1/events --deployments_begin--> before: what was counted in the window up to `at`
 *                       --deployments_stored-> open: after grows with each look, and is final when the window is over
 *   timer, window over --> store/events.h: the row's detail gets "metrics", for good
 *
 * All of it comes from the counters that /metrics shows, looked at by this thread (stats/traffic.h): the data path does not
 * know of it. A stop of the process stores what came after so far, as not complete; a kill leaves what was before.
 * Of more than DEPLOYMENTS_OPEN_MAX at a time the oldest ends early.
 * Owner: the server. Thread: main. */
#ifndef SERVER_DEPLOYMENTS_H
#define SERVER_DEPLOYMENTS_H

#include "base/list.h"
#include "json/json.h"
#include "net/timer.h"
#include "stats/metrics.h"
#include "stats/traffic.h"
#include "store/events.h"

struct deployment_asked; /* admin/control.h */

#define DEPLOYMENTS_OPEN_MAX 64u
#define DEPLOYMENTS_RESTORED 1000u /* events, the newest: their kinds have the time of the last one after a restart */

struct deployments {
    struct loop *loop; /* all borrowed */
    struct stats *stats;
    struct store *store;
    struct list open; /* struct deployment, oldest first */
    uint32_t open_count;
    struct deployment *begun; /* between begin and stored; else NULL */
    struct traffic traffic;
    struct traffic_counts whole; /* of the whole proxy at whole_at, which is 0 before the first time */
    struct mono_time whole_at, whole_of;
    struct mono_time looked_at,
        refused_until; /* the store is not asked before; one lock holds main once, not once a window */
    struct timer timer;
    struct metrics_deployment kinds[METRICS_DEPLOYMENT_KINDS];
};

/* Reads from the store when each kind was told last, and begins to look. */
void deployments_init(struct deployments *all);
/* Stores what is known of those that are open. */
void deployments_fini(struct deployments *all);

/* What is known of the event that is about to be stored goes into `metrics`. */
void deployments_begin(struct deployments *all, const struct deployment_asked *asked, struct json *metrics);
/* It was stored, and `detail` is what its row has but for "metrics"; NULL: it was not. Follows each begin in the same turn. */
void deployments_stored(struct deployments *all, const struct event_row *event, struct slice detail);
/* What is known of an open one by now; false: it is none. */
bool deployments_describe(struct deployments *all, int64_t id, struct json *metrics);

#endif
