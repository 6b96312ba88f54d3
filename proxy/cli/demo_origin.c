/* cli/demo_origin.c - the demo's origins: tiny HTTP servers that answer everything with their name. */
#include "cli/demo.h"

#include "base/memory.h"

#include <unistd.h>

#define CONNECTIONS_MAX 1024 /* as the proxy's max_connections by default; what comes beyond is closed */

static const struct h1_limits limits = { .request_line_bytes = 8192, .head_bytes = 12 * 1024, .field_count = 100 };

/* One connection of the proxy's pool. On its origin's list while it is open. */
struct connection {
    struct demo_peer peer;
    struct deferred deferred;
    struct list link;
    struct demo_origin *origin;
    bool is_head; /* the request being read */
    bool is_keep_alive;
};

static void destroy(struct deferred *d)
{
    memory_free(CONTAINER_OF(d, struct connection, deferred));
}

static void connection_close(struct connection *c)
{
    list_remove(&c->link);
    loop_after_turn(c->origin->loop, &c->deferred);
    demo_peer_close(&c->peer);
}

/* Evenly spread: of 1000 answers exactly so many fail, wherever one begins to count. */
static bool next_fails(struct demo_origin *o)
{
    uint64_t share = o->failing_per_1000, n = ++o->request_count;
    if (n * share / 1000 == (n - 1) * share / 1000)
        return false;
    if (o->failed_count++ == 0)
        o->first_failed_at = clock_wall();
    return true;
}

void demo_origin_set_failing(struct demo_origin *o, uint32_t per_1000)
{
    o->failing_per_1000 = per_1000;
    o->failed_count = 0;
    o->first_failed_at = (struct wall_time){ 0 };
}

/* Bodies of requests are read and dropped; the answer leaves when the request is complete. */
static void answer(struct connection *c)
{
    struct demo_origin *origin = c->origin;
    const char *name = demo_upstream_names[origin->upstream];
    bool has_failed = next_fails(origin);
    char body[64], *out = stream_reserve(&c->peer.stream, 512);
    int body_bytes = snprintf(body, sizeof(body), has_failed ? "%s is out of order\n" : "%s\n", name);
    int length = snprintf(out, 512, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n%s",
                          has_failed ? "500 Internal Server Error" : "200 OK", body_bytes,
                          c->is_keep_alive ? "" : "Connection: close\r\n", c->is_head ? "" : body);
    stream_commit(&c->peer.stream, (uint32_t)length);
}

enum life { ALIVE, CLOSED }; /* after CLOSED the connection may not be touched */

/* An origin has no limits of time: only our own proxy talks to it, and its connections end with the demo. */
static enum life on_event(struct connection *c, enum h1_event event)
{
    switch (event) {
    case H1_HEAD:
        c->is_head = c->peer.message.method == METHOD_HEAD;
        c->is_keep_alive = c->peer.message.is_keep_alive;
        return ALIVE;
    case H1_END:
        answer(c);
        demo_peer_finish_message(&c->peer);
        if (c->is_keep_alive)
            return ALIVE;
        break;
    case H1_ERROR:
        break;
    case H1_MORE:
    case H1_DATA:
    case H1_TRAILERS:
        return ALIVE;
    }
    /* Whatever was answered leaves before the close, as far as the kernel takes it. */
    if (stream_flush(&c->peer.stream) == STREAM_OK)
        stream_shutdown(&c->peer.stream);
    connection_close(c);
    return CLOSED;
}

static void connection_on_readable(struct stream *s)
{
    struct connection *c = CONTAINER_OF(s, struct connection, peer.stream);
    enum stream_status status = demo_peer_read(&c->peer);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        connection_close(c);
        return;
    }
    enum h1_event event;
    do {
        event = demo_peer_next(&c->peer);
        if (on_event(c, event) == CLOSED)
            return;
    } while (event != H1_MORE);
    if (stream_flush(s) == STREAM_ERROR)
        connection_close(c);
}

static void connection_on_drained(struct stream *s)
{
    if (s->has_failed)
        connection_close(CONTAINER_OF(s, struct connection, peer.stream));
}

static const struct stream_events connection_events = { .on_readable = connection_on_readable,
                                                        .on_drained = connection_on_drained };

/* Counted anew for each connection: they are few, and come once each. */
static size_t list_length(const struct list *head)
{
    size_t length = 0;
    for (const struct list *link = head->next; link != head; link = link->next)
        length++;
    return length;
}

static void on_accept(struct listener *l, int fd, const struct sockaddr *peer, socklen_t peer_length)
{
    struct demo_origin *o = l->owner;
    (void)peer;
    (void)peer_length;
    if (list_length(&o->connections) >= CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    struct connection *c = memory_zalloc(sizeof(*c));
    c->origin = o;
    c->deferred.destroy = destroy;
    demo_peer_init(&c->peer, o->loop);
    h1_reader_init_request(&c->peer.reader, &limits);
    stream_open(&c->peer.stream, o->loop, fd, &connection_events);
    list_init(&c->link);
    list_append(&o->connections, &c->link);
}

/* Any port: a fixed one could be somebody else's. Its number is known before the proxy's configuration is written. */
bool demo_origin_open(struct demo_origin *o, enum demo_upstream upstream, struct err_list *errors)
{
    *o = (struct demo_origin){ .upstream = upstream };
    struct endpoint_address any_port = { .kind = ADDRESS_IP };
    CHECK(ip_parse(SLICE("127.0.0.1"), &any_port.ip));
    o->fd = listener_open_socket(&any_port, false, 0, (struct place){ .file = "demo" }, errors);
    if (o->fd < 0)
        return false;
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    struct ip_address ip;
    CHECK(getsockname(o->fd, (struct sockaddr *)&bound, &length) == 0);
    ip_from_sockaddr((struct sockaddr *)&bound, &ip, &o->port);
    return true;
}

void demo_origin_start(struct demo_origin *o, struct loop *loop)
{
    o->loop = loop;
    list_init(&o->connections);
    listener_start(&o->listener, loop, o->fd, on_accept, o);
}

void demo_origin_stop(struct demo_origin *o)
{
    listener_stop(&o->listener);
    LIST_FOREACH_SAFE (link, &o->connections)
        connection_close(LIST_ITEM(link, struct connection, link));
    close(o->fd);
}
