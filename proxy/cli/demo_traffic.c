/* cli/demo_traffic.c - the demo's visitors: a steady, bounded stream of requests to the proxy, counted by what answers. */
#include "cli/demo.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <string.h>

#define LIVE_MAX       64   /* visits at once: a proxy that hangs is not flooded */
#define BURST_MAX      10   /* visits started in one tick, to catch up */
#define PROBE_PAUSE_MS 50   /* until the first answer */
#define VISIT_MAX_MS   5000 /* for a whole visit; beyond: lost */
#define DARK_EVERY     10   /* requests; one of them asks for the dark launch */

/* On the traffic's list while it is open. */
struct visit {
    struct demo_exchange exchange;
    struct list link;
    struct demo_traffic *traffic;
    int upstream; /* enum demo_upstream; -1: the answer names none */
};

static struct visit *visit_of(struct demo_exchange *e)
{
    return CONTAINER_OF(e, struct visit, exchange);
}

static void destroy(struct demo_exchange *e)
{
    memory_free(visit_of(e));
}

static void visit_forget(struct visit *v)
{
    list_remove(&v->link);
    v->traffic->live_count--;
}

/* Counts the visit, and may tell the owner that the proxy answers, which may stop everything. */
static void on_over(struct demo_exchange *e, bool is_complete)
{
    struct visit *v = visit_of(e);
    struct demo_traffic *t = v->traffic;
    visit_forget(v);
    if (is_complete && v->upstream >= 0) {
        t->counts.answered[v->upstream]++;
        t->counts.failed[v->upstream] += e->status >= 500;
    } else {
        t->counts.lost++;
    }
    if (is_complete && !t->has_answered) {
        t->has_answered = true;
        t->on_first_answer(t->arg);
    }
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

static void on_head(struct demo_exchange *e)
{
    visit_of(e)->upstream = named_upstream(&e->peer.message);
}

static const struct demo_exchange_events events = { .on_head = on_head, .on_over = on_over, .destroy = destroy };

static void visit_start(struct demo_traffic *t)
{
    struct visit *v = memory_zalloc(sizeof(*v));
    bool is_dark = t->sent_count % DARK_EVERY == DARK_EVERY - 1;
    v->traffic = t;
    v->upstream = -1;
    v->exchange.events = &events;
    snprintf(v->exchange.request, sizeof(v->exchange.request),
             "GET / HTTP/1.1\r\nHost: demo.localhost\r\nUser-Agent: weir-demo\r\n%sConnection: close\r\n\r\n",
             is_dark ? "x-dark-launch: on\r\n" : "");
    t->sent_count++;
    t->live_count++;
    list_init(&v->link);
    list_append(&t->visits, &v->link);
    demo_exchange_start(&v->exchange, t->loop, (const struct sockaddr *)&t->proxy, sizeof(t->proxy), METHOD_GET,
                        VISIT_MAX_MS);
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
    LIST_FOREACH_SAFE (link, &t->visits) {
        struct visit *v = LIST_ITEM(link, struct visit, link);
        visit_forget(v);
        demo_exchange_close(&v->exchange);
    }
}
