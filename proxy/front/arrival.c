/* front/arrival.c - reads the PROXY header of a connection, and makes it a client of who is named there.
 *
 * A header is believed only from the listener's trusted_proxies. Others are refused: without a header they could not be told from
 * a client that speaks past the proxy in front, and with one from a client that says who it is as it likes. */
#include "front/arrival.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "front/accept.h"
#include "front/client.h"
#include "http/proxy_header.h"
#include "net/notify.h"
#include "net/timer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARRIVAL_MAGIC       0x41525256u
#define COMPLAINTS_EVERY_MS 1000
#define DRAIN_GRACE_MS      1000 /* as for the first request of a client */

struct arrival {
    uint32_t magic;
    int fd;           /* -1: ended */
    struct list link; /* in front->arrivals */
    struct front *front;
    struct front_listener *listener;
    struct ip_address peer;
    uint16_t peer_port;
    uint32_t limits_place; /* of the peer, without its limit: it speaks for many */
    uint32_t used;
    struct notify_fd readable;
    struct timer timer; /* header_timeout */
    struct deferred deferred;
    char bytes[PROXY_HEADER_MAX_BYTES];
};

/* ---- ends -------------------------------------------------------------------------------------------------------------- */

static void arrival_destroy(struct deferred *d)
{
    struct arrival *a = CONTAINER_OF(d, struct arrival, deferred);
    CHECK_MAGIC(a, ARRIVAL_MAGIC);
    a->magic = 0;
    memory_free(a);
}

/* Not an arrival any more. The caller goes on with the descriptor, then lets go of the listener (accept_forget_client). */
static int arrival_end(struct arrival *a)
{
    struct front *f = a->front;
    CHECK(a->fd >= 0);
    notify_fd_stop(&a->readable);
    timer_stop(f->loop, &a->timer);
    list_remove(&a->link);
    stats_listener_close(f->stats, a->listener->stats_id, STATS_HTTP1);
    f->client_count--;
    loop_after_turn(f->loop, &a->deferred);
    int fd = a->fd;
    a->fd = -1;
    return fd;
}

/* Nothing was asked, and nobody is to blame. */
static void arrival_close(struct arrival *a)
{
    struct front *f = a->front;
    close(arrival_end(a));
    limits_leave(f->limits, a->limits_place);
    stats_add(f->stats, STATS_CONNECTIONS_CLOSED, 1);
    accept_forget_client(TAKE(&a->listener));
}

static void complain(struct front_listener *l, const struct ip_address *peer, const char *problem)
{
    char text[46];
    text[ip_format(peer, text)] = '\0';
    log_line_limited(&l->header_complaints, COMPLAINTS_EVERY_MS, LOG_INFO, "proxy_protocol: listener %s, peer %s: %s",
                     l->name, text, problem);
}

static void arrival_refuse(struct arrival *a, const char *problem)
{
    complain(a->listener, &a->peer, problem);
    accept_refuse(a->listener, arrival_end(a), &a->peer, REASON_PROXY_HEADER);
    limits_leave(a->front->limits, a->limits_place);
    accept_forget_client(TAKE(&a->listener));
}

/* `header` NULL: the peer is the client itself, by a health check say, and counts as before. */
static void arrival_become_client(struct arrival *a, const struct proxy_header *header)
{
    struct front *f = a->front;
    struct front_listener *l = a->listener;
    const struct ip_address *source = header != NULL ? &header->source : &a->peer;
    uint16_t port = header != NULL ? header->source_port : a->peer_port;
    uint32_t most_per_source = f->current->snapshot->config->limits.connections_per_source;
    bool is_admitted = header == NULL || limits_move(f->limits, source, most_per_source, &a->limits_place);
    int fd = arrival_end(a);
    if (is_admitted) {
        client_create(l, fd, source, port, a->limits_place);
    } else {
        limits_leave(f->limits, a->limits_place);
        accept_refuse(l, fd, source, REASON_CONNECTION_LIMIT);
    }
    accept_forget_client(TAKE(&a->listener));
}

/* ---- the header -------------------------------------------------------------------------------------------------------- */

static ssize_t arrival_recv(struct arrival *a, size_t most, int flags)
{
    ssize_t got = recv(a->fd, a->bytes + a->used, most, flags | MSG_DONTWAIT);
    stats_add(a->front->stats, STATS_READ_CALLS, 1);
    return got;
}

/* What was looked at and belongs to the header leaves the socket: else a beginning would be readable all the time. */
static bool arrival_take(struct arrival *a, size_t count)
{
    if (arrival_recv(a, count, 0) != (ssize_t)count)
        return false;
    a->used += (uint32_t)count;
    stats_add(a->front->stats, STATS_BYTES_READ, count);
    return true;
}

/* A connection that is only made and given up is how many health checks look. */
static void arrival_lose(struct arrival *a)
{
    if (a->used == 0)
        arrival_close(a);
    else
        arrival_refuse(a, "the connection ended inside the header");
}

static void arrival_read(struct arrival *a)
{
    CHECK(a->used < sizeof(a->bytes));
    ssize_t got = arrival_recv(a, sizeof(a->bytes) - a->used, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        arrival_lose(a);
        return;
    }
    struct proxy_header header;
    size_t seen = a->used + (size_t)got;
    enum proxy_header_result result = proxy_header_read(slice_from(a->bytes, seen), &header);
    if (result == PROXY_HEADER_BAD)
        arrival_refuse(a, header.problem);
    else if (!arrival_take(a, (result == PROXY_HEADER_MORE ? seen : header.length) - a->used))
        arrival_lose(a);
    else if (result != PROXY_HEADER_MORE)
        arrival_become_client(a, result == PROXY_HEADER_SOURCE ? &header : NULL);
}

static void arrival_on_readable(void *arg, int fd)
{
    (void)fd;
    struct arrival *a = arg;
    CHECK_MAGIC(a, ARRIVAL_MAGIC);
    arrival_read(a);
}

static void arrival_on_timer(void *arg)
{
    struct arrival *a = arg;
    CHECK_MAGIC(a, ARRIVAL_MAGIC);
    if (a->front->is_draining)
        arrival_close(a);
    else
        arrival_refuse(a, "no whole header within limits.header_timeout");
}

/* ---- life -------------------------------------------------------------------------------------------------------------- */

static struct arrival *arrival_create(struct front_listener *l, int fd, const struct ip_address *peer,
                                      uint16_t peer_port, uint32_t limits_place)
{
    struct front *f = l->front;
    struct arrival *a = memory_zalloc(sizeof(*a));
    a->magic = ARRIVAL_MAGIC;
    a->fd = fd;
    a->front = f;
    a->listener = l;
    a->peer = *peer;
    a->peer_port = peer_port;
    a->limits_place = limits_place;
    a->deferred.destroy = arrival_destroy;
    timer_init(&a->timer, arrival_on_timer, a);
    list_init(&a->link);
    list_append(&f->arrivals, &a->link);
    f->client_count++;
    l->client_count++;
    stats_listener_open(f->stats, l->stats_id, STATS_HTTP1);
    return a;
}

void arrival_begin(struct front_listener *l, int fd, const struct ip_address *peer, uint16_t peer_port)
{
    struct front *f = l->front;
    const struct limits_config *limits = &f->current->snapshot->config->limits;
    uint32_t place;
    if (!ip_is_in(peer, l->header_peers, l->header_peer_count)) {
        complain(l, peer, "not one of trusted_proxies");
        accept_refuse(l, fd, peer, REASON_PROXY_HEADER);
        return;
    }
    if (!limits_enter(f->limits, peer, limits->connections, 0, &place)) {
        accept_refuse(l, fd, peer, REASON_CONNECTION_LIMIT);
        return;
    }
    struct arrival *a = arrival_create(l, fd, peer, peer_port, place);
    arrival_read(a); /* mostly it is there already */
    if (a->fd < 0)
        return;
    notify_fd_start(&a->readable, f->loop, fd, arrival_on_readable, a);
    timer_start(f->loop, &a->timer, limits->header_timeout_ms);
}

void arrival_drain_all(struct front *f)
{
    LIST_FOREACH_SAFE (link, &f->arrivals)
        timer_start(f->loop, &LIST_ITEM(link, struct arrival, link)->timer, DRAIN_GRACE_MS);
}

void arrival_close_all(struct front *f)
{
    LIST_FOREACH_SAFE (link, &f->arrivals)
        arrival_close(LIST_ITEM(link, struct arrival, link));
}
