/* net/mailbox.h - the only way between threads: messages into a loop, from any thread, without locks.
 *
 * One side makes a message, fills it, sends it and forgets it; the other owns it from then on and frees it. Nothing
 * else is shared, so nothing else needs an order. Sending is one compare-and-swap and, when the box was empty, one
 * write to an eventfd; it never waits and never fails. Messages are few (a reload, a report), so the box has no
 * limit.
 *
 *   newest -> ... -> oldest     as sent, a stack; taken whole, reversed, delivered */
#ifndef NET_MAILBOX_H
#define NET_MAILBOX_H

#include <stdatomic.h>
#include <stdint.h>

#include "net/loop.h"

/* Embedded in what is sent; the receiver owns it from then on. `kind` is the sender's closed enum. */
struct mail {
    struct mail *next;
    uint32_t kind;
};

struct mailbox {
    uint32_t magic;
    _Atomic(struct mail *) newest; /* a stack; the receiver reverses it */
    int event_fd;                  /* rung by whoever finds the box empty */
    struct event *event;
    void (*on_mail)(void *owner, struct mail *mail);
    void *owner;
};

/* on_mail runs in the loop's thread, in the order sent by each thread. */
void mailbox_open(struct mailbox *m, struct loop *loop, void (*on_mail)(void *owner, struct mail *mail), void *owner);
/* Mail not taken yet is handed to on_mail first. */
void mailbox_close(struct mailbox *m);
/* From any thread. */
void mailbox_send(struct mailbox *m, struct mail *mail);

#endif
