/* net/mailbox.c - the only way between threads: messages into a loop, from any thread, without locks.
 *
 * Senders push on a stack, the receiver takes all of it at once: no sender waits for another, and the order of each
 * one is restored by reversing. Only the sender that finds the box empty writes to the eventfd, so a burst costs
 * one wake-up. */
#include "net/mailbox.h"

#include "base/check.h"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAILBOX_MAGIC 0x4d41494cu

/* Takes everything and delivers it in the order it was sent. */
static void mailbox_deliver(struct mailbox *m)
{
    struct mail *newest = atomic_exchange_explicit(&m->newest, NULL, memory_order_acquire);
    struct mail *oldest = NULL;
    while (newest != NULL) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct mail *mail = oldest;
        oldest = oldest->next;
        m->on_mail(m->owner, mail);
    }
}

static void mailbox_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got; /* EAGAIN: an earlier turn took it */
    mailbox_deliver(arg);
}

void mailbox_open(struct mailbox *m, struct loop *loop, void (*on_mail)(void *owner, struct mail *mail), void *owner)
{
    m->magic = MAILBOX_MAGIC;
    atomic_init(&m->newest, NULL);
    m->on_mail = on_mail;
    m->owner = owner;
    m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(m->event_fd >= 0);
    m->event = event_new(loop->base, m->event_fd, EV_READ | EV_PERSIST, mailbox_cb, m);
    CHECK(m->event != NULL);
    event_add(m->event, NULL);
}

void mailbox_close(struct mailbox *m)
{
    CHECK_MAGIC(m, MAILBOX_MAGIC);
    mailbox_deliver(m);
    event_free(m->event);
    close(m->event_fd);
    m->magic = 0;
}

void mailbox_send(struct mailbox *m, struct mail *mail)
{
    CHECK_MAGIC(m, MAILBOX_MAGIC);
    struct mail *head = atomic_load_explicit(&m->newest, memory_order_relaxed);
    do {
        mail->next = head;
    } while (
        !atomic_compare_exchange_weak_explicit(&m->newest, &head, mail, memory_order_release, memory_order_relaxed));
    if (head == NULL) { /* whoever found it empty rings */
        uint64_t one = 1;
        ssize_t put = write(m->event_fd, &one, sizeof(one));
        (void)put; /* cannot block: the counter never nears its limit */
    }
}
