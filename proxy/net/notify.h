/* net/notify.h - signals, file changes and plain readable descriptors as callbacks of a loop.
 *
 * For the main thread: what the system tells a process outside of any connection. Start and stop in the thread of the
 * loop. A callback may stop its own notification. */
#ifndef NET_NOTIFY_H
#define NET_NOTIFY_H

#include "net/loop.h"

/* A signal delivered to the loop's thread as an ordinary callback. */
struct notify_signal {
    struct event *event;
    void (*on_signal)(void *arg, int signal_number);
    void *arg;
    int signal_number;
};
void notify_signal_start(struct notify_signal *n, struct loop *loop, int signal_number,
                         void (*on_signal)(void *arg, int signal_number), void *arg);
void notify_signal_stop(struct notify_signal *n);

/* A descriptor that became readable (inotify, eventfd, a pipe). Borrowed. */
struct notify_fd {
    struct event *event;
    int fd;
    void (*on_readable)(void *arg, int fd);
    void *arg;
};
void notify_fd_start(struct notify_fd *n, struct loop *loop, int fd, void (*on_readable)(void *arg, int fd), void *arg);
void notify_fd_stop(struct notify_fd *n);

#endif
