/* tests/unit/stats/race_counters.c - a worker counts while another thread sums; a program of its own.
 *
 * Criterion cannot map its memory under ThreadSanitizer, whose silence is half of this test: so no Criterion. Exits 0, or
 * aborts with the check that failed. */
#include "stats/stats.h"

#include <pthread.h>
#include <stdio.h>

/* Two series on pages that the writer makes on the way, and upstreams on five pages. */
enum { REQUEST_COUNT = 300000, NEAR_SERIES = 1, FAR_SERIES = 1000, UPSTREAM_COUNT = 300 };

static void *count_requests(void *arg)
{
    struct stats_worker *w = arg;
    for (uint32_t i = 0; i < REQUEST_COUNT; i++) {
        uint32_t series = i % 2 ? NEAR_SERIES : FAR_SERIES;
        stats_request_begin(w, series);
        stats_request_end(w, series, (uint16_t)(200 + i % 40), REASON_NO_ENDPOINT, i);
        stats_upstream_add(w, i % UPSTREAM_COUNT, STATS_UPSTREAM_CONNECTS, 1);
        stats_endpoint_set_health(w, i % UPSTREAM_COUNT, STATS_HEALTHY);
        stats_add(w, STATS_REQUESTS, 1);
    }
    return NULL;
}

static uint64_t all_statuses(const struct stats *s, uint32_t series)
{
    struct series_statuses statuses;
    if (!stats_sum_statuses(s, series, &statuses))
        return 0;
    uint64_t sum = statuses.other;
    for (unsigned i = 0; i < STATS_STATUS_END; i++)
        sum += statuses.by_status[i];
    return sum;
}

static uint64_t all_connects(const struct stats *s)
{
    uint64_t sum = 0;
    for (uint32_t id = 0; id < UPSTREAM_COUNT; id++) {
        sum += stats_sum_upstream(s, id, STATS_UPSTREAM_CONNECTS);
        CHECK(stats_sum_health(s, id) != STATS_UNHEALTHY);
    }
    return sum;
}

/* Sums may only grow, and never beyond what there is to count. */
static void read_until_done(const struct stats *s)
{
    uint64_t statuses_before = 0, connects_before = 0;
    while (stats_sum(s, STATS_REQUESTS) < REQUEST_COUNT) {
        uint64_t statuses = all_statuses(s, NEAR_SERIES) + all_statuses(s, FAR_SERIES);
        uint64_t connects = all_connects(s);
        CHECK(statuses >= statuses_before && statuses <= REQUEST_COUNT);
        CHECK(connects >= connects_before && connects <= REQUEST_COUNT);
        statuses_before = statuses;
        connects_before = connects;
    }
}

static void check_end(const struct stats *s)
{
    uint64_t half = REQUEST_COUNT / 2, reasons[REASON_COUNT];
    struct histogram duration;
    struct series_totals totals;
    CHECK(all_statuses(s, NEAR_SERIES) == half && all_statuses(s, FAR_SERIES) == half);
    CHECK(all_connects(s) == REQUEST_COUNT);
    CHECK(stats_sum_reasons(s, NEAR_SERIES, reasons) && reasons[REASON_NO_ENDPOINT] == half);
    CHECK(stats_sum_duration(s, NEAR_SERIES, &duration) && histogram_count(&duration) == half);
    CHECK(duration.sum_us == half * half); /* the sum of the odd numbers */
    CHECK(stats_sum_totals(s, NEAR_SERIES, &totals) && totals.in_flight_count == 0);
}

int main(void)
{
    struct stats *s = stats_create(1);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, count_requests, s->workers[0]) == 0);
    read_until_done(s);
    CHECK(pthread_join(writer, NULL) == 0);
    check_end(s);
    stats_destroy(s);
    puts("race_counters: sums only grew and ended exact");
    return 0;
}
