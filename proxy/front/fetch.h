/* front/fetch.h - weir.fetch on its way: a request of a hook's own, through the pool of the upstream that it names.
 *
 *   fetch_begin --+--> refused at once: the hook goes on with nil and the code
 *                 \--> UNDER WAY: the hook waits, and its request with it (STEP_SCRIPT)
 *                        +-- answered, failed, too large, timed out --> script_go_on --> request_on_scripted
 *                        \-- fetch_cancel: the request ends, whoever wanted it
 *
 * It is an exchange like any other: it takes the upstream's connections, its place in the queue and its limits, and tells
 * of endpoints that are down. Whoever asked is charged with nothing of it: a request is counted by its own route and its
 * own upstream, a fetch by weir_upstream_fetches_total of the upstream it went to.
 *
 * Limits: fetches under way in a worker (past it: nil, "overloaded"), time (lua/fetch.h: "response_timeout"), the body of
 * the answer ("too_large"). What comes is read at once, so that no endpoint is held up, and kept until it is whole.
 *
 * Owner: the request, as r->fetch, which pins the binding and so the upstream. Thread: the worker's. Freed at once. */
#ifndef FRONT_FETCH_H
#define FRONT_FETCH_H

#include "lua/fetch.h"

struct fetch;
struct front;

#define FETCHES_MAX 10000 /* under way in one worker */

/* script_fetch_fn; call->owner is the request. */
enum script_fetch_result fetch_begin(struct script_call *call, const struct script_fetch *ask,
                                     struct script_fetch_answer *answer);
/* Nobody waits for it any more. */
void fetch_cancel(struct fetch *f);

/* Gives the free list back to the heap. */
void fetch_free_all(struct front *f);

#endif
