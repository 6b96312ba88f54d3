/* config/shadows.c - rules for the shadows of a route: what would copy nothing, or load what it should not. */
#include "config/check.h"

#define SHADOWS_MAX 16u /* of a route: each is looked at for each of its requests */

static void check_distinct(struct check *c, const struct route_config *route, size_t index)
{
    const struct shadow_config *shadow = &route->shadows[index];
    for (size_t i = 0; i < index && shadow->to.len > 0; i++) {
        if (!slice_equal(route->shadows[i].to, shadow->to))
            continue;
        struct err *e = err_add(c->fill->errors, shadow->to_place, "route '%.*s' has another shadow to '%.*s'",
                                SLICE_ARG(route->name), SLICE_ARG(shadow->to));
        err_hint(c->fill->errors, e, "write both conditions as one: when: { any: [ ... ] }");
        return;
    }
}

static bool is_taking_requests(const struct route_config *route, uint32_t upstream_index);

/* A control is one more copy. In the route's own split it would load production; as a shadow of the route nobody could tell
   its copies from the shadow's. */
static void check_control(struct check *c, const struct route_config *route, const struct shadow_config *shadow)
{
    const struct compare_config *compare = &shadow->compare;
    if (compare->control.len == 0 || compare->control_index == CONFIG_NONE)
        return;
    for (size_t i = 0; i < route->shadow_count; i++)
        if (slice_equal(route->shadows[i].to, compare->control)) {
            struct err *e =
                err_add(c->fill->errors, compare->control_place, "the control '%.*s' is a shadow of route '%.*s'",
                        SLICE_ARG(compare->control), SLICE_ARG(route->name));
            err_hint(c->fill->errors, e, "name an upstream of its own, with the version that serves the route");
            return;
        }
    if (compare->is_live || !is_taking_requests(route, compare->control_index))
        return;
    struct err *e = err_add(c->fill->errors, compare->control_place,
                            "the control '%.*s' serves route '%.*s': copies would load what its users feel",
                            SLICE_ARG(compare->control), SLICE_ARG(route->name));
    err_hint(c->fill->errors, e, "name another upstream with the same version, or write live: true");
}

/* The other shadow that writes to the same file, earlier in the configuration; or NULL. */
static const struct shadow_config *find_sharing(const struct config *config, const struct shadow_config *shadow)
{
    for (size_t i = 0; i < config->route_count; i++)
        for (size_t k = 0; k < config->routes[i].shadow_count; k++) {
            const struct shadow_config *other = &config->routes[i].shadows[k];
            if (other == shadow)
                return NULL;
            if (slice_equal(other->record.file, shadow->record.file))
                return other;
        }
    return NULL;
}

/* One file has one size and one row of renamed ones. */
static void check_record(struct check *c, const struct shadow_config *shadow)
{
    const struct record_config *record = &shadow->record;
    const struct shadow_config *other = record->file.len > 0 ? find_sharing(c->config, shadow) : NULL;
    if (other == NULL ||
        (other->record.max_bytes == record->max_bytes && other->record.keep_count == record->keep_count))
        return;
    err_add(c->fill->errors, record->place, "line %u records into the same file with another max_bytes or keep",
            other->record.place.line);
}

/* Metrics and reports know a shadow by route and upstream. */
void shadows_check(struct check *c)
{
    for (size_t i = 0; i < c->config->route_count; i++) {
        const struct route_config *route = &c->config->routes[i];
        if (route->shadow_count == 0)
            continue;
        if (route->action != ROUTE_FORWARD && route->rule_count == 0)
            err_add(c->fill->errors, route->shadows[0].place,
                    "the shadow has nothing to copy: route '%.*s' forwards nothing", SLICE_ARG(route->name));
        if (route->shadow_count > SHADOWS_MAX)
            err_add(c->fill->errors, route->shadows[SHADOWS_MAX].place, "a route has at most %u shadows", SHADOWS_MAX);
        for (size_t k = 0; k < route->shadow_count; k++) {
            check_distinct(c, route, k);
            check_control(c, route, &route->shadows[k]);
            check_record(c, &route->shadows[k]);
        }
    }
}

/* 0 in the split is what a version has before its rollout: then nothing is doubled. */
static bool is_taking_requests(const struct route_config *route, uint32_t upstream_index)
{
    bool is_taking = false;
    for (size_t i = 0; i < route->split_count; i++)
        is_taking |= route->split[i].upstream_index == upstream_index && route->split[i].weight > 0;
    for (size_t i = 0; i < route->rule_count; i++)
        is_taking |= route->rules[i].upstream_index == upstream_index;
    return is_taking;
}

void shadows_warn(struct check *c)
{
    for (size_t i = 0; i < c->config->route_count; i++) {
        const struct route_config *route = &c->config->routes[i];
        for (size_t k = 0; k < route->shadow_count; k++)
            if (is_taking_requests(route, route->shadows[k].upstream_index))
                err_add_warning(
                    c->fill->errors, route->shadows[k].to_place,
                    "upstream '%.*s' gets requests of route '%.*s' and copies of them: its users feel the load",
                    SLICE_ARG(route->shadows[k].to), SLICE_ARG(route->name));
    }
}
