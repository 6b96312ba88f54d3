/* front/accept.c - where a connection enters: the listeners of one worker.
 *
 * A listener outlives its place in the configuration while it has clients: they count in its metrics, and it is
 * freed with the last. They are served to the end of what they have begun, and then they go. */
#include "front/accept.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/arrival.h"
#include "front/client.h"
#include "http/codec.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFUSAL_MAX_BYTES 512

static size_t answer_text(struct front *f, const struct reason_row *row, const char *sentence, char *out)
{
    struct slice date = http_date_text(&f->date, clock_wall()), phrase = h1_reason_phrase(row->status);
    int length = snprintf(out, REFUSAL_MAX_BYTES,
                          "HTTP/1.1 %u %.*s\r\nContent-Type: text/plain; charset=utf-8\r\n%.*s: %s\r\nDate: %.*s\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n%s: %s\n",
                          row->status, SLICE_ARG(phrase), SLICE_ARG(field_names[FIELD_X_WEIR_ERROR]), row->code,
                          SLICE_ARG(date), strlen(row->code) + strlen(sentence) + 3, row->code, sentence);
    CHECK(length > 0 && length < REFUSAL_MAX_BYTES);
    return (size_t)length;
}

/* One write that may fall short: there is no request yet, and nobody whom it could wait for. */
void accept_answer(struct front *f, int fd, enum reason reason, const char *sentence)
{
    char text[REFUSAL_MAX_BYTES];
    size_t length = answer_text(f, &reason_rows[reason], sentence, text);
    ssize_t sent = send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(fd, SHUT_WR);
}

/* Counted and logged as a request that met no route, so that whatever shows reasons shows this one. status 0: nothing was sent. */
static void record_refusal(struct front_listener *l, const struct ip_address *source, uint16_t status,
                           enum reason reason)
{
    struct front *f = l->front;
    uint32_t series = 0;
    stats_add(f->stats, STATS_CONNECTIONS_REFUSED, 1);
    stats_request_begin(f->stats, series);
    stats_request_end(f->stats, series, status, reason, 0);
    stats_add(f->stats, STATS_REQUESTS, 1);
    if (f->current->snapshot->config->log.access != ACCESS_OFF)
        access_add_refusal(&f->access, l, source, status, reason);
}

/* Whoever is refused gets a reason if that costs nothing. By TLS it would cost a handshake. Counted first: who has read the
 * answer finds it in the metrics. */
void accept_refuse(struct front_listener *l, int fd, const struct ip_address *source, enum reason reason)
{
    uint16_t status = l->tls == NULL ? reason_rows[reason].status : 0;
    record_refusal(l, source, status, reason);
    if (status != 0)
        accept_answer(l->front, fd, reason, reason_rows[reason].sentence);
    close(fd);
}

static void on_accept(struct listener *listener, int fd, const struct sockaddr *peer, socklen_t peer_length)
{
    (void)peer_length;
    struct front_listener *l = listener->owner;
    struct front *f = l->front;
    const struct limits_config *limits = &f->current->snapshot->config->limits;
    struct ip_address source = { { 0 } };
    uint16_t port = 0;
    uint32_t place;
    if (peer->sa_family != AF_UNIX)
        ip_from_sockaddr(peer, &source, &port);
    stats_add(f->stats, STATS_CONNECTIONS_ACCEPTED, 1);
    if (l->header_peers != NULL) {
        arrival_begin(l, fd, &source, port);
        return;
    }
    if (!limits_enter(f->limits, &source, limits->connections, limits->connections_per_source, &place)) {
        accept_refuse(l, fd, &source, REASON_CONNECTION_LIMIT);
        return;
    }
    client_create(l, fd, &source, port, place);
}

static struct front_listener *accept_find(struct front *f, struct slice name)
{
    LIST_FOREACH_SAFE (link, &f->listeners) {
        struct front_listener *l = LIST_ITEM(link, struct front_listener, link);
        if (!l->is_removed && slice_equal(slice_from_cstr(l->name), name))
            return l;
    }
    return NULL;
}

static void set_tls(struct front_listener *l, struct tls_context *tls)
{
    l->tls = tls;
    l->scheme = tls != NULL ? SLICE("https") : SLICE("http");
}

/* Copied: a listener that a reload takes away still takes what waits in its queue, when its configuration is gone. */
static void set_header_peers(struct front_listener *l, const struct listener_config *config)
{
    memory_free(l->header_peers);
    l->header_peers = NULL;
    l->header_peer_count = config->trusted_proxy_count;
    if (!config->has_proxy_protocol)
        return;
    size_t size_bytes = sizeof(*l->header_peers) * l->header_peer_count;
    l->header_peers = memory_alloc(size_bytes);
    memcpy(l->header_peers, config->trusted_proxies, size_bytes);
}

static void set_config(struct front_listener *l, const struct listener_config *config, struct tls_context *tls)
{
    l->is_kept = true;
    set_tls(l, tls);
    set_header_peers(l, config);
}

void accept_open(struct front *f, const struct listener_config *config, int fd, struct tls_context *tls,
                 uint32_t stats_id)
{
    struct front_listener *l = accept_find(f, config->name);
    if (l != NULL && l->listener.fd == fd) {
        set_config(l, config, tls);
        return;
    }
    l = memory_zalloc(sizeof(*l));
    l->front = f;
    l->name = memory_strdup(config->name.ptr);
    set_config(l, config, tls);
    l->stats_id = stats_id;
    list_append(&f->listeners, &l->link);
    listener_start(&l->listener, f->loop, fd, on_accept, l);
}

static void free_if_unused(struct front_listener *l)
{
    if (!l->is_removed || l->client_count > 0)
        return;
    list_remove(&l->link);
    memory_free(l->header_peers);
    memory_free(l->name);
    memory_free(l);
}

/* HTTP/2 can be told to go without losing a request. HTTP/1.1 is told in its next answer: to close what is idle now could cross a
   request on its way. */
static void ask_clients_to_leave(struct front *f, struct front_listener *l)
{
    l->client_count++; /* so that it outlives the last of them */
    for (size_t i = CLIENT_IDLE; i <= CLIENT_ACTIVE; i++)
        LIST_FOREACH_SAFE (link, &f->clients[i]) {
            struct client *c = LIST_ITEM(link, struct client, link);
            if (c->listener == l && c->h2 != NULL)
                client_drain(c);
        }
    accept_forget_client(l);
}

void accept_close(struct front *f, struct front_listener *l)
{
    if (l->is_removed)
        return;
    if (!l->listener.is_paused)
        listener_drain(&l->listener);
    listener_stop(&l->listener);
    l->is_removed = true;
    ask_clients_to_leave(f, l);
}

void accept_stop(struct front *f)
{
    LIST_FOREACH_SAFE (link, &f->listeners) {
        struct front_listener *l = LIST_ITEM(link, struct front_listener, link);
        if (l->is_removed || l->listener.is_paused)
            continue;
        listener_drain(&l->listener);
        listener_pause(&l->listener);
    }
}

void accept_fini(struct front *f)
{
    LIST_FOREACH_SAFE (link, &f->listeners)
        accept_close(f, LIST_ITEM(link, struct front_listener, link));
}

void accept_forget_client(struct front_listener *l)
{
    CHECK(l->client_count > 0);
    l->client_count--;
    free_if_unused(l);
}
