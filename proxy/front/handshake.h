/* front/handshake.h - the TLS handshake of a client: how it ended, told to the counters and to the log.
 *
 * The handshake itself runs inside the stream (net/stream.h). */
#ifndef FRONT_HANDSHAKE_H
#define FRONT_HANDSHAKE_H

#include "front/client.h"

/* It is done. */
void handshake_succeeded(struct client *c);
/* It broke off, `error` as on_connected has it: counts and logs; a request in clear text gets an answer in clear text. The
   caller closes the client. */
void handshake_failed(struct client *c, int error);

#endif
