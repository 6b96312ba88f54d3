/* upstream/balance.h - chooses an endpoint of an upstream.
 *
 * Each worker chooses for itself, by what it sees: its own exchanges in flight, its own failures to connect. Workers
 * that agreed would have to share what changes with every request. Weights are an operator's, relative to each other
 * within one upstream.
 *
 * Owner and thread: the worker's. Reads the endpoints and moves nothing but their round robin credit. */
#ifndef UPSTREAM_BALANCE_H
#define UPSTREAM_BALANCE_H

#include "upstream/upstream.h"

/* By u->balance among usable endpoints, apart from `avoid` (NULL: none) when there is another. When none is usable,
   one that is down: trying beats refusing. NULL only when nothing is resolved. */
struct endpoint *balance_pick(struct upstream *u, const struct endpoint *avoid);

#endif
