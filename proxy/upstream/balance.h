/* upstream/balance.h - chooses an endpoint of an upstream. */
#ifndef UPSTREAM_BALANCE_H
#define UPSTREAM_BALANCE_H

#include "upstream/upstream.h"

/* By u->balance among usable endpoints, apart from `avoid` (NULL: none) when there is another. When none is usable, one that is
   down but resolved: trying beats refusing. NULL only when nothing is resolved. */
struct endpoint *balance_pick(struct upstream *u, const struct endpoint *avoid);

#endif
