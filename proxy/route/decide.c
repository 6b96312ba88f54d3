/* route/decide.c - chooses the upstream for a request, and says why. */
#include "route/decide.h"

#include "base/hex.h"
#include "base/memory.h"

/* The decision, in this order: the first route in the file that matches; its first rule that does; the
   upstream that its script names (of both, not a canary that was rolled back: its stable); what the route itself answers; the only entry of its split; the key's entry of a sticky split; else a draw. Nothing here looks at
   an upstream's health: where a request belongs must not depend on who is up. */

const char *const decision_why_names[] = {
    [WHY_NO_ROUTE] = "no_route", [WHY_RULE] = "rule",     [WHY_ONLY] = "only",         [WHY_SPLIT] = "split",
    [WHY_STICKY] = "sticky",     [WHY_ISSUED] = "issued", [WHY_REDIRECT] = "redirect", [WHY_RESPOND] = "respond",
    [WHY_SCRIPT] = "script",     [WHY_DRILL] = "drill",
};

void draw_init(struct draw *d, struct rng *rng, const struct route_table *table)
{
    *d = (struct draw){ .rng = rng, .block_units = table->block_units };
    d->blocks = memory_zalloc(table->block_units * sizeof(uint64_t));
}

void draw_fini(struct draw *d)
{
    memory_free(d->blocks);
    *d = (struct draw){ 0 };
}

static struct block *block_of(struct draw *d, const struct compiled_route *route)
{
    CHECK(route->block_at < d->block_units);
    return (struct block *)(d->blocks + route->block_at);
}

/* 128 random bits in hex. They name a user; they prove nothing, so the worker's generator will do. */
static void issue_key(struct rng *rng, char out[33])
{
    hex_put_u64(rng_next(rng), out);
    hex_put_u64(rng_next(rng), out + HEX_U64_DIGITS);
    out[32] = '\0';
}

static void choose_entry(struct decision *out, enum decision_why why, uint32_t entry)
{
    const struct compiled_route *route = out->route;
    out->why = why;
    out->split_index = entry;
    out->upstream_index = entry < ROUTE_INLINE_ENTRIES ? route->entries[entry].upstream_index
                                                       : route->config->split[entry].upstream_index;
}

static uint32_t entry_of_key(const struct compiled_route *route, const struct weights *weights, struct slice key)
{
    return sticky_pick(route->salt, key, route->entry_hashes, weights_of(weights, route),
                       (uint32_t)route->config->split_count, weights_pair_of(weights, route));
}

static uint32_t entry_of_draw(struct draw *draw, const struct weights *weights, const struct decision *d)
{
    return block_draw(block_of(draw, d->route), d->route->split_count, weights_of(weights, d->route),
                      d->weights_generation, draw->rng);
}

static void choose_by_key(const struct route_request *request, const struct weights *weights, struct draw *draw,
                          struct decision *out)
{
    const struct compiled_route *route = out->route;
    const struct key_config *sticky_key = &route->config->sticky.key;
    char scratch[16];
    struct slice key;
    if (key_extract(sticky_key, request, scratch, &key)) {
        choose_entry(out, WHY_STICKY, entry_of_key(route, weights, key));
    } else if (sticky_key->kind == KEY_COOKIE) {
        issue_key(draw->rng, out->issued_key);
        key = slice_from(out->issued_key, 32);
        choose_entry(out, WHY_ISSUED, entry_of_key(route, weights, key));
    } else {
        choose_entry(out, WHY_SPLIT, entry_of_draw(draw, weights, out));
    }
}

static void choose_by_split(const struct route_request *request, const struct weights *weights, struct draw *draw,
                            struct decision *out)
{
    if (out->route->split_count == 1)
        choose_entry(out, WHY_ONLY, 0);
    else if (route_has(out->route, ROUTE_IS_STICKY))
        choose_by_key(request, weights, draw, out);
    else
        choose_entry(out, WHY_SPLIT, entry_of_draw(draw, weights, out));
}

static void choose_by_rule(const struct route_request *request, struct decision *out)
{
    const struct compiled_route *route = out->route;
    if (!route_has(route, ROUTE_HAS_RULES))
        return;
    for (uint32_t i = 0; i < route->config->rule_count; i++) {
        if (route->rules[i].when != NULL && !condition_matches(route->rules[i].when, request))
            continue;
        out->why = WHY_RULE;
        out->rule_index = i;
        out->upstream_index = route->config->rules[i].upstream_index;
        return;
    }
}

/* A canary that was taken back is nobody's: who was led to it by name goes to stable, and counts as stable's. */
static void redirect_withdrawn(const struct weights *weights, struct decision *d)
{
    const struct sticky_pair *pair = weights_withdrawn_of(weights, d->route);
    if (pair == NULL || d->upstream_index != d->route->config->split[pair->canary].upstream_index)
        return;
    if (d->why == WHY_RULE && d->route->config->rules[d->rule_index].is_kept)
        return;
    d->split_index = pair->stable;
    d->upstream_index = d->route->config->split[pair->stable].upstream_index;
}

void route_decide_begin(const struct route_table *table, const struct route_request *request,
                        const struct weights *weights, struct decision *out)
{
    *out = (struct decision){ .route = route_table_find(table, request),
                              .why = WHY_NO_ROUTE,
                              .rule_index = CONFIG_NONE,
                              .split_index = CONFIG_NONE,
                              .upstream_index = CONFIG_NONE,
                              .weights_generation = weights != NULL ? weights->generation : 0 };
    if (out->route != NULL)
        choose_by_rule(request, out);
}

void route_decide_target(struct decision *d, uint32_t upstream_index)
{
    CHECK(d->route != NULL);
    if (d->why == WHY_RULE)
        return;
    d->why = WHY_SCRIPT;
    d->upstream_index = upstream_index;
}

void route_decide_answer(struct decision *d)
{
    CHECK(d->route != NULL);
    d->why = WHY_SCRIPT;
    d->rule_index = d->upstream_index = CONFIG_NONE;
}

void route_decide_finish(const struct route_request *request, const struct weights *weights, struct draw *draw,
                         struct decision *out)
{
    if (out->route == NULL)
        return;
    /* A script may have waited, and they may have changed since. */
    out->weights_generation = weights != NULL ? weights->generation : 0;
    if (out->upstream_index != CONFIG_NONE) {
        redirect_withdrawn(weights, out);
        return;
    }
    switch ((enum route_action)out->route->action) {
    case ROUTE_FORWARD:
        choose_by_split(request, weights, draw, out);
        break;
    case ROUTE_REDIRECT:
        out->why = WHY_REDIRECT;
        break;
    case ROUTE_RESPOND:
        out->why = WHY_RESPOND;
        break;
    }
}

void route_decide(const struct route_table *table, const struct route_request *request, const struct weights *weights,
                  struct draw *draw, struct decision *out)
{
    route_decide_begin(table, request, weights, out);
    route_decide_finish(request, weights, draw, out);
}
