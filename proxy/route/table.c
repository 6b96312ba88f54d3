/* route/table.c - compiles the routes of a configuration and finds the first that a request matches.
 *
 * The index names the few routes whose host and path fit; what it cannot know (method, regex, when) is tested here, in
 * the order of the file, and the first that passes is the answer. Hosts and paths are brought into the normal form of
 * requests when compiled: the configuration's own may be of any origin, say a test's. */
#include "route/table.h"

#include "http/validate.h"

#include "route/index.h"
#include "route/pattern.h"
#include "route/program.h"
#include "route/sticky.h"

/* ---- building ---------------------------------------------------------------------------------------------------- */

struct table_builder {
    struct arena *arena;
    const struct config *config;
    struct err_list *errors;
    struct condition_compiler conditions;
};

/* "*", "*.NAME" or NAME, where NAME is a host without a port. */
static bool host_compile(struct arena *arena, struct slice pattern, struct slice *out)
{
    if (slice_equal(pattern, SLICE("*"))) {
        *out = pattern;
        return true;
    }
    size_t skipped = host_is_wildcard(pattern) ? WILDCARD_PREFIX.len : 0;
    struct slice name = slice_after(pattern, skipped);
    if (name.len == 0 || !authority_is_valid(name))
        return false;
    char *bytes = arena_alloc(arena, pattern.len);
    memcpy(bytes, pattern.ptr, skipped);
    struct slice normal = host_normalise(name, bytes + skipped);
    bool has_final_dot = name.ptr[name.len - 1] == '.';
    if (normal.len == 0 || normal.len + has_final_dot != name.len)
        return false;
    memmove(bytes + skipped, normal.ptr, normal.len);
    *out = slice_from(bytes, skipped + normal.len);
    return true;
}

static void compile_hosts(struct table_builder *b, struct compiled_route *r)
{
    const struct slice_list *hosts = &r->config->match.hosts;
    r->hosts = arena_zalloc_array(b->arena, hosts->count, sizeof *r->hosts);
    r->host_count = hosts->count;
    for (size_t i = 0; i < hosts->count; i++)
        if (!host_compile(b->arena, hosts->items[i], &r->hosts[i]))
            err_add(b->errors, r->config->place, "route \"%.*s\": \"%.*s\" is not a host name (without a port)",
                    SLICE_ARG(r->config->name), SLICE_ARG(hosts->items[i]));
}

static void compile_path(struct table_builder *b, struct compiled_route *r)
{
    const struct match_config *match = &r->config->match;
    if (match->path_kind == PATH_ANY)
        return;
    if (match->path_kind == PATH_REGEX) {
        r->path_regex = regex_compile(b->arena, match->path, match->path_place, b->errors);
        return;
    }
    bool has_encoded_slash;
    if (match->path.len == 0 || match->path.ptr[0] != '/' ||
        path_normalise(match->path, b->arena, &r->path, &has_encoded_slash) != PATH_OK)
        err_add(b->errors, match->path_place, "\"%.*s\" is not a path that a request can have", SLICE_ARG(match->path));
}

/* All methods we have no name for share a bit; route_method_fits then compares names. */
static uint32_t method_mask(const struct slice_list *methods)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < methods->count; i++)
        mask |= 1u << method_from_name(methods->items[i]);
    return mask;
}

static void compile_rules(struct table_builder *b, struct compiled_route *r)
{
    r->rules = arena_zalloc_array(b->arena, r->config->rule_count, sizeof *r->rules);
    for (size_t i = 0; i < r->config->rule_count; i++)
        if (r->config->rules[i].when != NULL)
            r->rules[i].when = condition_compiler_run(&b->conditions, r->config->rules[i].when);
}

static void compile_shadows(struct table_builder *b, struct compiled_route *r)
{
    r->shadows = arena_zalloc_array(b->arena, r->config->shadow_count, sizeof *r->shadows);
    for (size_t i = 0; i < r->config->shadow_count; i++)
        shadow_compile(b->arena, &b->conditions, &r->config->shadows[i], &r->shadows[i]);
}

static void compile_split(struct table_builder *b, struct compiled_route *r)
{
    size_t count = r->config->split_count;
    CHECK(count <= SPLIT_MAX_ENTRIES); /* config/finish.c */
    r->entry_hashes = arena_zalloc_array(b->arena, count, sizeof *r->entry_hashes);
    r->file_weights = arena_zalloc_array(b->arena, count, sizeof *r->file_weights);
    for (size_t i = 0; i < count; i++) {
        r->entry_hashes[i] = sticky_entry_hash(r->config->split[i].upstream);
        r->file_weights[i] = r->config->split[i].weight;
    }
}

static uint16_t traits_of(const struct compiled_route *r)
{
    const struct route_config *c = r->config;
    const struct header_edits_config *request = &c->request_headers, *response = &c->response_headers;
    int traits = 0;
    traits |= r->path_regex != NULL || r->when != NULL ? ROUTE_HAS_CONDITION : 0;
    traits |= c->rule_count > 0 ? ROUTE_HAS_RULES : 0;
    traits |= c->sticky.key.kind != KEY_NONE ? ROUTE_IS_STICKY : 0;
    traits |= c->rate_limit.count > 0 ? ROUTE_HAS_RATE_LIMIT : 0;
    traits |= c->rewrite.host.len + c->rewrite.path_prefix.len > 0 ? ROUTE_REWRITES : 0;
    traits |= request->set_count + request->remove.count > 0 ? ROUTE_EDITS_REQUESTS : 0;
    traits |= response->set_count + response->remove.count > 0 || c->is_variant_exposed ? ROUTE_EDITS_RESPONSES : 0;
    traits |= c->shadow_count > 0 ? ROUTE_HAS_SHADOWS : 0;
    traits |= c->script.path.len > 0 ? ROUTE_HAS_SCRIPT : 0;
    return (uint16_t)traits;
}

/* What every request reads, where it finds it at once. */
static void compile_first_line(struct compiled_route *r)
{
    const struct route_config *c = r->config;
    r->traits = traits_of(r);
    r->action = (uint8_t)c->action;
    r->split_count = (uint8_t)c->split_count;
    for (size_t i = 0; i < c->split_count && i < ROUTE_INLINE_ENTRIES; i++)
        r->entries[i].upstream_index = c->split[i].upstream_index;
    r->timeout_ms = c->timeout_ms;
    r->stream_idle_timeout_ms = c->stream_idle_timeout_ms;
}

/* A single entry is not drawn, and needs no block. */
static uint32_t block_units(const struct compiled_route *r)
{
    return r->split_count > 1 ? (uint32_t)(block_bytes(r->split_count) / sizeof(uint64_t)) : 0;
}

static void compile_route(struct table_builder *b, uint32_t i, struct compiled_route *r)
{
    r->config = &b->config->routes[i];
    r->index = i;
    r->salt = sticky_salt(r->config->name);
    r->method_mask = method_mask(&r->config->match.methods);
    compile_hosts(b, r);
    compile_path(b, r);
    if (r->config->match.when != NULL)
        r->when = condition_compiler_run(&b->conditions, r->config->match.when);
    compile_rules(b, r);
    compile_shadows(b, r);
    compile_split(b, r);
    compile_first_line(r);
}

/* All of them, also those that nobody uses: each is checked once, at its own place. */
static void compile_segments(struct table_builder *b, struct route_table *t)
{
    t->segments = arena_zalloc_array(b->arena, b->config->segment_count, sizeof *t->segments);
    for (uint32_t i = 0; i < b->config->segment_count; i++)
        t->segments[i] = condition_compiler_segment(&b->conditions, i, b->config->segments[i].place);
}

static uint32_t slots_of(const struct config *config, const struct route_config *route)
{
    size_t by_script = route->script.path.len > 0 ? config->upstream_count : 0;
    return (uint32_t)(route->split_count + route->rule_count + 1 + by_script);
}

struct route_table *route_table_build(struct arena *arena, const struct config *config, struct err_list *errors)
{
    struct table_builder b = { .arena = arena, .config = config, .errors = errors };
    size_t errors_before = errors->error_count;
    condition_compiler_init(&b.conditions, arena, config, errors);
    struct route_table *t = arena_zalloc(arena, sizeof *t);
    compile_segments(&b, t);
    t->config = config;
    t->route_count = (uint32_t)config->route_count;
    t->routes = arena_zalloc_lines(arena, t->route_count, sizeof *t->routes);
    for (uint32_t i = 0; i < t->route_count; i++) {
        struct compiled_route *r = &t->routes[i];
        compile_route(&b, i, r);
        r->first_slot = t->slot_count;
        r->block_at = t->block_units;
        t->slot_count += slots_of(config, &config->routes[i]);
        t->block_units += block_units(r);
        for (size_t k = 0; k < config->routes[i].shadow_count; k++)
            t->shadow_count = shadow_set_slots(&r->shadows[k], t->shadow_count);
    }
    if (errors->error_count > errors_before)
        return NULL; /* the index takes hosts and paths to be in normal form */
    t->index = index_build(arena, t->routes, t->route_count, errors);
    return t;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

bool route_host_fits(const struct compiled_route *r, const struct route_request *request)
{
    bool fits = r->host_count == 0;
    for (size_t i = 0; i < r->host_count && !fits; i++)
        fits = host_fits(request->host, r->hosts[i]);
    return fits;
}

bool route_path_fits(const struct compiled_route *r, const struct route_request *request)
{
    switch (r->config->match.path_kind) {
    case PATH_ANY:
        break;
    case PATH_EXACT:
        return slice_equal(request->path, r->path);
    case PATH_PREFIX:
        return path_has_prefix(request->path, r->path);
    case PATH_REGEX:
        return regex_matches(r->path_regex, request->path);
    }
    return true;
}

static bool has_method(const struct slice_list *methods, struct slice name)
{
    for (size_t i = 0; i < methods->count; i++)
        if (slice_equal(methods->items[i], name))
            return true;
    return false;
}

bool route_method_fits(const struct compiled_route *r, const struct message *m)
{
    if (r->method_mask == 0)
        return true;
    if ((r->method_mask & 1u << m->method) == 0)
        return false;
    return m->method != METHOD_OTHER || has_method(&r->config->match.methods, m->method_name);
}

/* What the index has not answered yet; cheap tests first. */
static bool route_fits(const struct compiled_route *r, const struct route_request *request, bool is_indexed)
{
    if (!is_indexed && !(route_host_fits(r, request) && route_path_fits(r, request)))
        return false;
    if (!route_method_fits(r, request->message))
        return false;
    if (!route_has(r, ROUTE_HAS_CONDITION))
        return true;
    return (r->path_regex == NULL || regex_matches(r->path_regex, request->path)) &&
           (r->when == NULL || condition_matches(r->when, request));
}

const struct compiled_route *route_table_find(const struct route_table *table, const struct route_request *request)
{
    struct index_cursor cursor;
    index_begin(table->index, request->host, request->path, &cursor);
    for (uint32_t i; (i = index_next(&cursor)) != CONFIG_NONE;) {
        const struct compiled_route *r = &table->routes[i];
        __builtin_prefetch(&r->timeout_ms); /* its second line comes together with the first, for later */
        if (route_fits(r, request, !cursor.is_everything))
            return r;
    }
    return NULL;
}
