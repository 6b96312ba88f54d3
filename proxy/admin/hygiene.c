/* admin/hygiene.c - GET /api/v1/hygiene: what has expired, and what nobody answers for.
 *
 * Findings are no errors: an expired rule goes on working until somebody removes it. Warnings of a load about the same
 * settings are config/hygiene.c's; here the time is now, not that of the load. */
#include "admin/dispatch.h"

#include "config/model_rollout.h"

/* Where findings go, and what counts as expired. */
struct inspection {
    struct json *findings;
    struct wall_time now;
};

/* What is looked at. */
struct subject {
    const char *kind; /* route | rule | segment | rollout | slo | monitor */
    struct slice name;
    struct ownership_config ownership;
    struct place place;
};

static void put_finding(const struct inspection *i, const struct subject *s, const char *problem)
{
    struct text place = { 0 };
    struct json *finding = json_push_object(i->findings);
    json_put_cstr(finding, "what", s->kind);
    json_put_string(finding, "name", s->name);
    json_put_cstr(finding, "problem", problem);
    text_printf(&place, "%s:%u", s->place.file, s->place.line);
    json_put_string(finding, "place", text_slice(&place));
    text_fini(&place);
    put_optional(finding, "owner", s->ownership.owner);
    json_put_time(finding, "expires", s->ownership.expires);
    put_optional(finding, "doc", s->ownership.doc);
    put_optional(finding, "runbook", s->ownership.runbook);
}

static void inspect(const struct inspection *i, const struct subject *s)
{
    int64_t expires = s->ownership.expires.unix_ms;
    if (expires != 0 && expires <= i->now.unix_ms)
        put_finding(i, s, "expired");
    if (slice_is_empty(s->ownership.owner))
        put_finding(i, s, "no_owner");
}

static void inspect_rule(const struct inspection *i, struct arena *arena, const struct route_config *route,
                         const struct rule_config *rule)
{
    struct subject s = {
        .kind = "rule",
        .name = arena_printf(arena, "%.*s/%.*s", SLICE_ARG(route->name), SLICE_ARG(rule->name)),
        .ownership = rule->ownership,
        .place = rule->place,
    };
    /* A rule without an owner of its own is its route's. */
    if (slice_is_empty(s.ownership.owner))
        s.ownership.owner = route->ownership.owner;
    inspect(i, &s);
}

static void inspect_route(const struct inspection *i, struct arena *arena, const struct route_config *route)
{
    struct subject s = { "route", route->name, route->ownership, route->place };
    inspect(i, &s);
    for (size_t r = 0; r < route->rule_count; r++)
        inspect_rule(i, arena, route, &route->rules[r]);
}

/* Rollouts, and what watches beside them. */
static void inspect_watchers(const struct inspection *i, const struct config *config)
{
    for (size_t n = 0; n < config->rollout_count; n++) {
        const struct rollout_config *r = &config->rollouts[n];
        inspect(i, &(struct subject){ "rollout", r->name, r->ownership, r->place });
    }
    for (size_t n = 0; n < config->slo_count; n++) {
        const struct slo_config *slo = &config->slos[n];
        inspect(i, &(struct subject){ "slo", slo->name, slo->ownership, slo->place });
    }
    for (size_t n = 0; n < config->monitor_count; n++) {
        const struct monitor_config *monitor = &config->monitors[n];
        inspect(i, &(struct subject){ "monitor", monitor->name, monitor->ownership, monitor->place });
    }
}

void api_hygiene(struct admin_call *call)
{
    const struct admin_control *control = call->control;
    const struct config *config = control->snapshot(control->arg)->config;
    struct json *root = json_create_object();
    struct inspection i = { json_put_array(root, "findings"), clock_wall() };
    for (size_t n = 0; n < config->segment_count; n++) {
        const struct segment_config *segment = &config->segments[n];
        struct subject s = { "segment", segment->name, segment->ownership, segment->place };
        inspect(&i, &s);
    }
    for (size_t n = 0; n < config->route_count; n++)
        inspect_route(&i, call->arena, &config->routes[n]);
    inspect_watchers(&i, config);
    reply_json(call->reply, 200, root);
}
