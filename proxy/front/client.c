/* front/client.c - a downstream connection: its life from accept to close, whatever protocol it speaks.
 *
 * Here stands what all protocols share: the states, how long nothing may happen in each, and how a connection ends. */
#include "front/client.h"

#include "base/check.h"
#include "base/memory.h"
#include "front/accept.h"
#include "front/client_h2.h"
#include "front/handshake.h"

#include <errno.h>

#define DRAIN_GRACE_MS 1000 /* for the first request of a connection that was just accepted */
/* How long a peer may take to notice that we are done: without a byte of it, and in all. Whoever sends a long body before it reads
   needs the first; the second bounds what it can make us read. */
#define LINGER_QUIET_MS 5000
#define LINGER_MOST_MS  30000

#define CLIENT_OF(s) CONTAINER_OF(s, struct client, stream)

void client_set_state(struct client *c, enum client_state state)
{
    CHECK(c->state != CLIENT_CLOSED);
    CHECK(state != CLIENT_ACTIVE || c->state == CLIENT_IDLE);
    list_remove(&c->link);
    list_append(&c->front->clients[state], &c->link);
    c->state = (uint8_t)state;
}

static void client_destroy(struct deferred *d)
{
    struct client *c = CONTAINER_OF(d, struct client, deferred);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    list_remove(&c->link);
    c->magic = 0;
    if (c->h2 != NULL)
        client_h2_destroy(TAKE(&c->h2));
    memory_free(c);
}

static void client_end(struct client *c, void (*close_stream)(struct stream *s))
{
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->state == CLIENT_CLOSED)
        return;
    struct front *f = c->front;
    client_set_state(c, CLIENT_CLOSED);
    c->protocol->on_close(c);
    timer_stop(f->loop, &c->timer);
    close_stream(&c->stream);
    inbox_fini(&c->inbox);
    limits_leave(f->limits, c->limits_place);
    stats_listener_close(f->stats, c->listener->stats_id, c->protocol->stats);
    stats_add(f->stats, STATS_CONNECTIONS_CLOSED, 1);
    accept_forget_client(TAKE(&c->listener));
    f->client_count--;
    loop_after_turn(f->loop, &c->deferred);
}

void client_close(struct client *c)
{
    client_end(c, stream_close);
}

void client_reset(struct client *c)
{
    client_end(c, stream_reset);
}

/* ---- between requests ------------------------------------------------------------------------------------------------ */

static int64_t idle_ms(struct client *c)
{
    const struct limits_config *limits = client_limits(c);
    if (limits->max_connection_age_ms == 0)
        return limits->idle_timeout_ms;
    int64_t age_ms = mono_diff_us(loop_now(c->front->loop), c->accepted) / 1000;
    int64_t left_ms = limits->max_connection_age_ms - age_ms;
    return left_ms < limits->idle_timeout_ms ? left_ms : limits->idle_timeout_ms;
}

/* Without a request: ends in delay_ms, unless the last answer is still on its way then, and moves. */
void client_close_in(struct client *c, int64_t delay_ms)
{
    c->watched_bytes = c->stream.queued_bytes;
    timer_start(c->front->loop, &c->timer, delay_ms);
}

void client_wait(struct client *c)
{
    client_set_state(c, CLIENT_IDLE);
    client_close_in(c, idle_ms(c));
}

/* The answer has left; waits for the peer to notice. */
static void client_linger_on(struct client *c)
{
    int64_t left_ms = mono_diff_us(c->linger_end, loop_now(c->front->loop)) / 1000;
    client_close_in(c, left_ms < LINGER_QUIET_MS ? left_ms : LINGER_QUIET_MS);
}

static void client_on_answer_left(struct client *c)
{
    c->linger_end = mono_add_ms(loop_now(c->front->loop), LINGER_MOST_MS);
    if (c->has_ended)
        client_close(c);
    else
        client_linger_on(c);
}

void client_linger(struct client *c)
{
    client_set_state(c, CLIENT_LINGERING);
    inbox_fini(&c->inbox);
    stream_shutdown(&c->stream);
    if (!c->has_ended)
        stream_resume(&c->stream);
    if (c->stream.queued_bytes > 0)
        client_close_in(c, client_limits(c)->idle_timeout_ms);
    else
        client_on_answer_left(c);
}

static void client_read_lingering(struct client *c)
{
    bool is_under_way = c->stream.queued_bytes > 0;
    switch (stream_drop(&c->stream)) {
    case STREAM_OK:
        if (!is_under_way)
            client_linger_on(c);
        return;
    case STREAM_AGAIN:
        return;
    case STREAM_EOF:
        c->has_ended = true; /* it only stopped sending: the answer may still be under way */
        stream_pause(&c->stream);
        if (!is_under_way)
            client_close(c);
        return;
    case STREAM_ERROR:
        client_close(c);
        return;
    }
}

void client_drain(struct client *c)
{
    CHECK(c->state == CLIENT_IDLE || c->state == CLIENT_ACTIVE);
    c->protocol->on_drain(c);
}

void client_drain_idle(struct client *c)
{
    CHECK(c->state == CLIENT_IDLE);
    if (c->stream.is_connecting)
        return; /* client_on_connected sees that we are draining */
    if (!inbox_is_empty(&c->inbox) || stream_has_bytes(&c->stream))
        return; /* answered with Connection: close, or found closed */
    if (c->stream.queued_bytes > 0)
        client_linger(c); /* its answer is still on its way */
    else if (c->has_been_served)
        client_close(c);
    else
        client_close_in(c, DRAIN_GRACE_MS);
}

void client_cut_off(struct client *c)
{
    CHECK(c->state == CLIENT_ACTIVE);
    c->protocol->cut_off(c);
}

bool client_is_leaving(const struct client *c)
{
    return c->front->is_draining || c->listener->is_removed;
}

bool client_is_too_old(struct client *c)
{
    int64_t most_ms = client_limits(c)->max_connection_age_ms;
    return most_ms != 0 && mono_diff_us(loop_now(c->front->loop), c->accepted) / 1000 >= most_ms;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

void client_flush(struct client *c)
{
    if (c->state != CLIENT_CLOSED && stream_flush(&c->stream) == STREAM_ERROR)
        client_close(c);
}

static void client_on_drained(struct stream *s)
{
    struct client *c = CLIENT_OF(s);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (s->has_failed) {
        client_close(c);
    } else if (c->state == CLIENT_LINGERING) {
        if (s->queued_bytes == 0) /* else it fell below the low mark */
            client_on_answer_left(c);
    } else {
        if (c->state == CLIENT_IDLE)
            client_close_in(c, idle_ms(c));
        c->protocol->on_drained(c);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void client_on_connected(struct stream *s, int error)
{
    struct client *c = CLIENT_OF(s);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (error != 0) {
        handshake_failed(c, error);
        client_close(c);
        return;
    }
    handshake_succeeded(c);
    client_close_in(c, c->front->is_draining ? DRAIN_GRACE_MS : idle_ms(c));
}

/* A queue that has emptied since has either started the timer anew, or left in the turn in which it was armed. */
static bool is_answer_moving(const struct client *c)
{
    return c->stream.queued_bytes > 0 && c->watched_bytes != c->stream.queued_bytes;
}

static void client_on_timer(void *arg)
{
    struct client *c = arg;
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->stream.is_connecting)
        client_on_connected(&c->stream, ETIMEDOUT);
    else if (c->state != CLIENT_ACTIVE && is_answer_moving(c))
        client_close_in(c, client_limits(c)->idle_timeout_ms);
    else if (c->state == CLIENT_LINGERING)
        client_close(c);
    else
        c->protocol->on_timer(c);
}

static void client_on_readable(struct stream *s)
{
    struct client *c = CLIENT_OF(s);
    CHECK_MAGIC(c, CLIENT_MAGIC);
    if (c->state == CLIENT_LINGERING)
        client_read_lingering(c);
    else
        c->protocol->on_readable(c);
}

static const struct stream_events client_events = {
    .on_readable = client_on_readable,
    .on_drained = client_on_drained,
    .on_connected = client_on_connected,
};

void client_set_protocol(struct client *c, const struct client_protocol *protocol)
{
    stats_listener_close(c->front->stats, c->listener->stats_id, c->protocol->stats);
    c->protocol = protocol;
    stats_listener_open(c->front->stats, c->listener->stats_id, c->protocol->stats);
}

void client_create(struct front_listener *l, int fd, const struct ip_address *source, uint16_t source_port,
                   uint32_t limits_place)
{
    struct front *f = l->front;
    struct client *c = memory_zalloc(sizeof(*c));
    c->magic = CLIENT_MAGIC;
    c->front = f;
    c->listener = l;
    c->protocol = &client_h1;
    c->source = *source;
    c->source_port = source_port;
    c->limits_place = limits_place;
    c->accepted = loop_now(f->loop);
    c->deferred.destroy = client_destroy;
    timer_init(&c->timer, client_on_timer, c);
    list_init(&c->link);
    list_append(&f->clients[CLIENT_IDLE], &c->link);
    c->state = CLIENT_IDLE;
    f->client_count++;
    l->client_count++;
    stats_listener_open(f->stats, l->stats_id, c->protocol->stats);
    if (l->tls != NULL)
        stream_open_tls(&c->stream, f->loop, fd, l->tls, &client_events);
    else
        stream_open(&c->stream, f->loop, fd, &client_events);
    client_close_in(c, l->tls != NULL ? client_limits(c)->header_timeout_ms : idle_ms(c));
    if (f->is_draining)
        client_drain(c); /* its PROXY header came late */
}
