/* config/rollouts.c - rules for rollouts: that what they name is there, and that what they are to do can be done. */
#include "config/check.h"

#include "config/model_rollout.h"
#include "config/pair.h"

#define WHOLE_PPM 1000000u

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* A list of named things; the name is at the struct's offset 0 but for routes. */
struct named {
    const char *noun, *key; /* "route", "routes" */
    const void *items;
    size_t count, item_bytes, name_offset;
};

static struct slice name_at(const struct named *list, size_t i)
{
    struct slice name;
    memcpy(&name, (const char *)list->items + i * list->item_bytes + list->name_offset, sizeof name);
    return name;
}

/* CONFIG_NONE when there is none of that name, which is told with the nearest there is. An empty name was refused before. */
static uint32_t find_named(struct check *c, const struct named *list, struct slice name, struct place place)
{
    const char *known[64];
    size_t known_count = 0;
    if (name.len == 0)
        return CONFIG_NONE;
    for (size_t i = 0; i < list->count; i++) {
        if (slice_equal(name_at(list, i), name))
            return (uint32_t)i;
        if (known_count < ARRAY_COUNT(known) && name_at(list, i).ptr != NULL)
            known[known_count++] = name_at(list, i).ptr;
    }
    struct err *e = err_add(c->fill->errors, place, "there is no %s '%.*s'", list->noun, SLICE_ARG(name));
    if (!fill_hint_nearest(c->fill, e, name, known, known_count))
        err_hint(c->fill->errors, e, "define it under %s", list->key);
    return CONFIG_NONE;
}

#define NAMED(noun, key, list, list_count, type)                                                                       \
    {                                                                                                                  \
        noun, key, list, list_count, sizeof(type), offsetof(type, name)                                                \
    }

static uint32_t find_route(struct check *c, struct slice name, struct place place)
{
    struct named routes = NAMED("route", "routes", c->config->routes, c->config->route_count, struct route_config);
    return find_named(c, &routes, name, place);
}

static void resolve_notify(struct check *c, struct rollout_config *r)
{
    struct named all =
        NAMED("notification", "notify", c->config->notify, c->config->notify_count, struct notify_config);
    r->notify_indexes = arena_zalloc_array(c->fill->arena, r->notify.count, sizeof *r->notify_indexes);
    for (size_t i = 0; i < r->notify.count; i++)
        r->notify_indexes[i] = find_named(c, &all, r->notify.items[i], r->notify_place);
}

/* ---- the pair ---------------------------------------------------------------------------------------------------- */

static uint32_t find_entry(struct check *c, const struct route_config *route, const char *key, struct slice name,
                           struct place place)
{
    const char *known[SPLIT_MAX_ENTRIES];
    size_t known_count = 0;
    if (name.len == 0)
        return CONFIG_NONE;
    for (size_t i = 0; i < route->split_count; i++) {
        if (slice_equal(route->split[i].upstream, name))
            return (uint32_t)i;
        if (known_count < ARRAY_COUNT(known) && route->split[i].upstream.ptr != NULL)
            known[known_count++] = route->split[i].upstream.ptr;
    }
    struct err *e = err_add(c->fill->errors, place, "the %s '%.*s' is not in the split of route '%.*s'", key,
                            SLICE_ARG(name), SLICE_ARG(route->name));
    if (!fill_hint_nearest(c->fill, e, name, known, known_count))
        err_hint(c->fill->errors, e, "add it there: split: { %s: 0, ... }", name.ptr);
    return CONFIG_NONE;
}

/* Shares that no block can hold exactly would be off by more than nothing, and nobody would know. */
static void check_weights(struct check *c, const struct rollout_config *r, const struct route_config *route)
{
    uint32_t weights[SPLIT_MAX_ENTRIES], shared[SPLIT_MAX_ENTRIES];
    uint64_t sum = 0;
    if (route->split_count > SPLIT_MAX_ENTRIES)
        return;
    for (size_t i = 0; i < route->split_count; i++)
        weights[i] = route->split[i].weight;
    if (weights[r->stable_entry] == 0 && weights[r->canary_entry] == 0) {
        struct err *e = err_add(c->fill->errors, r->stable_place, "stable and canary have no weight to share out");
        err_hint(c->fill->errors, e, "give stable one in the split of route '%.*s'", SLICE_ARG(route->name));
        return;
    }
    for (size_t i = 0; i < r->step_count; i++) {
        const struct step_config *step = &r->steps[i];
        if (step->kind != STEP_WEIGHT ||
            pair_share(weights, route->split_count, r->stable_entry, r->canary_entry, step->weight_ppm, shared, &sum))
            continue;
        struct err *e = err_add(c->fill->errors, step->place,
                                "with the rest of the split the weight takes %llu parts, more than %u",
                                (unsigned long long)sum, SPLIT_SUM_MAX);
        err_hint(c->fill->errors, e, "write a rounder one, or smaller numbers in the split of route '%.*s'",
                 SLICE_ARG(route->name));
    }
}

static void check_pair(struct check *c, struct rollout_config *r)
{
    r->route_index = find_route(c, r->route, r->route_place);
    if (r->route_index == CONFIG_NONE)
        return;
    const struct route_config *route = &c->config->routes[r->route_index];
    if (route->action != ROUTE_FORWARD || route->split_count == 0) {
        struct err *e = err_add(c->fill->errors, r->route_place, "route '%.*s' has no split", SLICE_ARG(route->name));
        err_hint(c->fill->errors, e, "add split: { STABLE: 1, CANARY: 0 }");
        return;
    }
    if (r->stable.len > 0 && slice_equal(r->stable, r->canary)) {
        err_add(c->fill->errors, r->canary_place, "the canary '%.*s' is stable, too", SLICE_ARG(r->canary));
        return;
    }
    r->stable_entry = find_entry(c, route, "stable", r->stable, r->stable_place);
    r->canary_entry = find_entry(c, route, "canary", r->canary, r->canary_place);
    if (r->stable_entry != CONFIG_NONE && r->canary_entry != CONFIG_NONE)
        check_weights(c, r, route);
}

/* Two of them would each count the other's users, and only one could say what the weights are. */
static void check_owner(struct check *c, size_t index)
{
    const struct rollout_config *r = &c->config->rollouts[index];
    for (size_t i = 0; i < index && r->route_index != CONFIG_NONE; i++) {
        const struct rollout_config *other = &c->config->rollouts[i];
        if (other->route_index != r->route_index)
            continue;
        bool is_same_pair = slice_equal(other->stable, r->stable) && slice_equal(other->canary, r->canary);
        struct err *e = err_add(c->fill->errors, r->route_place, "rollout '%.*s' has %s of route '%.*s' already",
                                SLICE_ARG(other->name), is_same_pair ? "this pair" : "the split", SLICE_ARG(r->route));
        err_hint(c->fill->errors, e, "it is at line %u; a route has one rollout at a time", other->place.line);
        return;
    }
}

/* ---- guardrails -------------------------------------------------------------------------------------------------- */

static void check_shadow(struct check *c, const struct route_config *route, struct guardrail_config *g)
{
    const char *known[64];
    size_t known_count = 0;
    for (size_t i = 0; i < route->shadow_count; i++) {
        const struct shadow_config *shadow = &route->shadows[i];
        if (slice_equal(shadow->to, g->shadow)) {
            g->shadow_index = (uint32_t)i;
            if (shadow->compare.is_on)
                return;
            struct err *e =
                err_add(c->fill->errors, g->shadow_place, "the shadow '%.*s' compares nothing", SLICE_ARG(g->shadow));
            err_hint(c->fill->errors, e, "add compare: {} to it");
            return;
        }
        if (known_count < ARRAY_COUNT(known) && shadow->to.ptr != NULL)
            known[known_count++] = shadow->to.ptr;
    }
    struct err *e = err_add(c->fill->errors, g->shadow_place, "route '%.*s' has no shadow '%.*s'",
                            SLICE_ARG(route->name), SLICE_ARG(g->shadow));
    if (!fill_hint_nearest(c->fill, e, g->shadow, known, known_count))
        err_hint(c->fill->errors, e, "add it there: shadow: [ { to: %s, compare: {} } ]", g->shadow.ptr);
}

/* A canary's own figures against the objective of the requests it gets: those of another route it does not have. */
static void check_slo(struct check *c, const struct rollout_config *r, struct guardrail_config *g)
{
    struct named slos = NAMED("slo", "slos", c->config->slos, c->config->slo_count, struct slo_config);
    g->slo_index = find_named(c, &slos, g->slo, g->slo_place);
    if (g->slo_index == CONFIG_NONE || slice_equal(c->config->slos[g->slo_index].route, r->route))
        return;
    err_add(c->fill->errors, g->slo_place, "slo '%.*s' is of route '%.*s', not of '%.*s'", SLICE_ARG(g->slo),
            SLICE_ARG(c->config->slos[g->slo_index].route), SLICE_ARG(r->route));
}

static void check_monitor(struct check *c, const struct rollout_config *r, struct guardrail_config *g)
{
    struct named all =
        NAMED("monitor", "monitors", c->config->monitors, c->config->monitor_count, struct monitor_config);
    g->monitor_index = find_named(c, &all, g->monitor, g->monitor_place);
    if (g->monitor_index == CONFIG_NONE)
        return;
    const struct monitor_config *monitor = &c->config->monitors[g->monitor_index];
    for (size_t i = 0; i < monitor->upstreams.count; i++)
        if (slice_equal(monitor->upstreams.items[i], r->canary))
            return;
    struct err *e = err_add(c->fill->errors, g->monitor_place, "monitor '%.*s' does not ask the canary '%.*s'",
                            SLICE_ARG(g->monitor), SLICE_ARG(r->canary));
    err_hint(c->fill->errors, e, "add it to the monitor's upstreams");
}

/* Counting a user's later errors as new ones is what a sticky route would do to a difference of rates: statistics ask for
   each user's first, and a share of first errors is no rate. */
static void check_points(struct check *c, const struct route_config *route, const struct guardrail_config *g)
{
    if (g->comparison != COMPARISON_POINTS || route->sticky.key.kind == KEY_NONE)
        return;
    struct err *e = err_add(c->fill->errors, g->place, "'points' cannot be judged on route '%.*s', which is sticky",
                            SLICE_ARG(route->name));
    err_hint(c->fill->errors, e, "write ratio: 1.5, or remove sticky from the route");
}

static void check_saturation(struct check *c, const struct rollout_config *r, const struct guardrail_config *g)
{
    const struct upstream_config *canary = map_get(&c->upstreams, r->canary);
    if (g->kind != WATCH_SATURATION || canary == NULL || canary->max_connections > 0)
        return;
    struct err *e = err_add(c->fill->errors, g->place,
                            "saturation has nothing to measure by: upstream '%.*s' has no limit", SLICE_ARG(r->canary));
    err_hint(c->fill->errors, e, "give it max_connections");
}

static uint32_t quantile_count(const struct check *c, const struct guardrail_config *g)
{
    if (g->kind == WATCH_LATENCY)
        return g->quantile_permille > 0 ? 1 : 3;
    return g->kind == WATCH_SLO && g->slo_index != CONFIG_NONE && c->config->slos[g->slo_index].latency.below_ms > 0;
}

static bool is_event_before(const struct rollout_config *r, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (r->guardrails[i].kind == WATCH_EVENT && slice_equal(r->guardrails[i].event, r->guardrails[index].event))
            return true;
    return false;
}

/* Each is a counter of each worker's, bumped by requests as they end. */
static void check_counters(struct check *c, const struct rollout_config *r)
{
    uint32_t quantiles = 0, events = 0;
    for (size_t i = 0; i < r->guardrail_count; i++) {
        const struct guardrail_config *g = &r->guardrails[i];
        uint32_t more = quantile_count(c, g), is_new_event = g->kind == WATCH_EVENT && !is_event_before(r, i);
        if (quantiles <= ROLLOUT_QUANTILES_MAX && quantiles + more > ROLLOUT_QUANTILES_MAX) {
            struct err *e =
                err_add(c->fill->errors, g->place, "the guardrails of a rollout look at more than %u latencies",
                        ROLLOUT_QUANTILES_MAX);
            err_hint(c->fill->errors, e, "`latency` is three of them: name a quantile instead");
        }
        if (events == ROLLOUT_EVENTS_MAX && is_new_event)
            err_add(c->fill->errors, g->place, "the guardrails of a rollout look at more than %u events",
                    ROLLOUT_EVENTS_MAX);
        quantiles += more;
        events += is_new_event;
    }
}

static void check_guardrails(struct check *c, struct rollout_config *r)
{
    for (size_t i = 0; i < r->guardrail_count; i++) {
        struct guardrail_config *g = &r->guardrails[i];
        if (g->kind == WATCH_SLO)
            check_slo(c, r, g);
        if (g->kind == WATCH_MONITOR)
            check_monitor(c, r, g);
        check_saturation(c, r, g);
        if (r->route_index == CONFIG_NONE)
            continue;
        const struct route_config *route = &c->config->routes[r->route_index];
        check_points(c, route, g);
        if (g->kind == WATCH_SHADOW_MISMATCH && g->shadow.len > 0)
            check_shadow(c, route, g);
    }
    check_counters(c, r);
}

/* ---- the rules --------------------------------------------------------------------------------------------------- */

void rollouts_check(struct check *c)
{
    for (size_t i = 0; i < c->config->rollout_count; i++) {
        struct rollout_config *r = &c->config->rollouts[i];
        check_pair(c, r);
        check_owner(c, i);
        check_guardrails(c, r);
        resolve_notify(c, r);
    }
}

void slos_check(struct check *c)
{
    for (size_t i = 0; i < c->config->slo_count; i++) {
        struct slo_config *slo = &c->config->slos[i];
        slo->route_index = find_route(c, slo->route, slo->route_place);
    }
}

/* Users of the admin socket are not written down anywhere: "unix:USER" may exist. */
static bool can_approve(const struct config *config, struct slice who)
{
    if (slice_has_prefix(who, SLICE("unix:")))
        return true;
    for (size_t i = 0; i < config->admin.token_count; i++)
        if (slice_equal(config->admin.tokens[i].name, who))
            return config->admin.tokens[i].role >= ROLE_APPROVER;
    return false;
}

/* The step would wait for them in vain. */
static void warn_of_approvers(struct check *c, const struct rollout_config *r)
{
    for (size_t i = 0; i < r->step_count; i++)
        for (size_t j = 0; j < r->steps[i].approvers.count; j++) {
            struct slice who = r->steps[i].approvers.items[j];
            if (!can_approve(c->config, who))
                err_add_warning(c->fill->errors, r->steps[i].place,
                                "rollout '%.*s': no token '%.*s' has the role approver or admin", SLICE_ARG(r->name),
                                SLICE_ARG(who));
        }
}

/* Nobody would look at a breach, or go back from it. */
void rollouts_warn(struct check *c)
{
    for (size_t i = 0; i < c->config->rollout_count; i++) {
        const struct rollout_config *r = &c->config->rollouts[i];
        if (r->guardrail_count == 0)
            err_add_warning(c->fill->errors, r->place, "rollout '%.*s' has no guardrails: nothing takes it back",
                            SLICE_ARG(r->name));
        warn_of_approvers(c, r);
    }
    for (size_t i = 0; i < c->config->notify_count; i++) {
        bool is_used = false;
        for (size_t k = 0; k < c->config->rollout_count; k++)
            for (size_t n = 0; n < c->config->rollouts[k].notify.count; n++)
                is_used |= c->config->rollouts[k].notify_indexes[n] == i;
        if (!is_used)
            err_add_warning(c->fill->errors, c->config->notify[i].place, "no rollout uses notification '%.*s'",
                            SLICE_ARG(c->config->notify[i].name));
    }
}
