/* stats/counters.h - what one worker counts: written by it alone, read by anyone at any time.
 *
 * Owner: struct stats (main thread), which outlives the workers. Writer: the worker, through the functions here. Every
 * cell is a relaxed atomic with one writer, so counting is a load, an add and a store: no lock prefix, no shared cache
 * line. Readers see each cell whole, and cells of one request maybe not together. Ids come from the registries of
 * stats/stats.h and reach the worker with the snapshot. Pages are made by the worker at the first use of an id in
 * them. */
#ifndef STATS_COUNTERS_H
#define STATS_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/reason.h"
#include "stats/histogram.h"

/* A worker's counters share no line with another's: the one that is written by one core would be torn from the
   other. */
#define STATS_CACHE_LINE_BYTES 64u

/* STATS_REQUESTS, STATS_CLIENTS_LIVE, ...: the rows of counters.def. */
enum stats_counter {
#define COUNTER(name, metric, help) STATS_##name,
#define GAUGE(name, metric, help)   STATS_##name,
#include "stats/counters.def"
#undef COUNTER
#undef GAUGE
    STATS_COUNTER_COUNT
};

/* One number. Only one thread writes it, so adding needs no read-modify-write instruction; all others only load it.
   Gauges go down by adding a two's complement, and a sum over workers that were read at different moments may be
   briefly negative: read it as int64_t. */
typedef _Atomic uint64_t stats_cell;

/* Status codes of a series stand in a short list, in the order in which they first came: a service uses a dozen, an
   attacker who makes an upstream answer with more finds the rest counted together. Code and count are one cell, so the
   list's first cells, of the codes that come most, fit into the first cache line. */
#define STATS_STATUS_SLOTS 32u
#define STATS_STATUS_END   600u /* codes are 100..599, and 0: nothing was sent */

/* A status slot: code + 1 above, count below; 0: free. It keeps its code for ever. 48 bits last a worker that answers
   a million requests a second for nine years. */
#define STATS_STATUS_COUNT_BITS 48u
#define STATS_STATUS_COUNT_MASK (((uint64_t)1 << STATS_STATUS_COUNT_BITS) - 1)

/* What is counted per (route, upstream). The first line is all that most requests write, one duration bucket apart:
   with many routes each line is a miss of the cache. */
enum stats_series_cell {
    STATS_SERIES_IN_FLIGHT,       /* gauge: begun and not ended */
    STATS_SERIES_BYTES_IN,        /* of bodies: from the client */
    STATS_SERIES_BYTES_OUT,       /* to the client */
    STATS_SERIES_DURATION_SUM_US, /* from the first byte of the request to the last of its answer */
    STATS_SERIES_STATUSES,        /* STATS_STATUS_SLOTS of them */
    STATS_SERIES_STATUS_OTHER = STATS_SERIES_STATUSES + STATS_STATUS_SLOTS,        /* of codes that found no slot */
    STATS_SERIES_DURATION_BUCKETS,                                                 /* HISTOGRAM_BUCKET_COUNT of them */
    STATS_SERIES_REASONS = STATS_SERIES_DURATION_BUCKETS + HISTOGRAM_BUCKET_COUNT, /* of requests that ended for ours */
    STATS_SERIES_CELL_COUNT = STATS_SERIES_REASONS + REASON_COUNT
};

#define STATS_LINE_CELLS   (STATS_CACHE_LINE_BYTES / sizeof(stats_cell))
#define STATS_SERIES_LINES ((STATS_SERIES_CELL_COUNT + STATS_LINE_CELLS - 1) / STATS_LINE_CELLS)

/* The first line of a series, and what stats_series_cell finds the others from. */
struct stats_series {
    _Alignas(STATS_CACHE_LINE_BYTES) stats_cell cells[STATS_LINE_CELLS];
};

enum stats_upstream_cell {
    STATS_UPSTREAM_IDLE,             /* gauge: connections in the pool */
    STATS_UPSTREAM_ACTIVE,           /* gauge: connecting, or with an exchange */
    STATS_UPSTREAM_PENDING,          /* gauge: exchanges that wait for a connection */
    STATS_UPSTREAM_CONNECTS,         /* connections tried */
    STATS_UPSTREAM_CONNECT_FAILURES, /* of these, failed or timed out */
    STATS_UPSTREAM_RETRIES_OK,       /* the retry's answer was relayed */
    STATS_UPSTREAM_RETRIES_FAILED,   /* the retry failed too */
    STATS_UPSTREAM_RETRIES_REFUSED,  /* wanted, but no budget, no attempt or no body was left */
    STATS_UPSTREAM_FETCHES_ANSWERED, /* of hooks: whatever the status */
    STATS_UPSTREAM_FETCHES_FAILED,
    STATS_UPSTREAM_FETCHES_CANCELLED, /* the request ended whose hook waited */
    STATS_UPSTREAM_CELL_COUNT
};

struct stats_upstream {
    stats_cell cells[STATS_UPSTREAM_CELL_COUNT];
};

/* Why a copy was given up: the rows of shadow_drops.def. */
enum shadow_drop {
#define SHADOW_DROP(name, label, sentence) SHADOW_DROP_##name,
#include "stats/shadow_drops.def"
#undef SHADOW_DROP
    SHADOW_DROP_COUNT
};

#define STATS_VERDICT_COUNT 3 /* same, different, noise */

/* How copies of one shadow (route, upstream) ended, and what comparing them said. */
enum stats_shadow_cell {
    STATS_SHADOW_OK,       /* its answer came, whatever the status */
    STATS_SHADOW_ERROR,    /* none came, or none that could be understood */
    STATS_SHADOW_TIMEOUT,  /* not in time */
    STATS_SHADOW_COMPARED, /* STATS_VERDICT_COUNT of them, in the order of enum verdict (shadow/noise.h) */
    STATS_SHADOW_DROPS = STATS_SHADOW_COMPARED + STATS_VERDICT_COUNT, /* SHADOW_DROP_COUNT of them */
    STATS_SHADOW_CELL_COUNT = STATS_SHADOW_DROPS + SHADOW_DROP_COUNT
};

struct stats_shadow {
    stats_cell cells[STATS_SHADOW_CELL_COUNT];
};

/* How a call of a script's hook ended. */
enum stats_script_result {
    STATS_SCRIPT_OK,
    STATS_SCRIPT_ERROR,   /* it raised, or returned what nobody can use */
    STATS_SCRIPT_TIMEOUT, /* cut off: its time was used up */
    STATS_SCRIPT_MEMORY,  /* cut off: its memory was */
    STATS_SCRIPT_RESULT_COUNT
};

/* Calls of one (script, hook). */
struct stats_script {
    stats_cell results[STATS_SCRIPT_RESULT_COUNT];
    stats_cell duration_sum_us;
    stats_cell durations[HISTOGRAM_BUCKET_COUNT];
};

/* In rising order of what matters: the sum over workers is the greatest (stats_sum_health). */
enum stats_health { STATS_HEALTH_UNKNOWN, STATS_HEALTHY, STATS_UNHEALTHY };

struct stats_endpoint {
    stats_cell health; /* enum stats_health: what this worker thinks */
};

enum stats_protocol { STATS_HTTP1, STATS_HTTP2, STATS_PROTOCOL_COUNT };

enum stats_handshake {
    STATS_HANDSHAKE_FULL,
    STATS_HANDSHAKE_RESUMED, /* by a ticket */
    STATS_HANDSHAKE_FAILED,
    STATS_HANDSHAKE_COUNT
};

struct stats_listener {
    stats_cell connections[STATS_PROTOCOL_COUNT];
    stats_cell handshakes[STATS_HANDSHAKE_COUNT]; /* TLS */
};

/* A series takes about a kilobyte, and most of a large configuration's never see a request on a given worker: so
   blocks come in pages of 64, made when the first id in them is counted. Capacities: page counts times
   STATS_PAGE_BLOCKS.

   A page of series holds the first lines of all 64, then all their second lines, and so on:

     line 0 of series 0..63 | line 1 of series 0..63 | ...        each run is 4096 bytes, a page of memory

   Of its 16 lines a series uses the first and the two or three whose durations, statuses and reasons it meets, and its
   neighbours mostly the same ones; what none of them uses takes no memory. With 10,000 routes under load that is 22 MB
   less, and fewer entries of the processor's TLB, where a miss in a virtual machine costs up to 24 loads. */
#define STATS_PAGE_BLOCKS    64u
#define STATS_SERIES_PAGES   4096u
#define STATS_UPSTREAM_PAGES 1024u
#define STATS_ENDPOINT_PAGES 1024u
#define STATS_LISTENER_PAGES 64u
#define STATS_SHADOW_PAGES   256u
#define STATS_SCRIPT_PAGES   64u

/* A slot holds a page of STATS_PAGE_BLOCKS blocks, or NULL; stored with release, read by others with acquire. */
typedef _Atomic(void *) stats_page_slot;

struct stats_worker {
    _Alignas(STATS_CACHE_LINE_BYTES) stats_cell counters[STATS_COUNTER_COUNT];
    _Alignas(STATS_CACHE_LINE_BYTES) stats_page_slot series[STATS_SERIES_PAGES];
    stats_page_slot upstreams[STATS_UPSTREAM_PAGES];
    stats_page_slot endpoints[STATS_ENDPOINT_PAGES];
    stats_page_slot listeners[STATS_LISTENER_PAGES];
    stats_page_slot shadows[STATS_SHADOW_PAGES];
    stats_page_slot scripts[STATS_SCRIPT_PAGES];
};

/* All zero. Destroy only after the worker's thread has ended. */
struct stats_worker *stats_worker_create(void);
void stats_worker_destroy(struct stats_worker *w);

/* -- writing: by the worker's own thread only ---------------------------------------------------- */

static inline void stats_cell_add(stats_cell *cell, uint64_t n)
{
    uint64_t before = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, before + n, memory_order_relaxed);
}

static inline void stats_cell_set(stats_cell *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}

/* w may be NULL in these three: nobody counts then (control threads). */
static inline void stats_add(struct stats_worker *w, enum stats_counter counter, uint64_t n)
{
    if (w != NULL)
        stats_cell_add(&w->counters[counter], n);
}

/* Gauges only. */
static inline void stats_sub(struct stats_worker *w, enum stats_counter gauge, uint64_t n)
{
    stats_add(w, gauge, -n);
}

static inline void stats_set(struct stats_worker *w, enum stats_counter gauge, uint64_t value)
{
    if (w != NULL)
        stats_cell_set(&w->counters[gauge], value);
}

/* Slow path of stats_block; not for callers. */
void *stats_page_make(stats_page_slot *slot, size_t block_bytes);

/* The block of an id, made when it is the first of its page. */
static inline void *stats_block(stats_page_slot *slots, uint32_t slot_count, uint32_t id, size_t block_bytes)
{
    CHECK(id / STATS_PAGE_BLOCKS < slot_count);
    stats_page_slot *slot = &slots[id / STATS_PAGE_BLOCKS];
    char *page = atomic_load_explicit(slot, memory_order_relaxed);
    if (__builtin_expect(page == NULL, 0))
        page = stats_page_make(slot, block_bytes);
    return page + id % STATS_PAGE_BLOCKS * block_bytes;
}

/* Slow path of stats_series_at; not for callers. */
void *stats_series_page_make(stats_page_slot *slot);

static inline struct stats_series *stats_series_at(struct stats_worker *w, uint32_t series)
{
    CHECK(series / STATS_PAGE_BLOCKS < STATS_SERIES_PAGES);
    stats_page_slot *slot = &w->series[series / STATS_PAGE_BLOCKS];
    struct stats_series *page = atomic_load_explicit(slot, memory_order_relaxed);
    if (__builtin_expect(page == NULL, 0))
        page = stats_series_page_make(slot);
    return page + series % STATS_PAGE_BLOCKS;
}

/* A cell of enum stats_series_cell, or of one of its lists, counted from the list's first. */
static inline stats_cell *stats_series_cell(struct stats_series *s, unsigned cell)
{
    return &s[cell / STATS_LINE_CELLS * STATS_PAGE_BLOCKS].cells[cell % STATS_LINE_CELLS];
}

/* A request is counted in one series, from begin to end, each once. What fails before it is routed begins and ends in
   series 0. */
static inline void stats_request_begin(struct stats_worker *w, uint32_t series)
{
    stats_cell_add(stats_series_cell(stats_series_at(w, series), STATS_SERIES_IN_FLIGHT), 1);
}

/* A request is about to begin, or to end after duration_us: with many series what it counts in is a miss of the cache,
   and told some hundred instructions before, the memory works meanwhile. */
static inline void stats_request_will_begin(struct stats_worker *w, uint32_t series)
{
    __builtin_prefetch(stats_series_cell(stats_series_at(w, series), STATS_SERIES_IN_FLIGHT), 1);
}

static inline void stats_request_will_end(struct stats_worker *w, uint32_t series, uint64_t duration_us)
{
    struct stats_series *s = stats_series_at(w, series);
    __builtin_prefetch(stats_series_cell(s, STATS_SERIES_IN_FLIGHT), 1);
    __builtin_prefetch(stats_series_cell(s, STATS_SERIES_DURATION_BUCKETS + histogram_bucket(duration_us)), 1);
}

/* status 0: nothing was sent; reason REASON_NONE: the upstream or the route answered. */
void stats_request_end(struct stats_worker *w, uint32_t series, uint16_t status, enum reason reason,
                       uint64_t duration_us);

/* Of bodies: received from the client, sent to the client. At the request's end. */
static inline void stats_request_bytes(struct stats_worker *w, uint32_t series, uint64_t bytes_in, uint64_t bytes_out)
{
    struct stats_series *s = stats_series_at(w, series);
    stats_cell_add(stats_series_cell(s, STATS_SERIES_BYTES_IN), bytes_in);
    stats_cell_add(stats_series_cell(s, STATS_SERIES_BYTES_OUT), bytes_out);
}

static inline stats_cell *stats_upstream_cell_at(struct stats_worker *w, uint32_t upstream,
                                                 enum stats_upstream_cell cell)
{
    struct stats_upstream *u = stats_block(w->upstreams, STATS_UPSTREAM_PAGES, upstream, sizeof(struct stats_upstream));
    return &u->cells[cell];
}

static inline void stats_upstream_add(struct stats_worker *w, uint32_t upstream, enum stats_upstream_cell cell,
                                      uint64_t n)
{
    stats_cell_add(stats_upstream_cell_at(w, upstream, cell), n);
}

/* Gauges only. */
static inline void stats_upstream_sub(struct stats_worker *w, uint32_t upstream, enum stats_upstream_cell gauge,
                                      uint64_t n)
{
    stats_upstream_add(w, upstream, gauge, -n);
}

static inline void stats_endpoint_set_health(struct stats_worker *w, uint32_t endpoint, enum stats_health health)
{
    struct stats_endpoint *e = stats_block(w->endpoints, STATS_ENDPOINT_PAGES, endpoint, sizeof(struct stats_endpoint));
    stats_cell_set(&e->health, (uint64_t)health);
}

/* A copy ended, or did not begin: once for each. `cell` of enum stats_shadow_cell. */
static inline void stats_shadow_add(struct stats_worker *w, uint32_t shadow, unsigned cell)
{
    struct stats_shadow *s = stats_block(w->shadows, STATS_SHADOW_PAGES, shadow, sizeof(struct stats_shadow));
    stats_cell_add(&s->cells[cell], 1);
}

/* A call of a hook ended: once for each. */
static inline void stats_script_add(struct stats_worker *w, uint32_t script, enum stats_script_result result,
                                    uint64_t duration_us)
{
    struct stats_script *s = stats_block(w->scripts, STATS_SCRIPT_PAGES, script, sizeof(struct stats_script));
    stats_cell_add(&s->results[result], 1);
    stats_cell_add(&s->duration_sum_us, duration_us);
    stats_cell_add(&s->durations[histogram_bucket(duration_us)], 1);
}

static inline struct stats_listener *stats_listener_at(struct stats_worker *w, uint32_t listener)
{
    return stats_block(w->listeners, STATS_LISTENER_PAGES, listener, sizeof(struct stats_listener));
}

static inline void stats_listener_handshake(struct stats_worker *w, uint32_t listener, enum stats_handshake result)
{
    stats_cell_add(&stats_listener_at(w, listener)->handshakes[result], 1);
}

/* A client connection was accepted by, or lost from, a listener. */
static inline void stats_listener_open(struct stats_worker *w, uint32_t listener, enum stats_protocol protocol)
{
    stats_cell_add(&stats_listener_at(w, listener)->connections[protocol], 1);
}

static inline void stats_listener_close(struct stats_worker *w, uint32_t listener, enum stats_protocol protocol)
{
    stats_cell_add(&stats_listener_at(w, listener)->connections[protocol], (uint64_t)-1);
}

#endif
