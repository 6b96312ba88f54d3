/* upstream/endpoint.c - one address of an upstream: whether it is up, and the connections to it. */
#include "upstream/endpoint.h"

#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "upstream/connection.h"
#include "upstream/internal.h"

#include <string.h>

#define ENDPOINT_MAGIC 0x454e4450u

#define DOWN_FIRST_MS 1000 /* after one failed connect; doubled with each further one */
#define DOWN_MOST_MS  16000
#define FIRM_PART     4 /* a probe is firm for this part of connect_timeout: enough for an endpoint that is up, by far */

/* ---- up and down ------------------------------------------------------------------------------------------------------ */

/* Until the next probe. Many may fail together, and requests fail too while nothing is up: that is one period all the
   same. */
static void endpoint_leave_alone(struct endpoint *e, int64_t period_ms)
{
    if (timer_is_armed(&e->probe_timer) || list_is_linked(&e->probe_link))
        return;
    e->down_period_ms = period_ms < DOWN_MOST_MS ? period_ms : DOWN_MOST_MS;
    timer_start(e->upstream->set->loop, &e->probe_timer, e->down_period_ms);
}

void endpoint_on_connect_failed(struct endpoint *e, const char *why)
{
    if (endpoint_is_leaving(e))
        return;
    if (e->health != ENDPOINT_DOWN)
        log_warn("upstream %s: endpoint %s is unhealthy: %s", e->upstream->name, e->label, why);
    e->health = ENDPOINT_DOWN;
    endpoint_leave_alone(e, e->down_period_ms == 0 ? DOWN_FIRST_MS : 2 * e->down_period_ms);
    upstream_publish_health(e->upstream, e->entry);
}

void endpoint_on_not_tried(struct endpoint *e)
{
    if (e->health == ENDPOINT_DOWN && !endpoint_is_leaving(e))
        endpoint_leave_alone(e, e->down_period_ms);
}

void endpoint_on_connected(struct endpoint *e)
{
    if (endpoint_is_leaving(e) || e->health == ENDPOINT_UP)
        return;
    if (e->health == ENDPOINT_DOWN)
        log_info("upstream %s: endpoint %s is healthy again", e->upstream->name, e->label);
    e->health = ENDPOINT_UP;
    e->down_period_ms = 0;
    timer_stop(e->upstream->set->loop, &e->probe_timer);
    list_remove(&e->probe_link);
    upstream_publish_health(e->upstream, e->entry);
}

/* ---- probes ----------------------------------------------------------------------------------------------------------- */

void endpoint_probe(struct endpoint *e)
{
    bool is_known = e->connection_count > 0 && endpoint_is_usable(e);
    if (is_known || e->probe != NULL || e->upstream->set->is_probing_stopped)
        return;
    if (!upstream_is_below_limit(e->upstream))
        return;
    e->is_probe_slow = false;
    connection_open(e, NULL);
}

void endpoint_owe_probe(struct endpoint *e)
{
    if (!list_is_linked(&e->probe_link))
        list_append(&e->upstream->owed_probes, &e->probe_link);
    upstream_on_room(e->upstream);
}

void endpoint_probe_owed(struct endpoint *e)
{
    struct upstream *u = e->upstream;
    list_remove(&e->probe_link);
    if (u->set->is_probing_stopped || e->probe != NULL)
        return;
    e->is_probe_firm = true;
    e->is_probe_slow = false;
    timer_start(u->set->loop, &e->firm_timer, (u->connect_timeout_ms + FIRM_PART - 1) / FIRM_PART);
    connection_open(e, NULL);
}

/* Nothing to do when the probe has ended since; the next would have started the timer anew. */
static void endpoint_on_firm_over(void *arg)
{
    struct endpoint *e = arg;
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    if (!e->is_probe_firm)
        return;
    e->is_probe_firm = false;
    e->is_probe_slow = true;
    upstream_on_room(e->upstream);
}

void endpoint_on_probe_gave_way(struct endpoint *e)
{
    if (endpoint_is_usable(e))
        return;
    if (!e->is_probe_slow) {
        endpoint_owe_probe(e);
        return;
    }
    struct upstream *u = e->upstream;
    stats_upstream_add(u->set->loop->stats, u->stats_id, STATS_UPSTREAM_CONNECT_FAILURES, 1);
    endpoint_leave_alone(e, 2 * e->down_period_ms);
}

static void endpoint_on_probe_due(void *arg)
{
    struct endpoint *e = arg;
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    CHECK(e->health == ENDPOINT_DOWN && !endpoint_is_leaving(e));
    endpoint_probe(e);
    if (e->probe == NULL && !e->upstream->set->is_probing_stopped)
        endpoint_owe_probe(e);
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

/* As written, and of a name the address behind it. */
static char *label_of(const struct endpoint_entry *entry, const struct resolved_address *address)
{
    struct ip_address ip;
    uint16_t port;
    char text[46];
    struct text label = { 0 };
    text_add_cstr(&label, entry->label);
    if (entry->is_name) {
        ip_from_sockaddr((const struct sockaddr *)&address->bytes, &ip, &port);
        ip_format(&ip, text);
        text_printf(&label, " (%s)", text);
    }
    char *copy = memory_strdup(text_slice(&label).ptr);
    text_fini(&label);
    return copy;
}

struct endpoint *endpoint_create(struct upstream *u, const struct endpoint_entry *entry,
                                 const struct resolved_address *address)
{
    struct endpoint *e = memory_zalloc(sizeof(*e));
    e->magic = ENDPOINT_MAGIC;
    e->upstream = u;
    e->label = label_of(entry, address);
    e->address = *address;
    list_init(&e->link);
    list_init(&e->idle);
    list_init(&e->shared);
    e->exchange_limit = UINT32_MAX;
    list_init(&e->probe_link);
    timer_init(&e->probe_timer, endpoint_on_probe_due, e);
    timer_init(&e->firm_timer, endpoint_on_firm_over, e);
    return e;
}

void endpoint_close_unused(struct endpoint *e)
{
    struct upstream_connection *probe = e->probe;
    timer_stop(e->upstream->set->loop, &e->probe_timer);
    timer_stop(e->upstream->set->loop, &e->firm_timer);
    list_remove(&e->probe_link);
    connection_close_idle(e);
    if (probe != NULL)
        connection_close(probe);
}

void endpoint_destroy(struct endpoint *e)
{
    CHECK_MAGIC(e, ENDPOINT_MAGIC);
    CHECK(e->connection_count == 0 && list_is_empty(&e->idle) && list_is_empty(&e->shared));
    CHECK(!timer_is_armed(&e->probe_timer) && !list_is_linked(&e->probe_link));
    CHECK(!timer_is_armed(&e->firm_timer));
    list_remove(&e->link);
    memory_free(e->label);
    tls_session_slot_clear(&e->session);
    e->magic = 0;
    memory_free(e);
}

void endpoint_leave(struct endpoint *e)
{
    endpoint_close_unused(e);
    e->entry = NULL;
    if (e->connection_count == 0)
        endpoint_destroy(e);
    else
        list_append(&e->upstream->leaving, &e->link);
}

void endpoint_forget_connection(struct endpoint *e)
{
    struct upstream *u = e->upstream;
    CHECK(e->connection_count > 0 && u->connection_count > 0);
    e->connection_count--;
    u->connection_count--;
    u->set->connection_count--;
    if (e->connection_count == 0 && endpoint_is_leaving(e))
        endpoint_destroy(e);
    upstream_on_room(u);
    upstream_unref(u);
}
