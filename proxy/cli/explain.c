/* cli/explain.c - `weir explain`: which listener, route, rule, split and shadow a request would meet, and why not the others.
 *
 * The answers come from route_decide and its companions, the very code that the server runs; this file only words them.
 *
 *   request     GET /checkout, host shop.example.com, from 127.0.0.1, at ...
 *   route       old does not match: host is ...          print_misses, up to the one that matches
 *   route       checkout matches (weir.yaml:12)
 *     rule      testers does not match: ...              print_rules
 *     script    hooks.lua may name another              print_script
 *     split     v1 95%, v2 5%                            print_split
 *   upstream    one of v1 95%, v2 5%                     print_answer
 *
 * It knows the file and nothing else: weights that `ctl split` has set are in a running instance, whether endpoints are up as well.
 * A draw is never shown as if it were the answer, since the next request draws another. */
#include "cli/explain.h"

#include "cli/command.h"
#include "cli/problems.h"
#include "cli/terminal.h"
#include "lua/script_set.h"
#include "route/decide.h"
#include "route/snapshot.h"

#include <stdarg.h>
#include <stdio.h>

#define ROUTES_SHOWN_MAX 20 /* that do not match; --all shows the rest too */

/* What the printers below share. */
struct explanation {
    struct arena *arena;
    const struct snapshot *snapshot;
    const struct explain_values *values;
    const struct explain_request *request;
    const char *url; /* as given */
    struct decision decision;
    bool coloured;
    struct text out;
};

/* ---- lines ------------------------------------------------------------------------------------------------------------ */

enum line_kind { LINE_FACT, LINE_MATCH, LINE_MISS };

static void line(struct explanation *e, enum line_kind kind, const char *label, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* "label     words", the words green for what matches and dim for what does not. */
static void line(struct explanation *e, enum line_kind kind, const char *label, const char *format, ...)
{
    static const enum paint paints[] = {
        [LINE_FACT] = PAINT_NONE, [LINE_MATCH] = PAINT_GREEN, [LINE_MISS] = PAINT_DIM
    };
    va_list args;
    va_start(args, format);
    struct slice words = arena_vprintf(e->arena, format, args);
    va_end(args);
    terminal_add(&e->out, e->coloured, PAINT_BOLD, arena_printf(e->arena, "%-11s", label));
    terminal_add(&e->out, e->coloured, paints[kind], words);
    text_add_char(&e->out, '\n');
}

static struct slice place_text(struct explanation *e, struct place place)
{
    return arena_printf(e->arena, "%s:%u", place.file, place.line);
}

/* ", owner team-a, expires 2027-03-01T00:00:00.000Z", or "". */
static struct slice ownership_text(struct explanation *e, const struct ownership_config *o)
{
    struct text out = { 0 };
    char expires[25];
    if (o->owner.len > 0)
        text_printf(&out, ", owner %.*s", SLICE_ARG(o->owner));
    if (o->expires.unix_ms != 0) {
        wall_format(o->expires, expires);
        bool has_expired = o->expires.unix_ms <= e->request->routed.now.unix_ms;
        text_printf(&out, ", %s %s", has_expired ? "expired" : "expires", expires);
    }
    struct slice words = arena_copy(e->arena, text_slice(&out));
    text_fini(&out);
    return words;
}

/* ---- request and listener ----------------------------------------------------------------------------------------------- */

static void print_request(struct explanation *e)
{
    const struct route_request *r = &e->request->routed;
    const struct message *m = &e->request->message;
    char source[46], now[25];
    ip_format(&r->source, source);
    wall_format(r->now, now);
    line(e, LINE_FACT, "request", "%.*s %.*s, host %.*s, from %s, at %s", SLICE_ARG(m->method_name),
         SLICE_ARG(m->target), SLICE_ARG(r->host), source, now);
    if (!slice_equal(r->path, m->path))
        line(e, LINE_FACT, "path", "%.*s in normal form", SLICE_ARG(r->path));
}

static void print_certificate(struct explanation *e)
{
    const struct route_request *r = &e->request->routed;
    struct slice sans = SLICE_NONE;
    for (size_t i = 0; i < r->client_san_count; i++)
        sans = arena_printf(e->arena, "%.*s%s%.*s", SLICE_ARG(sans), i > 0 ? ", " : "", SLICE_ARG(r->client_sans[i]));
    if (r->client_cn.len > 0)
        line(e, LINE_FACT, "client cn", "%.*s", SLICE_ARG(r->client_cn));
    if (r->client_san_count > 0)
        line(e, LINE_FACT, "client san", "%.*s", SLICE_ARG(sans));
}

/* Routes do not differ by listener: the port only tells where the request would come in. */
static void print_listener(struct explanation *e)
{
    const struct config *config = e->snapshot->config;
    uint16_t port = e->request->port;
    if (port == 0)
        return;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener_config *l = &config->listeners[i];
        if (l->bind.kind == ADDRESS_UNIX || l->bind.port != port)
            continue;
        line(e, LINE_FACT, "listener", "%.*s (%.*s)", SLICE_ARG(l->name), SLICE_ARG(l->bind_text));
        return;
    }
    line(e, LINE_FACT, "listener", "none on port %u; the routes are the same for every listener", port);
}

/* ---- routes and rules --------------------------------------------------------------------------------------------------- */

/* The first `count` routes, none of which matches. A file of thousands is cut short: the routes that compete for a path are
   few, and the first ones in the file are those that people look at. */
static void print_misses(struct explanation *e, uint32_t count)
{
    const struct route_table *table = e->snapshot->table;
    uint32_t shown = e->values->shows_all || count < ROUTES_SHOWN_MAX ? count : ROUTES_SHOWN_MAX;
    for (uint32_t i = 0; i < shown; i++) {
        const char *why = route_table_explain(table, i, &e->request->routed, e->arena);
        line(e, LINE_MISS, "route", "%.*s does not match: %s", SLICE_ARG(table->routes[i].config->name),
             why != NULL ? why : "an earlier route does");
    }
    if (shown < count)
        line(e, LINE_MISS, "", "%u more that do not match: --all shows them", count - shown);
}

/* Rules up to and with the one that decided; without one, all of them. */
static void print_rules(struct explanation *e)
{
    const struct compiled_route *route = e->decision.route;
    const struct config *config = e->snapshot->config;
    bool has_hit = e->decision.why == WHY_RULE;
    uint32_t missed = has_hit ? e->decision.rule_index : (uint32_t)route->config->rule_count;
    for (uint32_t i = 0; i < missed; i++) {
        const struct rule_config *rule = &route->config->rules[i];
        struct slice why = condition_explain(e->arena, config, rule->when, route->rules[i].when, &e->request->routed);
        line(e, LINE_MISS, "  rule", "%.*s does not match: %.*s", SLICE_ARG(rule->name), SLICE_ARG(why));
    }
    if (!has_hit)
        return;
    const struct rule_config *rule = &route->config->rules[e->decision.rule_index];
    line(e, LINE_MATCH, "  rule", "%.*s matches (%.*s%.*s)", SLICE_ARG(rule->name),
         SLICE_ARG(place_text(e, rule->place)), SLICE_ARG(ownership_text(e, &rule->ownership)));
}

/* ---- the split ---------------------------------------------------------------------------------------------------------- */

static struct slice shares_text(struct explanation *e, const struct compiled_route *route)
{
    struct text out = { 0 };
    uint64_t total = 0;
    for (size_t i = 0; i < route->config->split_count; i++)
        total += route->file_weights[i];
    for (size_t i = 0; i < route->config->split_count; i++)
        text_printf(&out, "%s%.*s %.4g%%", i > 0 ? ", " : "", SLICE_ARG(route->config->split[i].upstream),
                    100.0 * route->file_weights[i] / (double)total);
    struct slice words = arena_copy(e->arena, text_slice(&out));
    text_fini(&out);
    return words;
}

static struct slice key_text(struct explanation *e, const struct key_config *key)
{
    static const char *const words[] = { [KEY_NONE] = "",
                                         [KEY_COOKIE] = "cookie ",
                                         [KEY_HEADER] = "header ",
                                         [KEY_QUERY] = "query argument ",
                                         [KEY_SOURCE_IP] = "source address" };
    return arena_printf(e->arena, "%s%.*s", words[key->kind], SLICE_ARG(key->name));
}

/* How the split was decided. */
static void print_choice(struct explanation *e)
{
    const struct compiled_route *route = e->decision.route;
    const struct key_config *key = &route->config->sticky.key;
    struct slice by = key_text(e, key), value;
    char scratch[16];
    switch (e->decision.why) {
    case WHY_STICKY:
        if (key->kind != KEY_SOURCE_IP && key_extract(key, &e->request->routed, scratch, &value))
            by = arena_printf(e->arena, "%.*s = \"%.*s\"", SLICE_ARG(by), SLICE_ARG(value));
        line(e, LINE_MATCH, "  sticky", "by %.*s: always the same upstream", SLICE_ARG(by));
        return;
    case WHY_ISSUED:
        line(e, LINE_MATCH, "  sticky", "by %.*s: absent, so one is issued and chosen by the shares", SLICE_ARG(by));
        return;
    case WHY_SPLIT:
        if (key->kind != KEY_NONE)
            line(e, LINE_MISS, "  sticky", "by %.*s: absent, so this request is drawn", SLICE_ARG(by));
        return;
    case WHY_NO_ROUTE:
    case WHY_RULE:
    case WHY_ONLY:
    case WHY_REDIRECT:
    case WHY_RESPOND:
    case WHY_SCRIPT:
    case WHY_DRILL:
        return;
    }
}

static bool has_hook(const struct explanation *e, enum script_hook hook)
{
    const struct script_set *set = e->snapshot->config->scripts;
    uint32_t script = set != NULL ? set->of_route[e->decision.route->index] : CONFIG_NONE;
    return script != CONFIG_NONE && set->scripts[script].has_hook[hook];
}

/* It is not run: what it says may hang on the time, and it may count what it sees. */
static void print_script(struct explanation *e)
{
    const struct script_config *script = &e->decision.route->config->script;
    if (!has_hook(e, SCRIPT_ON_REQUEST))
        return;
    line(e, LINE_FACT, "  script", "%.*s is not run here, and may %s (%.*s)", SLICE_ARG(script->path),
         e->decision.why == WHY_RULE ? "answer, or change the request" : "name another upstream, or answer",
         SLICE_ARG(place_text(e, script->place)));
    const struct script_set *set = e->snapshot->config->scripts;
    struct slice asks = set->scripts[set->of_route[e->decision.route->index]].asks;
    if (asks.len > 0)
        line(e, LINE_FACT, "  fetch", "its hooks ask %.*s by weir.fetch, and nothing is asked here", SLICE_ARG(asks));
}

static void print_split(struct explanation *e)
{
    const struct compiled_route *route = e->decision.route;
    if (e->decision.why == WHY_RULE || route->config->action != ROUTE_FORWARD)
        return;
    if (route->config->split_count > 1)
        line(e, LINE_FACT, "  split", "%.*s", SLICE_ARG(shares_text(e, route)));
    print_choice(e);
}

/* ---- the outcome -------------------------------------------------------------------------------------------------------- */

static void print_edits(struct explanation *e, const char *what, const struct header_edits_config *h)
{
    for (size_t i = 0; i < h->set_count; i++)
        line(e, LINE_FACT, "  headers", "%s: sets %.*s: %.*s", what, SLICE_ARG(h->set[i].name),
             SLICE_ARG(h->set[i].value));
    for (size_t i = 0; i < h->remove.count; i++)
        line(e, LINE_FACT, "  headers", "%s: removes %.*s", what, SLICE_ARG(h->remove.items[i]));
}

/* What else the route does to a request that it forwards. */
static void print_effects(struct explanation *e)
{
    const struct route_config *route = e->decision.route->config;
    if (route->rate_limit.count > 0)
        line(e, LINE_FACT, "  limit", "%u requests per %u ms, burst %u%s%.*s", route->rate_limit.count,
             route->rate_limit.period_ms, route->rate_limit.burst,
             route->rate_limit.by.kind != KEY_NONE ? ", for each " : "", SLICE_ARG(key_text(e, &route->rate_limit.by)));
    if (route->rewrite.path_prefix.len > 0)
        line(e, LINE_FACT, "  rewrite", "the matched path prefix becomes %.*s", SLICE_ARG(route->rewrite.path_prefix));
    if (route->rewrite.host.len > 0)
        line(e, LINE_FACT, "  rewrite", "the host becomes %.*s", SLICE_ARG(route->rewrite.host));
    print_edits(e, "request", &route->request_headers);
    print_edits(e, "response", &route->response_headers);
}

/* Whether a copy is made is drawn: what is told is the chance. */
static void print_shadows(struct explanation *e)
{
    const struct compiled_route *route = e->decision.route;
    const char *condition = has_hook(e, SCRIPT_ON_SHADOW) ? ", unless on_shadow of the script keeps it back" : "";
    for (size_t i = 0; i < route->config->shadow_count && e->decision.upstream_index != CONFIG_NONE; i++) {
        const struct compiled_shadow *shadow = &route->shadows[i];
        const struct shadow_config *config = shadow->config;
        const char *why = route_shadow_explain(e->snapshot->table, shadow, &e->request->routed, e->arena);
        char share[16];
        units_format_share(config->share_ppm, share, sizeof share);
        if (why != NULL)
            line(e, LINE_MISS, "  shadow", "%.*s gets no copy: %s", SLICE_ARG(config->to), why);
        else
            line(e, LINE_MATCH, "  shadow", "%.*s gets a copy of %s%s (%.*s)", SLICE_ARG(config->to), share, condition,
                 SLICE_ARG(place_text(e, config->place)));
    }
}

static void print_reason(struct explanation *e, enum reason reason)
{
    const struct reason_row *row = &reason_rows[reason];
    line(e, LINE_FACT, "answer", "%u %s: %s", row->status, row->code, row->sentence);
}

static void print_answer(struct explanation *e)
{
    const struct decision *d = &e->decision;
    const struct config *config = e->snapshot->config;
    if (d->route != NULL && e->request->has_encoded_slash && d->route->config->encoded_slash == ENCODED_SLASH_REJECT) {
        print_reason(e, REASON_ENCODED_SLASH);
        return;
    }
    switch (d->why) {
    case WHY_NO_ROUTE:
        print_reason(e, REASON_NO_ROUTE);
        return;
    case WHY_REDIRECT:
        line(e, LINE_MATCH, "answer", "%u redirect to %.*s", d->route->config->redirect.code,
             SLICE_ARG(d->route->config->redirect.to));
        return;
    case WHY_RESPOND:
        line(e, LINE_MATCH, "answer", "%u with %zu bytes of body", d->route->config->respond.status,
             d->route->config->respond.body.len);
        return;
    case WHY_SPLIT:
    case WHY_ISSUED:
        line(e, LINE_MATCH, "upstream", "one of %.*s", SLICE_ARG(shares_text(e, d->route)));
        return;
    case WHY_RULE:
    case WHY_ONLY:
    case WHY_STICKY:
    case WHY_SCRIPT:
        line(e, LINE_MATCH, "upstream", "%.*s", SLICE_ARG(config->upstreams[d->upstream_index].name));
        return;
    case WHY_DRILL: /* nobody's to explain: its token is a secret */
        return;
    }
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

/* Weights NULL: the file's. A draw is needed by the signature; its outcome is not printed. */
static void decide(struct explanation *e)
{
    struct rng rng;
    struct draw draw;
    rng_init(&rng, (uint64_t)e->request->routed.now.unix_ms);
    draw_init(&draw, &rng, e->snapshot->table);
    route_decide(e->snapshot->table, &e->request->routed, NULL, &draw, &e->decision);
    draw_fini(&draw);
}

static void explain(struct explanation *e)
{
    const struct route_table *table = e->snapshot->table;
    decide(e);
    const struct compiled_route *route = e->decision.route;
    print_request(e);
    print_certificate(e);
    print_listener(e);
    print_misses(e, route != NULL ? route->index : table->route_count);
    if (route != NULL) {
        line(e, LINE_MATCH, "route", "%.*s matches (%.*s%.*s)", SLICE_ARG(route->config->name),
             SLICE_ARG(place_text(e, route->config->place)), SLICE_ARG(ownership_text(e, &route->config->ownership)));
        print_rules(e);
        print_script(e);
        print_split(e);
        print_effects(e);
        print_shadows(e);
    }
    print_answer(e);
}

static void print_refusal(struct explanation *e, struct slice answer)
{
    line(e, LINE_MISS, "request", "%s %s", e->values->method ? e->values->method : "GET", e->url);
    line(e, LINE_FACT, "answer", "%.*s", SLICE_ARG(answer));
}

/* `error` is not empty when the server would refuse the request before any route is asked. */
static enum command_status explain_with(struct call *call, struct explanation *e, struct text *error)
{
    struct err_list problems;
    err_list_init(&problems, &call->arena);
    struct config_source source = config_source_system;
    source.compile_scripts = script_set_compile; /* for the hooks they have, and whom they ask */
    struct snapshot *snapshot = snapshot_create(e->values->config, &source, 1, &problems);
    if (snapshot == NULL) {
        problems_print(&problems);
        return COMMAND_FAILED;
    }
    e->snapshot = snapshot;
    if (error->len > 0)
        print_refusal(e, text_slice(error));
    else
        explain(e);
    fputs(e->out.bytes, stdout);
    text_fini(&e->out);
    snapshot_destroy(snapshot);
    return COMMAND_OK;
}

static enum command_status run(struct call *call)
{
    struct explain_request request;
    struct text error = { 0 };
    enum command_status status;
    struct explanation e = { .arena = &call->arena,
                             .values = call->values,
                             .request = &request,
                             .url = call->arguments[0],
                             .coloured = terminal_has_colour(stdout) };
    if (explain_read(e.values, e.url, &call->arena, &request, &error) == EXPLAIN_MISUSED)
        status = command_misused(call, "%s", error.bytes);
    else
        status = explain_with(call, &e, &error);
    text_fini(&error);
    return status;
}

static const struct option_row options[] = {
    CONFIG_OPTION(struct explain_values),
    { .letter = 'X',
      .name = "method",
      .value_name = "METHOD",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct explain_values, method),
      .doc = "the request's method (default GET)" },
    { .letter = 'H',
      .name = "header",
      .value_name = "'NAME: VALUE'",
      .kind = OPTION_LIST,
      .offset = offsetof(struct explain_values, headers),
      .doc = "a header of the request; may be repeated" },
    { .name = "from",
      .value_name = "IP",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct explain_values, from),
      .doc = "the client's address (default 127.0.0.1)" },
    { .name = "client-cn",
      .value_name = "NAME",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct explain_values, client_cn),
      .doc = "the common name of the client's certificate (default no certificate)" },
    { .name = "client-san",
      .value_name = "NAME",
      .kind = OPTION_LIST,
      .offset = offsetof(struct explain_values, client_sans),
      .doc = "an alternative name of that certificate; may be repeated" },
    { .name = "at",
      .value_name = "RFC3339",
      .kind = OPTION_TEXT,
      .offset = offsetof(struct explain_values, at),
      .doc = "the time of the request (default now)" },
    { .name = "all",
      .kind = OPTION_FLAG,
      .offset = offsetof(struct explain_values, shows_all),
      .doc = "shows every route that does not match" },
};

const struct command command_explain = {
    .name = "explain",
    .synopsis = "-c FILE [-X METHOD] [-H 'NAME: VALUE']... [--from IP] [--client-cn NAME] [--at RFC3339] URL",
    .summary = "says where a request would go, and why",
    .details = "Prints the listener, route, rule, split and shadows that the request would meet, "
               "and why each earlier\n"
               "route and rule does not match. Nothing is sent: the decision is made by the code "
               "the server\n"
               "runs. URL is http://HOST[:PORT]/PATH, or only /PATH.\n\n"
               "  weir explain -c weir.yaml -H 'x-staff: 1' http://shop.example.com/checkout\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
    .values_bytes = sizeof(struct explain_values),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
};
