/* front/forward.h - sends a request on: prepares its head, runs the exchange, hands what comes back to respond.
 *
 * The message itself is changed on its way out, not copied: fields of this hop are dropped, the proxy's own are added,
 * values are replaced. What was received stays in head_chunk, so that the target can go on byte for byte.
 *
 * A second try sends the same head again: nothing here runs twice for one request. */
#ifndef FRONT_FORWARD_H
#define FRONT_FORWARD_H

#include "front/request.h"

/* TRACE and OPTIONS with Max-Forwards: 0 end here (RFC 9110 7.6.2). */
bool forward_is_last_hop(const struct request *r);
/* The request as it leaves: source address, X-Forwarded-*, Via, trace, request id, edits of the route; and the
   target. */
void forward_prepare(struct request *r);
/* Whom to ask for where nobody says: the upstream's first address. */
struct slice forward_host_of(const struct upstream_config *u);
/* Where a message of that route goes: its path and query as one run of bytes, ... */
struct slice forward_received_target(const struct message *m, struct arena *arena);
/* ... or what the route's rewrite makes of the path in normal form. */
struct slice forward_target(const struct compiled_route *route, const struct message *m, struct slice normal_path,
                            struct arena *arena);
/* Starts copies for the shadows chosen (shadow_choose). Before the exchange: it may be over by then. */
void forward_copies(struct request *r, uint32_t chosen);
/* Starts the exchange. REASON_NONE: under way. */
enum reason forward_begin(struct request *r) MUST_CHECK;

/* The client's address as routing and limits see it: the peer, or the rightmost untrusted X-Forwarded-For entry when
   the peer is a trusted proxy. *is_trusted tells whether the peer is one. */
struct ip_address forward_source(const struct request *r, bool *is_trusted);
/* Whom the client's certificate names, for r->view. */
void forward_view_client(struct request *r);

#endif
