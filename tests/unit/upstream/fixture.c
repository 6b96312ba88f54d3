/* tests/unit/upstream/fixture.c - an upstream whose endpoints the test plays, and exchanges that tell what they heard. */
#include "upstream/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PEER_TIMEOUT_S 30
#define TICK_MS        10

/* ---- invariants ------------------------------------------------------------------------------------------------------ */

static uint32_t list_length(const struct list *head)
{
    uint32_t count = 0;
    for (const struct list *at = head->next; at != head; at = at->next)
        count++;
    return count;
}

/* C2, C3 */
static void endpoint_check(const struct endpoint *e)
{
    for (struct list *at = e->idle.next; at != &e->idle; at = at->next) {
        const struct upstream_connection *c = LIST_ITEM(at, struct upstream_connection, link);
        cr_assert_eq(c->state, CONNECTION_IDLE);
        cr_assert(list_is_empty(&c->exchanges) && c->exchange_count == 0);
        cr_assert_eq(c->endpoint, e);
        cr_assert(inbox_is_empty(&c->inbox));
        cr_assert_null(c->inbox.chunk, "an idle connection holds no chunk");
        cr_assert_eq(c->stream.queued_bytes, 0);
        cr_assert_not(c->stream.is_read_paused);
    }
    cr_assert_leq(list_length(&e->idle), e->connection_count);
    cr_assert(e->probe == NULL || list_is_empty(&e->probe->exchanges));
}

/* X1, C1 */
static void call_check(const struct call *c)
{
    const struct exchange *x = &c->x;
    bool has_connection =
        x->state == EXCHANGE_CONNECTING || x->state == EXCHANGE_WAITING || x->state == EXCHANGE_STREAMING;
    cr_assert_eq(x->connection != NULL, has_connection, "%s in state %d", c->target, (int)x->state);
    cr_assert_eq(x->state == EXCHANGE_PENDING || has_connection, list_is_linked(&x->link));
    if (!has_connection)
        return;
    cr_assert_eq(x->connection->exchange_count, list_length(&x->connection->exchanges));
    cr_assert_leq(x->connection->exchange_count, x->connection->capacity);
    cr_assert_eq(x->connection->endpoint, x->endpoint);
    cr_assert_eq(x->connection->state == CONNECTION_CONNECTING, x->state == EXCHANGE_CONNECTING);
}

static void house_check(const struct house *h)
{
    const struct upstream *u = h->upstream;
    uint32_t connections = 0, in_flight = 0, under_way = 0;
    for (uint32_t i = 0; i < u->endpoint_count; i++) {
        endpoint_check(u->endpoints[i]);
        connections += u->endpoints[i]->connection_count;
        in_flight += u->endpoints[i]->in_flight_count;
    }
    for (struct list *at = u->leaving.next; at != &u->leaving; at = at->next) {
        connections += LIST_ITEM(at, struct endpoint, link)->connection_count;
        in_flight += LIST_ITEM(at, struct endpoint, link)->in_flight_count;
    }
    cr_assert_eq(u->connection_count, connections, "U1");
    cr_assert_eq(h->set.connection_count, connections, "U1");
    if (!list_is_empty(&u->pending)) {
        cr_assert_gt(u->max_connections, 0, "U2");
        cr_assert_geq(u->connection_count, u->max_connections, "U2");
    }
    for (uint32_t i = 0; i < h->call_count; i++) {
        call_check(h->calls[i]);
        in_flight -= h->calls[i]->x.connection != NULL;
        under_way += h->calls[i]->x.state != EXCHANGE_NEW && h->calls[i]->x.state != EXCHANGE_DONE;
    }
    cr_assert_eq(in_flight, 0, "who is in flight has a connection");
    cr_assert_eq(h->set.exchange_count, under_way);
    cr_assert_eq(house_stat(h, STATS_UPSTREAM_PENDING), house_pending_count(h));
    cr_assert_eq(house_stat(h, STATS_UPSTREAM_IDLE) + house_stat(h, STATS_UPSTREAM_ACTIVE), connections);
}

/* ---- the house --------------------------------------------------------------------------------------------------------- */

static void fill_queue(const struct sockaddr_in *address)
{
    for (int i = 0; i < 4; i++) { /* never closed: the test's process ends soon */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        cr_assert(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EINPROGRESS);
    }
}

/* A port of the kernel's choice; what refuses is bound too, so that nobody else gets the port. */
static uint16_t endpoint_open(struct house *h, uint32_t index, char kind)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    if (kind != 'R')
        cr_assert_eq(listen(fd, kind == 'H' ? 0 : 64), 0);
    if (kind == 'H')
        fill_queue(&address);
    h->listeners[index] = fd;
    return ntohs(address.sin_port);
}

static void endpoint_configure(struct house *h, uint32_t index, char kind)
{
    char *label = h->labels[index];
    struct endpoint_config *e = &h->endpoints[index];
    h->listeners[index] = -1;
    if (kind == 'N')
        snprintf(label, sizeof(h->labels[0]), "name%u.invalid:80", index);
    else
        snprintf(label, sizeof(h->labels[0]), "127.0.0.1:%u", endpoint_open(h, index, kind));
    *e = (struct endpoint_config){ .address_text = slice_from_cstr(label), .weight = 1 };
    cr_assert(endpoint_address_parse(e->address_text, &e->address));
    h->stats_ids[index] = index;
}

void house_apply(struct house *h)
{
    struct upstream *old = h->upstream;
    h->upstream = upstream_attach(&h->set, &h->config, h->tls, HOUSE_UPSTREAM_ID, h->stats_ids);
    if (old != NULL)
        upstream_detach(old);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

void house_open(struct house *h, const char *plan)
{
    *h = (struct house){ .stats = stats_worker_create() };
    h->loop = loop_create(h->stats);
    timer_init(&h->tick, do_nothing, NULL);
    upstream_set_init(&h->set, h->loop, 0, 1);
    h->set.places = places_create();
    h->set.response_limits = (struct h1_limits){ .request_line_bytes = 4096, .head_bytes = 8192, .field_count = 32 };
    h->config = (struct upstream_config){ .name = SLICE("a"),
                                          .endpoints = h->endpoints,
                                          .endpoint_count = strlen(plan),
                                          .balance = BALANCE_ROUND_ROBIN,
                                          .connect_timeout_ms = 60000,
                                          .idle_timeout_ms = 60000,
                                          .max_connections = 64,
                                          .max_pending = 64 };
    for (uint32_t i = 0; i < h->config.endpoint_count; i++)
        endpoint_configure(h, i, plan[i]);
    house_apply(h);
    house_check(h);
}

void house_close(struct house *h)
{
    house_check(h);
    cr_assert_eq(h->set.exchange_count, 0, "a call is still under way");
    upstream_detach(h->upstream);
    cr_assert_eq(h->set.connection_count, 0, "the last binding takes what is idle along");
    loop_turn_now(h->loop);
    upstream_set_fini(&h->set);
    places_destroy(h->set.places);
    timer_stop(h->loop, &h->tick);
    for (uint32_t i = 0; i < h->call_count; i++)
        arena_reset(&h->calls[i]->arena);
    cr_assert_eq(h->loop->chunks.live_count, 0, "every chunk was given back");
    loop_destroy(h->loop);
    stats_worker_destroy(h->stats);
    for (uint32_t i = 0; i < h->config.endpoint_count; i++)
        if (h->listeners[i] >= 0)
            close(h->listeners[i]);
}

void house_turn(struct house *h)
{
    timer_start(h->loop, &h->tick, TICK_MS);
    loop_turn(h->loop);
    house_check(h);
}

void house_turns(struct house *h, int count)
{
    for (int i = 0; i < count; i++)
        house_turn(h);
}

struct endpoint *house_endpoint(const struct house *h, uint32_t index)
{
    cr_assert_lt(index, h->upstream->endpoint_count);
    return h->upstream->endpoints[index];
}

uint32_t house_pending_count(const struct house *h)
{
    return list_length(&h->upstream->pending);
}

bool house_is_down(const struct house *h, uint32_t index)
{
    return house_endpoint(h, index)->health == ENDPOINT_DOWN;
}

void house_resolve(struct house *h, uint32_t name, uint32_t listener)
{
    struct resolved_address address = { .length = sizeof(address.bytes) };
    cr_assert_eq(getsockname(h->listeners[listener], (struct sockaddr *)&address.bytes, &address.length), 0);
    upstream_set_resolved(&h->set, "a", h->labels[name], &address, 1);
}

uint64_t house_stat(const struct house *h, enum stats_upstream_cell cell)
{
    return atomic_load(stats_upstream_cell_at(h->stats, HOUSE_UPSTREAM_ID, cell));
}

/* ---- calls -------------------------------------------------------------------------------------------------------------- */

static struct call *call_hears(struct exchange *x, char what)
{
    struct call *c = CONTAINER_OF(x, struct call, x);
    size_t length = strlen(c->heard);
    cr_assert_not(c->is_inside, "%c from inside a function (X3)", what);
    cr_assert(strpbrk(c->heard, "ef") == NULL, "%c behind %s (X2)", what, c->heard);
    cr_assert_lt(length, sizeof(c->heard) - 1);
    bool is_run = what == 'd' && length > 0 && c->heard[length - 1] == 'd';
    if (what != 'B' && !is_run)
        c->heard[length] = what;
    if (c->cancel_at == what)
        call_cancel(c);
    return c;
}

static void on_head(struct exchange *x, struct message *response)
{
    uint16_t status = response->status;
    call_hears(x, status < 200 && status != 101 ? 'i' : 'h')->status = status;
}

static void on_data(struct exchange *x, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    struct call *c = CONTAINER_OF(x, struct call, x);
    cr_assert_lt(c->body_bytes + length, sizeof(c->body));
    memcpy(c->body + c->body_bytes, chunk->bytes + offset, length);
    c->body_bytes += length;
    call_hears(x, 'd');
}

static void on_trailers(struct exchange *x, struct message *trailers)
{
    cr_assert_gt(trailers->field_count, 0);
    call_hears(x, 't');
}

static void on_batch(struct exchange *x)
{
    call_hears(x, 'B');
}

static void on_end(struct exchange *x)
{
    struct call *c = call_hears(x, 'e');
    if (c->on_end != NULL)
        c->on_end(c);
}

static void on_failed(struct exchange *x, enum reason reason)
{
    struct call *c = call_hears(x, 'f');
    c->reason = reason;
    if (c->on_end != NULL)
        c->on_end(c);
}

static void on_drained(struct exchange *x)
{
    call_hears(x, 'D');
    exchange_flush(x);
}

static void on_half_closed(struct exchange *x)
{
    call_hears(x, 'c');
}

static const struct exchange_events call_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_batch = on_batch,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_half_closed = on_half_closed,
};

void call_init(struct call *c, struct house *h, enum method method, const char *name)
{
    static const char *const names[METHOD_COUNT] = { [METHOD_GET] = "GET",
                                                     [METHOD_HEAD] = "HEAD",
                                                     [METHOD_POST] = "POST",
                                                     [METHOD_PUT] = "PUT",
                                                     [METHOD_DELETE] = "DELETE" };
    *c = (struct call){ .house = h };
    cr_assert_lt(h->call_count, HOUSE_CALLS_MAX);
    h->calls[h->call_count++] = c;
    arena_init(&c->arena, &h->loop->arenas, 65536);
    message_init(&c->request, &c->arena, 4);
    c->request.method = method;
    c->request.method_name = slice_from_cstr(names[method]);
    c->request.version_minor = 1;
    message_add(&c->request, &c->arena, FIELD_HOST, SLICE("Host"), SLICE("example.com"));
    snprintf(c->target, sizeof(c->target), "/%s", name);
    list_init(&c->x.link);
    c->x.events = &call_events;
    c->x.upstream = h->upstream;
    c->x.arena = &c->arena;
    c->x.request = &c->request;
    c->x.target = slice_from_cstr(c->target);
}

void call_flush(struct call *c)
{
    c->is_inside = true;
    exchange_flush(&c->x);
    c->is_inside = false;
    unsent_end_turn(c->house->loop);
}

enum reason call_begin(struct call *c)
{
    c->is_inside = true;
    enum reason reason = exchange_begin(&c->x);
    c->is_inside = false;
    call_flush(c);
    return reason;
}

void call_start(struct call *c, struct house *h, const char *name)
{
    call_init(c, h, METHOD_GET, name);
    cr_assert_eq(call_begin(c), REASON_NONE);
}

void call_cancel(struct call *c)
{
    c->is_inside = true;
    exchange_cancel(&c->x);
    c->is_inside = false;
}

void call_send(struct call *c, const char *text)
{
    struct chunk *chunk = chunk_create(&c->house->loop->chunks);
    chunk->used = (uint32_t)strlen(text);
    memcpy(chunk->bytes, text, chunk->used);
    c->is_inside = true;
    exchange_send(&c->x, chunk, 0, chunk->used);
    c->is_inside = false;
    call_flush(c);
    chunk_unref(chunk);
}

bool call_is_over(const struct call *c)
{
    return strpbrk(c->heard, "ef") != NULL;
}

/* ---- peers --------------------------------------------------------------------------------------------------------------- */

bool peer_has_connection(const struct house *h, uint32_t index)
{
    struct pollfd p = { .fd = h->listeners[index], .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

int peer_accept(const struct house *h, uint32_t index)
{
    struct pollfd p = { .fd = h->listeners[index], .events = POLLIN };
    struct timeval most = { .tv_sec = PEER_TIMEOUT_S };
    cr_assert_eq(poll(&p, 1, PEER_TIMEOUT_S * 1000), 1, "nobody connects to endpoint %u", index);
    int fd = accept(h->listeners[index], NULL, NULL);
    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
    return fd;
}

void peer_expect(int fd, const char *name)
{
    char got[1024], target[16];
    size_t length = 0;
    do {
        ssize_t count = read(fd, got + length, sizeof(got) - 1 - length);
        cr_assert_gt(count, 0, "no head for /%s: %.*s", name, (int)length, got);
        length += (size_t)count;
        got[length] = '\0';
    } while (strstr(got, "\r\n\r\n") == NULL);
    snprintf(target, sizeof(target), " /%s ", name);
    cr_assert_not_null(strstr(got, target), "a head for /%s: %s", name, got);
}

void peer_send(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void peer_answer(int fd, const char *name)
{
    peer_expect(fd, name);
    peer_send(fd, OK_ANSWER);
}

int peer_serve(const struct house *h, uint32_t index, const char *name)
{
    int fd = peer_accept(h, index);
    peer_answer(fd, name);
    return fd;
}

void peer_reset(int fd)
{
    struct linger now = { .l_onoff = 1 };
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

void peer_expect_end(int fd)
{
    char byte;
    ssize_t count = read(fd, &byte, 1);
    cr_assert(count == 0 || (count < 0 && errno == ECONNRESET), "it did not end: %zd", count);
    close(fd);
}

int house_pool_one(struct house *h, uint32_t index)
{
    static struct call calls[HOUSE_CALLS_MAX];
    struct call *c = &calls[h->call_count];
    call_start(c, h, "pooled");
    TURN_UNTIL(h, c->x.state == EXCHANGE_WAITING);
    int fd = peer_serve(h, index, "pooled");
    TURN_UNTIL(h, call_is_over(c));
    cr_assert_str_eq(c->heard, "Dhde");
    return fd;
}
