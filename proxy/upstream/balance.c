/* upstream/balance.c - chooses an endpoint of an upstream.
 *
 * First among the endpoints that are usable: whether another is up again is found out by probes, not by requests. Then,
 * when none is, among those that are down, because what is known of them is old and the alternative is a certain 503.
 * With one endpoint there is nothing to choose. */
#include "upstream/balance.h"

/* Who takes part in a choice. */
struct candidates {
    struct upstream *upstream;
    const struct endpoint *avoid;
    bool are_down_welcome;
};

static bool is_candidate(const struct candidates *c, const struct endpoint *e)
{
    if (e == c->avoid)
        return false;
    return c->are_down_welcome || endpoint_is_usable(e);
}

/* Smooth weighted round robin: each gains its weight, the richest pays the total. Spreads a heavy endpoint's turns. */
static struct endpoint *pick_round_robin(const struct candidates *c)
{
    struct endpoint *best = NULL;
    int64_t total = 0;
    for (uint32_t i = 0; i < c->upstream->endpoint_count; i++) {
        struct endpoint *e = c->upstream->endpoints[i];
        if (!is_candidate(c, e))
            continue;
        e->round_robin_credit += e->weight;
        total += e->weight;
        if (best == NULL || e->round_robin_credit > best->round_robin_credit)
            best = e;
    }
    if (best != NULL)
        best->round_robin_credit -= total;
    return best;
}

/* Is a's load per weight lower than b's? Compared without division. */
static bool is_less_loaded(const struct endpoint *a, const struct endpoint *b)
{
    return (uint64_t)(a->in_flight_count + 1) * b->weight < (uint64_t)(b->in_flight_count + 1) * a->weight;
}

/* The least (in flight + 1) / weight; ties go round from a random start, so that workers do not pile up on the first. */
static struct endpoint *pick_least_request(const struct candidates *c)
{
    uint32_t count = c->upstream->endpoint_count;
    uint32_t start = rng_below(&c->upstream->set->loop->rng, count);
    struct endpoint *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct endpoint *e = c->upstream->endpoints[(start + i) % count];
        if (is_candidate(c, e) && (best == NULL || is_less_loaded(e, best)))
            best = e;
    }
    return best;
}

static struct endpoint *pick_random(const struct candidates *c)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < c->upstream->endpoint_count; i++)
        if (is_candidate(c, c->upstream->endpoints[i]))
            total += c->upstream->endpoints[i]->weight;
    if (total == 0)
        return NULL;
    uint64_t at = rng_next(&c->upstream->set->loop->rng) % total; /* total is far below 2^64: no bias to speak of */
    for (uint32_t i = 0; i < c->upstream->endpoint_count; i++) {
        struct endpoint *e = c->upstream->endpoints[i];
        if (!is_candidate(c, e))
            continue;
        if (at < e->weight)
            return e;
        at -= e->weight;
    }
    return NULL;
}

static struct endpoint *pick(const struct candidates *c)
{
    switch (c->upstream->balance) {
    case BALANCE_ROUND_ROBIN:
        return pick_round_robin(c);
    case BALANCE_LEAST_REQUEST:
        return pick_least_request(c);
    case BALANCE_RANDOM:
        return pick_random(c);
    }
    return NULL;
}

struct endpoint *balance_pick(struct upstream *u, const struct endpoint *avoid)
{
    if (u->endpoint_count <= 1)
        return u->endpoint_count == 1 ? u->endpoints[0] : NULL;
    struct candidates c = { u, avoid, false };
    struct endpoint *e = pick(&c);
    if (e == NULL && avoid != NULL) {
        c.avoid = NULL;
        e = pick(&c);
    }
    if (e == NULL) {
        c.are_down_welcome = true;
        e = pick(&c);
    }
    return e;
}
