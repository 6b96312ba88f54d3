/* stats/metrics.c - the families of metrics, each from its counters.
 *
 * One function or table row per family. Ids start at 1 where the nameless entry 0 means nothing; series start at 0,
 * which counts what was never routed. */
#include "stats/metrics_parts.h"

#include "base/check.h"

#include <stdio.h>

/* What names a (route, upstream) series, with room for one label more. */
struct series_labels {
    struct expose_label items[3];
};

static struct series_labels labels_of(const struct stats *stats, uint32_t series, const char *third, struct slice value)
{
    const struct registry_entry *entry = registry_entry(&stats->series, series);
    return (struct series_labels){ {
        { "route", entry->first },
        { "upstream", entry->second },
        { third, value },
    } };
}

static void write_statuses(struct expose *e, const struct stats *stats, uint32_t series,
                           const struct series_statuses *statuses)
{
    for (unsigned status = 0; status < STATS_STATUS_END; status++) {
        if (statuses->by_status[status] == 0)
            continue;
        char code[8];
        snprintf(code, sizeof code, "%u", status);
        struct series_labels labels = labels_of(stats, series, "code", slice_from_cstr(code));
        expose_u64(e, labels.items, 3, statuses->by_status[status]);
    }
    struct series_labels labels = labels_of(stats, series, "code", SLICE("other"));
    if (statuses->other != 0)
        expose_u64(e, labels.items, 3, statuses->other);
}

static void write_requests(struct expose *e, const struct stats *stats)
{
    expose_family(e, EXPOSE_COUNTER, "weir_requests_total",
                  "Requests finished, by status sent (0: none was, other: codes past the 32nd)");
    struct series_statuses statuses;
    for (uint32_t id = 0; id < stats->series.count; id++)
        if (stats_sum_statuses(stats, id, &statuses))
            write_statuses(e, stats, id, &statuses);
}

static void write_durations(struct expose *e, const struct stats *stats)
{
    expose_family(e, EXPOSE_HISTOGRAM, "weir_request_duration_seconds",
                  "From a request's first byte to its answer's last");
    struct histogram duration;
    for (uint32_t id = 0; id < stats->series.count; id++) {
        if (!stats_sum_duration(stats, id, &duration) || histogram_count(&duration) == 0)
            continue;
        struct series_labels labels = labels_of(stats, id, NULL, SLICE_NONE);
        expose_histogram(e, labels.items, 2, &duration);
    }
}

static void write_errors(struct expose *e, const struct stats *stats)
{
    expose_family(e, EXPOSE_COUNTER, "weir_request_errors_total",
                  "Requests that ended other than by an answer of the upstream or the route");
    uint64_t reasons[REASON_COUNT];
    for (uint32_t id = 0; id < stats->series.count; id++) {
        if (!stats_sum_reasons(stats, id, reasons))
            continue;
        for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
            if (reasons[reason] == 0)
                continue;
            struct slice code = slice_from_cstr(reason_rows[reason].code);
            struct series_labels labels = labels_of(stats, id, "reason", code);
            expose_u64(e, labels.items, 3, reasons[reason]);
        }
    }
}

enum total { TOTAL_IN_FLIGHT, TOTAL_BYTES_IN, TOTAL_BYTES_OUT };

static int64_t total_value(const struct series_totals *totals, enum total total)
{
    switch (total) {
    case TOTAL_IN_FLIGHT:
        return totals->in_flight_count;
    case TOTAL_BYTES_IN:
        return (int64_t)totals->bytes_in;
    case TOTAL_BYTES_OUT:
        return (int64_t)totals->bytes_out;
    }
    return 0;
}

/* One number per series that has seen a request. */
static void write_totals(struct expose *e, const struct stats *stats, enum total total)
{
    struct series_totals totals;
    for (uint32_t id = 0; id < stats->series.count; id++) {
        if (!stats_sum_totals(stats, id, &totals) || totals.begun_count == 0)
            continue;
        struct series_labels labels = labels_of(stats, id, NULL, SLICE_NONE);
        expose_i64(e, labels.items, 2, total_value(&totals, total));
    }
}

static void write_series(struct expose *e, const struct stats *stats)
{
    write_requests(e, stats);
    write_durations(e, stats);
    expose_family(e, EXPOSE_GAUGE, "weir_requests_in_flight", "Requests begun and not finished");
    write_totals(e, stats, TOTAL_IN_FLIGHT);
    write_errors(e, stats);
    expose_family(e, EXPOSE_COUNTER, "weir_request_bytes_total", "Bytes of request bodies received from clients");
    write_totals(e, stats, TOTAL_BYTES_IN);
    expose_family(e, EXPOSE_COUNTER, "weir_response_bytes_total", "Bytes of response bodies sent to clients");
    write_totals(e, stats, TOTAL_BYTES_OUT);
}

/* A listener that is gone is shown while it has clients left: else their number would seem to have dropped to
   nothing. */
static void write_connections(struct expose *e, const struct stats *stats)
{
    static const char *const protocols[] = { [STATS_HTTP1] = "http1", [STATS_HTTP2] = "http2" };
    expose_family(e, EXPOSE_GAUGE, "weir_connections", "Client connections open, by listener");
    for (uint32_t id = 1; id < stats->listeners.count; id++)
        for (unsigned protocol = 0; protocol < STATS_PROTOCOL_COUNT; protocol++) {
            int64_t count = (int64_t)stats_sum_listener(stats, id, (enum stats_protocol)protocol);
            if (count == 0 && !registry_is_current(&stats->listeners, id))
                continue;
            struct expose_label labels[] = {
                { "listener", registry_entry(&stats->listeners, id)->first },
                { "protocol", slice_from_cstr(protocols[protocol]) },
            };
            expose_i64(e, labels, ARRAY_COUNT(labels), count);
        }
}

static void write_handshakes(struct expose *e, const struct stats *stats)
{
    static const char *const results[] = {
        [STATS_HANDSHAKE_FULL] = "full", [STATS_HANDSHAKE_RESUMED] = "resumed", [STATS_HANDSHAKE_FAILED] = "failed"
    };
    expose_family(e, EXPOSE_COUNTER, "weir_tls_handshakes_total",
                  "TLS handshakes with clients, by what became of them");
    for (uint32_t id = 1; id < stats->listeners.count; id++)
        for (unsigned result = 0; result < STATS_HANDSHAKE_COUNT; result++) {
            uint64_t count = stats_sum_handshakes(stats, id, (enum stats_handshake)result);
            struct expose_label labels[] = {
                { "listener", registry_entry(&stats->listeners, id)->first },
                { "result", slice_from_cstr(results[result]) },
            };
            if (count > 0)
                expose_u64(e, labels, ARRAY_COUNT(labels), count);
        }
}

static void write_records(struct expose *e, const struct metrics_facts *facts)
{
    const struct expose_label written = { "result", SLICE("written") }, lost = { "result", SLICE("lost") };
    expose_family(e, EXPOSE_COUNTER, "weir_shadow_records_total",
                  "Copied requests for record files: written, or lost because a file could not be");
    expose_u64(e, &written, 1, facts->records.written_count);
    expose_u64(e, &lost, 1, facts->records.lost_count);
}

static void write_certificates(struct expose *e, const struct metrics_facts *facts)
{
    expose_family(e, EXPOSE_GAUGE, "weir_tls_certificate_expiry_timestamp_seconds",
                  "When a certificate in use expires");
    for (size_t i = 0; i < facts->certificate_count; i++) {
        struct expose_label label = { "certificate", facts->certificates[i].file };
        expose_i64(e, &label, 1, facts->certificates[i].expires_unix_s);
    }
}

/* A family of upstreams: its cells, each under a value of one label. Rows, since they differ in nothing else. */
struct upstream_family {
    enum expose_type type;
    const char *name, *help;
    const char *label; /* NULL: the one cell has none */
    struct {
        enum stats_upstream_cell cell;
        const char *value;
    } cells[4];
    unsigned cell_count;
};

static const struct upstream_family upstream_families[] = {
    { EXPOSE_GAUGE,
      "weir_upstream_connections",
      "Connections to upstreams: idle in the pool, or active",
      "state",
      { { STATS_UPSTREAM_IDLE, "idle" }, { STATS_UPSTREAM_ACTIVE, "active" } },
      2 },
    { EXPOSE_GAUGE,
      "weir_upstream_pending",
      "Requests that wait for a connection to the upstream",
      NULL,
      { { STATS_UPSTREAM_PENDING, NULL } },
      1 },
    { EXPOSE_COUNTER,
      "weir_upstream_connects_total",
      "Connections to upstreams tried",
      NULL,
      { { STATS_UPSTREAM_CONNECTS, NULL } },
      1 },
    { EXPOSE_COUNTER,
      "weir_upstream_connect_failures_total",
      "Connections to upstreams that could not be made in time",
      NULL,
      { { STATS_UPSTREAM_CONNECT_FAILURES, NULL } },
      1 },
    { EXPOSE_COUNTER,
      "weir_retries_total",
      "Requests sent to an upstream again, or not although they should have been",
      "result",
      { { STATS_UPSTREAM_RETRIES_OK, "ok" },
        { STATS_UPSTREAM_RETRIES_FAILED, "failed" },
        { STATS_UPSTREAM_RETRIES_REFUSED, "refused" } },
      3 },
    { EXPOSE_COUNTER,
      "weir_upstream_fetches_total",
      "Requests that hooks made of their own (weir.fetch), by what became of them",
      "result",
      { { STATS_UPSTREAM_FETCHES_ANSWERED, "answered" },
        { STATS_UPSTREAM_FETCHES_FAILED, "failed" },
        { STATS_UPSTREAM_FETCHES_CANCELLED, "cancelled" } },
      3 },
};

/* Upstreams that are gone stay while they have something to say: their counters, their last connections. */
static void write_upstream_cells(struct expose *e, const struct stats *stats, const struct upstream_family *family,
                                 uint32_t id)
{
    for (unsigned i = 0; i < family->cell_count; i++) {
        int64_t value = (int64_t)stats_sum_upstream(stats, id, family->cells[i].cell);
        if (value == 0 && !registry_is_current(&stats->upstreams, id))
            continue;
        const struct registry_entry *entry = registry_entry(&stats->upstreams, id);
        struct expose_label labels[3] = { { "upstream", entry->first } };
        size_t count = 1;
        if (entry->second.len > 0)
            labels[count++] = (struct expose_label){ "use", entry->second };
        if (family->label != NULL)
            labels[count++] = (struct expose_label){ family->label, slice_from_cstr(family->cells[i].value) };
        expose_i64(e, labels, count, value);
    }
}

static void write_health(struct expose *e, const struct stats *stats)
{
    expose_family(e, EXPOSE_GAUGE, "weir_upstream_healthy",
                  "0 where a worker holds the endpoint for unhealthy, else 1");
    for (uint32_t id = 1; id < stats->endpoints.count; id++) {
        if (!registry_is_current(&stats->endpoints, id))
            continue;
        const struct registry_entry *entry = registry_entry(&stats->endpoints, id);
        struct expose_label labels[] = {
            { "upstream", entry->first },
            { "endpoint", entry->second },
        };
        expose_u64(e, labels, ARRAY_COUNT(labels), stats_sum_health(stats, id) != STATS_UNHEALTHY);
    }
}

static void write_upstreams(struct expose *e, const struct stats *stats)
{
    for (size_t i = 0; i < ARRAY_COUNT(upstream_families); i++) {
        const struct upstream_family *family = &upstream_families[i];
        expose_family(e, family->type, family->name, family->help);
        for (uint32_t id = 1; id < stats->upstreams.count; id++)
            write_upstream_cells(e, stats, family, id);
    }
    write_health(e, stats);
}

static void write_shadow(struct expose *e, const struct stats *stats, uint32_t id, const char *label,
                         struct slice value, uint64_t count)
{
    const struct registry_entry *entry = registry_entry(&stats->shadows, id);
    struct expose_label labels[] = { { "route", entry->first }, { "upstream", entry->second }, { label, value } };
    if (count > 0 || registry_is_current(&stats->shadows, id))
        expose_u64(e, labels, ARRAY_COUNT(labels), count);
}

/* What was given up is one result, of which the second family says why. */
static void write_shadow_results(struct expose *e, const struct stats *stats)
{
    static const char *const results[] = {
        [STATS_SHADOW_OK] = "ok", [STATS_SHADOW_ERROR] = "error", [STATS_SHADOW_TIMEOUT] = "timeout"
    };
    expose_family(e, EXPOSE_COUNTER, "weir_shadow_requests_total",
                  "Copies of requests, begun or given up before, by what became of them");
    for (uint32_t id = 1; id < stats->shadows.count; id++) {
        uint64_t dropped = 0;
        for (unsigned result = 0; result < ARRAY_COUNT(results); result++)
            write_shadow(e, stats, id, "result", slice_from_cstr(results[result]), stats_sum_shadow(stats, id, result));
        for (unsigned drop = 0; drop < SHADOW_DROP_COUNT; drop++)
            dropped += stats_sum_shadow(stats, id, STATS_SHADOW_DROPS + drop);
        write_shadow(e, stats, id, "result", SLICE("dropped"), dropped);
    }
}

static void write_shadow_drops(struct expose *e, const struct stats *stats)
{
    static const char *const labels[] = {
#define SHADOW_DROP(name, label, sentence) [SHADOW_DROP_##name] = label,
#include "stats/shadow_drops.def"
#undef SHADOW_DROP
    };
    expose_family(e, EXPOSE_COUNTER, "weir_shadow_dropped_total", "Copies of requests that were given up, by why");
    for (uint32_t id = 1; id < stats->shadows.count; id++)
        for (unsigned drop = 0; drop < SHADOW_DROP_COUNT; drop++) {
            uint64_t count = stats_sum_shadow(stats, id, STATS_SHADOW_DROPS + drop);
            if (count > 0)
                write_shadow(e, stats, id, "reason", slice_from_cstr(labels[drop]), count);
        }
}

static void write_shadow_verdicts(struct expose *e, const struct stats *stats)
{
    static const char *const verdicts[STATS_VERDICT_COUNT] = { "same", "different", "noise" };
    expose_family(e, EXPOSE_COUNTER, "weir_shadow_compared_total",
                  "Copies whose answer was compared with the primary's, by what it was");
    for (uint32_t id = 1; id < stats->shadows.count; id++)
        for (unsigned i = 0; i < STATS_VERDICT_COUNT; i++)
            write_shadow(e, stats, id, "verdict", slice_from_cstr(verdicts[i]),
                         stats_sum_shadow(stats, id, STATS_SHADOW_COMPARED + i));
}

static struct expose_label *script_labels(const struct stats *stats, uint32_t id, struct expose_label out[3])
{
    const struct registry_entry *entry = registry_entry(&stats->scripts, id);
    out[0] = (struct expose_label){ "script", entry->first };
    out[1] = (struct expose_label){ "hook", entry->second };
    return out;
}

static void write_scripts(struct expose *e, const struct stats *stats)
{
    static const char *const results[] = { [STATS_SCRIPT_OK] = "ok",
                                           [STATS_SCRIPT_ERROR] = "error",
                                           [STATS_SCRIPT_TIMEOUT] = "timeout",
                                           [STATS_SCRIPT_MEMORY] = "memory" };
    struct expose_label labels[3];
    struct histogram duration;
    expose_family(e, EXPOSE_COUNTER, "weir_script_calls_total", "Calls of hooks, by what became of them");
    for (uint32_t id = 1; id < stats->scripts.count; id++)
        for (unsigned result = 0; result < STATS_SCRIPT_RESULT_COUNT; result++) {
            uint64_t count = stats_sum_script(stats, id, (enum stats_script_result)result);
            script_labels(stats, id, labels)[2] = (struct expose_label){ "result", slice_from_cstr(results[result]) };
            if (count > 0 || registry_is_current(&stats->scripts, id))
                expose_u64(e, labels, 3, count);
        }
    expose_family(e, EXPOSE_HISTOGRAM, "weir_script_duration_seconds", "How long a call of a hook took");
    for (uint32_t id = 1; id < stats->scripts.count; id++) {
        stats_sum_script_duration(stats, id, &duration);
        if (histogram_count(&duration) > 0)
            expose_histogram(e, script_labels(stats, id, labels), 2, &duration);
    }
}

static void write_shared(struct expose *e, const struct metrics_shared *shared)
{
    expose_family(e, EXPOSE_GAUGE, "weir_shared_entries", "Values that scripts have in weir.shared");
    expose_u64(e, NULL, 0, shared->entry_count);
    expose_family(e, EXPOSE_GAUGE, "weir_shared_memory_bytes", "Memory that they take");
    expose_u64(e, NULL, 0, shared->used_bytes);
    expose_family(e, EXPOSE_COUNTER, "weir_shared_evicted_total", "Values that went for others, before their time");
    expose_u64(e, NULL, 0, shared->evicted_count);
}

static void write_config(struct expose *e, const struct metrics_config *config)
{
    const struct {
        const char *result;
        uint64_t count;
    } reloads[] = { { "applied", config->applied_count },
                    { "rejected", config->rejected_count },
                    { "unchanged", config->unchanged_count } };
    expose_family(e, EXPOSE_GAUGE, "weir_config_generation", "Number of the configuration in use, 1 for the first");
    expose_u64(e, NULL, 0, config->generation);
    expose_family(e, EXPOSE_COUNTER, "weir_config_reloads_total", "Reloads, by what became of them");
    for (size_t i = 0; i < ARRAY_COUNT(reloads); i++) {
        struct expose_label label = { "result", slice_from_cstr(reloads[i].result) };
        expose_u64(e, &label, 1, reloads[i].count);
    }
    expose_family(e, EXPOSE_GAUGE, "weir_config_last_reload_timestamp_seconds",
                  "When the configuration in use was applied");
    expose_seconds(e, NULL, 0, (uint64_t)config->last_reload.unix_ms * 1000);
}

/* The rows of counters.def as families without labels. */
static const struct {
    enum stats_counter counter;
    enum expose_type type;
    const char *name, *help;
} counter_rows[] = {
#define COUNTER(name, metric, help) { STATS_##name, EXPOSE_COUNTER, metric, help },
#define GAUGE(name, metric, help)   { STATS_##name, EXPOSE_GAUGE, metric, help },
#include "stats/counters.def"
#undef COUNTER
#undef GAUGE
};

static void write_counters(struct expose *e, const struct stats *stats)
{
    for (size_t i = 0; i < ARRAY_COUNT(counter_rows); i++) {
        expose_family(e, counter_rows[i].type, counter_rows[i].name, counter_rows[i].help);
        expose_i64(e, NULL, 0, (int64_t)stats_sum(stats, counter_rows[i].counter));
    }
}

/* Names and meanings as every Prometheus client library has them. */
static void write_process(struct expose *e, const struct metrics_process *process)
{
    const struct {
        const char *name, *help;
        uint64_t value;
    } gauges[] = {
        { "process_resident_memory_bytes", "Resident memory size in bytes", process->resident_bytes },
        { "process_virtual_memory_bytes", "Virtual memory size in bytes", process->virtual_bytes },
        { "process_open_fds", "Number of open file descriptors", process->open_fd_count },
        { "process_max_fds", "Maximum number of open file descriptors", process->max_fd_count },
    };
    expose_family(e, EXPOSE_COUNTER, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds");
    expose_seconds(e, NULL, 0, process->cpu_us);
    for (size_t i = 0; i < ARRAY_COUNT(gauges); i++) {
        expose_family(e, EXPOSE_GAUGE, gauges[i].name, gauges[i].help);
        expose_u64(e, NULL, 0, gauges[i].value);
    }
    expose_family(e, EXPOSE_GAUGE, "process_start_time_seconds",
                  "Start time of the process since the Unix epoch in seconds");
    expose_seconds(e, NULL, 0, (uint64_t)process->started.unix_ms * 1000);
}

void metrics_write(struct text *out, enum expose_format format, const struct stats *stats,
                   const struct metrics_facts *facts)
{
    struct expose e;
    expose_begin(&e, out, format);
    write_series(&e, stats);
    write_connections(&e, stats);
    write_handshakes(&e, stats);
    write_certificates(&e, facts);
    write_records(&e, facts);
    write_upstreams(&e, stats);
    write_shadow_results(&e, stats);
    write_shadow_drops(&e, stats);
    write_shadow_verdicts(&e, stats);
    write_scripts(&e, stats);
    write_shared(&e, &facts->shared);
    metrics_write_rollouts(&e, facts);
    write_config(&e, &facts->config);
    struct expose_label version = { "version", slice_from_cstr(facts->version) };
    expose_family(&e, EXPOSE_GAUGE, "weir_build_info", "Always 1; the version is a label");
    expose_u64(&e, &version, 1, 1);
    write_counters(&e, stats);
    write_process(&e, &facts->process);
    expose_end(&e);
}
