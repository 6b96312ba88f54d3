/* config/fields.c - THE table: every setting of the configuration, typed, with its default, range and sentence.
 *
 * Parsing, hints, checks, `weir schema`, `weir reference` and the masking of secrets all walk these rows, so a setting
 * exists exactly when it has one. To add a setting: add the member to config/model.h, then its row here, in
 * config/fields_route.c for segments and routes, or in config/fields_tls.c. */
#include "config/rows.h"

/* ---- log, limits, admin ------------------------------------------------------------------------------------------ */

static const struct setting_choice log_format_words[] = {
    { "json", LOG_FORMAT_JSON, "one JSON object a line" },
    { "text", LOG_FORMAT_TEXT, "one line for people" },
    { NULL, 0, NULL },
};

static const struct setting_choice log_level_words[] = {
    { "debug", LOG_DEBUG, "everything" },
    { "info", LOG_INFO, "what an operator did and what changed" },
    { "warn", LOG_WARN, "what may need a look" },
    { "error", LOG_ERROR, "what failed" },
    { NULL, 0, NULL },
};

static const struct setting log_rows[] = {
    { TEXT("access", struct log_config, access_text), .default_text = "stdout",
      .doc = "Where a line for each request goes: `stdout`, `off` or a file, which is reopened on "
             "USR1." },
    { CHOICE("format", struct log_config, format, enum log_format, log_format_words), .default_text = "json",
      .doc = "How access lines are written." },
    { CHOICE("level", struct log_config, level, enum log_level, log_level_words), .default_text = "info",
      .doc = "The least severe line of the error log, which goes to stderr." },
};

static const struct setting_table log_table = {
    .name = "log",
    .doc = "Access lines and the error log.",
    .struct_bytes = sizeof(struct log_config),
    ROWS(log_rows),
    .finish = log_finish,
};

static const struct setting limits_rows[] = {
    { SIZE("headers", struct limits_config, headers_bytes), .default_text = "32KiB", .min_text = "256B",
      .max_text = "1MiB", .doc = "Longest head of a request or of an upstream's answer; past it: 431, or 502." },
    { COUNT("header_count", struct limits_config, header_count), .default_text = "128", .min_text = "1",
      .max_text = "1024", .doc = "Most fields in a head; past it: 431, or 502." },
    { SIZE("request_line", struct limits_config, request_line_bytes), .default_text = "16KiB", .min_text = "64B",
      .max_text = "1MiB", .doc = "Longest request line; past it: 414." },
    { DURATION("header_timeout", struct limits_config, header_timeout_ms), .default_text = "10s", .min_text = "1ms",
      .max_text = "1h", .doc = "From a request's first byte to the end of its head; past it: 408." },
    { DURATION("idle_timeout", struct limits_config, idle_timeout_ms), .default_text = "75s", .min_text = "1ms",
      .max_text = "1d", .doc = "How long a client's connection stays open without a request." },
    { SIZE("body", struct limits_config, body_bytes), .default_text = "0", .unit = "0: no limit",
      .doc = "Longest request body; past it: 413. A route may have its own." },
    { COUNT("connections", struct limits_config, connections), .default_text = "0", .unit = "0: no limit",
      .doc = "Most client connections at once; past it: 503 and close." },
    { COUNT("connections_per_source", struct limits_config, connections_per_source), .default_text = "0",
      .unit = "0: no limit", .doc = "Most client connections at once from one address; past it: 503 and close." },
    { SIZE("memory", struct limits_config, memory_bytes), .default_text = "0", .unit = "0: no limit",
      .doc = "Memory of what is on its way through, over all workers, above which requests get 503." },
    { SIZE("script_memory", struct limits_config, script_memory_bytes), .default_text = "16MiB", .min_text = "1MiB",
      .max_text = "1GiB",
      .doc = "Memory of the Lua state that each worker runs the scripts in; a call that would need more is cut off." },
    { SIZE("shared_memory", struct limits_config, shared_memory_bytes), .default_text = "8MiB", .min_text = "1MiB",
      .max_text = "4GiB",
      .doc = "Memory of weir.shared, which all workers' scripts have in common; past it the least recently used go." },
    { DURATION("max_connection_age", struct limits_config, max_connection_age_ms), .default_text = "0s",
      .max_text = "365d", .unit = "0s: no limit",
      .doc = "Age at which a client's connection is closed after the answer under way." },
};

static const struct setting_table limits_table = {
    .name = "limits",
    .doc = "What clients may cost.",
    .struct_bytes = sizeof(struct limits_config),
    ROWS(limits_rows),
};

static const struct setting_choice role_words[] = {
    { "viewer", ROLE_VIEWER, "reads" },
    { "operator", ROLE_OPERATOR, "reads, and changes weights" },
    { "approver", ROLE_APPROVER, "as operator, and approves" },
    { "admin", ROLE_ADMIN, "everything" },
    { NULL, 0, NULL },
};

static const struct setting token_rows[] = {
    { TEXT("name", struct token_config, name), .flags = SETTING_REQUIRED, .format = &format_name,
      .doc = "Who uses the token: the actor in the audit log." },
    { CHOICE("role", struct token_config, role, enum role, role_words), .flags = SETTING_REQUIRED,
      .doc = "What the token allows; each role includes those before it." },
    { TEXT("sha256", struct token_config, sha256_hex), .flags = SETTING_REQUIRED | SETTING_SECRET,
      .format = &format_digest,
      .doc = "SHA-256 of the token in hexadecimal, as `sha256sum` prints it for the token without a newline." },
};

static const struct setting_table token_table = {
    .name = "token",
    .doc = "A bearer token of the admin API.",
    .struct_bytes = sizeof(struct token_config),
    .place_offset = offsetof(struct token_config, place),
    ROWS(token_rows),
    .finish = token_finish,
};

static const struct setting admin_rows[] = {
    { ADDRESS("bind", struct admin_config, bind, bind_text), PLACE(struct admin_config, bind_place),
      .format = &format_bind, .change = CHANGE_RESTART,
      .doc = "Where the admin API listens besides STATE_DIR/admin.sock, which is always there: "
             "IP:PORT or unix:PATH." },
    { SUBTABLE("tls", struct admin_config, tls, struct certificate_config, config_certificate_table),
      .doc = "TLS on an IP address; without it the API speaks clear text there." },
    { BOOL("metrics_public", struct admin_config, is_metrics_public), .default_text = "true",
      .doc = "Whether /metrics needs no token." },
    { LIST_OF("tokens", struct admin_config, tokens, token_count, struct token_config, token_table),
      .doc = "Bearer tokens; without any, the TCP side only reads." },
};

static const struct setting_table admin_table = {
    .name = "admin",
    .doc = "The operators' side: API, metrics and health of the proxy itself.",
    .struct_bytes = sizeof(struct admin_config),
    .place_offset = offsetof(struct admin_config, place),
    ROWS(admin_rows),
    .rule = "`tls` needs a `bind` with an IP address.",
    .finish = admin_finish,
};

/* ---- listeners and upstreams ------------------------------------------------------------------------------------- */

static const struct setting listener_rows[] = {
    { ADDRESS("bind", struct listener_config, bind, bind_text), PLACE(struct listener_config, bind_place),
      .flags = SETTING_REQUIRED, .format = &format_bind,
      .doc = "Where clients connect: IP:PORT or unix:PATH. Both HTTP/1.1 and HTTP/2 (by ALPN or prior knowledge) are "
             "spoken there." },
    { NETWORKS("trusted_proxies", struct listener_config, trusted_proxies, trusted_proxy_count),
      .doc = "Whose X-Forwarded-* and Forwarded fields count; from anyone else they are replaced." },
    { BOOL("proxy_protocol", struct listener_config, has_proxy_protocol), .default_text = "false",
      .doc = "Whether each connection begins with a PROXY protocol header (version 1 or 2), before TLS if there is "
             "any. The "
             "address in it is the client's, for everything. Connections from others than `trusted_proxies`, and those "
             "without a header, are closed." },
    { SUBTABLE("tls", struct listener_config, tls, struct listener_tls_config, config_listener_tls_table),
      .doc = "Clients speak TLS here; without it, plain text." },
};

static const struct setting_table listener_table = {
    .name = "listener",
    .doc = "An address that clients connect to.",
    .struct_bytes = sizeof(struct listener_config),
    .place_offset = offsetof(struct listener_config, place),
    ROWS(listener_rows),
};

static const struct setting endpoint_rows[] = {
    { ADDRESS("address", struct endpoint_config, address, address_text), .flags = SETTING_REQUIRED,
      .format = &format_endpoint,
      .doc =
          "HOST:PORT, IP:PORT or unix:PATH; a host is resolved again as its TTL ends. "
          "Each of its addresses is used (IPv4 when it has any, 64 at most); together they have the weight, and they "
          "count as healthy while one of them is." },
    { COUNT("weight", struct endpoint_config, weight), .default_text = "1", .min_text = "1", .max_text = "10000",
      .doc = "Its part of the upstream's requests, relative to the other endpoints." },
};

static const struct setting_table endpoint_table = {
    .name = "endpoint",
    .doc = "One address of an upstream.",
    .struct_bytes = sizeof(struct endpoint_config),
    .place_offset = offsetof(struct endpoint_config, place),
    ROWS(endpoint_rows),
    .form = TABLE_AS_MAP_OR_FIRST,
};

static const struct setting_choice protocol_words[] = {
    { "auto", UPSTREAM_BY_ALPN,
      "with `tls` HTTP/2 or HTTP/1.1, as each connection agrees by ALPN; without it HTTP/1.1" },
    { "http1", UPSTREAM_HTTP1, "HTTP/1.1 alone" },
    { "http2", UPSTREAM_HTTP2,
      "HTTP/2 alone, in clear text with prior knowledge, with `tls` by ALPN: many requests at once on each "
      "connection" },
    { NULL, 0, NULL },
};

static const struct setting_choice balance_words[] = {
    { "round_robin", BALANCE_ROUND_ROBIN, "each in turn, by weight" },
    { "least_request", BALANCE_LEAST_REQUEST, "the one with the fewest requests in flight for its weight" },
    { "random", BALANCE_RANDOM, "at random, by weight" },
    { "hash", CHOICE_LATER, "" },
    { NULL, 0, NULL },
};

static const struct setting upstream_rows[] = {
    { LIST_OF("endpoints", struct upstream_config, endpoints, endpoint_count, struct endpoint_config, endpoint_table),
      .flags = SETTING_REQUIRED, .doc = "The addresses that serve it: at least one." },
    { CHOICE("protocol", struct upstream_config, protocol, enum upstream_protocol, protocol_words),
      .default_text = "auto",
      .doc = "What its endpoints speak. With `tls`, an endpoint that does not agree to `http2` is unhealthy. "
             "WebSocket over HTTP/2 needs an endpoint that takes it (RFC 8441); with `auto` one that does not is asked "
             "over "
             "HTTP/1.1, by connections of their own." },
    { CHOICE("balance", struct upstream_config, balance, enum balance_kind, balance_words),
      .default_text = "round_robin", .doc = "How requests are spread over its endpoints." },
    { DURATION("connect_timeout", struct upstream_config, connect_timeout_ms), .default_text = "1s", .min_text = "1ms",
      .max_text = "10m", .doc = "How long a connection may take to be made; past it: 504." },
    { DURATION("idle_timeout", struct upstream_config, idle_timeout_ms), .default_text = "60s", .min_text = "1ms",
      .max_text = "1d",
      .doc = "How long an unused connection is kept for the next request; shorter where the endpoint says so "
             "(Keep-Alive: timeout)." },
    { COUNT("max_connections", struct upstream_config, max_connections), .default_text = "1024", .unit = "0: no limit",
      .doc = "Most connections to it at once; past it requests wait. They are divided evenly among the workers, at "
             "least one "
             "each: a worker that has used up its part waits, even while another has connections to spare." },
    { COUNT("max_pending", struct upstream_config, max_pending), .default_text = "1024",
      .doc = "Most requests that wait for a connection, in all workers together; past it: 503 at once." },
    { SUBTABLE("tls", struct upstream_config, tls, struct upstream_tls_config, config_upstream_tls_table),
      .doc = "Its endpoints speak TLS; without it, plain text." },
};

static const char *const upstream_later[] = { "hash_by", "retries", "health", "outlier", "slow_start", NULL };

static const struct setting_table upstream_table = {
    .name = "upstream",
    .doc = "A named group of endpoints that serve the same thing.",
    .struct_bytes = sizeof(struct upstream_config),
    .place_offset = offsetof(struct upstream_config, place),
    ROWS(upstream_rows),
    .later = upstream_later,
    .rule = "An upstream has at least one endpoint.",
    .finish = upstream_finish,
};

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static const struct setting config_rows[] = {
    { TEXT("user", struct config, user), .format = &format_name, .change = CHANGE_RESTART,
      .doc = "User to become after binding, when started as root." },
    { FILE_PATH("state_dir", struct config, state_dir), .default_text = "/var/lib/weir", .change = CHANGE_RESTART,
      .doc = "Folder of what outlives a restart: weights set at run time, the audit log, the admin "
             "socket." },
    { COUNT("workers", struct config, worker_count), .default_text = "0", .max_text = "256", .unit = "0: one per core",
      .change = CHANGE_RESTART, .doc = "How many threads move bytes." },
    { DURATION("drain_timeout", struct config, drain_timeout_ms), .default_text = "30s", .max_text = "1d",
      .doc = "How long requests under way may take to end when the proxy stops." },
    { BOOL("watch", struct config, is_watched), .default_text = "true",
      .doc = "Whether a change of a configuration file on disk reloads it." },
    { TEXTS("include", struct config, include),
      .doc = "Further files to merge, by name or pattern, relative to this one." },
    { SUBTABLE("log", struct config, log, struct log_config, log_table), .doc = "Access lines and the error log." },
    { SUBTABLE("limits", struct config, limits, struct limits_config, limits_table), .doc = "What clients may cost." },
    { SUBTABLE("admin", struct config, admin, struct admin_config, admin_table), .doc = "The operators' side." },
    { MAP_OF("listeners", struct config, listeners, listener_count, struct listener_config, listener_table),
      .format = &format_name, .doc = "The addresses that clients connect to, by name." },
    { MAP_OF("upstreams", struct config, upstreams, upstream_count, struct upstream_config, upstream_table),
      .format = &format_name, .doc = "The services behind the proxy, by name." },
    { MAP_OF("segments", struct config, segments, segment_count, struct segment_config, config_segment_table),
      .format = &format_name, .doc = "Named audiences." },
    { LIST_OF("routes", struct config, routes, route_count, struct route_config, config_route_table),
      .doc = "Where requests go; the first match in file order wins." },
    { MAP_OF("rollouts", struct config, rollouts, rollout_count, struct rollout_config, config_rollout_table),
      .format = &format_name, .doc = "Releases, step by step, by name." },
    { MAP_OF("slos", struct config, slos, slo_count, struct slo_config, config_slo_table), .format = &format_name,
      .doc = "Objectives of routes, by name." },
    { MAP_OF("monitors", struct config, monitors, monitor_count, struct monitor_config, config_monitor_table),
      .format = &format_name, .doc = "Requests that are sent on schedule, by name." },
    { MAP_OF("notify", struct config, notify, notify_count, struct notify_config, config_notify_table),
      .format = &format_name, .doc = "Where news of rollouts goes, by name." },
};

static const char *const config_later[] = { "tracing", NULL };

const struct setting_table config_table = {
    .name = "configuration",
    .doc = "The configuration of weir.",
    .struct_bytes = sizeof(struct config),
    ROWS(config_rows),
    .later = config_later,
};

const struct setting *setting_find(const struct setting_table *table, struct slice name)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];
        if (!(row->flags & SETTING_INLINE) && slice_equal(slice_from_cstr(row->name), name))
            return row;
    }
    return NULL;
}

static bool is_listed(const struct setting_table *const *tables, size_t count, const struct setting_table *table)
{
    for (size_t i = 0; i < count; i++)
        if (tables[i] == table)
            return true;
    return false;
}

size_t setting_tables(const struct setting_table *out[SETTING_TABLES_MAX])
{
    size_t count = 0;
    out[count++] = &config_table;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < out[i]->row_count; j++) {
            const struct setting_table *table = out[i]->rows[j].table;
            if (table == NULL || is_listed(out, count, table))
                continue;
            CHECK(count < SETTING_TABLES_MAX);
            out[count++] = table;
        }
    }
    return count;
}
