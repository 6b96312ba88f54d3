/* server/monitors.h - synthetic requests straight to endpoints, on schedule, and whether the answers are as expected.
 *
 * One check a monitor and upstream under way at most; each goes to the next of the upstream's endpoints, past routes, splits
 * and the workers' pools, so that a version is watched also while no traffic reaches it. Requests carry x-weir-monitor with
 * the monitor's name; nothing of them counts as traffic.
 *
 * An endpoint fails while its last answer was not as expected; an upstream fails while any of its endpoints does. So one bad
 * endpoint among good ones is not forgotten each time that another is asked.
 *
 * Owner and thread: main. What is known of a monitor and upstream survives reloads as long as both names do. */
#ifndef SERVER_MONITORS_H
#define SERVER_MONITORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "config/model_rollout.h"
#include "json/json.h"
#include "net/loop.h"
#include "outbound/courier.h"

#define MONITOR_COMPLAINT_BYTES 160u

struct monitors;

/* What the last check of an endpoint found. */
struct monitor_endpoint {
    char *address; /* owned, as the configuration has it */
    bool is_known; /* it was asked, and answered or failed to */
    bool is_good;
    char complaint[MONITOR_COMPLAINT_BYTES]; /* "" when good */
};

/* A monitor and one of its upstreams. */
struct monitor_status {
    struct slice monitor, upstream;          /* of the configuration in force */
    bool is_known;                           /* at least one answer came, or failed to */
    bool is_good;                            /* no endpoint fails */
    bool was_good;                           /* the last answer, whosever it was */
    uint32_t failures_in_a_row;              /* answers that were not as expected since no endpoint failed */
    uint64_t good_count, bad_count;          /* since the start */
    int64_t latency_us;                      /* of the last answer; 0: none came */
    struct wall_time at;                     /* of the last one */
    char complaint[MONITOR_COMPLAINT_BYTES]; /* of an endpoint that fails, the last one if that does; "" when good */
    struct monitor_endpoint *endpoints;      /* of the upstream, in their order */
    size_t endpoint_count;
};

/* on_result(arg, ...): an answer was judged; borrowed for the call. */
struct monitors *monitors_create(struct loop *loop, struct courier *courier,
                                 void (*on_result)(void *arg, const struct monitor_status *status), void *arg);
/* After the courier has stopped, or while none of its answers can come any more. */
void monitors_destroy(struct monitors *m);

/* What is watched from now on; the configuration outlives the next call. */
void monitors_configure(struct monitors *m, const struct config *config);

/* By monitor and upstream, in the order of the configuration. */
size_t monitors_count(const struct monitors *m);
const struct monitor_status *monitors_at(const struct monitors *m, size_t index);

/* An object for each monitor that asks the upstream, for the admin API. */
void monitors_describe(const struct monitors *m, struct slice upstream, struct json *array);
/* Does the endpoint fail, by any monitor? Then with a line that says which and what; `why` may be NULL. */
bool monitors_fail_at(const struct monitors *m, struct slice upstream, struct slice address, struct text *why);
/* An object for each endpoint that fails, for the admin API. */
void monitors_list_failing(const struct monitors *m, struct json *array);
/* Has one with `unready_after` failed so often in a row? Then with a line that says which. */
bool monitors_are_unready(const struct monitors *m, struct text *why);

/* ---- pure ---------------------------------------------------------------------------------------------------------------- */

/* What is wrong with an answer, for people; false and "" when it is as expected. */
bool monitor_complains(const struct monitor_expect_config *expect, const struct courier_answer *answer,
                       struct wall_time now, char out[MONITOR_COMPLAINT_BYTES]);

#endif
