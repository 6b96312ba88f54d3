/* route/decide.h - chooses the upstream for a request, and says why.
 *
 * The one question of this folder. What goes in: the compiled routes, the request in normal form, the weights in
 * force, and the worker's randomness. What comes out: a decision that says where, why and by which weights; `weir
 * explain`, the access log, the counters and the forwarding all read the same struct. It knows nothing of endpoints:
 * whether the upstream can take the request is found out later.
 *
 * A decision is made once for a request: retries stay with its upstream. */
#ifndef ROUTE_DECIDE_H
#define ROUTE_DECIDE_H

#include "base/hash.h"
#include "base/reason.h"

#include "route/block.h"
#include "route/condition.h"
#include "route/table.h"
#include "route/weights.h"

/* Randomness and what is left of each route's block: one per worker and snapshot. */
struct draw {
    struct rng *rng;
    uint64_t *blocks; /* one behind the other: that of a route begins at its block_at */
    uint32_t block_units;
};

void draw_init(struct draw *d, struct rng *rng, const struct route_table *table);
void draw_fini(struct draw *d);

enum decision_why {
    WHY_NO_ROUTE,
    WHY_RULE,   /* a targeting rule: rule_index says which */
    WHY_ONLY,   /* the split has one entry */
    WHY_SPLIT,  /* drawn from a block */
    WHY_STICKY, /* by the key the request carried */
    WHY_ISSUED, /* sticky by cookie, the request had none: a new key was made */
    WHY_REDIRECT,
    WHY_RESPOND,
    WHY_SCRIPT, /* the route's script named the upstream, or answered */
    WHY_DRILL   /* a drill's own request: the proxy answers it (front/drill.c) */
};

struct decision {
    const struct compiled_route *route; /* NULL: WHY_NO_ROUTE */
    enum decision_why why;
    uint32_t rule_index;     /* WHY_RULE, else CONFIG_NONE */
    uint32_t split_index;    /* entry of the split that was chosen, or that took the place of a canary that was rolled
                                back (WHY_RULE, WHY_SCRIPT); else CONFIG_NONE */
    uint32_t upstream_index; /* in config->upstreams; CONFIG_NONE when nothing is forwarded */
    uint64_t weights_generation;
    char issued_key[33]; /* WHY_ISSUED: 32 hex characters for Set-Cookie */
};

extern const char *const decision_why_names[];

/* Pure but for the draw. The request's path and host are in normal form.
   Rules go before everything, scripts before everything else, also before a redirect: act on upstream_index and why, not on the route's action.
   Where a sticky split's header, query argument or source is absent, the block decides; where its cookie is, a key
   is issued. */
void route_decide(const struct route_table *table, const struct route_request *request, const struct weights *weights,
                  struct draw *draw, struct decision *out);

/* The same in steps, for routes with a script: what it names is asked for after the rules and before anything is drawn or
   issued. `begin` finds the route and its rule, `target` takes the script's word unless a rule has decided, `answer` undoes that too, `finish`
   decides what nobody has. */
void route_decide_begin(const struct route_table *table, const struct route_request *request,
                        const struct weights *weights, struct decision *out);
void route_decide_target(struct decision *d, uint32_t upstream_index);
/* The script answers the request itself: nothing is forwarded. */
void route_decide_answer(struct decision *d);
void route_decide_finish(const struct route_request *request, const struct weights *weights, struct draw *draw,
                         struct decision *out);

#endif
