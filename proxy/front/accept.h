/* front/accept.h - where a connection enters: the listeners of one worker.
 *
 * A listener of the configuration is one socket here, this worker's of its SO_REUSEPORT group; the kernel chooses the
 * worker a connection goes to. Descriptors come from the main thread (server/sockets.h) and go back to it: nothing
 * here opens or closes a listening socket. */
#ifndef FRONT_ACCEPT_H
#define FRONT_ACCEPT_H

#include "front/front.h"

/* Accepts on fd for the listener with that name, with TLS unless it is NULL; one that exists already goes on, and gives
   new connections the new context. */
void accept_open(struct front *f, struct slice name, int fd, struct tls_context *tls, uint32_t stats_id);
/* Takes what waits in the queue, then stops: a reload took the listener away. Its clients stay. */
void accept_close(struct front *f, struct front_listener *l);
/* Takes what waits in every queue, then stops accepting: a drain. */
void accept_stop(struct front *f);
void accept_fini(struct front *f);

/* From a client that goes. */
void accept_forget_client(struct front_listener *l);

#endif
