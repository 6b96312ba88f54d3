/* front/respond.h - what goes back to the client: relayed answers and the proxy's own.
 *
 * Everything is queued on the client's connection, never written at once: the head and what there is of the body leave
 * together, when the exchange has delivered a whole read (on_batch) or the request is finished. None of these
 * closes the client: that its connection is broken is found when it is flushed. */
#ifndef FRONT_RESPOND_H
#define FRONT_RESPOND_H

#include "front/request.h"

/* An interim (1xx) head from the upstream. */
void respond_interim(struct request *r, struct message *response);
/* The final head from the upstream; a 101 turns the request into a tunnel. A reason: not acceptable
   (REASON_UPSTREAM_INVALID), or the route's script failed. */
enum reason respond_head(struct request *r, struct message *response);
void respond_data(struct request *r, struct chunk *chunk, uint32_t offset, uint32_t length);
void respond_end(struct request *r, struct message *trailers);

/* The proxy's own answer: by r->reason, or by the route's redirect or respond. */
void respond_own(struct request *r);

#endif
