/* route/explain.c - says in words why a condition or a route does not match: for `weir explain`, off the data path.
 *
 * A sentence is a fact about the request ("header x-staff is "0"") and what was asked for instead (", not "1""). Of an
 * `all` the first part that failed speaks, of an `any` every part. Whether a part matches is found by compiling and
 * running it alone, with the samples of the segment it stands in, so that an explanation cannot disagree with the
 * decision. */
#include "route/pattern.h"
#include "route/program.h"
#include "route/table.h"

#define SHOWN_MAX_BYTES 80

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* In quotes, long ones cut. */
static struct slice quote(struct arena *arena, struct slice s)
{
    const char *tail = s.len > SHOWN_MAX_BYTES ? "..." : "";
    return arena_printf(arena, "\"%.*s%s\"", SLICE_ARG(slice_first(s, SHOWN_MAX_BYTES)), tail);
}

static struct slice join(struct arena *arena, struct slice a, const char *between, struct slice b)
{
    if (a.len == 0)
        return b;
    return arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(a), between, SLICE_ARG(b));
}

static struct slice quote_all(struct arena *arena, const struct slice *items, size_t count)
{
    struct slice text = SLICE("");
    for (size_t i = 0; i < count; i++)
        text = join(arena, text, ", ", quote(arena, items[i]));
    return text;
}

static struct slice network_text(struct arena *arena, const struct ip_network *n)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    bool is_ipv4 = n->prefix_bits >= 96 && memcmp(n->address.bytes, mapped, sizeof mapped) == 0;
    char address[46];
    ip_format(&n->address, address);
    return arena_printf(arena, "%s/%d", address, n->prefix_bits - (is_ipv4 ? 96 : 0));
}

static struct slice networks_text(struct arena *arena, const struct condition_config *c)
{
    struct slice text = SLICE("");
    for (size_t i = 0; i < c->network_count; i++)
        text = join(arena, text, ", ", network_text(arena, &c->networks[i]));
    return text;
}

static struct slice key_text(struct arena *arena, const struct key_config *key)
{
    static const char *const kinds[] = { [KEY_NONE] = "no key",
                                         [KEY_COOKIE] = "cookie",
                                         [KEY_HEADER] = "header",
                                         [KEY_QUERY] = "query argument",
                                         [KEY_SOURCE_IP] = "source" };
    if (key->name.len == 0)
        return slice_from_cstr(kinds[key->kind]);
    return arena_printf(arena, "%s %.*s", kinds[key->kind], SLICE_ARG(key->name));
}

/* ---- what a test looks at and asks for --------------------------------------------------------------------------- */

static struct slice subject_text(struct arena *arena, const struct condition_config *c)
{
    switch (c->subject) {
    case SUBJECT_HEADER:
        return arena_printf(arena, "header %.*s", SLICE_ARG(c->name));
    case SUBJECT_COOKIE:
        return arena_printf(arena, "cookie %.*s", SLICE_ARG(c->name));
    case SUBJECT_QUERY:
        return arena_printf(arena, "query argument %.*s", SLICE_ARG(c->name));
    case SUBJECT_PATH:
        return SLICE("path");
    case SUBJECT_HOST:
        return SLICE("host");
    case SUBJECT_METHOD:
        return SLICE("method");
    case SUBJECT_TLS_CLIENT:
        return arena_printf(arena, "client certificate's %.*s", SLICE_ARG(c->name));
    case SUBJECT_SOURCE:
        return SLICE("source");
    case SUBJECT_SEGMENT:
        return SLICE("segment");
    case SUBJECT_SAMPLE:
        return key_text(arena, &c->sample_key);
    case SUBJECT_BETWEEN:
        break;
    }
    return SLICE("time");
}

/* Behind what the request shows: what was asked for instead. */
static struct slice operator_text(struct arena *arena, const struct condition_config *c)
{
    static const char *const complaints[] = {
        [OPERATOR_EQUALS] = "not",
        [OPERATOR_IN] = "not one of",
        [OPERATOR_PREFIX] = "which does not begin with",
        [OPERATOR_SUFFIX] = "which does not end in",
        [OPERATOR_CONTAINS] = "which does not contain",
        [OPERATOR_REGEX] = "which does not match",
    };
    if (c->op == OPERATOR_RANGE)
        return arena_printf(arena, "not a number from %g to below %g", c->low, c->high);
    bool is_path_prefix = c->subject == SUBJECT_PATH && c->op == OPERATOR_PREFIX;
    return arena_printf(arena, "%s %.*s", is_path_prefix ? "not under" : complaints[c->op],
                        SLICE_ARG(quote_all(arena, c->values.items, c->values.count)));
}

static struct slice demand_text(struct arena *arena, const struct condition_config *c)
{
    char from[25], until[25], share[16];
    switch (c->subject) {
    case SUBJECT_SOURCE:
        return arena_printf(arena, "not in %.*s", SLICE_ARG(networks_text(arena, c)));
    case SUBJECT_SAMPLE:
        units_format_share(c->share_ppm, share, sizeof share);
        return arena_printf(arena, "not in the sample of %s", share);
    case SUBJECT_BETWEEN:
        wall_format(c->from, from);
        wall_format(c->until, until);
        return arena_printf(arena, "not from %s until %s", from, until);
    case SUBJECT_HEADER:
    case SUBJECT_COOKIE:
    case SUBJECT_QUERY:
    case SUBJECT_PATH:
    case SUBJECT_HOST:
    case SUBJECT_METHOD:
    case SUBJECT_TLS_CLIENT:
    case SUBJECT_SEGMENT:
        break;
    }
    return operator_text(arena, c);
}

/* ---- what the request shows -------------------------------------------------------------------------------------- */

static struct slice header_values_text(struct arena *arena, const struct message *m, struct slice name)
{
    struct slice text = SLICE("");
    for (struct field *f = NULL; (f = message_field_named(m, name, f)) != NULL;)
        text = join(arena, text, " and ", quote(arena, f->value));
    return text;
}

static struct slice source_text(struct arena *arena, const struct ip_address *source)
{
    char text[46];
    ip_format(source, text);
    return arena_copy(arena, slice_from_cstr(text));
}

static struct slice sample_text(struct arena *arena, const struct condition_config *c,
                                const struct route_request *request)
{
    char scratch[16];
    struct slice key;
    if (!key_extract(&c->sample_key, request, scratch, &key))
        return SLICE("");
    return c->sample_key.kind == KEY_SOURCE_IP ? source_text(arena, &request->source) : quote(arena, key);
}

/* Empty: the request has none. */
static struct slice value_text(struct arena *arena, const struct condition_config *c,
                               const struct route_request *request)
{
    struct slice value;
    char now[25];
    switch (c->subject) {
    case SUBJECT_HEADER:
        return header_values_text(arena, request->message, c->name);
    case SUBJECT_COOKIE:
        return message_cookie(request->message, c->name, &value) ? quote(arena, value) : SLICE("");
    case SUBJECT_QUERY:
        return request->query.ptr != NULL && query_argument(request->query, c->name, &value) ? quote(arena, value)
                                                                                             : SLICE("");
    case SUBJECT_PATH:
        return quote(arena, request->path);
    case SUBJECT_HOST:
        return quote(arena, request->host);
    case SUBJECT_METHOD:
        return quote(arena, request->message->method_name);
    case SUBJECT_TLS_CLIENT:
        return slice_equal(c->name, SLICE("cn"))
                   ? (request->client_cn.len > 0 ? quote(arena, request->client_cn) : SLICE(""))
                   : quote_all(arena, request->client_sans, request->client_san_count);
    case SUBJECT_SOURCE:
        return source_text(arena, &request->source);
    case SUBJECT_SAMPLE:
        return sample_text(arena, c, request);
    case SUBJECT_BETWEEN:
        wall_format(request->now, now);
        return arena_copy(arena, slice_from_cstr(now));
    case SUBJECT_SEGMENT:
        break;
    }
    return SLICE("");
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

struct explanation {
    struct arena *arena;
    const struct route_request *request;
    struct condition_compiler compiler;
    struct err_list errors;    /* stays empty: every part compiled before, as part of the whole */
    struct slice segment_name; /* of the innermost segment that explain() is in; "" outside */
};

static bool matches(struct explanation *x, const struct condition_config *c)
{
    const struct condition_program *program = condition_compiler_run_part(&x->compiler, c, x->segment_name);
    return program != NULL && condition_matches(program, x->request);
}

static struct slice explain(struct explanation *x, const struct condition_config *c);

/* "header x-staff is "0"", "cookie id is absent". */
static struct slice fact_text(struct explanation *x, const struct condition_config *c)
{
    struct slice subject = subject_text(x->arena, c);
    struct slice value = value_text(x->arena, c, x->request);
    if (value.len == 0)
        value = SLICE("absent");
    else if (c->op == OPERATOR_PRESENT)
        value = SLICE("present");
    return arena_printf(x->arena, "%.*s is %.*s", SLICE_ARG(subject), SLICE_ARG(value));
}

static struct slice explain_segment(struct explanation *x, const struct condition_config *c)
{
    const struct segment_config *segment = &x->compiler.config->segments[c->segment_index];
    struct slice outer_name = x->segment_name;
    x->segment_name = segment->name;
    struct slice why = explain(x, segment->condition);
    x->segment_name = outer_name;
    return arena_printf(x->arena, "segment %.*s: %.*s", SLICE_ARG(c->name), SLICE_ARG(why));
}

static struct slice explain_test(struct explanation *x, const struct condition_config *c)
{
    if (c->subject == SUBJECT_SEGMENT)
        return explain_segment(x, c);
    struct slice fact = fact_text(x, c);
    if (c->op == OPERATOR_PRESENT || value_text(x->arena, c, x->request).len == 0)
        return fact;
    return join(x->arena, fact, ", ", demand_text(x->arena, c));
}

static struct slice explain_not(struct explanation *x, const struct condition_config *child)
{
    if (child->kind != CONDITION_TEST)
        return SLICE("what it excludes does match");
    if (child->subject == SUBJECT_SEGMENT)
        return arena_printf(x->arena, "segment %.*s matches, which is excluded", SLICE_ARG(child->name));
    return join(x->arena, fact_text(x, child), ", ", SLICE("which is excluded"));
}

static struct slice explain_any(struct explanation *x, const struct condition_config *c)
{
    struct slice text = SLICE("");
    for (size_t i = 0; i < c->child_count; i++)
        text = join(x->arena, text, "; ", explain(x, &c->children[i]));
    return c->child_count == 1 ? text : arena_printf(x->arena, "none of (%.*s)", SLICE_ARG(text));
}

/* c does not match. */
static struct slice explain(struct explanation *x, const struct condition_config *c)
{
    switch (c->kind) {
    case CONDITION_ALL:
        for (size_t i = 0; i < c->child_count; i++)
            if (!matches(x, &c->children[i]))
                return explain(x, &c->children[i]);
        break;
    case CONDITION_ANY:
        return explain_any(x, c);
    case CONDITION_NOT:
        return explain_not(x, &c->children[0]);
    case CONDITION_TEST:
        break;
    }
    return explain_test(x, c);
}

struct slice condition_explain(struct arena *arena, const struct config *config,
                               const struct condition_config *condition, const struct condition_program *program,
                               const struct route_request *request)
{
    if (condition_matches(program, request))
        return SLICE("it matches");
    struct explanation x = { .arena = arena, .request = request, .segment_name = SLICE("") };
    err_list_init(&x.errors, arena);
    condition_compiler_init(&x.compiler, arena, config, &x.errors);
    return explain(&x, condition);
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

static struct slice explain_path(struct arena *arena, const struct compiled_route *r, struct slice path)
{
    static const char *const demands[] = {
        [PATH_ANY] = "", [PATH_EXACT] = "", [PATH_PREFIX] = "under ", [PATH_REGEX] = "matching "
    };
    enum path_match_kind kind = r->config->match.path_kind;
    struct slice pattern = kind == PATH_REGEX ? r->config->match.path : r->path;
    return arena_printf(arena, "path is %.*s, not %s%.*s", SLICE_ARG(quote(arena, path)), demands[kind],
                        SLICE_ARG(quote(arena, pattern)));
}

static struct slice explain_list(struct arena *arena, const char *subject, struct slice value,
                                 const struct slice *items, size_t count)
{
    return arena_printf(arena, "%s is %.*s, not %s%.*s", subject, SLICE_ARG(quote(arena, value)),
                        count > 1 ? "one of " : "", SLICE_ARG(quote_all(arena, items, count)));
}

const char *route_table_explain(const struct route_table *table, uint32_t route, const struct route_request *request,
                                struct arena *arena)
{
    CHECK(route < table->route_count);
    const struct compiled_route *r = &table->routes[route];
    const struct match_config *match = &r->config->match;
    if (!route_host_fits(r, request))
        return explain_list(arena, "host", request->host, r->hosts, r->host_count).ptr;
    if (!route_path_fits(r, request))
        return explain_path(arena, r, request->path).ptr;
    if (!route_method_fits(r, request->message))
        return explain_list(arena, "method", request->message->method_name, match->methods.items, match->methods.count)
            .ptr;
    if (r->when == NULL || condition_matches(r->when, request))
        return NULL;
    struct slice why = condition_explain(arena, table->config, match->when, r->when, request);
    return arena_copy(arena, why).ptr;
}

/* ---- shadows ----------------------------------------------------------------------------------------------------- */

static struct slice explain_shadow_method(struct arena *arena, const struct slice_list *methods, struct slice method)
{
    if (methods->count > 0)
        return explain_list(arena, "method", method, methods->items, methods->count);
    return arena_printf(arena, "method is %.*s, which is not safe, and no methods are named",
                        SLICE_ARG(quote(arena, method)));
}

const char *route_shadow_explain(const struct route_table *table, const struct compiled_shadow *shadow,
                                 const struct route_request *request, struct arena *arena)
{
    const struct shadow_config *config = shadow->config;
    switch (shadow_meets(shadow, request)) {
    case SHADOW_MISSES_METHOD:
        return explain_shadow_method(arena, &config->methods, request->message->method_name).ptr;
    case SHADOW_MISSES_CONDITION:
        return condition_explain(arena, table->config, config->when, shadow->when, request).ptr;
    case SHADOW_MISSES_TUNNEL:
        return "an upgrade is not copied";
    case SHADOW_MET:
        break;
    }
    return shadow_is_copy(request->message) ? "the request is a copy itself" : NULL;
}
