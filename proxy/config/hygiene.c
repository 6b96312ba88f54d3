/* config/hygiene.c - warnings: what is left over, expired, or can never take effect.
 *
 * None of these makes a load fail: what they find works as written. They run only on configurations without errors,
 * since after a mistake half of what they would say is its consequence. */
#include "config/check.h"

#include "base/text.h"
#include "config/model_rollout.h"

/* ---- unused ------------------------------------------------------------------------------------------------------ */

void hygiene_unused(struct check *c)
{
    struct err_list *errors = c->fill->errors;
    for (size_t i = 0; i < c->config->upstream_count; i++)
        if (!c->is_upstream_used[i])
            err_add_warning(errors, c->config->upstreams[i].place, "no route uses upstream '%.*s'",
                            SLICE_ARG(c->config->upstreams[i].name));
    for (size_t i = 0; i < c->config->segment_count; i++)
        if (!c->is_segment_used[i])
            err_add_warning(errors, c->config->segments[i].place, "no condition uses segment '%.*s'",
                            SLICE_ARG(c->config->segments[i].name));
}

/* ---- expired ----------------------------------------------------------------------------------------------------- */

static void check_ownership(struct check *c, const struct ownership_config *ownership, const char *noun,
                            struct slice name, struct place place)
{
    char when[25];
    if (ownership->expires.unix_ms == 0)
        return;
    if (ownership->owner.len == 0)
        err_add_warning(c->fill->errors, place, "%s '%.*s' expires but has no owner", noun, SLICE_ARG(name));
    if (c->now.unix_ms < ownership->expires.unix_ms)
        return;
    wall_format(ownership->expires, when);
    err_add_warning(c->fill->errors, place, "%s '%.*s' has expired on %.10s", noun, SLICE_ARG(name), when);
}

void hygiene_expired(struct check *c)
{
    for (size_t i = 0; i < c->config->segment_count; i++) {
        const struct segment_config *segment = &c->config->segments[i];
        check_ownership(c, &segment->ownership, "segment", segment->name, segment->place);
    }
    for (size_t i = 0; i < c->config->route_count; i++) {
        const struct route_config *route = &c->config->routes[i];
        check_ownership(c, &route->ownership, "route", route->name, route->place);
        for (size_t j = 0; j < route->rule_count; j++) {
            const struct rule_config *rule = &route->rules[j];
            check_ownership(c, &rule->ownership, "rule", rule->name, rule->place);
        }
    }
    for (size_t i = 0; i < c->config->rollout_count; i++) {
        const struct rollout_config *rollout = &c->config->rollouts[i];
        check_ownership(c, &rollout->ownership, "rollout", rollout->name, rollout->place);
    }
    for (size_t i = 0; i < c->config->slo_count; i++)
        check_ownership(c, &c->config->slos[i].ownership, "slo", c->config->slos[i].name, c->config->slos[i].place);
    for (size_t i = 0; i < c->config->monitor_count; i++) {
        const struct monitor_config *monitor = &c->config->monitors[i];
        check_ownership(c, &monitor->ownership, "monitor", monitor->name, monitor->place);
    }
}

/* ---- shadowed ---------------------------------------------------------------------------------------------------- */

/* Routes that take everything at a host and path, by key. Conditions, methods and regexes are not reasoned about, nor
   are wildcards: a route that is not reported may still be unreachable, but not the other way round. */
struct takers {
    struct check *check;
    struct map by_key; /* -> const struct route_config */
    struct text key;   /* "=HOST PATH" takes that path, "/HOST PATH" all below it; an empty path: any */
};

static struct slice taker_key(struct takers *t, char kind, struct slice host, struct slice path)
{
    text_clear(&t->key);
    text_add_char(&t->key, kind);
    text_add(&t->key, host);
    text_add_char(&t->key, ' ');
    text_add(&t->key, path);
    return text_slice(&t->key);
}

static void add_taker(struct takers *t, struct route_config *route, struct slice host)
{
    const struct match_config *match = &route->match;
    bool takes_any =
        match->path_kind == PATH_ANY || (match->path_kind == PATH_PREFIX && slice_equal(match->path, SLICE("/")));
    struct slice key =
        taker_key(t, match->path_kind == PATH_EXACT ? '=' : '/', host, takes_any ? SLICE("") : match->path);
    if (map_get(&t->by_key, key) == NULL)
        map_put(&t->by_key, arena_copy(t->check->fill->arena, key), route);
}

/* The route that takes all requests of one host and path, or NULL: asks for the path, and for each prefix of it that
   ends at a segment border. */
static const struct route_config *find_taker_at(struct takers *t, const struct match_config *match, struct slice host)
{
    bool is_plain = match->path_kind == PATH_EXACT || match->path_kind == PATH_PREFIX;
    struct slice path = is_plain ? match->path : SLICE("");
    const struct route_config *found = map_get(&t->by_key, taker_key(t, '/', host, SLICE("")));
    if (found == NULL && match->path_kind == PATH_EXACT)
        found = map_get(&t->by_key, taker_key(t, '=', host, path));
    for (size_t i = 1; found == NULL && i <= path.len; i++) {
        if (i == path.len || path.ptr[i] == '/' || path.ptr[i - 1] == '/')
            found = map_get(&t->by_key, taker_key(t, '/', host, slice_first(path, i)));
    }
    return found;
}

static const struct route_config *find_taker(struct takers *t, const struct match_config *match, struct slice host)
{
    const struct route_config *found = find_taker_at(t, match, SLICE(""));
    return found == NULL && host.len > 0 ? find_taker_at(t, match, host) : found;
}

/* The warning names the route's file, so the hint names the taker's only when that is another one. */
static void warn_taken(struct err_list *errors, const struct route_config *route, const struct route_config *taker)
{
    struct err *e = err_add_warning(errors, route->place, "route '%.*s' never matches: '%.*s' takes its requests first",
                                    SLICE_ARG(route->name), SLICE_ARG(taker->name));
    if (strcmp(route->place.file, taker->place.file) == 0)
        err_hint(errors, e, "move it before line %u", taker->place.line);
    else
        err_hint(errors, e, "move it before %s:%u", taker->place.file, taker->place.line);
}

/* Only when each of its hosts is taken. */
static void check_taken(struct takers *t, const struct route_config *route)
{
    const struct match_config *match = &route->match;
    const struct route_config *taker = match->hosts.count == 0 ? find_taker(t, match, SLICE("")) : NULL;
    for (size_t i = 0; i < match->hosts.count; i++) {
        taker = find_taker(t, match, match->hosts.items[i]);
        if (taker == NULL)
            return;
    }
    if (taker != NULL)
        warn_taken(t->check->fill->errors, route, taker);
}

void hygiene_shadowed(struct check *c)
{
    struct takers t = { .check = c };
    map_init(&t.by_key);
    text_init(&t.key);
    for (size_t i = 0; i < c->config->route_count; i++) {
        struct route_config *route = &c->config->routes[i];
        const struct match_config *match = &route->match;
        check_taken(&t, route);
        if (match->methods.count > 0 || match->when != NULL || match->path_kind == PATH_REGEX)
            continue;
        if (match->hosts.count == 0)
            add_taker(&t, route, SLICE(""));
        for (size_t j = 0; j < match->hosts.count; j++)
            add_taker(&t, route, match->hosts.items[j]);
    }
    text_fini(&t.key);
    map_fini(&t.by_key);
}
