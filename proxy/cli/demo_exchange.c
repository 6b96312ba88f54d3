/* cli/demo_exchange.c - one request of the demo and its answer, on a connection of their own. */
#include "cli/demo.h"

#include <string.h>

static const struct h1_limits limits = { .request_line_bytes = 8192, .head_bytes = 12 * 1024, .field_count = 100 };

static void destroy(struct deferred *d)
{
    struct demo_exchange *e = CONTAINER_OF(d, struct demo_exchange, deferred);
    e->events->destroy(e);
}

void demo_exchange_close(struct demo_exchange *e)
{
    timer_stop(e->loop, &e->timer);
    loop_after_turn(e->loop, &e->deferred);
    demo_peer_close(&e->peer);
}

static void finish(struct demo_exchange *e, bool is_complete)
{
    demo_exchange_close(e);
    e->events->on_over(e, is_complete);
}

static void on_timeout(void *arg)
{
    finish(arg, false);
}

static void on_connected(struct stream *s, int error)
{
    struct demo_exchange *e = CONTAINER_OF(s, struct demo_exchange, peer.stream);
    size_t length = strlen(e->request);
    if (error != 0) {
        finish(e, false);
        return;
    }
    memcpy(stream_reserve(s, DEMO_REQUEST_MAX), e->request, length);
    stream_commit(s, (uint32_t)length);
    if (stream_flush(s) == STREAM_ERROR)
        finish(e, false);
}

static void on_readable(struct stream *s)
{
    struct demo_exchange *e = CONTAINER_OF(s, struct demo_exchange, peer.stream);
    enum stream_status status = demo_peer_read(&e->peer);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        finish(e, false);
        return;
    }
    for (;;) {
        switch (demo_peer_next(&e->peer)) {
        case H1_HEAD:
            e->status = e->peer.message.status;
            if (e->events->on_head != NULL)
                e->events->on_head(e);
            break;
        case H1_DATA:
            if (e->events->on_data == NULL || e->events->on_data(e, e->peer.reader.data))
                break;
            finish(e, false);
            return;
        case H1_END:
            finish(e, true);
            return;
        case H1_ERROR:
            finish(e, false);
            return;
        case H1_MORE:
            return;
        case H1_TRAILERS:
            break;
        }
    }
}

static void on_drained(struct stream *s)
{
    if (s->has_failed)
        finish(CONTAINER_OF(s, struct demo_exchange, peer.stream), false);
}

static const struct stream_events stream_events = { .on_readable = on_readable,
                                                    .on_drained = on_drained,
                                                    .on_connected = on_connected };

void demo_exchange_start(struct demo_exchange *e, struct loop *loop, const struct sockaddr *to, socklen_t to_length,
                         enum method method, uint32_t most_ms)
{
    e->loop = loop;
    e->deferred.destroy = destroy;
    timer_init(&e->timer, on_timeout, e);
    timer_start(loop, &e->timer, most_ms);
    demo_peer_init(&e->peer, loop);
    h1_reader_init_response(&e->peer.reader, &limits, method);
    stream_connect(&e->peer.stream, loop, to, to_length, &stream_events);
}
