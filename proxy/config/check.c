/* config/check.c - rules across fields, each with the sentence that the reference prints.
 *
 * Each rule walks what it needs by itself: they are few, a load is rare, and a rule that can be read alone can be
 * changed alone. */
#include "config/check.h"

#include "base/units.h"

/* ---- names that stand once --------------------------------------------------------------------------------------- */

/* What a name or address was first used by. Maps find it in constant time: 10,000 routes are nothing special. */
struct first_use {
    struct place place;
    struct slice name;
};

/* The use before this one, or NULL: then this is the first and is remembered. The key is borrowed until the map
   goes. */
static const struct first_use *use_once(struct check *c, struct map *uses, struct slice key, struct slice name,
                                        struct place place)
{
    struct first_use *first = map_get(uses, key);
    if (first != NULL)
        return first;
    first = arena_alloc(c->fill->arena, sizeof *first);
    *first = (struct first_use){ place, name };
    map_put(uses, key, first);
    return NULL;
}

static void check_name(struct check *c, struct map *uses, const char *noun, struct slice name, struct place place)
{
    const struct first_use *first = name.len > 0 ? use_once(c, uses, name, name, place) : NULL;
    if (first == NULL)
        return;
    struct err *e = err_add(c->fill->errors, place, "a second %s '%.*s'", noun, SLICE_ARG(name));
    err_hint(c->fill->errors, e, "the first is at %s:%u:%u", first->place.file, first->place.line, first->place.column);
}

/* Decisions, metrics and `ctl hygiene` name a rule by its route and its own name. */
static void check_rule_names(struct check *c, const struct route_config *route)
{
    struct map uses;
    map_init(&uses);
    for (size_t i = 0; i < route->rule_count; i++)
        check_name(c, &uses, "rule", route->rules[i].name, route->rules[i].place);
    map_fini(&uses);
}

/* The audit log calls the process itself "weir", and whoever comes without a token "anonymous": a person of that name could
   not be told from them. Users of the admin socket are "unix:USER", which is no name of a token. */
static void check_token_name(struct check *c, const struct token_config *token)
{
    if (slice_equal(token->name, SLICE("weir")) || slice_equal(token->name, SLICE("anonymous")))
        err_add(c->fill->errors, token->place,
                "a token cannot be called '%.*s': the audit log means somebody else by it", SLICE_ARG(token->name));
}

static void check_names(struct check *c)
{
    struct map routes, tokens;
    map_init(&routes);
    map_init(&tokens);
    for (size_t i = 0; i < c->config->route_count; i++) {
        const struct route_config *route = &c->config->routes[i];
        check_name(c, &routes, "route", route->name, route->place);
        check_rule_names(c, route);
    }
    for (size_t i = 0; i < c->config->admin.token_count; i++) {
        const struct token_config *token = &c->config->admin.tokens[i];
        check_name(c, &tokens, "token", token->name, token->place);
        check_token_name(c, token);
    }
    map_fini(&tokens);
    map_fini(&routes);
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

/* Compared as the system would: "0.0.0.0:80" however it is written. Port 0 is a new port each time. */
static void check_bind(struct check *c, struct map *uses, struct slice name, struct slice text,
                       const struct endpoint_address *address, struct place place)
{
    struct sockaddr_storage *raw = arena_alloc(c->fill->arena, sizeof *raw);
    if (text.len == 0 || address->kind == ADDRESS_NAME)
        return;
    socklen_t len = endpoint_address_to_sockaddr(address, raw);
    if (len == 0) {
        err_add(c->fill->errors, place, "the path of the socket is longer than the system allows");
        return;
    }
    if (address->kind == ADDRESS_IP && address->port == 0)
        return;
    const struct first_use *first = use_once(c, uses, slice_from((const char *)raw, len), name, place);
    if (first == NULL)
        return;
    struct err *e =
        err_add(c->fill->errors, place, "'%.*s' is taken by '%.*s'", SLICE_ARG(text), SLICE_ARG(first->name));
    err_hint(c->fill->errors, e, "it is bound at %s:%u:%u", first->place.file, first->place.line, first->place.column);
}

static void check_binds(struct check *c)
{
    struct map uses;
    map_init(&uses);
    for (size_t i = 0; i < c->config->listener_count; i++) {
        const struct listener_config *listener = &c->config->listeners[i];
        check_bind(c, &uses, listener->name, listener->bind_text, &listener->bind, listener->bind_place);
    }
    const struct admin_config *admin = &c->config->admin;
    check_bind(c, &uses, SLICE("admin"), admin->bind_text, &admin->bind, admin->bind_place);
    map_fini(&uses);
}

/* A header is believed from trusted_proxies only, and without one nobody is served: that would be nobody at all. */
static void check_proxy_protocol(struct check *c)
{
    for (size_t i = 0; i < c->config->listener_count; i++) {
        const struct listener_config *listener = &c->config->listeners[i];
        if (!listener->has_proxy_protocol || listener->trusted_proxy_count > 0)
            continue;
        struct err *e = err_add(c->fill->errors, listener->place,
                                "listener '%.*s' has proxy_protocol but no trusted_proxies: nobody could connect",
                                SLICE_ARG(listener->name));
        err_hint(c->fill->errors, e, "name the proxies in front: trusted_proxies: [ 10.0.0.0/8 ]");
    }
}

/* connect() would fail each time; bind() is asked for by check_binds. */
static void check_endpoints(struct check *c)
{
    struct sockaddr_storage raw;
    for (size_t i = 0; i < c->config->upstream_count; i++) {
        const struct upstream_config *upstream = &c->config->upstreams[i];
        for (size_t j = 0; j < upstream->endpoint_count; j++) {
            const struct endpoint_config *endpoint = &upstream->endpoints[j];
            if (endpoint->address.kind == ADDRESS_UNIX && endpoint_address_to_sockaddr(&endpoint->address, &raw) == 0)
                err_add(c->fill->errors, endpoint->place, "the path of the socket is longer than the system allows");
        }
    }
}

/* A certificate is verified for a name, and a socket in the file system has none. */
static void check_server_names(struct check *c)
{
    for (size_t i = 0; i < c->config->upstream_count; i++) {
        const struct upstream_config *upstream = &c->config->upstreams[i];
        bool is_name_needed = upstream->tls.is_on && upstream->tls.is_verified && upstream->tls.sni.len == 0;
        for (size_t j = 0; is_name_needed && j < upstream->endpoint_count; j++) {
            const struct endpoint_config *endpoint = &upstream->endpoints[j];
            if (endpoint->address.kind != ADDRESS_UNIX || endpoint->address_text.len == 0)
                continue;
            struct err *e = err_add(c->fill->errors, endpoint->place, "the endpoint '%.*s' has no name to verify",
                                    SLICE_ARG(endpoint->address_text));
            err_hint(c->fill->errors, e, "add sni: NAME to the upstream's tls");
        }
    }
}

static void check_state_dir(struct check *c)
{
    struct sockaddr_storage raw;
    struct slice path = arena_printf(c->fill->arena, "%.*s/admin.sock", SLICE_ARG(c->config->state_dir));
    struct endpoint_address address = { .kind = ADDRESS_UNIX, .name = path };
    if (endpoint_address_to_sockaddr(&address, &raw) == 0)
        err_add(c->fill->errors, (struct place){ c->config->file.ptr, 0, 0 },
                "the path of 'state_dir' is too long for the socket in it");
}

/* Beyond loopback everybody could read without tokens, and tokens would travel in clear text without TLS. */
static void check_admin(struct check *c)
{
    const struct admin_config *admin = &c->config->admin;
    bool is_wide = admin->is_bound && admin->bind.kind == ADDRESS_IP && !ip_is_loopback(&admin->bind.ip);
    if (!is_wide || admin_config_is_guarded(admin))
        return;
    struct err *e = err_add(c->fill->errors, admin->bind_place, "the admin API cannot listen on '%.*s' without %s",
                            SLICE_ARG(admin->bind_text), admin_config_lack(admin));
    err_hint(c->fill->errors, e, "bind it to 127.0.0.1 or unix:PATH, or give it both tokens and tls");
}

/* ---- something to do --------------------------------------------------------------------------------------------- */

/* No errors: a file of upstreams alone may be what is left while others are edited, and `weir check` shall say more of
   it. */
static void check_presence(struct check *c)
{
    struct place whole = { c->config->file.ptr, 0, 0 };
    if (c->config->listener_count == 0)
        err_add_warning(c->fill->errors, whole, "no listeners: nothing is served");
    if (c->config->route_count == 0)
        err_add_warning(c->fill->errors, whole, "no routes: every request gets 404");
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

const struct check_rule check_rules[] = {
    { "Upstreams named by `to`, `split`, rules and shadows exist.", false, resolve_upstreams },
    { "Segments named by conditions exist.", false, resolve_segments },
    { "No segment contains itself, and they are nested at most 16 deep.", false, resolve_nesting },
    { "Names of routes, of a route's rules and of tokens are unique; no token is called `weir` or `anonymous`.", false,
      check_names },
    { "No two listeners, nor the admin API, bind the same address.", false, check_binds },
    { "Listeners with `proxy_protocol` have `trusted_proxies`.", false, check_proxy_protocol },
    { "Paths of sockets are short enough for the system (107 bytes).", false, check_endpoints },
    { "Endpoints of upstreams with TLS have a name to verify: their host, or `tls.sni`.", false, check_server_names },
    { "The admin API listens beyond loopback only with `tokens` and `tls`.", false, check_admin },
    { "`STATE_DIR/admin.sock` is short enough for a socket's path.", false, check_state_dir },
    { "A route's shadows go to different upstreams, at most 16, and the route forwards something; a control is none of "
      "them, and serves the route only with `live: true`.",
      false, shadows_check },
    { "Objectives are of routes that exist.", false, slos_check },
    { "A rollout's stable and canary are two entries of its route's split, which no other rollout has; each step can "
      "be had "
      "exactly with the rest of the split (10,000 parts at most); what guardrails and `notify` name exists, and suits "
      "the route.",
      false, rollouts_check },
    { "Warned of: rollouts without guardrails, approvers who cannot approve, and notifications that no rollout uses.",
      true, rollouts_warn },
    { "Warned of: shadows whose upstream gets requests of the same route, too.", true, shadows_warn },
    { "Warned of: a configuration without listeners or without routes.", true, check_presence },
    { "Warned of: upstreams and segments that nothing uses.", true, hygiene_unused },
    { "Warned of: routes whose requests an earlier route takes.", true, hygiene_shadowed },
    { "Warned of: what has expired, and what expires without an owner.", true, hygiene_expired },
};
const size_t check_rule_count = ARRAY_COUNT(check_rules);

static void index_upstreams(struct check *c)
{
    struct config *config = c->config;
    c->upstream_names = arena_zalloc_array(c->fill->arena, config->upstream_count, sizeof *c->upstream_names);
    c->is_upstream_used = arena_zalloc_array(c->fill->arena, config->upstream_count, sizeof *c->is_upstream_used);
    for (size_t i = 0; i < config->upstream_count; i++) {
        struct upstream_config *upstream = &config->upstreams[i];
        c->upstream_names[i] = upstream->name.ptr ? upstream->name.ptr : "";
        map_put(&c->upstreams, upstream->name, upstream);
    }
}

static void index_segments(struct check *c)
{
    struct config *config = c->config;
    c->segment_names = arena_zalloc_array(c->fill->arena, config->segment_count, sizeof *c->segment_names);
    c->is_segment_used = arena_zalloc_array(c->fill->arena, config->segment_count, sizeof *c->is_segment_used);
    for (size_t i = 0; i < config->segment_count; i++) {
        struct segment_config *segment = &config->segments[i];
        c->segment_names[i] = segment->name.ptr ? segment->name.ptr : "";
        map_put(&c->segments, segment->name, segment);
    }
}

/* Warnings see a configuration that holds together: indexes are resolved, lists complete. */
void check_run(struct fill *fill, struct config *config, struct wall_time now)
{
    struct check c = { .fill = fill, .config = config, .now = now };
    map_init(&c.upstreams);
    map_init(&c.segments);
    index_upstreams(&c);
    index_segments(&c);
    for (size_t i = 0; i < check_rule_count; i++)
        if (!check_rules[i].only_warns || fill->errors->error_count == 0)
            check_rules[i].run(&c);
    map_fini(&c.segments);
    map_fini(&c.upstreams);
}
