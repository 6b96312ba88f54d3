/* tests/unit/stats/test_counters.c - one worker's counters; race_counters.c reads them from another thread. */
#include "stats/counters.h"

#include <criterion/criterion.h>

#include <signal.h>

Test(counters, blocks_stand_on_cache_lines_of_their_own)
{
    struct stats_worker *w = stats_worker_create();
    cr_assert_eq((uintptr_t)w % STATS_CACHE_LINE_BYTES, 0);
    cr_assert_eq(sizeof *w % STATS_CACHE_LINE_BYTES, 0);
    cr_assert_eq((uintptr_t)stats_series_at(w, 0) % STATS_CACHE_LINE_BYTES, 0);
    stats_worker_destroy(w);
}

static uint64_t in_flight(struct stats_worker *w, uint32_t series)
{
    return *stats_series_cell(stats_series_at(w, series), STATS_SERIES_IN_FLIGHT);
}

Test(counters, pages_are_made_at_first_use_and_hold_64_series)
{
    struct stats_worker *w = stats_worker_create();
    stats_request_begin(w, 63);
    cr_assert_not_null(atomic_load(&w->series[0]));
    cr_assert_null(atomic_load(&w->series[1]));
    stats_request_begin(w, 64);
    cr_assert_not_null(atomic_load(&w->series[1]));
    cr_assert_eq(in_flight(w, 63), 1);
    cr_assert_eq(in_flight(w, 64), 1);
    cr_assert_eq(in_flight(w, 62), 0);
    stats_worker_destroy(w);
}

Test(counters, an_id_beyond_capacity_aborts, .signal = SIGABRT)
{
    struct stats_worker *w = stats_worker_create();
    stats_request_begin(w, STATS_SERIES_PAGES * STATS_PAGE_BLOCKS);
}

Test(counters, a_reason_that_does_not_exist_aborts, .signal = SIGABRT)
{
    struct stats_worker *w = stats_worker_create();
    stats_request_end(w, 0, 200, REASON_COUNT, 0);
}

Test(counters, nobody_counts_for_a_control_thread)
{
    stats_add(NULL, STATS_READ_CALLS, 1);
    stats_sub(NULL, STATS_CLIENTS_LIVE, 1);
    stats_set(NULL, STATS_CLIENTS_LIVE, 1);
}
