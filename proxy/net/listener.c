/* net/listener.c - listening sockets: opened once, kept across reloads, one per worker by SO_REUSEPORT.
 *
 * Accepting is bounded per turn, so that those who are in go on while others come; an error that is not about one
 * connection, like running out of descriptors, stops it for a while instead of spinning on a queue that cannot be
 * taken from. */
#include "net/listener.h"

#include "base/check.h"
#include "base/log.h"
#include "net/holder.h"
#include "stats/counters.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_MAGIC   0x4c495354u
#define LISTEN_BACKLOG   4096
#define RETRY_MS         100
#define ACCEPTS_PER_TURN 64 /* so that a flood of connections cannot starve those that exist */

static void add_bind_error(const struct endpoint_address *bind, int error, struct place place, struct err_list *errors)
{
    char text[128];
    endpoint_address_format(bind, text, sizeof(text));
    struct err *e = err_add(errors, place, "could not listen on '%s': %s", text, strerror(error));
    char holder[128];
    if (error == EADDRINUSE && holder_of_port(bind, holder, sizeof(holder)))
        err_hint(errors, e, "the port is held by %s", holder);
    else if (error == EADDRINUSE && bind->kind == ADDRESS_UNIX)
        err_hint(errors, e, "another process listens on that file; stop it or choose another");
    else if (error == EADDRINUSE)
        err_hint(errors, e, "another process holds port %u; free it or choose another", bind->port);
    else if (error == EACCES && bind->kind == ADDRESS_IP)
        err_hint(errors, e, "ports below 1024 need CAP_NET_BIND_SERVICE or a start as root");
}

/* A stale socket file of a process that is gone is in the way of bind; one that still answers is left alone. */
static void remove_stale_unix_socket(const struct sockaddr_storage *address, socklen_t length)
{
    struct stat st;
    const char *path = ((const struct sockaddr_un *)address)->sun_path;
    if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return;
    if (connect(probe, (const struct sockaddr *)address, length) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(probe);
}

static int socket_bind(const struct sockaddr_storage *address, socklen_t length, bool reuse_port, int mode)
{
    int family = address->ss_family, yes = 1, no = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    mode_t old_mask = 0;
    if (family == AF_UNIX) {
        remove_stale_unix_socket(address, length);
        old_mask = umask((mode_t)~mode & 0777);
    } else {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (reuse_port)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
        if (family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); /* inherited by what is accepted */
    }
    int result = bind(fd, (const struct sockaddr *)address, length);
    if (result == 0)
        result = listen(fd, LISTEN_BACKLOG);
    int error = errno;
    if (family == AF_UNIX)
        umask(old_mask);
    if (result == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

int listener_open_socket(const struct endpoint_address *bind, bool reuse_port, int mode, struct place place,
                         struct err_list *errors)
{
    struct sockaddr_storage address;
    socklen_t length = endpoint_address_to_sockaddr(bind, &address);
    if (length == 0) {
        err_add(errors, place, "the path of a UNIX socket is at most 107 bytes long");
        return -1;
    }
    int fd = socket_bind(&address, length, reuse_port, mode);
    if (fd < 0)
        add_bind_error(bind, errno, place, errors);
    return fd;
}

/* Errors of the connection that was next in the queue, which is gone from it: accept(2) passes on what the network had to say of it. */
static bool is_of_one_connection(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

/* The queue is as it was, and would wake us for ever: stop listening for a while instead. */
static void accept_later(struct listener *l, int error)
{
    const char *advice =
        error == EMFILE || error == ENFILE ? "raise the open files limit (RLIMIT_NOFILE)" : "trying again soon";
    log_line_limited(&l->complaints, 5000, LOG_ERROR, "accept: %s; %s", strerror(error), advice);
    timer_start(l->loop, &l->retry, RETRY_MS);
    event_del(l->event);
}

/* false: the queue is empty (or cannot be taken from now). */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    int fd = accept4(l->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->on_accept(l, fd, (const struct sockaddr *)&peer, length);
        return true;
    }
    int error = errno;
    if (error == EAGAIN || error == EINTR)
        return error == EINTR;
    stats_add(l->loop->stats, STATS_ACCEPT_FAILURES, 1);
    if (is_of_one_connection(error))
        return true;
    accept_later(l, error);
    return false;
}

/* To be told that the queue is empty costs as much as half a connection. So who comes alone is taken alone, and a queue that is
   not empty in the turn after has twice as many taken from it. */
static uint32_t accepts_due(struct listener *l)
{
    bool is_backlog = l->loop->turn_count == l->ready_turn + 1;
    l->ready_turn = l->loop->turn_count;
    l->accept_count = is_backlog ? l->accept_count * 2 : 1;
    if (l->accept_count > ACCEPTS_PER_TURN)
        l->accept_count = ACCEPTS_PER_TURN;
    return l->accept_count;
}

static void listener_cb(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct listener *l = arg;
    uint32_t due = accepts_due(l);
    for (uint32_t i = 0; i < due && !l->is_paused && accept_one(l); i++)
        ;
}

static void listener_retry(void *arg)
{
    struct listener *l = arg;
    if (!l->is_paused)
        event_add(l->event, NULL);
}

void listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length),
                    void *owner)
{
    l->magic = LISTENER_MAGIC;
    l->fd = fd;
    l->loop = loop;
    l->is_paused = false;
    l->ready_turn = loop->turn_count - 1;
    l->accept_count = 1;
    l->on_accept = on_accept;
    l->owner = owner;
    timer_init(&l->retry, listener_retry, l);
    l->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, listener_cb, l);
    CHECK(l->event != NULL);
    event_add(l->event, NULL);
}

void listener_pause(struct listener *l)
{
    CHECK_MAGIC(l, LISTENER_MAGIC);
    event_del(l->event);
    l->is_paused = true;
}

void listener_resume(struct listener *l)
{
    CHECK_MAGIC(l, LISTENER_MAGIC);
    l->is_paused = false;
    event_add(l->event, NULL);
}

void listener_drain(struct listener *l)
{
    CHECK_MAGIC(l, LISTENER_MAGIC);
    for (int i = 0; i <= LISTEN_BACKLOG && accept_one(l); i++)
        ; /* not those who go on coming */
}

void listener_stop(struct listener *l)
{
    CHECK_MAGIC(l, LISTENER_MAGIC);
    timer_stop(l->loop, &l->retry);
    event_free(TAKE(&l->event));
    l->fd = -1;
}
