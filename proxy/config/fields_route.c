/* config/fields_route.c - THE table's second half: segments, routes and what belongs to them. */
#include "config/rows.h"

const struct setting_choice config_kind_words[] = {
    { "release", RELEASE_RELEASE, "leads to one variant for everybody, then goes away" },
    { "operational", RELEASE_OPERATIONAL, "stays, as a switch for operators" },
    { "experiment", RELEASE_EXPERIMENT, "compares variants for a while" },
    { NULL, 0, NULL },
};

/* ---- segments ---------------------------------------------------------------------------------------------------- */

static const struct setting segment_rows[] = {
    { CONDITION("CONDITION", struct segment_config, condition), .flags = SETTING_REQUIRED | SETTING_INLINE,
      .doc = "Who belongs to it: the keys of a condition." },
    OWNERSHIP(struct segment_config),
};

const struct setting_table config_segment_table = {
    .name = "segment",
    .doc = "A named audience, usable in any condition and in other segments.",
    .struct_bytes = sizeof(struct segment_config),
    .place_offset = offsetof(struct segment_config, place),
    ROWS(segment_rows),
};

/* ---- parts of a route -------------------------------------------------------------------------------------------- */

/* Three ways to write one member: path_finish sees which key was used. */
static const struct setting path_rows[] = {
    { TEXT("exact", struct match_config, path), PLACE(struct match_config, path_place), .format = &format_path,
      .doc = "The whole path." },
    { TEXT("prefix", struct match_config, path), PLACE(struct match_config, path_place), .format = &format_path,
      .doc = "Its beginning, ending at a segment border: `/a` matches `/a` and `/a/b`, not `/ab`." },
    { TEXT("regex", struct match_config, path), PLACE(struct match_config, path_place), .format = &format_pattern,
      .doc = "A PCRE2 pattern found anywhere in the path; `^` and `$` tie it to the ends." },
};

static const struct setting_table path_table = {
    .name = "path",
    .doc = "A test of the path in normal form.",
    .struct_bytes = sizeof(struct match_config),
    ROWS(path_rows),
    .rule = "A path has one of `exact`, `prefix` and `regex`.",
    .finish = path_finish,
};

static const struct setting match_rows[] = {
    { TEXTS("host", struct match_config, hosts), .format = &format_host_pattern,
      .doc = "Hosts, without port; `*.example.com` stands for any number of labels in front; any "
             "host when absent." },
    { GROUP("path", struct match_config, path_table), .doc = "The path; any when absent." },
    { TEXTS("method", struct match_config, methods), .format = &format_method, .doc = "Methods; any when absent." },
    { CONDITION("when", struct match_config, when), .doc = "What else must hold." },
};

static const struct setting_table match_table = {
    .name = "match",
    .doc = "Which requests a route takes; all parts must hold.",
    .struct_bytes = sizeof(struct match_config),
    ROWS(match_rows),
    .finish = match_finish,
};

static const struct setting rule_rows[] = {
    { TEXT("name", struct rule_config, name), .flags = SETTING_REQUIRED, .format = &format_name,
      .doc = "Its name, unique in the route." },
    { CONDITION("when", struct rule_config, when), .flags = SETTING_REQUIRED, .doc = "Which requests it takes." },
    { TEXT("to", struct rule_config, to), PLACE(struct rule_config, to_place), .flags = SETTING_REQUIRED,
      .format = &format_name, .doc = "The upstream they go to." },
    { BOOL("keep", struct rule_config, is_kept), .default_text = "false",
      .doc = "Whether they go there also when it is a canary that was rolled back; else they go to its stable." },
    OWNERSHIP(struct rule_config),
};

static const struct setting_table rule_table = {
    .name = "rule",
    .doc = "Targeting: sends the requests it matches to one upstream, before the split.",
    .struct_bytes = sizeof(struct rule_config),
    .place_offset = offsetof(struct rule_config, place),
    ROWS(rule_rows),
};

static const struct setting split_entry_rows[] = {
    { COUNT("weight", struct split_entry_config, weight), .flags = SETTING_REQUIRED, .max_text = "1000000",
      .doc = "Its part of the requests, relative to the other entries." },
};

static const struct setting_table split_entry_table = {
    .name = "split",
    .doc = "An upstream and its weight.",
    .struct_bytes = sizeof(struct split_entry_config),
    .place_offset = offsetof(struct split_entry_config, place),
    ROWS(split_entry_rows),
    .form = TABLE_AS_FIRST,
};

static const struct setting sticky_rows[] = {
    { KEY("KEY", struct sticky_config, key), .flags = SETTING_REQUIRED | SETTING_INLINE,
      .doc = "What identifies a user; a cookie is issued when the request has none." },
    { DURATION("ttl", struct sticky_config, ttl_ms), .default_text = "30d", .min_text = "1s", .max_text = "400d",
      .doc = "How long an issued cookie lives." },
};

static const struct setting_table sticky_table = {
    .name = "sticky",
    .doc = "Keeps a user on the upstream that the split chose first.",
    .struct_bytes = sizeof(struct sticky_config),
    ROWS(sticky_rows),
};

static const struct setting_choice redirect_words[] = {
    { "301", 301, "moved permanently" },
    { "302", 302, "found" },
    { "303", 303, "see other" },
    { "307", 307, "temporary, same method" },
    { "308", 308, "permanent, same method" },
    { NULL, 0, NULL },
};

static const struct setting redirect_rows[] = {
    { TEXT("to", struct redirect_config, to), .flags = SETTING_REQUIRED, .format = &format_redirect,
      .doc = "`scheme://host` keeps the request's path and query; with a path it is the whole "
             "target." },
    { CHOICE("code", struct redirect_config, code, uint16_t, redirect_words), .default_text = "308",
      .doc = "The status." },
};

static const struct setting_table redirect_table = {
    .name = "redirect",
    .doc = "Answers with a Location instead of forwarding.",
    .struct_bytes = sizeof(struct redirect_config),
    ROWS(redirect_rows),
};

static const struct setting header_set_rows[] = {
    { TEXT("value", struct header_set, value), .flags = SETTING_REQUIRED, .format = &format_header_value,
      .doc = "The value." },
};

const struct setting_table config_header_set_table = {
    .name = "header",
    .doc = "A header and its value.",
    .struct_bytes = sizeof(struct header_set),
    ROWS(header_set_rows),
    .form = TABLE_AS_FIRST,
};

static const struct setting header_edits_rows[] = {
    { MAP_OF("set", struct header_edits_config, set, set_count, struct header_set, config_header_set_table),
      .format = &format_editable_header, .doc = "Headers and their values, in place of any of the same name." },
    { TEXTS("remove", struct header_edits_config, remove), .format = &format_editable_header,
      .doc = "Names of headers to take out." },
};

const struct setting_table config_header_edits_table = {
    .name = "header_edits",
    .doc = "Changes to a head on its way through.",
    .struct_bytes = sizeof(struct header_edits_config),
    ROWS(header_edits_rows),
};

static const struct setting respond_rows[] = {
    { STATUS("status", struct respond_config, status), .default_text = "200", .min_text = "200", .max_text = "599",
      .doc = "The status." },
    { TEXT("body", struct respond_config, body), .doc = "The body." },
    { MAP_OF("headers", struct respond_config, headers.set, headers.set_count, struct header_set,
             config_header_set_table),
      .format = &format_editable_header, .doc = "Headers and their values." },
};

static const struct setting_table respond_table = {
    .name = "respond",
    .doc = "Answers by itself instead of forwarding.",
    .struct_bytes = sizeof(struct respond_config),
    ROWS(respond_rows),
    .rule = "`respond` has no body with status 204, 205 or 304.",
    .finish = respond_finish,
};

static const struct setting rewrite_rows[] = {
    { TEXT("path_prefix", struct rewrite_config, path_prefix), .format = &format_path,
      .doc = "Takes the place of the prefix that the route matched." },
    { TEXT("host", struct rewrite_config, host), .format = &format_authority,
      .doc = "The Host that the upstream sees." },
};

static const struct setting_table rewrite_table = {
    .name = "rewrite",
    .doc = "What the upstream sees instead of the request's own.",
    .struct_bytes = sizeof(struct rewrite_config),
    ROWS(rewrite_rows),
};

static const struct setting rate_limit_rows[] = {
    { RATE("rate", struct rate_limit_config, count, period_ms), .flags = SETTING_REQUIRED,
      .doc = "Requests per second, minute or hour; past it: 429." },
    { COUNT("burst", struct rate_limit_config, burst), .min_text = "1", .unit = "default: the rate's count",
      .doc = "How many requests may come at once after a pause." },
    { KEY("by", struct rate_limit_config, by),
      .doc = "Counts each value of the key by itself; all requests together when absent." },
};

static const struct setting_table rate_limit_table = {
    .name = "rate_limit",
    .doc = "Refuses what comes too fast.",
    .struct_bytes = sizeof(struct rate_limit_config),
    ROWS(rate_limit_rows),
    .finish = rate_limit_finish,
};

static const struct setting route_limits_rows[] = {
    { SIZE("body", struct route_config, body_limit_bytes), .unit = "0: no limit",
      .doc = "Longest request body, in place of `limits.body`; past it: 413." },
};

static const struct setting_table route_limits_table = {
    .name = "route_limits",
    .doc = "Limits of one route.",
    .struct_bytes = sizeof(struct route_config),
    ROWS(route_limits_rows),
    .finish = route_limits_finish,
};

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

static const struct setting_choice on_error_words[] = {
    { "continue", SCRIPT_CONTINUE, "the request goes on by the rules, the answer as the upstream gave it" },
    { "fail", SCRIPT_FAIL, "500" },
    { NULL, 0, NULL },
};

static const struct setting script_rows[] = {
    { FILE_PATH("file", struct script_config, path), PLACE(struct script_config, place), .flags = SETTING_REQUIRED,
      .doc = "The Lua file; it returns a table of hooks." },
    { DURATION("budget", struct script_config, budget_ms), .default_text = "2ms", .min_text = "1ms", .max_text = "1s",
      .doc = "CPU time that one call may take; past it the call is cut off, within 2 ms." },
    { CHOICE("on_error", struct script_config, on_error, enum script_on_error, on_error_words),
      .default_text = "continue", .doc = "What becomes of a request whose hook failed or was cut off." },
};

static const struct setting_table script_table = {
    .name = "script",
    .doc = "Lua hooks of a route.",
    .struct_bytes = sizeof(struct script_config),
    ROWS(script_rows),
    .form = TABLE_AS_MAP_OR_FIRST,
};

/* ---- routes ------------------------------------------------------------------------------------------------------ */

static const struct setting_choice encoded_slash_words[] = {
    { "keep", ENCODED_SLASH_KEEP, "it is forwarded, and never separates segments" },
    { "reject", ENCODED_SLASH_REJECT, "400" },
    { NULL, 0, NULL },
};

static const struct setting route_rows[] = {
    { TEXT("name", struct route_config, name), .flags = SETTING_REQUIRED, .format = &format_name,
      .doc = "Its name, unique among the routes." },
    { SUBTABLE("match", struct route_config, match, struct match_config, match_table),
      .doc = "Which requests it takes; all when absent." },
    { LIST_OF("rules", struct route_config, rules, rule_count, struct rule_config, rule_table),
      .doc = "Targeting, in order, before the split." },
    { SUBTABLE("script", struct route_config, script, struct script_config, script_table),
      .doc = "Lua hooks that choose the upstream (after the rules, before the split), answer, or edit requests and "
             "answers." },
    { MAP_OF("split", struct route_config, split, split_count, struct split_entry_config, split_entry_table),
      .format = &format_name,
      .doc = "Upstreams and their weights: whole numbers relative to each other, 0 allowed; "
             "reduced by their common divisor, their sum is at most 10000." },
    { TEXT("to", struct route_config, to), PLACE(struct route_config, to_place), .format = &format_name,
      .doc = "One upstream for everything: a split of one." },
    { SUBTABLE("sticky", struct route_config, sticky, struct sticky_config, sticky_table),
      .doc = "Keeps users on their side of the split." },
    { SUBTABLE("redirect", struct route_config, redirect, struct redirect_config, redirect_table),
      .doc = "Answers with a redirect." },
    { SUBTABLE("respond", struct route_config, respond, struct respond_config, respond_table),
      .doc = "Answers with a fixed text." },
    { LIST_OF("shadow", struct route_config, shadows, shadow_count, struct shadow_config, config_shadow_table),
      .doc = "Where copies of its requests go, too; the request itself is not changed, delayed or failed by any." },
    { SUBTABLE("rewrite", struct route_config, rewrite, struct rewrite_config, rewrite_table),
      .doc = "Changes path or host on the way to the upstream." },
    { SUBTABLE("request_headers", struct route_config, request_headers, struct header_edits_config,
               config_header_edits_table),
      .doc = "Changes to the request's headers." },
    { SUBTABLE("response_headers", struct route_config, response_headers, struct header_edits_config,
               config_header_edits_table),
      .doc = "Changes to the response's headers." },
    { DURATION("timeout", struct route_config, timeout_ms), .default_text = "30s", .min_text = "1ms", .max_text = "1d",
      .doc = "From the request's last byte to the head of the answer, all tries together; past it: "
             "504." },
    { DURATION("stream_idle_timeout", struct route_config, stream_idle_timeout_ms), .default_text = "5m",
      .min_text = "1ms", .max_text = "30d",
      .doc = "Afterwards, and for tunnels: how long no byte may move either way." },
    { BOOL("websocket", struct route_config, is_websocket_allowed), .default_text = "true",
      .doc = "Whether Upgrade is passed on; else 403." },
    { SUBTABLE("rate_limit", struct route_config, rate_limit, struct rate_limit_config, rate_limit_table),
      .doc = "Refuses what comes too fast." },
    { GROUP("limits", struct route_config, route_limits_table), .doc = "Limits of this route." },
    { CHOICE("encoded_slash", struct route_config, encoded_slash, enum encoded_slash, encoded_slash_words),
      .default_text = "keep", .doc = "What becomes of a path that holds %2F." },
    { BOOL("expose_variant", struct route_config, is_variant_exposed), .default_text = "false",
      .doc = "Whether the response gets x-weir-upstream with the name of the upstream." },
    OWNERSHIP(struct route_config),
};

static const char *const route_later[] = { "fallback", "fault", NULL };

const struct setting_table config_route_table = {
    .name = "route",
    .doc = "What happens to the requests it matches; the first match in file order wins.",
    .struct_bytes = sizeof(struct route_config),
    .place_offset = offsetof(struct route_config, place),
    ROWS(route_rows),
    .later = route_later,
    .rule = "A route has exactly one of `split`, `to`, `redirect` and `respond`.",
    .finish = route_finish,
};
