/* config/finish.c - the rules within one map, and what follows from its keys together.
 *
 * A hook sees its struct filled, defaults included, and the map for what a struct cannot tell: whether a key was
 * written, and where. Names of upstreams and segments are not resolved yet (config/resolve.c), because they may be
 * defined further down. */
#include "config/finish.h"

#include "base/divisor.h"
#include "config/conditions.h"
#include "config/fill.h"

/* ---- log, admin, upstreams --------------------------------------------------------------------------------------- */

/* One key says both whether and where: two words are reserved, anything else names a file. */
void log_finish(struct fill *f, const struct node *map, void *target)
{
    struct log_config *log = target;
    const struct node *access = node_get(map, "access");
    if (slice_equal(log->access_text, SLICE("stdout"))) {
        log->access = ACCESS_STDOUT;
    } else if (slice_equal(log->access_text, SLICE("off"))) {
        log->access = ACCESS_OFF;
    } else {
        log->access = ACCESS_FILE;
        if (log->access_text.len == 0)
            err_add(f->errors, access->place, "'access' does not name a file");
        else
            log->access_path = fill_path(f, log->access_text, access->place);
    }
}

/* Digests are compared byte by byte with what the admin API computes, in lower case. */
void token_finish(struct fill *f, const struct node *map, void *target)
{
    (void)map;
    struct token_config *token = target;
    token->sha256_hex = fill_lower(f, token->sha256_hex);
}

void admin_finish(struct fill *f, const struct node *map, void *target)
{
    struct admin_config *admin = target;
    const struct node *tls = node_get(map, "tls");
    admin->is_bound = admin->bind_text.len > 0;
    admin->has_tls = tls != NULL;
    if (tls == NULL || (admin->is_bound && admin->bind.kind == ADDRESS_IP))
        return;
    struct err *e = err_add(f->errors, tls->place, "'tls' has no effect without an IP address in 'bind'");
    err_hint(f->errors, e, "sockets in the file system speak clear text: remove it, or add bind: IP:PORT");
}

void upstream_finish(struct fill *f, const struct node *map, void *target)
{
    (void)target;
    const struct node *endpoints = node_get(map, "endpoints");
    if (endpoints == NULL || endpoints->kind != NODE_LIST || endpoints->child_count > 0)
        return;
    struct err *e = err_add(f->errors, endpoints->place, "an upstream without endpoints");
    err_hint(f->errors, e, "name at least one: endpoints: [ 127.0.0.1:8080 ]");
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

void listener_tls_finish(struct fill *f, const struct node *map, void *target)
{
    struct listener_tls_config *tls = target;
    const struct node *certificates = node_get(map, "certificates");
    const struct node *ca = node_get(map, "client_ca"), *auth = node_get(map, "client_auth");
    tls->is_on = true;
    if (certificates != NULL && certificates->kind == NODE_LIST && certificates->child_count == 0)
        err_add(f->errors, certificates->place, "TLS without certificates");
    if (tls->client_auth != CLIENT_AUTH_NONE && ca == NULL) {
        struct err *e = err_add(f->errors, auth->place, "'client_auth' has no authorities to verify certificates by");
        err_hint(f->errors, e, "add client_ca: FILE");
    }
    if (ca != NULL && auth == NULL) {
        struct err *e = err_add(f->errors, ca->place, "'client_ca' has no effect without 'client_auth'");
        err_hint(f->errors, e, "add client_auth: require, or request");
    }
}

void upstream_tls_finish(struct fill *f, const struct node *map, void *target)
{
    struct upstream_tls_config *tls = target;
    const struct node *cert = node_get(map, "cert"), *key = node_get(map, "key");
    tls->is_on = true;
    if (cert != NULL && key == NULL)
        err_add(f->errors, cert->place, "'cert' has no 'key'");
    if (key != NULL && cert == NULL)
        err_add(f->errors, key->place, "'key' has no 'cert'");
}

/* ---- match ------------------------------------------------------------------------------------------------------- */

/* All three keys write to match->path, so only the map tells which kind it is. */
void path_finish(struct fill *f, const struct node *map, void *target)
{
    static const struct {
        const char *key;
        enum path_match_kind kind;
    } kinds[] = { { "exact", PATH_EXACT }, { "prefix", PATH_PREFIX }, { "regex", PATH_REGEX } };
    struct match_config *match = target;
    unsigned given_count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (node_get(map, kinds[i].key) == NULL)
            continue;
        match->path_kind = kinds[i].kind;
        given_count++;
    }
    if (given_count != 1)
        err_add(f->errors, map->place, "'path' takes one of exact, prefix and regex");
}

/* A list that is written but empty would mean "never"; it is a mistake. */
static void refuse_empty(struct fill *f, const struct node *map, const char *key, const char *hint)
{
    const struct node *value = node_get(map, key);
    if (value == NULL || value->kind != NODE_LIST || value->child_count > 0)
        return;
    struct err *e = err_add(f->errors, value->place, "'%s' is an empty list", key);
    err_hint(f->errors, e, "%s", hint);
}

/* As hosts are compared: lower case, no final dot. */
void match_finish(struct fill *f, const struct node *map, void *target)
{
    struct match_config *match = target;
    refuse_empty(f, map, "host", "remove it to match any host");
    refuse_empty(f, map, "method", "remove it to match any method");
    for (size_t i = 0; i < match->hosts.count; i++) {
        struct slice host = match->hosts.items[i];
        if (slice_has_suffix(host, SLICE(".")))
            host = slice_first(host, host.len - 1);
        match->hosts.items[i] = fill_lower(f, host);
    }
}

/* ---- parts of a route -------------------------------------------------------------------------------------------- */

void respond_finish(struct fill *f, const struct node *map, void *target)
{
    const struct respond_config *respond = target;
    bool is_bodyless = respond->status == 204 || respond->status == 205 || respond->status == 304;
    if (is_bodyless && respond->body.len > 0)
        err_add(f->errors, node_get(map, "body")->place, "an answer %u has no body", respond->status);
}

/* Without `burst` a bucket holds one period's worth: 100/s lets 100 come at once, and then 100 a second. */
void rate_limit_finish(struct fill *f, const struct node *map, void *target)
{
    (void)f;
    struct rate_limit_config *limit = target;
    if (node_get(map, "burst") == NULL)
        limit->burst = limit->count;
}

/* 0 means "no limit", also where the configuration's own limit is stricter; so that it was written must be kept
   apart. */
void route_limits_finish(struct fill *f, const struct node *map, void *target)
{
    (void)f;
    struct route_config *route = target;
    route->has_body_limit = node_get(map, "body") != NULL;
}

/* ---- split ------------------------------------------------------------------------------------------------------- */

static void refuse_sum(struct fill *f, struct place place, uint64_t sum)
{
    struct err *e =
        err_add(f->errors, place, "the weights' sum is %llu, more than %u", (unsigned long long)sum, SPLIT_SUM_MAX);
    err_hint(f->errors, e, "use smaller numbers: only their ratio counts");
}

/* Divides the weights by what they have in common: 95/5 is a block of 20, not of 100. */
static void reduce_weights(struct fill *f, struct route_config *route, struct place place)
{
    uint32_t divisor = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < route->split_count; i++)
        divisor = common_divisor(divisor, route->split[i].weight);
    for (size_t i = 0; divisor != 0 && i < route->split_count; i++)
        sum += route->split[i].weight /= divisor;
    if (route->split_count > SPLIT_MAX_ENTRIES)
        err_add(f->errors, place, "a split has at most %d entries", SPLIT_MAX_ENTRIES);
    else if (sum > SPLIT_SUM_MAX)
        refuse_sum(f, place, sum);
    else if (sum == 0 && route->split_count > 0)
        err_add(f->errors, place, "every weight is 0: the split sends requests nowhere");
    else if (sum == 0)
        err_add(f->errors, place, "the split is empty");
}

/* Says nothing about weights of which one was refused: their sum would be wrong too. */
static void split_finish(struct fill *f, struct route_config *route, const struct node *split)
{
    uint64_t weight;
    if (split->kind != NODE_MAP)
        return;
    for (const struct node *key = split->first; key != NULL; key = key->next)
        if (key->value->kind != NODE_TEXT || !slice_to_u64(key->value->text, &weight))
            return;
    reduce_weights(f, route, split->place);
}

/* Everything behind the table sees splits only. */
static void split_from_to(struct fill *f, struct route_config *route)
{
    if (route->to.len == 0)
        return;
    route->split = arena_zalloc(f->arena, sizeof *route->split);
    route->split[0] = (struct split_entry_config){
        .upstream = route->to, .weight = 1, .upstream_index = CONFIG_NONE, .place = route->to_place
    };
    route->split_count = 1;
}

/* ---- compare ------------------------------------------------------------------------------------------------------ */

void compare_finish(struct fill *f, const struct node *map, void *target)
{
    struct compare_config *compare = target;
    const struct node *live = node_get(map, "live");
    compare->is_on = true;
    compare->control_index = CONFIG_NONE;
    if (live != NULL && node_get(map, "control") == NULL)
        err_add(f->errors, live->place, "'live' has no 'control'");
}

/* ---- shadows ----------------------------------------------------------------------------------------------------- */

/* Written as a whole or not at all: who names what is removed shall see everything that is. */
void shadow_finish(struct fill *f, const struct node *map, void *target)
{
    static const struct slice credentials[] = { SLICE("authorization"), SLICE("cookie"), SLICE("proxy-authorization") };
    struct shadow_config *shadow = target;
    struct header_edits_config *edits = &shadow->headers;
    const struct node *headers = node_get(map, "headers");
    bool is_map = headers != NULL && headers->kind == NODE_MAP;
    refuse_empty(f, map, "methods", "remove it to copy the safe ones");
    shadow->upstream_index = CONFIG_NONE;
    if (!is_map || node_get(headers, "set") == NULL) {
        edits->set = arena_zalloc(f->arena, sizeof *edits->set);
        edits->set[0] = (struct header_set){ .name = SLICE(SHADOW_MARK_NAME), .value = SLICE("1") };
        edits->set_count = 1;
    }
    if (!is_map || node_get(headers, "remove") == NULL) {
        edits->remove.items = arena_zalloc(f->arena, sizeof credentials);
        memcpy(edits->remove.items, credentials, sizeof credentials);
        edits->remove.count = ARRAY_COUNT(credentials);
    }
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *key;
    enum route_action action;
} actions[] = {
    { "split", ROUTE_FORWARD },
    { "to", ROUTE_FORWARD },
    { "redirect", ROUTE_REDIRECT },
    { "respond", ROUTE_RESPOND },
};

/* The key that says what happens; NULL when there is not exactly one, which is told. */
static const char *find_action(struct fill *f, const struct node *map, struct route_config *route)
{
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
        const struct node *value = node_get(map, actions[i].key);
        if (value == NULL)
            continue;
        if (found != NULL) {
            struct err *e = err_add(f->errors, value->place, "'%s' stands beside '%s'", actions[i].key, found);
            err_hint(f->errors, e, "a route has one of split, to, redirect and respond");
            return NULL;
        }
        found = actions[i].key;
        route->action = actions[i].action;
    }
    if (found == NULL) {
        struct err *e = err_add(f->errors, map->place, "the route does not say what to do");
        err_hint(f->errors, e, "add one of split, to, redirect and respond");
    }
    return found;
}

/* A key that has no effect is a misunderstanding, and is told as one. */
static void check_sticky(struct fill *f, const struct node *map)
{
    const struct node *sticky = node_get(map, "sticky");
    if (sticky == NULL || node_get(map, "split") != NULL)
        return;
    struct err *e = err_add(f->errors, sticky->place, "'sticky' has no split to stick to");
    err_hint(f->errors, e, "add split: { NAME: WEIGHT, ... }, or remove it");
}

/* What a pattern found may stand anywhere in the path: there is no front part to put another in place of. */
static void check_rewrite(struct fill *f, const struct node *map, const struct route_config *route)
{
    if (route->rewrite.path_prefix.len == 0 || route->match.path_kind != PATH_REGEX)
        return;
    struct err *e = err_add(f->errors, node_get(map, "rewrite")->place, "'path_prefix' has no prefix to replace");
    err_hint(f->errors, e, "match with path: { prefix: ... }, not by regex");
}

void route_finish(struct fill *f, const struct node *map, void *target)
{
    struct route_config *route = target;
    const char *action = find_action(f, map, route);
    if (action != NULL && strcmp(action, "split") == 0)
        split_finish(f, route, node_get(map, "split"));
    if (action != NULL && strcmp(action, "to") == 0)
        split_from_to(f, route);
    if (action != NULL)
        check_sticky(f, map);
    check_rewrite(f, map, route);
}
