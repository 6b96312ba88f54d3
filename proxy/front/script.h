/* front/script.h - a request in the hands of its route's script: the hooks, and what comes of what they say.
 *
 * For requests whose route has ROUTE_HAS_SCRIPT. None of these finishes the request. */
#ifndef FRONT_SCRIPT_H
#define FRONT_SCRIPT_H

#include "front/request.h"

/* on_request: its word goes into r->decision, and into r->script->answer. A reason: the request ends with it (on_error:
   fail). */
enum reason script_on_request(struct request *r);
/* on_response, with the upstream's final head: likewise. */
enum reason script_on_response(struct request *r, struct message *response);
/* The request ends; at most once, also when no hook ran. */
void script_forget(struct request *r);

#endif
