/* tests/unit/stats/test_stats.c - sums over workers. */
#include "stats/stats.h"

#include <criterion/criterion.h>

static struct stats *stats;

static void setup(void)
{
    stats = stats_create(3);
    stats_begin_generation(stats);
}

static void teardown(void)
{
    stats_destroy(stats);
}

TestSuite(stats, .init = setup, .fini = teardown);

static void one_request(uint32_t worker, uint32_t series, uint16_t status, enum reason reason)
{
    stats_request_begin(stats->workers[worker], series);
    stats_request_end(stats->workers[worker], series, status, reason, 1000);
}

Test(stats, gauges_that_one_worker_raised_and_lowered_sum_to_zero)
{
    stats_add(stats->workers[0], STATS_CLIENTS_LIVE, 5);
    stats_add(stats->workers[2], STATS_CLIENTS_LIVE, 2);
    cr_assert_eq(stats_sum(stats, STATS_CLIENTS_LIVE), 7);
    stats_sub(stats->workers[0], STATS_CLIENTS_LIVE, 5);
    stats_set(stats->workers[2], STATS_CLIENTS_LIVE, 0);
    cr_assert_eq(stats_sum(stats, STATS_CLIENTS_LIVE), 0);
}

Test(stats, an_unused_series_has_no_sums)
{
    uint32_t id = stats_series_id(stats, SLICE("r"), SLICE("u"));
    struct series_statuses statuses;
    struct series_totals totals;
    struct histogram duration;
    uint64_t reasons[REASON_COUNT];
    cr_assert_not(stats_sum_statuses(stats, id, &statuses));
    cr_assert_not(stats_sum_totals(stats, id, &totals));
    cr_assert_not(stats_sum_duration(stats, id, &duration));
    cr_assert_not(stats_sum_reasons(stats, id, reasons));
}

Test(stats, requests_of_all_workers_are_summed_by_status_and_reason)
{
    uint32_t id = stats_series_id(stats, SLICE("r"), SLICE("u"));
    one_request(0, id, 200, REASON_NONE);
    one_request(1, id, 502, REASON_CONNECT_FAILED);
    one_request(2, id, 200, REASON_NONE);
    one_request(2, id, 0, REASON_CLIENT_ABORTED);
    struct series_statuses statuses;
    cr_assert(stats_sum_statuses(stats, id, &statuses));
    cr_assert_eq(statuses.by_status[200], 2);
    cr_assert_eq(statuses.by_status[502], 1);
    cr_assert_eq(statuses.by_status[0], 1);
    cr_assert_eq(statuses.other, 0);
    uint64_t reasons[REASON_COUNT];
    cr_assert(stats_sum_reasons(stats, id, reasons));
    cr_assert_eq(reasons[REASON_NONE], 0, "answers are not errors");
    cr_assert_eq(reasons[REASON_CONNECT_FAILED], 1);
    cr_assert_eq(reasons[REASON_CLIENT_ABORTED], 1);
}

Test(stats, the_33rd_status_code_and_impossible_ones_count_as_other)
{
    for (uint16_t status = 200; status < 232; status++)
        one_request(0, 1, status, REASON_NONE);
    one_request(0, 1, 500, REASON_NONE);
    one_request(0, 1, 600, REASON_NONE);
    one_request(0, 1, UINT16_MAX, REASON_NONE);
    one_request(0, 1, 231, REASON_NONE);
    struct series_statuses statuses;
    cr_assert(stats_sum_statuses(stats, 1, &statuses));
    cr_assert_eq(statuses.other, 3);
    cr_assert_eq(statuses.by_status[500], 0);
    cr_assert_eq(statuses.by_status[200], 1);
    cr_assert_eq(statuses.by_status[231], 2);
}

Test(stats, codes_that_collide_keep_their_own_counts)
{
    for (int i = 0; i < 3; i++) {
        one_request(0, 1, 200, REASON_NONE);
        one_request(0, 1, 232, REASON_NONE);
        one_request(0, 1, 264, REASON_NONE);
    }
    struct series_statuses statuses;
    cr_assert(stats_sum_statuses(stats, 1, &statuses));
    cr_assert(statuses.by_status[200] == 3 && statuses.by_status[232] == 3 && statuses.by_status[264] == 3);
}

Test(stats, totals_tell_begun_from_in_flight)
{
    one_request(0, 1, 200, REASON_NONE);
    stats_request_begin(stats->workers[1], 1);
    stats_request_bytes(stats->workers[1], 1, 10, 2000);
    stats_request_bytes(stats->workers[2], 1, 5, 0);
    struct series_totals totals;
    cr_assert(stats_sum_totals(stats, 1, &totals));
    cr_assert_eq(totals.begun_count, 2);
    cr_assert_eq(totals.in_flight_count, 1);
    cr_assert_eq(totals.bytes_in, 15);
    cr_assert_eq(totals.bytes_out, 2000);
}

Test(stats, counters_survive_a_reload)
{
    uint32_t id = stats_series_id(stats, SLICE("r"), SLICE("u"));
    one_request(0, id, 200, REASON_NONE);
    stats_begin_generation(stats);
    cr_assert_eq(stats_series_id(stats, SLICE("r"), SLICE("u")), id);
    one_request(1, id, 200, REASON_NONE);
    struct series_statuses statuses;
    cr_assert(stats_sum_statuses(stats, id, &statuses));
    cr_assert_eq(statuses.by_status[200], 2);
}

Test(stats, an_endpoint_is_as_healthy_as_its_worst_worker_thinks)
{
    uint32_t id = stats_endpoint_id(stats, SLICE("u"), SLICE("10.0.0.1:80"));
    cr_assert_eq(stats_sum_health(stats, id), STATS_HEALTH_UNKNOWN);
    stats_endpoint_set_health(stats->workers[2], id, STATS_HEALTHY);
    cr_assert_eq(stats_sum_health(stats, id), STATS_HEALTHY);
    stats_endpoint_set_health(stats->workers[0], id, STATS_UNHEALTHY);
    cr_assert_eq(stats_sum_health(stats, id), STATS_UNHEALTHY);
    stats_endpoint_set_health(stats->workers[0], id, STATS_HEALTHY);
    cr_assert_eq(stats_sum_health(stats, id), STATS_HEALTHY);
}

Test(stats, upstreams_and_listeners_are_summed)
{
    uint32_t u = stats_upstream_id(stats, SLICE("u")), l = stats_listener_id(stats, SLICE("web"));
    stats_upstream_add(stats->workers[0], u, STATS_UPSTREAM_IDLE, 3);
    stats_upstream_add(stats->workers[1], u, STATS_UPSTREAM_IDLE, 1);
    stats_upstream_sub(stats->workers[0], u, STATS_UPSTREAM_IDLE, 2);
    cr_assert_eq(stats_sum_upstream(stats, u, STATS_UPSTREAM_IDLE), 2);
    cr_assert_eq(stats_sum_upstream(stats, u, STATS_UPSTREAM_ACTIVE), 0);
    stats_listener_open(stats->workers[0], l, STATS_HTTP1);
    stats_listener_open(stats->workers[1], l, STATS_HTTP1);
    stats_listener_close(stats->workers[0], l, STATS_HTTP1);
    cr_assert_eq(stats_sum_listener(stats, l, STATS_HTTP1), 1);
}

Test(stats, what_most_requests_write_stands_in_the_first_line)
{
    struct stats_series *s = stats_series_at(stats->workers[0], 5);
    for (unsigned cell = 0; cell <= STATS_SERIES_STATUSES; cell++)
        cr_assert_eq(stats_series_cell(s, cell), &s->cells[cell]);
    cr_assert_eq(sizeof *s, STATS_CACHE_LINE_BYTES);
}

Test(stats, the_same_line_of_all_series_of_a_page_is_a_page_of_memory)
{
    uintptr_t first = (uintptr_t)stats_series_at(stats->workers[0], 0);
    cr_assert_eq(first % 4096, 0);
    for (uint32_t series = 0; series < STATS_PAGE_BLOCKS; series++)
        for (unsigned cell = 0; cell < STATS_SERIES_CELL_COUNT; cell++) {
            uintptr_t at = (uintptr_t)stats_series_cell(stats_series_at(stats->workers[0], series), cell);
            cr_assert_eq((at - first) / 4096, cell / STATS_LINE_CELLS);
            cr_assert_eq((at - first) % 4096 / STATS_CACHE_LINE_BYTES, series);
        }
}
