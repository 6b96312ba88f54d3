/* net/notify.c - signals, file changes and plain readable descriptors as callbacks of a loop. */
#include "net/notify.h"

#include "base/check.h"

#include <event2/event.h>

static void notify_signal_cb(evutil_socket_t signal_number, short what, void *arg)
{
    (void)what;
    struct notify_signal *n = arg;
    n->on_signal(n->arg, (int)signal_number);
}

void notify_signal_start(struct notify_signal *n, struct loop *loop, int signal_number,
                         void (*on_signal)(void *arg, int signal_number), void *arg)
{
    n->on_signal = on_signal;
    n->arg = arg;
    n->signal_number = signal_number;
    n->event = evsignal_new(loop->base, signal_number, notify_signal_cb, n);
    CHECK(n->event != NULL && event_add(n->event, NULL) == 0);
}

void notify_signal_stop(struct notify_signal *n)
{
    if (n->event != NULL)
        event_free(TAKE(&n->event));
}

static void notify_fd_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct notify_fd *n = arg;
    n->on_readable(n->arg, fd);
}

void notify_fd_start(struct notify_fd *n, struct loop *loop, int fd, void (*on_readable)(void *arg, int fd), void *arg)
{
    n->fd = fd;
    n->on_readable = on_readable;
    n->arg = arg;
    n->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, notify_fd_cb, n);
    CHECK(n->event != NULL && event_add(n->event, NULL) == 0);
}

void notify_fd_stop(struct notify_fd *n)
{
    if (n->event != NULL)
        event_free(TAKE(&n->event));
}
