/* front/script.h - a request in the hands of its route's script: the hooks, and what comes of what they say.
 *
 * For requests whose route has ROUTE_HAS_SCRIPT, but script_wants_copies, which asks. None of these finishes the request. */
#ifndef FRONT_SCRIPT_H
#define FRONT_SCRIPT_H

#include "front/request.h"

/* on_request: its word goes into r->decision, and into r->script->answer. A reason: the request ends with it (on_error:
   fail). */
enum reason script_on_request(struct request *r);
/* on_response, with the upstream's final head: likewise. */
enum reason script_on_response(struct request *r, struct message *response);
/* Whether on_shadow is to see the request's copies before they are sent. */
bool script_wants_copies(const struct request *r);
/* on_shadow, for shadow_pool.review: edits the draft, and never the request. on_error does not count: what cannot be said to be
   clean is not sent. */
enum shadow_word script_on_shadow(void *request, struct shadow_draft *draft);
/* The request ends; at most once, also when no hook ran. */
void script_forget(struct request *r);

#endif
