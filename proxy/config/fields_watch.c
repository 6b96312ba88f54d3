/* config/fields_watch.c - THE table's rows for what watches beside rollouts: objectives, monitors, and who is told. */
#include "config/rows.h"

/* ---- objectives -------------------------------------------------------------------------------------------------- */

static const struct setting slo_latency_rows[] = {
    { DURATION("below", struct slo_latency_config, below_ms), .flags = SETTING_REQUIRED, .min_text = "1ms",
      .max_text = "1h", .doc = "Requests faster than this are good." },
    { SHARE("for", struct slo_latency_config, for_ppm), .flags = SETTING_REQUIRED, .min_text = "1%",
      .max_text = "99.9999%", .doc = "So many should be." },
};

static const struct setting_table slo_latency_table = {
    .name = "slo_latency",
    .doc = "How fast how many requests should be.",
    .struct_bytes = sizeof(struct slo_latency_config),
    ROWS(slo_latency_rows),
};

static const struct setting slo_rows[] = {
    { TEXT("route", struct slo_config, route), PLACE(struct slo_config, route_place), .flags = SETTING_REQUIRED,
      .format = &format_name, .doc = "Of which route." },
    { SHARE("availability", struct slo_config, availability_ppm), .min_text = "1%", .max_text = "99.9999%",
      .doc = "So many of its requests should not fail." },
    { SUBTABLE("latency", struct slo_config, latency, struct slo_latency_config, slo_latency_table),
      .doc = "How fast they should be." },
    { DURATION("window", struct slo_config, window_ms), .default_text = "30d", .min_text = "1h", .max_text = "90d",
      .doc = "The time over which the budget is counted." },
    OWNERSHIP(struct slo_config),
};

const struct setting_table config_slo_table = {
    .name = "slo",
    .doc = "An objective for a route: what may fail is its budget.",
    .struct_bytes = sizeof(struct slo_config),
    .place_offset = offsetof(struct slo_config, place),
    ROWS(slo_rows),
    .rule = "An objective has `availability`, `latency` or both.",
    .finish = slo_finish,
};

/* ---- monitors ---------------------------------------------------------------------------------------------------- */

static const struct setting monitor_request_rows[] = {
    { TEXT("method", struct monitor_request_config, method), .default_text = "GET", .format = &format_method,
      .doc = "Its method." },
    { TEXT("path", struct monitor_request_config, path), .default_text = "/", .format = &format_target,
      .doc = "Its path, perhaps with a query." },
    { TEXT("host", struct monitor_request_config, host), .format = &format_authority, .unit = "default: the endpoint's",
      .doc = "Its Host." },
    { MAP_OF("headers", struct monitor_request_config, headers, header_count, struct header_set,
             config_header_set_table),
      .format = &format_editable_header, .doc = "Its headers." },
};

static const struct setting_table monitor_request_table = {
    .name = "monitor_request",
    .doc = "The request of a monitor.",
    .struct_bytes = sizeof(struct monitor_request_config),
    ROWS(monitor_request_rows),
};

static const struct setting monitor_expect_rows[] = {
    { TEXTS("status", struct monitor_expect_config, status_texts), .format = &format_status, .unit = "default: 2xx",
      .doc = "Statuses that are good." },
    { TEXT("body", struct monitor_expect_config, body), .doc = "What the body contains." },
    { MAP_OF("headers", struct monitor_expect_config, headers, header_count, struct header_set,
             config_header_set_table),
      .format = &format_header_name, .doc = "Headers that the answer has, with these values." },
    { DURATION("latency", struct monitor_expect_config, latency_ms), .min_text = "1ms", .max_text = "1h",
      .doc = "It ends sooner than this." },
    { COUNT("certificate_days", struct monitor_expect_config, certificate_days), .min_text = "1", .max_text = "3650",
      .doc = "The endpoint's certificate is good for so many days more." },
};

static const struct setting_table monitor_expect_table = {
    .name = "monitor_expect",
    .doc = "What a monitor's answer must be; all of it.",
    .struct_bytes = sizeof(struct monitor_expect_config),
    ROWS(monitor_expect_rows),
    .finish = monitor_expect_finish,
};

static const struct setting monitor_rows[] = {
    { TEXTS("upstreams", struct monitor_config, upstreams), PLACE(struct monitor_config, upstreams_place),
      .flags = SETTING_REQUIRED, .format = &format_name, .doc = "Who is asked: each of their endpoints, directly." },
    { SUBTABLE("request", struct monitor_config, request, struct monitor_request_config, monitor_request_table),
      .doc = "What is sent." },
    { DURATION("every", struct monitor_config, every_ms), .default_text = "10s", .min_text = "1s", .max_text = "1d",
      .doc = "How often." },
    { DURATION("timeout", struct monitor_config, timeout_ms), .default_text = "5s", .min_text = "1ms", .max_text = "1h",
      .doc = "How long the answer may take; past it: a failure." },
    { SUBTABLE("expect", struct monitor_config, expect, struct monitor_expect_config, monitor_expect_table),
      .doc = "What the answer must be." },
    { COUNT("unready_after", struct monitor_config, unready_after), .min_text = "1", .unit = "default: never",
      .doc = "After so many failures in a row of one of its upstreams /readyz answers 503, until that answers as "
             "expected." },
    OWNERSHIP(struct monitor_config),
};

const struct setting_table config_monitor_table = {
    .name = "monitor",
    .doc = "Asks upstreams something on schedule, and looks at the answers.",
    .struct_bytes = sizeof(struct monitor_config),
    .place_offset = offsetof(struct monitor_config, place),
    ROWS(monitor_rows),
    .finish = monitor_finish,
};

/* ---- who is told ------------------------------------------------------------------------------------------------- */

static const struct setting notify_rows[] = {
    { TEXT("webhook", struct notify_config, webhook), .flags = SETTING_SECRET, .format = &format_url,
      .doc = "A URL that gets each transition as JSON. It is hidden where the configuration is shown, because such "
             "URLs often hold a key." },
    { TEXT("alertmanager", struct notify_config, alertmanager), .format = &format_url,
      .doc = "An Alertmanager that gets an alert for each breach, and its end." },
};

const struct setting_table config_notify_table = {
    .name = "notify",
    .doc = "Where news of rollouts goes.",
    .struct_bytes = sizeof(struct notify_config),
    .place_offset = offsetof(struct notify_config, place),
    ROWS(notify_rows),
    .rule = "A notification has `webhook`, `alertmanager` or both.",
    .finish = notify_finish,
};
