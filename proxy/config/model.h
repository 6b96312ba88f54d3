/* config/model.h - the loaded configuration as plain structs: what the table of fields fills in and everyone reads.
 *
 * One struct per kind of thing in the file, with the names of the file. Nothing in it is checked again by those who
 * read it: what is here has passed every rule (config/check.h), names are indexes, paths are absolute, hosts and paths
 * are in the form in which requests are compared. What a value of 0 or an empty text means stands with its member; its
 * default and range stand in config/fields.c.
 *
 * Owner: the arena of the snapshot it belongs to. Written by the load alone; after it, nobody writes, so any thread
 * may read. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/units.h"

/* Slices end in a NUL that their length does not count. Lists are pointer and count; an absent list is NULL, 0. A
   `place` is where the thing itself was written, `x_place` where its member x was: for messages. */

#define CONFIG_NONE UINT32_MAX /* an index that names nothing */

struct slice_list {
    struct slice *items;
    size_t count;
};

/* ---- conditions and keys ----------------------------------------------------------------------------------------- */

enum key_kind { KEY_NONE, KEY_COOKIE, KEY_HEADER, KEY_QUERY, KEY_SOURCE_IP };

/* What identifies a user: of a sample, a sticky split, a rate limit. */
struct key_config {
    struct slice name; /* of the cookie, header or query argument */
    struct place place;
    enum key_kind kind;
};

/* ALL of none is true, ANY of none false; the load refuses both. */
enum condition_kind { CONDITION_TEST, CONDITION_ALL, CONDITION_ANY, CONDITION_NOT };

enum condition_subject {
    SUBJECT_HEADER,
    SUBJECT_COOKIE,
    SUBJECT_QUERY,
    SUBJECT_PATH,
    SUBJECT_HOST,
    SUBJECT_METHOD,
    SUBJECT_TLS_CLIENT, /* name: cn or san */
    SUBJECT_SOURCE,     /* networks; no operator */
    SUBJECT_SEGMENT,    /* segment; no operator */
    SUBJECT_SAMPLE,     /* share_ppm of the keys; no operator */
    SUBJECT_BETWEEN     /* from..until; no operator */
};

enum condition_operator {
    OPERATOR_NONE, /* subjects that need none */
    OPERATOR_EQUALS,
    OPERATOR_IN,
    OPERATOR_PREFIX, /* on `path`: at segment borders */
    OPERATOR_SUFFIX,
    OPERATOR_CONTAINS,
    OPERATOR_REGEX,
    OPERATOR_PRESENT, /* is_present tells which way */
    OPERATOR_RANGE    /* low <= number < high */
};

struct condition_config {
    enum condition_kind kind;
    struct place place;
    struct condition_config *children; /* ALL, ANY, in the order written; NOT has one */
    size_t child_count;

    enum condition_subject subject; /* CONDITION_TEST, as all below */
    enum condition_operator op;
    struct slice name;           /* header, cookie, query, segment */
    struct slice_list values;    /* EQUALS, PREFIX, SUFFIX, CONTAINS, REGEX: one; IN: any number */
    struct place value_place;    /* of the operator's value, for regex errors */
    bool is_present;             /* PRESENT */
    double low, high;            /* RANGE: low <= number < high, both finite */
    struct ip_network *networks; /* SOURCE */
    size_t network_count;
    uint32_t segment_index;       /* SEGMENT, else CONFIG_NONE */
    uint32_t share_ppm;           /* SAMPLE: 0..1,000,000 */
    struct key_config sample_key; /* SAMPLE: of what */
    struct wall_time from, until; /* BETWEEN: from <= now < until */
};

/* ---- shared pieces ----------------------------------------------------------------------------------------------- */

/* What a rule, segment or route is for, and so how long it should live: `ctl hygiene` lists what has outstayed. */
enum release_kind { RELEASE_UNSET, RELEASE_RELEASE, RELEASE_OPERATIONAL, RELEASE_EXPERIMENT };

/* Who answers for a rule, segment or route, and until when. */
struct ownership_config {
    struct slice owner, doc, runbook;
    enum release_kind kind;
    struct wall_time expires; /* unix_ms 0: never */
};

struct header_set {
    struct slice name, value;
};

/* Removed first, then set: a name in both is set. Names of the connection itself were refused (config/formats.c). */
struct header_edits_config {
    struct header_set *set;
    size_t set_count;
    struct slice_list remove;
};

/* ---- top level --------------------------------------------------------------------------------------------------- */

enum access_log_kind { ACCESS_STDOUT, ACCESS_OFF, ACCESS_FILE };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log_config {
    struct slice access_text; /* as written: stdout | off | FILE */
    enum access_log_kind access;
    struct slice access_path; /* ACCESS_FILE: absolute */
    enum log_format format;
    enum log_level level;
};

struct limits_config {
    uint64_t headers_bytes, request_line_bytes, body_bytes; /* body 0: none */
    uint32_t header_count;
    uint32_t connections, connections_per_source;                      /* 0: none */
    uint64_t memory_bytes;                                             /* 0: none */
    uint64_t script_memory_bytes;                                      /* of each state: a worker has one */
    uint64_t shared_memory_bytes;                                      /* of weir.shared, over all workers */
    int64_t header_timeout_ms, idle_timeout_ms, max_connection_age_ms; /* age 0: none */
};

/* Each includes those before it. */
enum role { ROLE_VIEWER, ROLE_OPERATOR, ROLE_APPROVER, ROLE_ADMIN };

struct token_config {
    struct slice name, sha256_hex; /* lower-case, 64 characters */
    enum role role;
    struct place place;
};

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

/* A file of PEM: absolute, and where it was named. path empty: none. */
struct pem_config {
    struct slice path;
    struct place place;
};

struct certificate_config {
    struct pem_config cert, key;
    struct place place;
};

enum tls_min_version { TLS_MIN_1_2, TLS_MIN_1_3 };
enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_REQUEST, CLIENT_AUTH_REQUIRE };

struct listener_tls_config {
    bool is_on;                              /* `tls` was given */
    struct certificate_config *certificates; /* chosen by SNI; the first is the default */
    size_t certificate_count;
    enum tls_min_version min_version;
    struct pem_config client_ca; /* given exactly when client_auth is not NONE */
    enum client_auth client_auth;
    struct place place;
};

struct upstream_tls_config {
    bool is_on;                    /* `tls` was given */
    bool is_verified;              /* chain and name of the endpoint's certificate */
    struct slice sni;              /* whom to expect; empty: the endpoint's host */
    struct pem_config ca;          /* none: the system's authorities */
    struct certificate_config own; /* shown when asked for; none: nothing is */
    struct place place;
};

/* What files of PEM were made into; config/ sees them as a pointer only. */
struct tls_set;

struct admin_config {
    bool is_bound; /* `bind` given */
    struct slice bind_text;
    struct endpoint_address bind; /* IP or unix: an absolute path */
    struct place bind_place;
    bool is_metrics_public;
    bool has_tls; /* `tls` given */
    struct certificate_config tls;
    struct token_config *tokens;
    size_t token_count;
    struct place place;
};

/* May it listen where others than this machine's users reach it? */
static inline bool admin_config_is_guarded(const struct admin_config *admin)
{
    return admin->has_tls && admin->token_count > 0;
}
/* What it lacks for that, for messages. */
static inline const char *admin_config_lack(const struct admin_config *admin)
{
    return admin->has_tls ? "tokens" : admin->token_count > 0 ? "tls" : "tokens and tls";
}

struct listener_config {
    struct slice name;
    struct slice bind_text;
    struct endpoint_address bind; /* IP or unix: an absolute path */
    struct place bind_place;
    struct ip_network *trusted_proxies;
    size_t trusted_proxy_count;
    bool has_proxy_protocol;
    struct listener_tls_config tls;
    struct place place;
};

struct endpoint_config {
    struct slice address_text; /* as written: the label in metrics */
    struct endpoint_address address;
    uint32_t weight; /* 1.. */
    struct place place;
};

/* By ALPN: what each connection agrees on; without TLS, HTTP/1.1. */
enum upstream_protocol { UPSTREAM_BY_ALPN, UPSTREAM_HTTP1, UPSTREAM_HTTP2 };
enum balance_kind { BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST, BALANCE_RANDOM };

struct upstream_config {
    struct slice name;
    struct endpoint_config *endpoints;
    size_t endpoint_count;
    enum upstream_protocol protocol;
    enum balance_kind balance;
    int64_t connect_timeout_ms, idle_timeout_ms;
    uint32_t max_connections, max_pending; /* of the process; max_connections 0: no limit */
    struct upstream_tls_config tls;
    struct place place;
};

struct segment_config {
    struct slice name;
    struct condition_config *condition;
    struct ownership_config ownership;
    struct place place;
};

/* ---- routes ------------------------------------------------------------------------------------------------------ */

enum path_match_kind { PATH_ANY, PATH_EXACT, PATH_PREFIX, PATH_REGEX };

struct match_config {
    struct slice_list hosts; /* normalised; "*.example.com" matches one or more labels in front; empty: any */
    enum path_match_kind path_kind;
    struct slice path; /* in normal form */
    struct place path_place;
    struct slice_list methods;     /* empty: any */
    struct condition_config *when; /* NULL: always */
};

struct rule_config {
    struct slice name;
    struct condition_config *when; /* NULL: always */
    struct slice to;
    struct place to_place;
    uint32_t upstream_index;
    bool is_kept; /* `keep`: it leads to the canary also after a rollback */
    struct ownership_config ownership;
    struct place place;
};

#define SPLIT_MAX_ENTRIES 64     /* a block's state is per worker and split (route/block.h) */
#define SPLIT_SUM_MAX     10000u /* of its weights, reduced: the longest block (route/block.h) */

struct split_entry_config {
    struct slice upstream;
    uint32_t upstream_index;
    uint32_t weight; /* reduced by their common divisor; the sum of a split is at most 10,000 */
    struct place place;
};

struct sticky_config {
    int64_t ttl_ms;        /* of the issued cookie; other keys are nobody's to issue */
    struct key_config key; /* KEY_NONE: not sticky */
};

enum route_action { ROUTE_FORWARD, ROUTE_REDIRECT, ROUTE_RESPOND };

struct redirect_config {
    struct slice to; /* scheme://host[/path]: the request's path and query are appended when `to` has no path */
    uint16_t code;   /* 301 302 303 307 308 */
};

struct respond_config {
    uint16_t status;
    struct slice body;
    struct header_edits_config headers; /* set only */
};

struct rewrite_config {
    struct slice path_prefix; /* replaces the matched prefix; empty: path stays */
    struct slice host;        /* empty: host stays */
};

struct rate_limit_config {
    uint32_t count, period_ms; /* count per period; 0: no limit */
    uint32_t burst;            /* requests that may come at once; at least 1 */
    struct key_config by;      /* KEY_NONE: one bucket for the route */
};

/* How items of an array are told apart: by a member instead of their place. */
struct array_key_config {
    struct slice path, member;
};

/* What is made of the answers to a copy. JSON paths have passed json_path_fault. */
struct compare_config {
    bool is_on;           /* `compare` was given */
    struct slice control; /* an upstream with the primary's version; "": none */
    struct place control_place;
    uint32_t control_index;           /* CONFIG_NONE: none */
    bool is_live;                     /* the control may be one that serves the route */
    uint32_t sample_ppm;              /* of the copies: 0..1,000,000 */
    struct slice_list headers;        /* compared, and no others; empty: all that are not ignored */
    struct slice_list ignore_headers; /* beside those that always are */
    struct slice_list ignore_json, unordered;
    struct array_key_config *array_keys;
    size_t array_key_count;
    struct slice_list redact; /* headers, "$..." and "?argument": beside those that always are */
    uint64_t max_body_bytes;  /* kept of each body; longer ones are compared by hash */
};

/* Where copied requests are written, for `weir replay`. */
struct record_config {
    struct slice file;   /* absolute; "": nothing is recorded */
    struct place place;  /* of the file's name */
    uint64_t max_bytes;  /* of a file, until it is rotated */
    uint32_t keep_count; /* rotated files beside it */
    uint32_t sample_ppm; /* of the copies: 0..1,000,000 */
};

/* The field that tells a copy, unless configured otherwise; what has it is not copied again. */
#define SHADOW_MARK_NAME "x-shadow"

/* A copy of a request that goes to another upstream beside it; its answer reaches nobody. */
struct shadow_config {
    struct slice to;
    struct place to_place;
    uint32_t upstream_index;
    uint32_t share_ppm;            /* of the requests that meet it: 0..1,000,000 */
    struct condition_config *when; /* NULL: always */
    struct slice_list methods;     /* empty: the safe ones */
    uint64_t max_body_bytes;       /* of a request; a longer one is not copied */
    int64_t timeout_ms;            /* from the request's last byte to the end of the copy's answer */
    uint32_t max_inflight;         /* copies at once, of the process */
    uint64_t max_memory_bytes;     /* of these, of the process */
    struct header_edits_config headers;
    struct compare_config compare;
    struct record_config record;
    struct place place;
};

enum script_on_error { SCRIPT_CONTINUE, SCRIPT_FAIL };

/* Lua hooks of a route. */
struct script_config {
    struct slice path; /* absolute; empty: none */
    struct place place;
    int64_t budget_ms; /* CPU time of one call */
    enum script_on_error on_error;
};

/* What files of Lua were made into; config/ sees them as a pointer only. */
struct script_set;

enum encoded_slash { ENCODED_SLASH_KEEP, ENCODED_SLASH_REJECT };

/* In the order of use, not of the file: with many routes each cache line of one that a request reads is a miss. A plain
   request reads nothing but its line in struct compiled_route (route/table.h). What those read that need more stands
   from the end of `sticky` (its key's kind) to the beginning of `rate_limit` (its count), in 200 bytes; before and
   behind them what the load, the few and the messages read. */
struct route_config {
    struct match_config match;
    struct slice to; /* as written; `split` has it too */
    struct place to_place;
    struct redirect_config redirect;
    struct respond_config respond;
    struct sticky_config sticky;

    struct split_entry_config *split; /* ROUTE_FORWARD: at least one; `to: X` is a split of one */
    size_t split_count;
    struct rule_config *rules;
    size_t rule_count;
    enum route_action action;
    enum encoded_slash encoded_slash;
    bool is_websocket_allowed;
    bool is_variant_exposed;
    bool has_body_limit;
    uint64_t body_limit_bytes;      /* `limits: { body: }` of the route; 0: none */
    int64_t timeout_ms;             /* from the request's last byte to the answer's head */
    int64_t stream_idle_timeout_ms; /* without a byte either way, before and after that, and in tunnels */
    struct rewrite_config rewrite;
    struct header_edits_config request_headers, response_headers;
    struct slice name; /* in each line of the access log */

    struct rate_limit_config rate_limit;
    struct shadow_config *shadows; /* in the order of the file */
    size_t shadow_count;
    struct script_config script;
    struct ownership_config ownership;
    struct place place;
};

/* One file of the configuration as it was read: what a stored version keeps, and `config restore` writes back. */
struct file_text {
    struct slice name;  /* as messages show it: the first as given on the command line, others as found from there */
    struct slice path;  /* absolute; "" in versions that were stored before paths were: the file given at the start */
    struct slice bytes; /* as on disk, before ${NAME} was expanded */
};

/* config/model_rollout.h */
struct rollout_config;
struct slo_config;
struct monitor_config;
struct notify_config;

struct config {
    struct arena *arena;     /* owns this struct and everything below it */
    struct slice file;       /* as given on the command line */
    struct file_text *files; /* every file that was read, a file before those it includes: the stored version */
    size_t file_count;
    struct slice text; /* all files' bytes, each under a line "# NAME": for people, who cannot mistake it */
    struct slice
        digest; /* SipHash of files, PEM files and scripts as 16 hex digits: `unchanged` reloads are told by it */
    struct tls_set *tls;        /* made of the PEM files by who lent compile_tls; NULL: nobody did */
    uint64_t pem_digest;        /* of their bytes; 0: none were read */
    struct script_set *scripts; /* made of the files of Lua by who lent compile_scripts; NULL: nobody did */
    uint64_t script_digest;     /* of their bytes; 0: none were read */
    struct slice_list secrets;  /* as written; config_text_masked hides them wherever the text is shown */
    struct slice_list include;  /* as written */

    struct slice user, state_dir; /* state_dir absolute */
    uint32_t worker_count;        /* 0: one per core */
    int64_t drain_timeout_ms;
    bool is_watched;
    struct log_config log;
    struct limits_config limits;
    struct admin_config admin;
    struct listener_config *listeners;
    size_t listener_count;
    struct upstream_config *upstreams;
    size_t upstream_count;
    struct segment_config *segments;
    size_t segment_count;
    struct route_config *routes;
    size_t route_count;
    struct rollout_config *rollouts;
    size_t rollout_count;
    struct slo_config *slos;
    size_t slo_count;
    struct monitor_config *monitors;
    size_t monitor_count;
    struct notify_config *notify;
    size_t notify_count;
};

#endif
