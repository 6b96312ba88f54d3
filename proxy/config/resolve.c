/* config/resolve.c - names of upstreams and segments become indexes, wherever in the files they are defined.
 *
 * A second pass, because names may be used before they are defined and across files. What is not found is told
 * once, where it is used, with the name that was probably meant; the index stays CONFIG_NONE, and no configuration
 * with one of these is ever returned. */
#include "config/check.h"

#include "config/model_rollout.h"

#define SEGMENT_DEPTH_MAX                                                                                              \
    16u /* route/ compiles segments inside each other: depth costs it stack, and time per request */

/* ---- upstreams --------------------------------------------------------------------------------------------------- */

/* An empty name was refused before. */
static uint32_t find_upstream(struct check *c, struct slice name, struct place place)
{
    if (name.len == 0)
        return CONFIG_NONE;
    const struct upstream_config *found = map_get(&c->upstreams, name);
    if (found == NULL) {
        struct err *e = err_add(c->fill->errors, place, "there is no upstream '%.*s'", SLICE_ARG(name));
        if (!fill_hint_nearest(c->fill, e, name, c->upstream_names, c->config->upstream_count))
            err_hint(c->fill->errors, e, "define it under upstreams");
        return CONFIG_NONE;
    }
    size_t index = (size_t)(found - c->config->upstreams);
    c->is_upstream_used[index] = true;
    return (uint32_t)index;
}

/* What scripts name is known when they run: with one, nothing counts as unused. */
static bool has_scripts(const struct config *config)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].script.path.len > 0)
            return true;
    return false;
}

static void mark_all_used(struct check *c)
{
    for (size_t i = 0; i < c->config->upstream_count; i++)
        c->is_upstream_used[i] = true;
    for (size_t i = 0; i < c->config->segment_count; i++)
        c->is_segment_used[i] = true;
}

static void resolve_monitors(struct check *c)
{
    for (size_t i = 0; i < c->config->monitor_count; i++) {
        struct monitor_config *monitor = &c->config->monitors[i];
        monitor->upstream_indexes =
            arena_zalloc_array(c->fill->arena, monitor->upstreams.count, sizeof *monitor->upstream_indexes);
        for (size_t j = 0; j < monitor->upstreams.count; j++)
            monitor->upstream_indexes[j] = find_upstream(c, monitor->upstreams.items[j], monitor->upstreams_place);
    }
}

/* Split entries point to what they were written as, whichever of `split` and `to` it was. */
void resolve_upstreams(struct check *c)
{
    if (has_scripts(c->config))
        mark_all_used(c);
    resolve_monitors(c);
    for (size_t i = 0; i < c->config->route_count; i++) {
        struct route_config *route = &c->config->routes[i];
        for (size_t j = 0; j < route->rule_count; j++) {
            struct rule_config *rule = &route->rules[j];
            rule->upstream_index = find_upstream(c, rule->to, rule->to_place);
        }
        for (size_t j = 0; j < route->split_count; j++) {
            struct split_entry_config *entry = &route->split[j];
            entry->upstream_index = find_upstream(c, entry->upstream, entry->place);
        }
        for (size_t j = 0; j < route->shadow_count; j++) {
            struct shadow_config *shadow = &route->shadows[j];
            shadow->upstream_index = find_upstream(c, shadow->to, shadow->to_place);
            shadow->compare.control_index = find_upstream(c, shadow->compare.control, shadow->compare.control_place);
        }
    }
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

static void find_segment(struct check *c, struct condition_config *condition)
{
    if (condition->name.len == 0)
        return;
    const struct segment_config *found = map_get(&c->segments, condition->name);
    if (found != NULL) {
        condition->segment_index = (uint32_t)(found - c->config->segments);
        c->is_segment_used[condition->segment_index] = true;
        return;
    }
    struct err *e =
        err_add(c->fill->errors, condition->value_place, "there is no segment '%.*s'", SLICE_ARG(condition->name));
    if (!fill_hint_nearest(c->fill, e, condition->name, c->segment_names, c->config->segment_count))
        err_hint(c->fill->errors, e, "define it under segments");
}

/* Recursion is bounded by YAML_DEPTH_MAX. */
static void resolve_condition(struct check *c, struct condition_config *condition)
{
    if (condition == NULL)
        return;
    if (condition->kind == CONDITION_TEST && condition->subject == SUBJECT_SEGMENT)
        find_segment(c, condition);
    for (size_t i = 0; i < condition->child_count; i++)
        resolve_condition(c, &condition->children[i]);
}

/* Also inside segments, and inside conditions that no route uses: a dangling name is never ignored. */
void resolve_segments(struct check *c)
{
    for (size_t i = 0; i < c->config->segment_count; i++)
        resolve_condition(c, c->config->segments[i].condition);
    for (size_t i = 0; i < c->config->route_count; i++) {
        struct route_config *route = &c->config->routes[i];
        resolve_condition(c, route->match.when);
        for (size_t j = 0; j < route->rule_count; j++)
            resolve_condition(c, route->rules[j].when);
        for (size_t j = 0; j < route->shadow_count; j++)
            resolve_condition(c, route->shadows[j].when);
    }
}

/* ---- segments within segments ------------------------------------------------------------------------------------ */

enum visit { VISIT_NONE, VISIT_OPEN, VISIT_DONE };

/* A walk in depth over segments. height: how many segments deep one is, itself included; known once DONE. */
struct nesting {
    struct check *check;
    enum visit *visits;
    unsigned *heights;
};

static unsigned visit_segment(struct nesting *n, uint32_t index, struct place from, unsigned depth);

/* Height of the highest segment that the condition names. */
static unsigned visit_condition(struct nesting *n, const struct condition_config *condition, unsigned depth)
{
    if (condition == NULL)
        return 0;
    if (condition->segment_index != CONFIG_NONE)
        return visit_segment(n, condition->segment_index, condition->value_place, depth);
    unsigned highest = 0;
    for (size_t i = 0; i < condition->child_count; i++) {
        unsigned height = visit_condition(n, &condition->children[i], depth);
        if (height > highest)
            highest = height;
    }
    return highest;
}

static unsigned refuse_nesting(struct nesting *n, uint32_t index, struct place from, const char *fault)
{
    err_add(n->check->fill->errors, from, "segment '%.*s' %s", SLICE_ARG(n->check->config->segments[index].name),
            fault);
    return 0;
}

/* The depth check comes before going down, so recursion is bounded whatever the file holds. */
static unsigned visit_segment(struct nesting *n, uint32_t index, struct place from, unsigned depth)
{
    if (n->visits[index] == VISIT_OPEN)
        return refuse_nesting(n, index, from, "contains itself");
    if (n->visits[index] == VISIT_NONE && depth < SEGMENT_DEPTH_MAX) {
        n->visits[index] = VISIT_OPEN;
        n->heights[index] = 1 + visit_condition(n, n->check->config->segments[index].condition, depth + 1);
        n->visits[index] = VISIT_DONE;
    }
    if (depth + n->heights[index] > SEGMENT_DEPTH_MAX || n->visits[index] == VISIT_NONE)
        return refuse_nesting(n, index, from, "is nested more than 16 deep");
    return n->heights[index];
}

/* Every segment is where a walk may start: one that no route uses can contain itself, too. */
void resolve_nesting(struct check *c)
{
    struct nesting n = { .check = c };
    size_t count = c->config->segment_count;
    n.visits = arena_zalloc_array(c->fill->arena, count, sizeof *n.visits);
    n.heights = arena_zalloc_array(c->fill->arena, count, sizeof *n.heights);
    for (size_t i = 0; i < count; i++)
        if (n.visits[i] == VISIT_NONE)
            visit_segment(&n, (uint32_t)i, c->config->segments[i].place, 0);
}
