/* front/script.h - a request in the hands of its route's script: the hooks, and what comes of what they say.
 *
 * For requests whose route has ROUTE_HAS_SCRIPT, but script_wants_copies, which asks. None of these finishes the request.
 *
 *   script_on_request --+--> over: the request goes on
 *                       +--> waits for an answer (front/fetch.h) --> script_go_on --> over, or it waits again
 *                       +--> too many are paused: waits to begin --------------+
 *                       |                                                      v
 *                       \--> ran long: others go first --> a chore of the loop's --> over, or it waits again
 *                                                                  \--> request_on_scripted */
#ifndef FRONT_SCRIPT_H
#define FRONT_SCRIPT_H

#include "front/request.h"
#include "lua/fetch.h"

/* on_request: true: it is over, and its word is in r->decision and r->script->answer; with a *reason the request ends (on_error:
   fail). False: it waits. */
bool script_on_request(struct request *r, enum reason *reason);
/* What it waited for is there, or (NULL) others went first: likewise. */
bool script_go_on(struct request *r, const struct script_fetch_answer *answer, enum reason *reason);
/* The request ends while it waits: nobody hears its word any more. */
void script_abandon(struct request *r);
/* on_response, with the upstream's final head. A reason: the request ends with it (on_error: fail). */
enum reason script_on_response(struct request *r, struct message *response);
/* Whether on_shadow is to see the request's copies before they are sent. */
bool script_wants_copies(const struct request *r);
/* on_shadow, for shadow_pool.review: edits the draft, and never the request. on_error does not count: what cannot be said to be
   clean is not sent. */
enum shadow_word script_on_shadow(void *request, struct shadow_draft *draft);
/* The request ends; at most once, also when no hook ran. */
void script_forget(struct request *r);

#endif
