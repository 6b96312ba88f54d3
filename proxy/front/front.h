/* front/front.h - what one worker needs to serve clients: its snapshot bindings, upstreams, lists and counters.
 *
 * Owner: the worker; thread: the worker's; lives as long as it.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "front/access.h"
#include "front/binding.h"
#include "front/limits.h"
#include "http/date.h"
#include "net/listener.h"
#include "net/loop.h"
#include "shadow/shadow.h"
#include "stats/counters.h"
#include "upstream/upstream.h"

#define FRONT_MAGIC 0x46524f4eu

/* State is list membership (R2): a client is on the list of its state. */
enum client_state {
    CLIENT_IDLE,      /* between requests: holds no buffer */
    CLIENT_ACTIVE,    /* a request is being read or answered */
    CLIENT_LINGERING, /* answered for the last time; its bytes are read and dropped until it closes */
    CLIENT_CLOSED,    /* freed after the turn */
    CLIENT_STATE_COUNT
};

/* Where clients come in: one per listener of the configuration, found again by name across reloads. */
struct front_listener {
    struct list link;
    char *name;
    struct slice scheme;             /* "http" or "https" */
    struct tls_context *tls;         /* of the current snapshot, borrowed; NULL: plain text */
    struct ip_network *header_peers; /* with proxy_protocol: who must begin with a header, owned; NULL without */
    size_t header_peer_count;
    struct log_limit handshake_complaints, header_complaints;
    uint32_t stats_id;
    uint32_t client_count;
    bool is_kept;    /* named by the newest configuration: the worker's mark while it swaps */
    bool is_removed; /* freed with its last client */
    struct front *front;
    struct listener listener;
};

struct fetch;
struct request;

/* Everything a request can reach without asking another thread. */
struct front {
    uint32_t magic;
    uint32_t worker_index; /* 0 and up */
    struct loop *loop;
    struct stats_worker *stats;
    struct upstream_set upstreams; /* of requests; copies have their own */
    struct shadow_pool shadows;
    struct binding *current; /* the newest snapshot's: new requests pin it */
    struct list bindings;    /* all that are still pinned, the current one too */
    struct list listeners;
    struct list clients[CLIENT_STATE_COUNT]; /* by enum client_state */
    struct list arrivals;                    /* not clients yet (front/arrival.h) */
    struct list flush_due;                   /* of client_h2: something was queued in this turn */
    uint32_t client_count, request_count;    /* alive, arrivals included; what is closed and waits to be freed is not */
    struct request *free_requests;           /* kept for reuse */
    uint32_t free_request_count;
    struct fetch *free_fetches; /* kept for reuse */
    uint32_t fetch_count, free_fetch_count;
    struct limits *limits; /* shared by all workers, lock-free */
    struct access_log access;
    struct http_date date;                     /* what answers without Date get */
    struct slice pseudonym;                    /* "weir-5f3a9c21": names this process in Via, so that loops are seen */
    char shadow_via[STATS_PROTOCOL_COUNT][48]; /* of copies */
    char via[STATS_PROTOCOL_COUNT][32];        /* the whole entry, "1.1 weir-5f3a9c21", by what the client speaks */
    bool is_draining, is_drain_reported;
    struct turn_hook turn_hook, end_hook;
    /* No request pins that generation any more; its scripts are given back (NULL: it had none). */
    void (*on_binding_unused)(void *arg, uint64_t generation, struct script_host *scripts);
    /* The scripts of that generation have filled their state: a new host is to be offered. */
    void (*on_scripts_full)(void *arg, uint64_t generation);
    /* To be destroyed, on another thread. */
    void (*on_scripts_unused)(void *arg, struct script_host *scripts);
    /* Draining, and the last client is gone. */
    void (*on_drained)(void *arg);
    void *arg;
};

void front_init(struct front *f, struct loop *loop, struct stats_worker *stats, uint32_t worker_index,
                uint32_t worker_count);
/* What this process is called in Via: at most 24 characters, borrowed for good. */
void front_set_pseudonym(struct front *f, struct slice pseudonym);
/* What all workers share: places in the queues of upstreams, and copies under way. */
void front_set_places(struct front *f, struct places *queues, struct places *copies, struct comparer *comparer);
/* Closes every client and gives everything back. */
void front_fini(struct front *f);

/* New requests use this snapshot and these weights from now on. `scripts`: a host of the snapshot's scripts for this worker,
   given back by on_binding_unused; NULL when it has none. */
void front_swap(struct front *f, struct snapshot *snapshot, const struct weights *weights, struct script_host *scripts);
/* After on_scripts_full: another host of that generation's scripts, which is given back when nobody uses it any more. */
void front_offer_scripts(struct front *f, uint64_t generation, struct script_host *scripts);
/* Weights of the current snapshot. */
void front_set_weights(struct front *f, const struct weights *weights);
/* A name among the endpoints of an upstream has these addresses now; sorted. */
void front_set_addresses(struct front *f, const char *upstream, const char *label,
                         const struct resolved_address *addresses, size_t count);
/* Answers go out with Connection: close, idle clients are closed, on_drained is called when none is left (maybe at
   once). */
void front_drain(struct front *f);

#endif
