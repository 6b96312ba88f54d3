/* server/sockets.c - one socket per worker and address, by SO_REUSEPORT; a UNIX socket is one, shared. */
#include "server/sockets.h"

#include "base/memory.h"
#include "net/holder.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_BYTES 256

struct socket {
    struct list link;
    char key[KEY_BYTES];     /* what finds it again: see socket_key */
    char address[KEY_BYTES]; /* as bound */
    uint16_t port;           /* 0: none */
    bool is_unix, is_wanted;
    bool is_new; /* since sockets_open began */
    int fds[];   /* one per worker; -1: not open */
};

void sockets_init(struct socket_set *set, uint32_t worker_count)
{
    list_init(&set->sockets);
    set->worker_count = worker_count;
}

/* The address; of one with a port of the kernel's choice the listener's name too, since there may be several. */
static void socket_key(const struct listener_config *listener, char key[KEY_BYTES])
{
    endpoint_address_format(&listener->bind, key, KEY_BYTES);
    if (listener->bind.kind == ADDRESS_IP && listener->bind.port == 0) {
        size_t used = strlen(key);
        snprintf(key + used, KEY_BYTES - used, " %.*s", SLICE_ARG(listener->name));
    }
}

static struct socket *socket_find(const struct socket_set *set, const struct listener_config *listener)
{
    char key[KEY_BYTES];
    socket_key(listener, key);
    for (struct list *at = set->sockets.next; at != &set->sockets; at = at->next) {
        struct socket *s = LIST_ITEM(at, struct socket, link);
        if (strcmp(s->key, key) == 0)
            return s;
    }
    return NULL;
}

static void socket_close(struct socket_set *set, struct socket *s)
{
    for (uint32_t i = 0; i < set->worker_count; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
    if (s->is_unix && s->fds[0] >= 0)
        unlink(s->address + sizeof "unix:" - 1);
    list_remove(&s->link);
    memory_free(s);
}

void sockets_fini(struct socket_set *set)
{
    LIST_FOREACH_SAFE (link, &set->sockets)
        socket_close(set, LIST_ITEM(link, struct socket, link));
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

static bool is_port_ours(const struct socket_set *set, uint16_t port)
{
    for (struct list *at = set->sockets.next; at != &set->sockets; at = at->next)
        if (LIST_ITEM(at, struct socket, link)->port == port)
            return true;
    return false;
}

/* SO_REUSEPORT would let a second weir of the same user join the port in silence and take half the traffic. A socket without
   it is refused when anybody listens there. Not asked when a listener of ours has the port on another address: a reload may
   go from one address to all. */
static bool port_is_free(const struct socket_set *set, const struct endpoint_address *bind, struct place place,
                         struct err_list *errors)
{
    if (bind->kind != ADDRESS_IP || bind->port == 0 || is_port_ours(set, bind->port))
        return true;
    int probe = listener_open_socket(bind, false, 0, place, errors);
    if (probe >= 0)
        close(probe);
    return probe >= 0;
}

/* The first worker's socket decides the port of all. */
static void address_read(struct socket *s, struct endpoint_address *bind)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    if (!s->is_unix && getsockname(s->fds[0], (struct sockaddr *)&bound, &length) == 0)
        ip_from_sockaddr((struct sockaddr *)&bound, &bind->ip, &bind->port);
    s->port = s->is_unix ? 0 : bind->port;
    endpoint_address_format(bind, s->address, sizeof s->address);
}

static int fd_open(struct socket *s, uint32_t worker, const struct endpoint_address *bind, struct place place,
                   struct err_list *errors)
{
    if (!s->is_unix || worker == 0)
        return listener_open_socket(bind, !s->is_unix, 0666, place, errors);
    int fd = fcntl(s->fds[0], F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        err_add(errors, place, "could not share '%s': %s", s->address, strerror(errno));
    return fd;
}

static bool fds_open(struct socket_set *set, struct socket *s, const struct listener_config *listener,
                     struct err_list *errors)
{
    struct endpoint_address bind = listener->bind;
    if (!port_is_free(set, &bind, listener->place, errors))
        return false;
    for (uint32_t i = 0; i < set->worker_count; i++) {
        s->fds[i] = fd_open(s, i, &bind, listener->place, errors);
        if (s->fds[i] < 0)
            return false;
        if (i == 0)
            address_read(s, &bind);
    }
    return true;
}

static bool socket_open(struct socket_set *set, const struct listener_config *listener, struct err_list *errors)
{
    struct socket *s = memory_zalloc(sizeof *s + set->worker_count * sizeof s->fds[0]);
    for (uint32_t i = 0; i < set->worker_count; i++)
        s->fds[i] = -1;
    socket_key(listener, s->key);
    s->is_unix = listener->bind.kind == ADDRESS_UNIX;
    s->is_new = true;
    list_init(&s->link);
    list_append(&set->sockets, &s->link);
    return fds_open(set, s, listener, errors);
}

static void new_ones_finish(struct socket_set *set, bool is_good)
{
    LIST_FOREACH_SAFE (link, &set->sockets) {
        struct socket *s = LIST_ITEM(link, struct socket, link);
        if (s->is_new && !is_good)
            socket_close(set, s);
        else
            s->is_new = false;
    }
}

void sockets_forget(struct socket_set *set)
{
    LIST_FOREACH_SAFE (link, &set->sockets)
        LIST_ITEM(link, struct socket, link)->is_wanted = false;
}

static void wanted_mark(struct socket_set *set, const struct config *config)
{
    sockets_forget(set);
    for (size_t i = 0; i < config->listener_count; i++)
        socket_find(set, &config->listeners[i])->is_wanted = true;
}

bool sockets_open(struct socket_set *set, const struct config *config, struct err_list *errors)
{
    bool is_good = true;
    for (size_t i = 0; i < config->listener_count; i++)
        if (socket_find(set, &config->listeners[i]) == NULL)
            is_good &= socket_open(set, &config->listeners[i], errors);
    new_ones_finish(set, is_good);
    if (is_good)
        wanted_mark(set, config);
    return is_good;
}

/* ---- use ------------------------------------------------------------------------------------------------------------- */

void sockets_fds(const struct socket_set *set, const struct config *config, uint32_t worker, int *out)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct socket *s = socket_find(set, &config->listeners[i]);
        CHECK(s != NULL);
        out[i] = s->fds[worker];
    }
}

const char *sockets_address(const struct socket_set *set, const struct listener_config *listener)
{
    const struct socket *s = socket_find(set, listener);
    return s != NULL ? s->address : "";
}

void sockets_close_unwanted(struct socket_set *set)
{
    LIST_FOREACH_SAFE (link, &set->sockets) {
        struct socket *s = LIST_ITEM(link, struct socket, link);
        if (!s->is_wanted)
            socket_close(set, s);
    }
}
