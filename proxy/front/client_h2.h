/* front/client_h2.h - what HTTP/2 shows to the rest of the front: how it is recognised, begun, flushed and freed. */
#ifndef FRONT_CLIENT_H2_H
#define FRONT_CLIENT_H2_H

#include "base/slice.h"

struct client;
struct client_h2;
struct front;

/* What a connection's first bytes, which wait in its inbox, are of the preface that HTTP/2 begins with (RFC 9113 3.4). With TLS
   the handshake may have agreed on HTTP/2 before (ALPN): then they are complete whatever they say. */
enum preface { PREFACE_ABSENT, PREFACE_INCOMPLETE, PREFACE_COMPLETE };

enum preface client_h2_recognise(const struct client *c);
/* The client speaks HTTP/2: in IDLE, or in ACTIVE without a request. Understands what its inbox holds. May close it. */
void client_h2_begin(struct client *c);
/* With the client's memory, when no event of the session is on the stack. */
void client_h2_destroy(struct client_h2 *h);
/* The turn's end: everything that was queued in it leaves, by one write for each client. */
void client_h2_flush_all(struct front *f);

#endif
