/* front/accept.h - where a connection enters: the listeners of one worker.
 *
 * A listener of the configuration is one socket here, this worker's of its SO_REUSEPORT group; the kernel chooses the
 * worker a connection goes to. Descriptors come from the main thread (server/sockets.h) and go back to it: nothing
 * here opens or closes a listening socket. */
#ifndef FRONT_ACCEPT_H
#define FRONT_ACCEPT_H

#include "front/front.h"

/* Accepts on fd for the listener of that configuration, with TLS unless it is NULL; one that exists already goes on, and
   treats new connections by the new configuration and context. */
void accept_open(struct front *f, const struct listener_config *config, int fd, struct tls_context *tls,
                 uint32_t stats_id);
/* Takes what waits in the queue, then stops: a reload took the listener away. Its clients stay. */
void accept_close(struct front *f, struct front_listener *l);
/* Takes what waits in every queue, then stops accepting: a drain. */
void accept_stop(struct front *f);
void accept_fini(struct front *f);

/* The proxy's own answer with that reason, in clear text, to a connection that becomes no client; the caller closes it. */
void accept_answer(struct front *f, int fd, enum reason reason, const char *sentence);
/* Closes a connection that becomes no client, and records why. Where the reason has a status and there is no TLS, it is told. */
void accept_refuse(struct front_listener *l, int fd, const struct ip_address *source, enum reason reason);
/* From a client that goes. */
void accept_forget_client(struct front_listener *l);

#endif
