/* net/listener.h - listening sockets: opened once, kept across reloads, one per worker by SO_REUSEPORT.
 *
 * The main thread opens sockets and keeps them as long as a configuration names their address (server/sockets.h); a
 * worker accepts on its own. Closing one socket of a SO_REUSEPORT group would drop what waits in its queue, so a
 * worker that stops accepting drains the queue first. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"
#include "base/units.h"
#include "net/loop.h"

/* Opens a bound, listening, non-blocking socket. reuse_port: one of several of the same address. On failure returns
   -1 and adds an error that names the address and, when another process holds the port, that process if it can be
   known. */
int listener_open_socket(const struct endpoint_address *bind, bool reuse_port, int mode, struct place place,
                         struct err_list *errors);

/* Accepts on one socket in one loop. */
struct listener {
    uint32_t magic;
    int fd; /* borrowed; -1: stopped */
    struct loop *loop;
    struct event *event;         /* NULL: stopped */
    bool is_paused;              /* accepts nothing until listener_resume */
    struct log_limit complaints; /* about accept failing */
    struct timer retry;          /* accepts again after it failed */
    uint32_t ready_turn;         /* the last one in which connections waited */
    uint32_t accept_count;       /* most to accept in that turn; 1 or more */
    /* Called for each accepted, non-blocking, TCP_NODELAY fd; the callee owns it. */
    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length);
    void *owner;
};

/* Borrows the fd: stopping does not close it, so that its accept queue survives. */
void listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length),
                    void *owner);
/* Stops accepting; pending connections stay in the queue. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
/* Accepts what waits in the queue: before a socket is closed for good. */
void listener_drain(struct listener *l);
void listener_stop(struct listener *l);

#endif
