/* shadow/shadow.h - starts, feeds and bounds copies of requests; nothing here can fail, change or slow the request.
 *
 *   shadow_choose --> shadow_begin --> STARTED --shadow_feed...--> shadow_feed_end --> COMPLETE --answer--> finished
 *                          |              |                                               |
 *                          |              +-- shadow_let_go: the request ended before its body --> dropped
 *                          |              +-- too long, too slow, refused, answered early --------> finished
 *                          |                                                  timeout, refused ---/
 *                          +-- breaker, max_inflight, max_memory: dropped, never begun
 *
 * A copy outlives its request (R8): its head is its own, its body is chunks, each held by a reference beside the
 * request's. What waits for a slow shadow waits here, and its client is never paused for it: past max_memory the copy is
 * given up. A short piece would hold a whole chunk, so it is packed; what is counted against max_memory is chunks, not
 * bytes, and the room that a copy's connection reads into.
 *
 * The answer is read and dropped, or compared (shadow/capture.h): then the request goes to the control, too, whose copy is
 * one like any other, with bounds of its own. Copies are written when the turn ends, behind what the request itself has to send.
 *
 * Where somebody has to look at a copy before it is sent, it is HELD until its request is whole (shadow/review.h): between
 * shadow_begin and STARTED.
 *
 * Owner: the pool; a copy is freed at once when it is finished, which any call below may do to any copy it is given.
 * Thread: the worker's.
 *
 *   invariants
 *   S1 a copy is on pool->live from shadow_begin to its end, and is counted once, by how it ended
 *   S2 `from` is set exactly while its request may still feed it, and until it was reviewed
 *   S3 lane->held_bytes is the sum of held_bytes of the lane's copies, and of counted_bytes of its pairs
 *   S4 its binding is pinned: configuration and upstream do not change under it
 *   S5 `hold` is set exactly while it is held: its exchange has not begun, and what it borrows is its request's (S2) */
#ifndef SHADOW_SHADOW_H
#define SHADOW_SHADOW_H

#include "base/pieces.h"
#include "http/trace.h"
#include "net/loop.h"
#include "shadow/lane.h"
#include "shadow/pair.h"
#include "stats/counters.h"
#include "upstream/exchange.h"

#define SHADOW_MAGIC 0x53484457u

struct comparer;
struct places;
struct shadow_hold;

/* A copy that nothing was sent of yet, for who may look at it and edit it. Valid during the call of `review` alone. */
struct shadow_draft {
    struct slice upstream;   /* that it goes to: its name */
    struct arena *arena;     /* the copy's: edits go there */
    struct message head;     /* as the request goes on; to be edited. The edits of the shadow come after */
    struct slice target;     /* likewise */
    struct pieces *body;     /* all of it: shadow_draft_set_body replaces it; NULL: there is none */
    uint64_t body_max_bytes; /* of a new one */
    struct loop *loop;
    bool is_body_new;
};

/* What becomes of it. */
enum shadow_word { SHADOW_WORD_GO, SHADOW_WORD_VETO, SHADOW_WORD_FAILED /* nobody can say: it is not sent */ };

/* The copies of one worker, and what they share. Embedded in the front. */
struct shadow_pool {
    struct loop *loop;
    struct stats_worker *stats;
    struct upstream_set upstreams; /* connections of copies only */
    struct comparer *comparer;     /* gets the pairs; NULL: nothing is compared */
    struct places *inflight;       /* of all workers: copies under way, by lane->series */
    struct list lanes;
    struct list live;
    struct list flush_due, review_due, recount_due; /* by shadow.flush_link */
    uint32_t live_count;
    uint64_t chunk_count; /* that copies' bodies hold: they have a limit of their own, beside limits.memory */
    struct shadow *free;  /* kept for reuse */
    uint32_t free_count;
    struct turn_hook turn_hook, review_hook;
    bool is_review_next;      /* what the requests of this turn have to send has left: copies are reviewed now */
    void (*unpin)(void *pin); /* a copy is over: lets go of what shadow_source.pin gave */
    /* Looks at a copy whose source has is_reviewed. From a turn's end, while its request lives. */
    enum shadow_word (*review)(void *request, struct shadow_draft *draft);
};

struct shadow {
    uint32_t magic;
    struct shadow_pool *pool;
    struct list link, flush_link;
    struct shadow *next;  /* of the same request; in the pool's free list: the next there */
    struct shadow **from; /* what points to it in its request's list; NULL: the request is gone, or needs it no more */
    const struct compiled_shadow *shadow;
    struct shadow_slot *slot;
    void *pin;
    struct shadow_hold *hold; /* until it was reviewed; in the arena. NULL: it needs no review, or has had it */
    struct pair *pair;        /* what its answer is compared in; NULL: it is dropped unread */
    enum pair_side side;      /* of the pair */
    struct timer timer;       /* armed once the request is complete */
    uint64_t fed_bytes;       /* of the body */
    uint64_t held_bytes;      /* counted against max_memory */
    uint64_t chunk_count;     /* of these: chunks of the body */
    bool is_complete;         /* the request's last byte was fed */
    bool is_end_sent;         /* and handed on */
    bool is_stuck;            /* what was queued for its connection was still there after the writes of a turn */
    bool has_short_queued;    /* the exchange has a short piece that it has not written, as far as is known */
    bool is_probe;            /* on trial for the breaker */
    struct pieces body;       /* waits for the exchange */
    struct message *trailers;
    struct arena arena;
    struct message message;
    struct exchange exchange;
};

/* What copies are made of; all of it is borrowed for the call, but the pin. */
struct shadow_source {
    const struct compiled_route *route;
    const struct message *head; /* as the request itself goes on */
    struct slice target;
    const struct trace_context *trace;
    struct slice via;            /* the whole entry of a copy in Via; takes the place of the head's last */
    void *request;               /* for `pin`, and for shadow_pool.review */
    void *(*pin)(void *request); /* once for each copy */
    struct shadow **list;        /* of the request: copies that want its body; NULL: the body is there already */
    struct slice primary;        /* the upstream that the request goes to */
    struct pair **pairs;         /* of the request: pairs that want its answer */
    bool is_reviewed;            /* nothing is sent before shadow_pool.review has looked at it */
};

void shadow_pool_init(struct shadow_pool *pool, struct loop *loop, struct stats_worker *stats, uint32_t worker_index,
                      uint32_t worker_count);
/* Gives up what is under way. */
void shadow_pool_stop(struct shadow_pool *pool);
/* After the last binding went and a turn ended. */
void shadow_pool_fini(struct shadow_pool *pool);

/* Which of the route's shadows this request is copied to: a bit for each, drawn by their shares. The request is as it
   came. */
uint32_t shadow_choose(struct shadow_binding *b, const struct compiled_route *route,
                       const struct route_request *request);
void shadow_begin(struct shadow_binding *b, uint32_t chosen, const struct shadow_source *source);

/* Of the request's body, for all copies on its list; `first` is not NULL. */
void shadow_feed(struct shadow *first, struct chunk *chunk, uint32_t offset, uint32_t length);
void shadow_feed_end(struct shadow *first, const struct message *trailers);
/* The request ends. */
void shadow_let_go(struct shadow *first);

/* For `review`: another body, of at most body_max_bytes. It goes with a Content-Length; trailers, and digests of the old
   one, do not go along. The draft has a body. */
void shadow_draft_set_body(struct shadow_draft *d, struct slice bytes);

#endif
