/* net/mailbox.h - the only way between threads: messages into a loop, from any thread, without locks. */
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
    int event_fd;
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
