/* admin/routes.c - GET /api/v1/routes: what each route matches, its rules, and the weights in force beside the file's.
 *
 * Shows the configuration as it is compiled and in force, in words (admin/describe.h), not the text it came from: that is
 * /api/v1/config. Where a single request would go is `weir explain`'s answer. */
#include "admin/routes.h"

#include "admin/describe.h"
#include "admin/dispatch.h"

static const char *const action_names[] = {
    [ROUTE_FORWARD] = "forward",
    [ROUTE_REDIRECT] = "redirect",
    [ROUTE_RESPOND] = "respond",
};

const struct compiled_route *route_named(const struct admin_control *control, struct slice name)
{
    const struct route_table *table = control->snapshot(control->arg)->table;
    for (uint32_t i = 0; i < table->route_count; i++)
        if (slice_equal(table->routes[i].config->name, name))
            return &table->routes[i];
    return NULL;
}

const struct override *override_of(const struct admin_control *control, struct slice route)
{
    size_t count;
    const struct override *overrides = control->overrides(control->arg, &count);
    for (size_t i = 0; i < count; i++)
        if (slice_equal(overrides[i].route, route))
            return &overrides[i];
    return NULL;
}

static void put_text(struct json *object, const char *key, struct text *text)
{
    json_put_string(object, key, text_slice(text));
    text_fini(text);
}

/* weight: in force; file_weight: what `--reset` would go back to; share: of the sum, 0 when all are 0. */
static void put_split(struct json *object, const struct compiled_route *route, const uint32_t *weights)
{
    uint64_t sum = 0;
    struct json *split = json_put_array(object, "split");
    for (size_t i = 0; i < route->config->split_count; i++)
        sum += weights[i];
    for (size_t i = 0; i < route->config->split_count; i++) {
        struct json *entry = json_push_object(split);
        json_put_string(entry, "upstream", route->config->split[i].upstream);
        json_put_u64(entry, "weight", weights[i]);
        json_put_u64(entry, "file_weight", route->file_weights[i]);
        json_put_real(entry, "share", sum > 0 ? (double)weights[i] / (double)sum : 0);
    }
}

static void put_override(struct json *object, const struct override *o)
{
    json_put_bool(object, "overridden", o != NULL);
    if (o == NULL) {
        json_put_null(object, "override");
        return;
    }
    struct json *override = json_put_object(object, "override");
    json_put_string(override, "set_by", o->set_by);
    json_put_string(override, "reason", o->reason);
    json_put_time(override, "at", o->at);
}

static void put_rules(struct json *object, const struct route_config *route)
{
    struct json *rules = json_put_array(object, "rules");
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct rule_config *rule = &route->rules[i];
        struct text when = { 0 };
        struct json *r = json_push_object(rules);
        json_put_string(r, "name", rule->name);
        describe_condition(&when, rule->when);
        put_text(r, "when", &when);
        json_put_string(r, "to", rule->to);
        put_ownership(r, &rule->ownership);
    }
}

void put_route(struct json *object, const struct admin_control *control, const struct compiled_route *route)
{
    const struct route_config *c = route->config;
    struct text match = { 0 }, sticky = { 0 };
    json_put_string(object, "name", c->name);
    describe_match(&match, &c->match);
    put_text(object, "match", &match);
    json_put_cstr(object, "action", action_names[c->action]);
    describe_key(&sticky, &c->sticky.key);
    put_optional(object, "sticky", text_slice(&sticky));
    text_fini(&sticky);
    put_rules(object, c);
    put_split(object, route, weights_of(control->weights(control->arg), route));
    put_override(object, override_of(control, c->name));
    put_ownership(object, &c->ownership);
}

/* The document around one or all routes. */
static struct json *document_create(const struct admin_control *control)
{
    struct json *root = json_create_object();
    json_put_u64(root, "generation", control->snapshot(control->arg)->generation);
    json_put_u64(root, "weights_generation", control->weights(control->arg)->generation);
    return root;
}

void api_routes(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    const struct route_table *table = control->snapshot(control->arg)->table;
    struct json *root = document_create(control);
    struct json *routes = json_put_array(root, "routes");
    for (uint32_t i = 0; i < table->route_count; i++)
        put_route(json_push_object(routes), control, &table->routes[i]);
    reply_json(call->reply, 200, root);
}

const struct compiled_route *route_required(struct admin_call *call)
{
    const struct compiled_route *route = route_named(call->control, call->params[0]);
    if (route == NULL)
        reply_error(call->reply, 404, "no_such_route", "there is no route \"%.*s\"", SLICE_ARG(call->params[0]));
    return route;
}

void reply_route(struct admin_call *call, const struct compiled_route *route)
{
    struct json *root = document_create(call->control);
    put_route(json_put_object(root, "route"), call->control, route);
    reply_json(call->reply, 200, root);
}

void api_route(struct admin_call *call)
{
    const struct compiled_route *route = route_required(call);
    if (route != NULL)
        reply_route(call, route);
}
