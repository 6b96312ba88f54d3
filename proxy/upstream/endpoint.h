/* upstream/endpoint.h - one address of an upstream: whether it is up, and the connections to it.
 *
 * Whether an endpoint is up is each worker's own finding: a connect that failed marks it down for a second, then two,
 * up to sixteen; one that works marks it up.
 *
 * Owner: its upstream, or its last connection once it is not configured any more. Thread: the worker's. */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"

struct upstream;
struct upstream_connection;

/* One address. Gone from the configuration it stays until its last connection is closed. */
struct endpoint {
    uint32_t magic;
    struct upstream *upstream;
    struct list link; /* in upstream->leaving, when no longer configured */
    char *label;      /* address as written: the metrics' label */
    struct sockaddr_storage address;
    socklen_t address_length;          /* 0: the name is not resolved (yet) */
    uint32_t weight;                   /* 1 and more, relative to the upstream's others */
    int64_t round_robin_credit;        /* smooth weighted round robin: what it has saved up */
    uint32_t in_flight_count;          /* exchanges that use it now */
    uint32_t connection_count;         /* connecting, busy and idle */
    struct list idle;                  /* pooled connections, newest first */
    struct upstream_connection *probe; /* being connected for nobody yet; NULL: none */
    uint32_t address_number;           /* grows when a name's address changes: older connections are not pooled */
    bool is_down;                      /* the last connect failed; tried again after down_until */
    struct mono_time down_until;
    uint32_t connect_failures; /* in a row; 0 when up */
    uint32_t stats_id;
};

bool endpoint_is_usable(const struct endpoint *e, struct mono_time now);
void endpoint_on_connect_failed(struct endpoint *e);
void endpoint_on_connected(struct endpoint *e);

#endif
