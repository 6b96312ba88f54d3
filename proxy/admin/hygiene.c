/* admin/hygiene.c - GET /api/v1/hygiene: what has expired, and what nobody answers for. */
#include "admin/describe.h"
#include "admin/dispatch.h"

struct finding_list {
    struct json *list;
    struct wall_time now;
};

static void put_finding(const struct finding_list *f, const char *kind, struct slice name, const char *problem,
                        const struct ownership_config *ownership)
{
    struct json *finding = json_push_object(f->list);
    json_put_cstr(finding, "kind", kind);
    json_put_string(finding, "name", name);
    json_put_cstr(finding, "problem", problem);
    put_ownership(finding, ownership);
}

static void ownership_check(const struct finding_list *f, const char *kind, struct slice name,
                            const struct ownership_config *ownership)
{
    if (ownership->expires.unix_ms != 0 && ownership->expires.unix_ms <= f->now.unix_ms)
        put_finding(f, kind, name, "expired", ownership);
    if (slice_is_empty(ownership->owner))
        put_finding(f, kind, name, "no_owner", ownership);
}

static void route_check(const struct finding_list *f, struct arena *arena, const struct route_config *route)
{
    ownership_check(f, "route", route->name, &route->ownership);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct rule_config *rule = &route->rules[i];
        struct slice name = arena_printf(arena, "%.*s/%.*s", SLICE_ARG(route->name), SLICE_ARG(rule->name));
        /* A rule without an owner of its own is its route's. */
        struct ownership_config ownership = rule->ownership;
        if (slice_is_empty(ownership.owner))
            ownership.owner = route->ownership.owner;
        ownership_check(f, "rule", name, &ownership);
    }
}

void api_hygiene(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    const struct config *config = control->snapshot(control->arg)->config;
    struct json *root = json_create_object();
    struct finding_list f = { json_put_array(root, "findings"), clock_wall() };
    for (size_t i = 0; i < config->segment_count; i++)
        ownership_check(&f, "segment", config->segments[i].name, &config->segments[i].ownership);
    for (size_t i = 0; i < config->route_count; i++)
        route_check(&f, call->arena, &config->routes[i]);
    reply_json(call->reply, 200, root);
}
