/* tests/unit/stats/test_metrics.c - the whole document: what stands in it, and that Prometheus can read it. */
#include "stats/metrics.h"
#include "base/map.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

static struct stats *stats;
static struct text out;
static const struct metrics_facts facts = {
    .version = "1.2.3",
    .process = { .cpu_us = 1500000,
                 .resident_bytes = 4096,
                 .virtual_bytes = 8192,
                 .open_fd_count = 17,
                 .max_fd_count = 1024,
                 .started = { 1795470313042 } },
    .config = { .generation = 4,
                .applied_count = 3,
                .rejected_count = 2,
                .unchanged_count = 1,
                .last_reload = { 1795470313042 } },
};

static void setup(void)
{
    stats = stats_create(2);
    stats_begin_generation(stats);
    text_init(&out);
}

static void teardown(void)
{
    text_fini(&out);
    stats_destroy(stats);
}

TestSuite(metrics, .init = setup, .fini = teardown);

static void one_request(uint32_t worker, uint32_t series, uint16_t status, enum reason reason)
{
    stats_request_begin(stats->workers[worker], series);
    stats_request_end(stats->workers[worker], series, status, reason, 1000);
}

/* Something in every family, with names that need escaping. */
static void count_something(void)
{
    uint32_t series = stats_series_id(stats, SLICE("check\"out\\"), SLICE("checkout-v1"));
    uint32_t upstream = stats_upstream_id(stats, SLICE("checkout-v1"));
    uint32_t endpoint = stats_endpoint_id(stats, SLICE("checkout-v1"), SLICE("10.0.0.1:8080"));
    uint32_t listener = stats_listener_id(stats, SLICE("web"));
    one_request(0, series, 200, REASON_NONE);
    one_request(1, series, 502, REASON_CONNECT_FAILED);
    one_request(0, 0, 404, REASON_NO_ROUTE);
    stats_request_begin(stats->workers[0], series);
    stats_upstream_add(stats->workers[1], upstream, STATS_UPSTREAM_ACTIVE, 2);
    stats_upstream_add(stats->workers[1], upstream, STATS_UPSTREAM_RETRIES_OK, 1);
    stats_endpoint_set_health(stats->workers[0], endpoint, STATS_UNHEALTHY);
    stats_listener_open(stats->workers[0], listener, STATS_HTTP1);
    stats_add(stats->workers[0], STATS_READ_CALLS, 9);
    uint32_t shadow = stats_shadow_id(stats, SLICE("check\"out\\"), SLICE("dark"));
    stats_shadow_add(stats->workers[0], shadow, STATS_SHADOW_OK);
    stats_shadow_add(stats->workers[0], shadow, STATS_SHADOW_DROPS + SHADOW_DROP_SLOW);
    stats_shadow_add(stats->workers[1], shadow, STATS_SHADOW_DROPS + SHADOW_DROP_BODY);
}

static void assert_line(const char *line)
{
    char pattern[256];
    snprintf(pattern, sizeof pattern, "\n%s\n", line);
    cr_assert(slice_contains(text_slice(&out), slice_from_cstr(pattern)), "missing: %s", line);
}

Test(metrics, families_of_the_contract_have_their_samples)
{
    count_something();
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
#define SERIES "route=\"check\\\"out\\\\\",upstream=\"checkout-v1\""
    assert_line("weir_requests_total{" SERIES ",code=\"200\"} 1");
    assert_line("weir_requests_total{" SERIES ",code=\"502\"} 1");
    assert_line("weir_requests_total{route=\"\",upstream=\"\",code=\"404\"} 1");
    assert_line("weir_request_duration_seconds_count{" SERIES "} 2");
    assert_line("weir_request_duration_seconds_sum{" SERIES "} 0.002000");
    assert_line("weir_requests_in_flight{" SERIES "} 1");
    assert_line("weir_request_errors_total{" SERIES ",reason=\"connect_failed\"} 1");
    assert_line("weir_connections{listener=\"web\",protocol=\"http1\"} 1");
    assert_line("weir_upstream_connections{upstream=\"checkout-v1\",state=\"idle\"} 0");
    assert_line("weir_upstream_connections{upstream=\"checkout-v1\",state=\"active\"} 2");
    assert_line("weir_upstream_healthy{upstream=\"checkout-v1\",endpoint=\"10.0.0.1:8080\"} 0");
    assert_line("weir_retries_total{upstream=\"checkout-v1\",result=\"ok\"} 1");
    assert_line("weir_config_generation 4");
    assert_line("weir_config_reloads_total{result=\"applied\"} 3");
    assert_line("weir_config_reloads_total{result=\"rejected\"} 2");
    assert_line("weir_config_reloads_total{result=\"unchanged\"} 1");
    assert_line("weir_config_last_reload_timestamp_seconds 1795470313.042000");
    assert_line("weir_build_info{version=\"1.2.3\"} 1");
    assert_line("weir_read_calls_total 9");
    assert_line("process_cpu_seconds_total 1.500000");
    assert_line("process_resident_memory_bytes 4096");
    assert_line("process_max_fds 1024");
    assert_line("process_start_time_seconds 1795470313.042000");
}

Test(metrics, an_endpoint_that_left_the_configuration_is_not_shown)
{
    count_something();
    stats_begin_generation(stats);
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
    cr_assert_not(slice_contains(text_slice(&out), SLICE("weir_upstream_healthy{")));
    cr_assert_not(slice_contains(text_slice(&out), SLICE("state=\"idle\"")));
    assert_line("weir_upstream_connections{upstream=\"checkout-v1\",state=\"active\"} 2");
    assert_line("weir_retries_total{upstream=\"checkout-v1\",result=\"ok\"} 1");
}

/* Takes the family of a "# TYPE" line; each may have one only. */
static void check_type_line(struct map *families, struct slice line)
{
    struct slice rest = slice_after(line, sizeof "# TYPE " - 1), name;
    static int seen;
    slice_next_item(&rest, ' ', &name);
    cr_assert_null(map_put(families, name, &seen), "%.*s twice", SLICE_ARG(name));
}

Test(metrics, every_family_and_every_sample_appears_once)
{
    count_something();
    for (int format = EXPOSE_TEXT; format <= EXPOSE_OPENMETRICS; format++) {
        text_clear(&out);
        metrics_write(&out, (enum expose_format)format, stats, &facts);
        struct map families, samples;
        map_init(&families);
        map_init(&samples);
        struct slice rest = text_slice(&out), line;
        while (slice_next_item(&rest, '\n', &line)) {
            struct slice sample = slice_first(line, slice_find(line, ' '));
            if (slice_has_prefix(line, SLICE("# TYPE ")))
                check_type_line(&families, line);
            else if (line.len > 0 && line.ptr[0] != '#')
                cr_assert_null(map_put(&samples, sample, &out), "%.*s twice", SLICE_ARG(sample));
        }
        cr_assert_gt(families.count, 30);
        cr_assert_gt(samples.count, families.count);
        map_fini(&families);
        map_fini(&samples);
    }
}

Test(metrics, openmetrics_ends_in_eof_and_text_does_not)
{
    metrics_write(&out, EXPOSE_OPENMETRICS, stats, &facts);
    cr_assert(slice_has_suffix(text_slice(&out), SLICE("\n# EOF\n")));
    cr_assert(slice_contains(text_slice(&out), SLICE("# TYPE weir_requests counter\n")));
    text_clear(&out);
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
    cr_assert_not(slice_contains(text_slice(&out), SLICE("# EOF")));
}

/* promtool is Debian's package prometheus, which scripts/test installs. It prints each fault and each breach of naming
   rules. */
Test(metrics, promtool_accepts_the_text_format)
{
    count_something();
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
    FILE *promtool = popen("promtool check metrics", "w");
    cr_assert_not_null(promtool);
    cr_assert_eq(fwrite(out.bytes, 1, out.len, promtool), out.len);
    cr_assert_eq(pclose(promtool), 0);
}

Test(metrics, what_was_given_up_is_one_result_and_told_by_reason)
{
    count_something();
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
    assert_line("weir_shadow_requests_total{route=\"check\\\"out\\\\\",upstream=\"dark\",result=\"ok\"} 1");
    assert_line("weir_shadow_requests_total{route=\"check\\\"out\\\\\",upstream=\"dark\",result=\"error\"} 0");
    assert_line("weir_shadow_requests_total{route=\"check\\\"out\\\\\",upstream=\"dark\",result=\"dropped\"} 2");
    assert_line("weir_shadow_dropped_total{route=\"check\\\"out\\\\\",upstream=\"dark\",reason=\"slow\"} 1");
    assert_line("weir_shadow_dropped_total{route=\"check\\\"out\\\\\",upstream=\"dark\",reason=\"max_body\"} 1");
}

Test(metrics, connections_of_copies_stand_beside_those_of_requests)
{
    count_something();
    stats_upstream_add(stats->workers[1], stats_upstream_shadow_id(stats, SLICE("checkout-v1")), STATS_UPSTREAM_IDLE,
                       5);
    metrics_write(&out, EXPOSE_TEXT, stats, &facts);
    assert_line("weir_upstream_connections{upstream=\"checkout-v1\",state=\"idle\"} 0");
    assert_line("weir_upstream_connections{upstream=\"checkout-v1\",use=\"shadow\",state=\"idle\"} 5");
}

Test(metrics, deployments_are_counted_by_kind_and_the_rest_is_other)
{
    static const struct metrics_deployment kinds[METRICS_DEPLOYMENT_KINDS] = {
        [0] = { 3, { 1795470313042 } }, [METRICS_DEPLOYMENT_KINDS - 1] = { 2, { 0 } }
    };
    struct metrics_facts more = facts;
    more.deployments = kinds;
    metrics_write(&out, EXPOSE_TEXT, stats, &more);
    assert_line("weir_deployment_events_total{kind=\"deploy\"} 3");
    assert_line("weir_deployment_events_total{kind=\"other\"} 2");
    assert_line("weir_deployment_event_timestamp_seconds{kind=\"deploy\"} 1795470313.042000");
    cr_assert_not(slice_contains(text_slice(&out), SLICE("weir_deployment_event_timestamp_seconds{kind=\"other\"}")));
}
