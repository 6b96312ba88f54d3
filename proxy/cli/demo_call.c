/* cli/demo_call.c - one call of the admin API from inside the demo's loop, on the proxy's own socket. */
#include "cli/demo.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define CALL_MAX_MS 10000 /* words are answered when every worker has done what they say */
#define ANSWER_MAX  ((size_t)256 * 1024)
#define REQUEST_MAX 1024

static const struct h1_limits limits = { .request_line_bytes = 8192, .head_bytes = 12 * 1024, .field_count = 100 };

/* On a connection of its own. Gone when the answer was given out, or after demo_call_cancel. */
struct demo_call {
    struct demo_peer peer;
    struct deferred deferred;
    struct timer timer;
    struct loop *loop;
    struct text body;
    char request[REQUEST_MAX];
    uint16_t status; /* 0: no head yet */
    demo_answer_fn *on_answer;
    void *arg;
};

static void destroy(struct deferred *d)
{
    struct demo_call *c = CONTAINER_OF(d, struct demo_call, deferred);
    text_fini(&c->body);
    memory_free(c);
}

void demo_call_cancel(struct demo_call *c)
{
    timer_stop(c->loop, &c->timer);
    loop_after_turn(c->loop, &c->deferred);
    demo_peer_close(&c->peer);
}

/* The tail calls the owner, for whom the call is over; its memory lives to the end of the turn. */
static void finish(struct demo_call *c, bool is_complete)
{
    struct text fault = { 0 };
    demo_call_cancel(c);
    struct json *answer = is_complete ? json_parse(text_slice(&c->body), &fault) : NULL;
    c->on_answer(c->arg, answer != NULL ? c->status : 0, answer);
    json_destroy(answer);
    text_fini(&fault);
}

static void on_timeout(void *arg)
{
    finish(arg, false);
}

static void on_connected(struct stream *s, int error)
{
    struct demo_call *c = CONTAINER_OF(s, struct demo_call, peer.stream);
    size_t length = strlen(c->request);
    if (error != 0) {
        finish(c, false);
        return;
    }
    memcpy(stream_reserve(s, REQUEST_MAX), c->request, length);
    stream_commit(s, (uint32_t)length);
    if (stream_flush(s) == STREAM_ERROR)
        finish(c, false);
}

static void on_readable(struct stream *s)
{
    struct demo_call *c = CONTAINER_OF(s, struct demo_call, peer.stream);
    enum stream_status status = demo_peer_read(&c->peer);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        finish(c, false);
        return;
    }
    for (;;) {
        switch (demo_peer_next(&c->peer)) {
        case H1_HEAD:
            c->status = c->peer.message.status;
            break;
        case H1_DATA:
            text_add(&c->body, c->peer.reader.data);
            if (c->body.len <= ANSWER_MAX)
                break;
            finish(c, false);
            return;
        case H1_END:
            finish(c, true);
            return;
        case H1_ERROR:
            finish(c, false);
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
        finish(CONTAINER_OF(s, struct demo_call, peer.stream), false);
}

static const struct stream_events events = { .on_readable = on_readable,
                                             .on_drained = on_drained,
                                             .on_connected = on_connected };

static void write_request(struct demo_call *c, const char *path, const char *reason)
{
    char body[256] = "";
    if (reason != NULL)
        snprintf(body, sizeof(body), "{\"reason\": \"%s\"}", reason);
    int length = snprintf(c->request, sizeof(c->request),
                          "%s /api/v1/%s HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          reason != NULL ? "POST" : "GET", path, strlen(body), body);
    CHECK(length < (int)sizeof(c->request));
}

struct demo_call *demo_call_start(struct loop *loop, const char *directory, const char *path, const char *reason,
                                  demo_answer_fn *on_answer, void *arg)
{
    struct demo_call *c = memory_zalloc(sizeof(*c));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    c->loop = loop;
    c->on_answer = on_answer;
    c->arg = arg;
    c->deferred.destroy = destroy;
    write_request(c, path, reason);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/admin.sock", directory);
    timer_init(&c->timer, on_timeout, c);
    timer_start(loop, &c->timer, CALL_MAX_MS);
    demo_peer_init(&c->peer, loop);
    h1_reader_init_response(&c->peer.reader, &limits, reason != NULL ? METHOD_POST : METHOD_GET);
    stream_connect(&c->peer.stream, loop, (const struct sockaddr *)&address, sizeof(address), &events);
    return c;
}
