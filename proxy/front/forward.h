/* front/forward.h - sends a request on: prepares its head, runs the exchange, hands what comes back to respond. */
#ifndef FRONT_FORWARD_H
#define FRONT_FORWARD_H

#include "front/request.h"

/* The request as it leaves: source address, X-Forwarded-*, Via, trace, request id, edits of the route; and the target. */
void forward_prepare(struct request *r);
/* Starts the exchange. REASON_NONE: under way. */
enum reason forward_begin(struct request *r) MUST_CHECK;

/* The client's address as routing and limits see it: the peer, or the rightmost untrusted X-Forwarded-For entry when the peer is a
   trusted proxy. *is_trusted tells whether the peer is one. */
struct ip_address forward_source(const struct request *r, bool *is_trusted);

#endif
