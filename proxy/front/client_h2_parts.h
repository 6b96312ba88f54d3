/* front/client_h2_parts.h - what the files of HTTP/2 on a client's connection share; nobody else includes it. */
#ifndef FRONT_CLIENT_H2_PARTS_H
#define FRONT_CLIENT_H2_PARTS_H

#include "front/client.h"
#include "front/request.h"

#define CLIENT_H2_MAGIC 0x43324832u

/* Everything of a client that only HTTP/2 needs. Owner: the client. */
struct client_h2 {
    uint32_t magic;
    struct client *client;
    struct h2 *session;
    struct list flush_link;       /* in front->flush_due */
    struct list requests;         /* all of this client's, oldest first */
    struct list touched;          /* of the batch being read: their exchanges are flushed behind it */
    struct chunk *reading;        /* the chunk whose bytes the session is given */
    struct request *heading;      /* its head is incomplete; there is at most one (RFC 9113 4.3); NULL: none */
    struct request *answering;    /* its answer's end was just queued and is being written; NULL: none */
    struct request *delivering;   /* whose body is being passed on; NULL: none, or it is finished meanwhile */
    struct mono_time head_due;    /* with `heading` */
    struct mono_time goodbye_due; /* with `is_leaving` */
    bool is_leaving;              /* GOAWAY was sent */
    bool is_over;                 /* the session has ended: what it wrote leaves, then the connection goes */
};

/* What the turn has queued for the client leaves when it ends. */
void client_h2_flush_later(struct client *c);

/* ---- client_h2_events.c --------------------------------------------------------------------------------------------- */

extern const struct h2_events client_h2_events;
/* What of the body came while the exchange was not ready, and then everything out at once; our peer hears how far its window has
   opened. May finish the request. */
void client_h2_go_on(struct request *r);
/* The same for all who got something from the batch that was read. */
void client_h2_flush_touched(struct client_h2 *h);

#endif
