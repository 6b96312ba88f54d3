/* server/monitors.c - synthetic requests straight to endpoints, on schedule, and whether the answers are as expected. */
#include "server/monitors.h"

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <string.h>

#define MONITORS_MAGIC 0x4d4f4e49u
#define HEADERS_MAX    32u
#define FIRST_WAIT_MS  200 /* so that what starts together with us is there */

/* A monitor and one of its upstreams. */
struct probe {
    struct list link;
    struct monitors *owner;
    char *monitor, *upstream; /* names, owned: status points to them */
    const struct monitor_config *config;
    const struct upstream_config *target;
    struct monitor_status status;
    struct timer timer;
    int64_t every_ms; /* of `config`, known when that is gone */
    uint64_t ticket;  /* of the check under way */
    bool is_under_way;
    size_t endpoint_at; /* the one asked last, of status.endpoints */
    size_t turn;        /* the next in turn, modulo their number */
};

struct monitors {
    uint32_t magic;
    struct loop *loop;
    struct courier *courier;
    void (*on_result)(void *arg, const struct monitor_status *status);
    void *arg;
    uint64_t ticket; /* of the newest check */
    struct list probes;
    size_t probe_count;
};

/* ---- a check ------------------------------------------------------------------------------------------------------------ */

static void on_timer(void *arg);

/* Answers of a probe that a reload took away find nobody. */
static struct probe *probe_of_ticket(struct monitors *m, uint64_t ticket)
{
    LIST_FOREACH_SAFE (link, &m->probes) {
        struct probe *p = LIST_ITEM(link, struct probe, link);
        if (p->is_under_way && p->ticket == ticket)
            return p;
    }
    return NULL;
}

static const struct monitor_endpoint *failing_endpoint(const struct monitor_status *s)
{
    for (size_t i = 0; i < s->endpoint_count; i++)
        if (s->endpoints[i].is_known && !s->endpoints[i].is_good)
            return &s->endpoints[i];
    return NULL;
}

/* What is known of the upstream follows from what is known of its endpoints. */
static void conclude(struct monitor_status *s, const struct monitor_endpoint *latest)
{
    const struct monitor_endpoint *failing = failing_endpoint(s);
    if (latest != NULL && latest->is_known && !latest->is_good)
        failing = latest;
    s->is_good = failing == NULL;
    if (failing != NULL) {
        memcpy(s->complaint, failing->complaint, sizeof s->complaint);
    } else {
        s->complaint[0] = '\0';
        s->failures_in_a_row = 0;
    }
}

static void note_good(struct monitor_status *s, struct monitor_endpoint *e)
{
    if (e->is_known && !e->is_good)
        log_info("monitor %.*s: upstream %.*s, %s answers as expected again", SLICE_ARG(s->monitor),
                 SLICE_ARG(s->upstream), e->address);
    s->good_count++;
}

static void note_bad(struct monitor_status *s, struct monitor_endpoint *e)
{
    if (!e->is_known || e->is_good)
        log_warn("monitor %.*s: upstream %.*s, %s: %s", SLICE_ARG(s->monitor), SLICE_ARG(s->upstream), e->address,
                 e->complaint);
    s->failures_in_a_row++;
    s->bad_count++;
}

static void on_answer(void *arg, uint64_t ticket, const struct courier_answer *answer)
{
    struct monitors *m = arg;
    CHECK_MAGIC(m, MONITORS_MAGIC);
    struct probe *p = probe_of_ticket(m, ticket);
    if (p == NULL)
        return;
    struct monitor_status *s = &p->status;
    struct monitor_endpoint *e = &s->endpoints[p->endpoint_at];
    p->is_under_way = false;
    s->at = clock_wall();
    s->latency_us = answer->latency_us;
    s->was_good = !monitor_complains(&p->config->expect, answer, s->at, e->complaint);
    if (s->was_good)
        note_good(s, e);
    else
        note_bad(s, e);
    e->is_good = s->was_good;
    e->is_known = s->is_known = true;
    conclude(s, e);
    m->on_result(m->arg, s);
}

static size_t list_headers(const struct probe *p, struct slice host, struct http_header out[HEADERS_MAX])
{
    const struct monitor_request_config *request = &p->config->request;
    size_t count = 0;
    out[count++] = (struct http_header){ SLICE("Host"), host };
    out[count++] = (struct http_header){ SLICE("x-weir-monitor"), p->config->name };
    for (size_t i = 0; i < request->header_count && count < HEADERS_MAX; i++)
        out[count++] = (struct http_header){ request->headers[i].name, request->headers[i].value };
    return count;
}

/* Paths of a configuration are cut out of its arena: no NUL stands behind them. */
static const char *path_of(struct text *copy, const struct pem_config *pem)
{
    if (pem->path.len == 0)
        return NULL;
    text_add(copy, pem->path);
    return copy->bytes;
}

static bool send_to(struct probe *p, const struct endpoint_config *endpoint, const struct http_tls *tls)
{
    const struct upstream_tls_config *upstream_tls = &p->target->tls;
    const struct monitor_request_config *request = &p->config->request;
    struct slice named = upstream_tls->is_on && upstream_tls->sni.len > 0 ? upstream_tls->sni : endpoint->address_text;
    struct http_header headers[HEADERS_MAX];
    struct text url = { 0 }, peer = { 0 };
    text_printf(&url, "%s://%.*s%.*s", upstream_tls->is_on ? "https" : "http", SLICE_ARG(named),
                SLICE_ARG(request->path));
    text_add(&peer, endpoint->address_text);
    const struct courier_errand errand = {
        .url = text_slice(&url),
        .method = request->method,
        .headers = headers,
        .header_count = list_headers(p, request->host.len > 0 ? request->host : endpoint->address_text, headers),
        .timeout_ms = p->config->timeout_ms,
        .connect_to = peer.bytes,
        .tls = tls,
        .is_http2 = p->target->protocol == UPSTREAM_HTTP2,
        .is_alone =
            true, /* one that is kept would say nothing about today's certificate, or whether there can be others */
        .done = on_answer,
        .arg = p->owner,
        .ticket = p->ticket,
    };
    bool is_sent = courier_send(p->owner->courier, &errand);
    text_fini(&url);
    text_fini(&peer);
    return is_sent;
}

/* In turn; but an endpoint that fails is asked again every other time, so that it is soon known whether it still does. */
static size_t choose_endpoint(struct probe *p)
{
    const struct monitor_status *s = &p->status;
    const struct monitor_endpoint *failing = failing_endpoint(s);
    bool is_known = p->endpoint_at < s->endpoint_count && s->endpoints[p->endpoint_at].is_known;
    if (failing != NULL && is_known && s->endpoints[p->endpoint_at].is_good)
        return (size_t)(failing - s->endpoints);
    return p->turn++ % s->endpoint_count;
}

static void check(struct probe *p)
{
    const struct upstream_tls_config *config = &p->target->tls;
    struct text ca = { 0 }, cert = { 0 }, key = { 0 };
    const struct http_tls tls = { .ca_file = path_of(&ca, &config->ca),
                                  .cert_file = path_of(&cert, &config->own.cert),
                                  .key_file = path_of(&key, &config->own.key),
                                  .is_insecure = !config->is_verified,
                                  .wants_certificate = p->config->expect.certificate_days > 0 };
    p->endpoint_at = choose_endpoint(p);
    const struct endpoint_config *endpoint = &p->target->endpoints[p->endpoint_at];
    p->ticket = ++p->owner->ticket;
    p->is_under_way = true; /* false again: the courier is full, and the next check is due soon */
    p->is_under_way = send_to(p, endpoint, config->is_on ? &tls : NULL);
    text_fini(&ca);
    text_fini(&cert);
    text_fini(&key);
}

static void on_timer(void *arg)
{
    struct probe *p = arg;
    CHECK_MAGIC(p->owner, MONITORS_MAGIC);
    timer_start(p->owner->loop, &p->timer, p->config->every_ms);
    if (!p->is_under_way)
        check(p);
}

/* ---- configuration ------------------------------------------------------------------------------------------------------ */

static struct probe *probe_create(struct monitors *m, struct slice monitor, struct slice upstream)
{
    struct probe *p = memory_zalloc(sizeof *p);
    p->owner = m;
    p->monitor = memory_copy_text(monitor.ptr, monitor.len);
    p->upstream = memory_copy_text(upstream.ptr, upstream.len);
    p->status.monitor = slice_from_cstr(p->monitor);
    p->status.upstream = slice_from_cstr(p->upstream);
    timer_init(&p->timer, on_timer, p);
    timer_start(m->loop, &p->timer, FIRST_WAIT_MS);
    list_init(&p->link);
    return p;
}

static void free_endpoints(struct monitor_endpoint *endpoints, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory_free(endpoints[i].address);
    memory_free(endpoints);
}

static void probe_destroy(struct probe *p)
{
    timer_stop(p->owner->loop, &p->timer);
    list_remove(&p->link);
    free_endpoints(p->status.endpoints, p->status.endpoint_count);
    memory_free(p->monitor);
    memory_free(p->upstream);
    memory_free(p);
}

static struct probe *take_or_create(struct monitors *m, struct list *old, struct slice monitor, struct slice upstream)
{
    LIST_FOREACH_SAFE (link, old) {
        struct probe *p = LIST_ITEM(link, struct probe, link);
        if (slice_equal(p->status.monitor, monitor) && slice_equal(p->status.upstream, upstream)) {
            list_remove(&p->link);
            p->is_under_way = false; /* what comes answers a request that may be another now: it is not judged */
            return p;
        }
    }
    return probe_create(m, monitor, upstream);
}

/* What is known of an address stays known; one that is gone takes along what it failed in. */
static void take_endpoints(struct probe *p, const struct upstream_config *target)
{
    struct monitor_status *s = &p->status;
    size_t count = target->endpoint_count;
    struct monitor_endpoint *made = memory_zalloc((count + 1) * sizeof *made);
    for (size_t i = 0; i < count; i++) {
        struct slice address = target->endpoints[i].address_text;
        for (size_t old = 0; old < s->endpoint_count; old++)
            if (slice_equal(slice_from_cstr(s->endpoints[old].address), address))
                made[i] = s->endpoints[old];
        made[i].address = memory_copy_text(address.ptr, address.len);
    }
    free_endpoints(s->endpoints, s->endpoint_count);
    s->endpoints = made;
    s->endpoint_count = count;
    if (s->is_known)
        conclude(s, NULL);
}

/* One that is to be checked oftener than before does not wait for a time that was set before. */
static void probe_configure(struct probe *p, const struct monitor_config *monitor, const struct upstream_config *target)
{
    if (monitor->every_ms < p->every_ms)
        timer_start(p->owner->loop, &p->timer, monitor->every_ms);
    take_endpoints(p, target);
    p->config = monitor;
    p->target = target;
    p->every_ms = monitor->every_ms;
}

void monitors_configure(struct monitors *m, const struct config *config)
{
    struct list old;
    CHECK_MAGIC(m, MONITORS_MAGIC);
    list_init(&old);
    for (struct list *link; (link = list_pop(&m->probes)) != NULL;)
        list_append(&old, link);
    m->probe_count = 0;
    for (size_t i = 0; i < config->monitor_count; i++) {
        const struct monitor_config *monitor = &config->monitors[i];
        for (size_t u = 0; u < monitor->upstreams.count; u++) {
            struct probe *p = take_or_create(m, &old, monitor->name, monitor->upstreams.items[u]);
            probe_configure(p, monitor, &config->upstreams[monitor->upstream_indexes[u]]);
            list_append(&m->probes, &p->link);
            m->probe_count++;
        }
    }
    LIST_FOREACH_SAFE (link, &old)
        probe_destroy(LIST_ITEM(link, struct probe, link));
}

size_t monitors_count(const struct monitors *m)
{
    return m->probe_count;
}

const struct monitor_status *monitors_at(const struct monitors *m, size_t index)
{
    struct list *link = m->probes.next;
    for (; index > 0; index--)
        link = link->next;
    return &LIST_ITEM(link, struct probe, link)->status;
}

static const char *verdict_name(bool is_known, bool is_good)
{
    if (!is_known)
        return "unknown";
    return is_good ? "good" : "bad";
}

static void describe_endpoints(const struct monitor_status *s, struct json *array)
{
    for (size_t i = 0; i < s->endpoint_count; i++) {
        const struct monitor_endpoint *e = &s->endpoints[i];
        struct json *object = json_push_object(array);
        json_put_cstr(object, "address", e->address);
        json_put_cstr(object, "verdict", verdict_name(e->is_known, e->is_good));
        json_put_cstr(object, "complaint", e->is_known && !e->is_good ? e->complaint : NULL);
    }
}

void monitors_describe(const struct monitors *m, struct slice upstream, struct json *array)
{
    char at[25];
    for (struct list *link = m->probes.next; link != &m->probes; link = link->next) {
        const struct probe *p = LIST_ITEM(link, struct probe, link);
        const struct monitor_status *s = &p->status;
        if (!slice_equal(s->upstream, upstream))
            continue;
        struct json *object = json_push_object(array);
        json_put_string(object, "name", s->monitor);
        json_put_cstr(object, "verdict", verdict_name(s->is_known, s->is_good));
        json_put_cstr(object, "complaint", s->is_known && !s->is_good ? s->complaint : NULL);
        json_put_u64(object, "failures_in_a_row", s->failures_in_a_row);
        json_put_u64(object, "unready_after", p->config->unready_after);
        json_put_real(object, "latency_ms", (double)s->latency_us / 1000);
        wall_format(s->at, at);
        json_put_cstr(object, "at", s->is_known ? at : NULL);
        describe_endpoints(s, json_put_array(object, "endpoints"));
    }
}

bool monitors_fail_at(const struct monitors *m, struct slice upstream, struct slice address, struct text *why)
{
    for (struct list *link = m->probes.next; link != &m->probes; link = link->next) {
        const struct monitor_status *s = &LIST_ITEM(link, struct probe, link)->status;
        for (size_t i = 0; i < s->endpoint_count && slice_equal(s->upstream, upstream); i++) {
            const struct monitor_endpoint *e = &s->endpoints[i];
            if (!e->is_known || e->is_good || !slice_equal(slice_from_cstr(e->address), address))
                continue;
            if (why != NULL)
                text_printf(why, "monitor %.*s: %s: %s", SLICE_ARG(s->monitor), e->address, e->complaint);
            return true;
        }
    }
    return false;
}

void monitors_list_failing(const struct monitors *m, struct json *array)
{
    for (struct list *link = m->probes.next; link != &m->probes; link = link->next) {
        const struct monitor_status *s = &LIST_ITEM(link, struct probe, link)->status;
        for (size_t i = 0; i < s->endpoint_count; i++) {
            const struct monitor_endpoint *e = &s->endpoints[i];
            if (!e->is_known || e->is_good)
                continue;
            struct json *object = json_push_object(array);
            json_put_string(object, "name", s->monitor);
            json_put_string(object, "upstream", s->upstream);
            json_put_cstr(object, "endpoint", e->address);
            json_put_cstr(object, "complaint", e->complaint);
        }
    }
}

bool monitors_are_unready(const struct monitors *m, struct text *why)
{
    for (struct list *link = m->probes.next; link != &m->probes; link = link->next) {
        const struct probe *p = LIST_ITEM(link, struct probe, link);
        const struct monitor_status *s = &p->status;
        if (p->config->unready_after == 0 || s->failures_in_a_row < p->config->unready_after)
            continue;
        text_printf(why, "monitor %.*s: upstream %.*s: %s", SLICE_ARG(s->monitor), SLICE_ARG(s->upstream),
                    s->complaint);
        return true;
    }
    return false;
}

struct monitors *monitors_create(struct loop *loop, struct courier *courier,
                                 void (*on_result)(void *arg, const struct monitor_status *status), void *arg)
{
    struct monitors *m = memory_zalloc(sizeof *m);
    m->magic = MONITORS_MAGIC;
    m->loop = loop;
    m->courier = courier;
    m->on_result = on_result;
    m->arg = arg;
    list_init(&m->probes);
    return m;
}

void monitors_destroy(struct monitors *m)
{
    CHECK_MAGIC(m, MONITORS_MAGIC);
    LIST_FOREACH_SAFE (link, &m->probes)
        probe_destroy(LIST_ITEM(link, struct probe, link));
    m->magic = 0;
    memory_free(m);
}
