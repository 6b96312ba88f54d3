/* cli/demo_traffic.c - the demo's visitors: a steady, bounded stream of requests to the proxy, counted by what answers. */
#include "cli/demo.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <string.h>

#define LIVE_MAX          64   /* visits at once: a proxy that hangs is not flooded */
#define BURST_MAX         10   /* visits started in one tick, to catch up */
#define PROBE_PAUSE_MS    50   /* until the first answer */
#define VISIT_MAX_MS      5000 /* for a whole visit; beyond: lost */
#define DARK_EVERY        10   /* requests; one of them asks for the dark launch */
#define REQUEST_MAX_BYTES 256

static const struct h1_limits limits = { .request_line_bytes = 8192, .head_bytes = 12 * 1024, .field_count = 100 };

/* One request on a connection of its own. On the traffic's list while it is open. */
struct visit {
    struct demo_peer peer;
    struct deferred deferred;
    struct list link;
    struct timer timer;
    struct demo_traffic *traffic;
    bool is_dark;
    uint16_t status; /* 0: no head yet */
    int upstream;    /* enum demo_upstream; -1: the answer names none */
};

static void destroy(struct deferred *d)
{
    memory_free(CONTAINER_OF(d, struct visit, deferred));
}

static void visit_close(struct visit *v)
{
    struct demo_traffic *t = v->traffic;
    list_remove(&v->link);
    timer_stop(t->loop, &v->timer);
    t->live_count--;
    loop_after_turn(t->loop, &v->deferred);
    demo_peer_close(&v->peer);
}

/* Counts the visit, ends it, and may tell the owner that the proxy answers. */
/* The tail may call the owner, which may stop everything: nothing of the visit is touched behind it. */
static void visit_finish(struct visit *v, bool is_complete)
{
    struct demo_traffic *t = v->traffic;
    if (is_complete && v->upstream >= 0) {
        t->counts.answered[v->upstream]++;
        t->counts.failed[v->upstream] += v->status >= 500;
    } else {
        t->counts.lost++;
    }
    visit_close(v);
    if (is_complete && !t->has_answered) {
        t->has_answered = true;
        t->on_first_answer(t->arg);
    }
}

static void on_timeout(void *arg)
{
    visit_finish(arg, false);
}

/* The upstream that the proxy says it chose: the route has expose_variant. */
static int named_upstream(const struct message *m)
{
    const struct field *field = message_field_named(m, SLICE("x-weir-upstream"), NULL);
    for (int i = 0; field != NULL && i < DEMO_UPSTREAM_COUNT; i++) {
        if (slice_equal(field->value, slice_from_cstr(demo_upstream_names[i])))
            return i;
    }
    return -1;
}

static void visit_on_connected(struct stream *s, int error)
{
    struct visit *v = CONTAINER_OF(s, struct visit, peer.stream);
    if (error != 0) {
        visit_finish(v, false);
        return;
    }
    char *out = stream_reserve(s, REQUEST_MAX_BYTES);
    int length = snprintf(out, REQUEST_MAX_BYTES,
                          "GET / HTTP/1.1\r\nHost: demo.localhost\r\nUser-Agent: weir-demo\r\n%s"
                          "Connection: close\r\n\r\n",
                          v->is_dark ? "x-dark-launch: on\r\n" : "");
    stream_commit(s, (uint32_t)length);
    if (stream_flush(s) == STREAM_ERROR)
        visit_finish(v, false);
}

static void visit_on_readable(struct stream *s)
{
    struct visit *v = CONTAINER_OF(s, struct visit, peer.stream);
    enum stream_status status = demo_peer_read(&v->peer);
    if (status == STREAM_EOF || status == STREAM_ERROR) {
        visit_finish(v, false);
        return;
    }
    for (;;) {
        switch (demo_peer_next(&v->peer)) {
        case H1_HEAD:
            v->status = v->peer.message.status;
            v->upstream = named_upstream(&v->peer.message);
            break;
        case H1_END:
            visit_finish(v, true);
            return;
        case H1_ERROR:
            visit_finish(v, false);
            return;
        case H1_MORE:
            return;
        case H1_DATA:
        case H1_TRAILERS:
            break;
        }
    }
}

static void visit_on_drained(struct stream *s)
{
    if (s->has_failed)
        visit_finish(CONTAINER_OF(s, struct visit, peer.stream), false);
}

static const struct stream_events visit_events = { .on_readable = visit_on_readable,
                                                   .on_drained = visit_on_drained,
                                                   .on_connected = visit_on_connected };

static void visit_start(struct demo_traffic *t)
{
    struct visit *v = memory_zalloc(sizeof(*v));
    v->traffic = t;
    v->upstream = -1;
    v->deferred.destroy = destroy;
    v->is_dark = t->sent_count % DARK_EVERY == DARK_EVERY - 1;
    t->sent_count++;
    t->live_count++;
    list_init(&v->link);
    list_append(&t->visits, &v->link);
    timer_init(&v->timer, on_timeout, v);
    timer_start(t->loop, &v->timer, VISIT_MAX_MS);
    demo_peer_init(&v->peer, t->loop);
    h1_reader_init_response(&v->peer.reader, &limits, METHOD_GET);
    stream_connect(&v->peer.stream, t->loop, (const struct sockaddr *)&t->proxy, sizeof(t->proxy), &visit_events);
}

/* As many as the clock says are due: a timer that comes late changes no rate. What LIVE_MAX holds back stays due, and is caught up
   with BURST_MAX a tick once the proxy answers again. Before the first answer, probes, one at a time. */
static void on_tick(void *arg)
{
    struct demo_traffic *t = arg;
    if (t->rate == 0) {
        if (t->live_count == 0)
            visit_start(t);
        timer_start(t->loop, &t->timer, PROBE_PAUSE_MS);
        return;
    }
    int64_t elapsed_us = mono_diff_us(loop_now(t->loop), t->start);
    uint64_t due = (uint64_t)elapsed_us * t->rate / 1000000;
    for (int i = 0; i < BURST_MAX && t->sent_count < due && t->live_count < LIVE_MAX; i++)
        visit_start(t);
    timer_start(t->loop, &t->timer, 1000 / t->rate);
}

void demo_traffic_start(struct demo_traffic *t, struct loop *loop, uint16_t port)
{
    t->loop = loop;
    t->proxy = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
    t->proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    list_init(&t->visits);
    timer_init(&t->timer, on_tick, t);
    timer_start(loop, &t->timer, 0);
}

void demo_traffic_set_rate(struct demo_traffic *t, uint32_t rate)
{
    CHECK(rate > 0 && rate <= 1000);
    t->rate = rate;
    t->start = loop_now(t->loop);
    t->sent_count = 0;
    t->counts = (struct demo_counts){ 0 };
}

void demo_traffic_stop(struct demo_traffic *t)
{
    timer_stop(t->loop, &t->timer);
    LIST_FOREACH_SAFE (link, &t->visits)
        visit_close(LIST_ITEM(link, struct visit, link));
}
