/* front/arrival.h - an accepted connection whose PROXY header is not read yet: who the client is, is still to be told.
 *
 *   accept --> waiting --header--> a client (front/client.h), or refused by a limit of its source
 *                 \---- no header, time, not from trusted_proxies ----> refused: REASON_PROXY_HEADER
 *
 * Only listeners with `proxy_protocol` have any. The header is taken from the socket before the client's stream exists,
 * and not a byte more: what follows, TLS or not, is the stream's.
 *
 * Owner: the front (front->arrivals); freed after the turn in which it ends. Thread: the worker's. It counts as an open
 * client everywhere: for limits and metrics, for the listener, and for a drain, which waits for it.
 *
 *   invariants
 *   A1 between turns: on front->arrivals, with a descriptor and an armed timer; or ended, and freed after the turn
 *   A2 bytes[0, used) is a beginning of a header, and is not in the socket any more
 */
#ifndef FRONT_ARRIVAL_H
#define FRONT_ARRIVAL_H

#include "front/front.h"

/* Takes the accepted fd over. A peer that the listener does not trust is refused at once. */
void arrival_begin(struct front_listener *l, int fd, const struct ip_address *peer, uint16_t peer_port);
/* The proxy is stopping: whoever has not told its client soon, ends. */
void arrival_drain_all(struct front *f);
void arrival_close_all(struct front *f);

#endif
