/* shadow/pair.h - one copied request with all answers to it: what is compared, and what is recorded.
 *
 * A worker makes it when it starts the copies, adds to it while the answers come, and hands it over whole, by pointer,
 * to a thread that compares or records (shadow/comparer.h). It holds no reference to anything of the worker's: names,
 * heads and bodies are copied into a buffer of its own, whose bound is fixed when it is made. What does not fit is not
 * kept, and nobody waits: bodies are then known by length and hash, heads are marked.
 *
 *   buffer:   [0, used) names, heads, pieces of bodies, in order of arrival     [used, capacity) room
 *   body:     first piece -> ... -> last piece     of one body; answers come at the same time, so their pieces mingle
 *
 * Owner: the worker until it hands the pair over, then whoever got it; the last one destroys it. Never two at a time.
 *
 *   pair_create -> pair_set_request, pair_add_request_body..., pair_end_request
 *               -> for each side asked: pair_await, before any of them can end
 *                  pair_set_answer, pair_add_answer_body..., then once pair_answered or pair_failed
 *   The call of pair_answered or pair_failed that returns true was the last one: now the pair is handed over.
 *
 * 1. A side is AWAITED from pair_await to its end, and ends once.  2. used <= capacity <= limit_bytes.
 * 3. kept_bytes of a body is at most its total_bytes and the pair's body_limit_bytes. */
#ifndef SHADOW_PAIR_H
#define SHADOW_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/reason.h"
#include "base/slice.h"
#include "base/text.h"
#include "http/message.h"
#include "net/mailbox.h"

#define PAIR_MAGIC       0x50414952u
#define PAIR_BYTES_MAX   (64u * 1024 * 1024) /* no limit_bytes is above it */
#define PAIR_HEADS_BYTES (64u * 1024)        /* what pair_limit allows for heads and names */

enum pair_side { PAIR_PRIMARY, PAIR_SHADOW, PAIR_CONTROL, PAIR_SIDE_COUNT };

enum pair_outcome {
    PAIR_ABSENT,   /* never asked: there is no control; or not heard to its end, for no fault of its own */
    PAIR_AWAITED,  /* asked, and not ended */
    PAIR_ANSWERED, /* head and body came whole */
    PAIR_FAILED    /* no answer, or a part of one: `reason` says why */
};

/* Who is interested; whoever is done hands the pair to the next, or destroys it. */
enum pair_use { PAIR_FOR_COMPARE = 1, PAIR_FOR_RECORD = 2 };

/* Bytes in the buffer; len 0: none. */
struct pair_run {
    uint32_t at, len;
};

struct pair_head {
    struct pair_run fields; /* lines that were to be forwarded: two lengths, name, value, one behind the other */
    uint16_t field_count;
    bool is_cut; /* the buffer had no room: what is there is not all */
};

struct pair_body {
    uint32_t first, last; /* pieces, as places in the buffer; 0: none */
    uint32_t kept_bytes;  /* from its beginning */
    uint64_t total_bytes; /* that came */
};

struct pair_answer {
    enum pair_outcome outcome;
    enum reason reason; /* FAILED */
    uint16_t status;    /* 0: no head came */
    int64_t
        latency_us; /* from the exchange's start to the head of the answer; when FAILED without one: to the failure */
    struct pair_head head;
    struct pair_body body;
    struct hash_stream hash;
    uint64_t body_hash; /* of the whole body (XXH64), once ANSWERED; of what came, once FAILED */
};

struct pair_request {
    struct pair_run method, target, host; /* target as in the head; host is its authority or Host */
    struct pair_head head;
    struct pair_body body;
    bool is_whole; /* pair_end_request was called: all of the body is counted */
};

/* What is known when the copies start. The slices are copied. */
struct pair_about {
    uint32_t shadow_id;           /* stable for (route, shadow's upstream) as long as the process lives */
    struct slice route, upstream; /* the shadow's: `to` */
    struct slice primary;         /* the upstream that the request itself went to */
    struct slice control;         /* "" without one */
    struct wall_time begun;
    unsigned uses;             /* of enum pair_use */
    uint32_t body_limit_bytes; /* most that is kept of each body */
    uint32_t limit_bytes;      /* of the buffer: pair_limit(body_limit_bytes) */
};

struct shadow_lane;

struct pair {
    uint32_t magic;
    uint32_t shadow_id;
    struct mail mail; /* on its way to the comparer */
    unsigned uses;
    struct wall_time begun;
    struct pair_run route, upstream, primary, control;
    struct pair_request request;
    struct pair_answer answers[PAIR_SIDE_COUNT];
    uint32_t awaited_count;
    uint32_t body_limit_bytes, limit_bytes;

    /* The worker's, until it is handed over: shadow/capture.h. */
    struct pair *next;         /* of the same request */
    struct mono_time started;  /* latencies count from here */
    struct shadow_lane *lane;  /* where its memory is counted */
    uint64_t counted_bytes;    /* so far */
    uint64_t lane_limit_bytes; /* what the lane may hold while this one still grows */
    bool is_withheld;          /* its copy was not let go yet, so nobody may see its request: which is not put in */

    char *buffer; /* owned; moves as it grows, so only places in it are kept */
    uint32_t used, capacity;
};

/* Room for the four bodies and their heads, at most PAIR_BYTES_MAX. */
uint32_t pair_limit(uint32_t body_limit_bytes);

struct pair *pair_create(const struct pair_about *about);
/* NULL is fine. */
void pair_destroy(struct pair *p);
/* Memory it takes now. */
size_t pair_memory_bytes(const struct pair *p);

/* -- writing: the worker -------------------------------------------------------------------------------------------- */

/* The head as it went on to the primary; dropped lines are left out. Once. */
void pair_set_request(struct pair *p, const struct message *m);
void pair_add_request_body(struct pair *p, const char *bytes, size_t len);
void pair_end_request(struct pair *p);

/* The side will end by pair_answered or pair_failed. */
void pair_await(struct pair *p, enum pair_side side);
/* The final head, as the upstream sent it. Once, and not for interim ones. */
void pair_set_answer(struct pair *p, enum pair_side side, const struct message *m, int64_t latency_us);
void pair_add_answer_body(struct pair *p, enum pair_side side, const char *bytes, size_t len);
/* The answer is whole. True: nobody is awaited any more, the pair is complete. */
bool pair_answered(struct pair *p, enum pair_side side) MUST_CHECK;
/* As pair_answered. latency_us counts only when no head came. */
bool pair_failed(struct pair *p, enum pair_side side, enum reason reason, int64_t latency_us) MUST_CHECK;

/* As pair_answered: the side is ABSENT again, as if it had not been asked. */
bool pair_given_up(struct pair *p, enum pair_side side) MUST_CHECK;
/* The buffer grows by no more than so many bytes from here on: what does not fit is counted and hashed only. Never taken
   back, since what is kept of a body is a beginning without holes. */
void pair_limit_growth(struct pair *p, uint64_t bytes);

/* -- reading: whoever owns it ---------------------------------------------------------------------------------------- */

/* Borrowed from the pair, as all slices below, until something is added to it or it is destroyed. */
struct slice pair_text(const struct pair *p, struct pair_run run);
/* Walks the lines of a head in their order: start with *cursor = 0; false at the end. */
bool pair_next_field(const struct pair *p, const struct pair_head *head, uint32_t *cursor, struct slice *name,
                     struct slice *value);
/* The first line of that name (ASCII case-insensitive); SLICE_NONE when there is none. */
struct slice pair_field(const struct pair *p, const struct pair_head *head, struct slice name);
/* What was kept of a body, as one run: where it lies, or put together in `scratch`, which is cleared. */
struct slice pair_body(const struct pair *p, const struct pair_body *body, struct text *scratch);

/* Whether every byte that came was kept. */
static inline bool pair_body_is_kept(const struct pair_body *body)
{
    return body->kept_bytes == body->total_bytes;
}

/* The invariants above. */
void pair_check(const struct pair *p);

#endif
