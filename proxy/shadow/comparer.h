/* shadow/comparer.h - the thread that compares: pairs come in from the workers, findings go out to the admin API.
 *
 * A worker hands a complete pair over and forgets it; the crossing is a mailbox (net/mailbox.h), so no worker ever waits.
 * The queue is bounded by COMPARER_PAIRS_MAX and COMPARER_BYTES_MAX: past either, a pair is dropped and counted: less is
 * compared, nothing gets slower. The thread runs below the workers in priority.
 *
 *   worker: comparer_has_room? -> pair ... complete -> comparer_submit -+
 *                                                                       +-> thread: compares, counts, hands on, frees
 *   main:   comparer_configure, comparer_write (under the lock that the thread holds while it counts)
 *
 * Owner and thread: main creates, configures, reads and stops; workers submit. */
#ifndef SHADOW_COMPARER_H
#define SHADOW_COMPARER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/model.h"
#include "json/json.h"
#include "shadow/noise.h"
#include "shadow/pair.h"

#define COMPARER_PAIRS_MAX 4096u
#define COMPARER_BYTES_MAX (64u * 1024 * 1024)

struct comparer;

/* All called on the comparer's thread; each may be NULL. */
struct comparer_hooks {
    void *arg;
    /* A pair was judged: for metrics. */
    void (*on_verdict)(void *arg, uint32_t shadow_id, enum verdict verdict);
    /* Every pair with PAIR_FOR_RECORD, after it was compared; borrowed. */
    void (*on_record)(void *arg, const struct pair *p);
    /* The queue was emptied. */
    void (*on_idle)(void *arg);
};

struct comparer *comparer_start(const struct comparer_hooks *hooks);
/* What is queued is recorded, as far as it is to be, and not compared any more. No worker may submit any more. */
void comparer_stop(struct comparer *c);

/* A shadow with `compare`. The slices and the configuration are borrowed for the call. */
struct compared_shadow {
    uint32_t shadow_id;
    struct slice route, upstream;
    const struct compare_config *config;
};

/* From main, before the workers see the configuration: what is compared from now on, at once. Findings stay where
   nothing changed, and go where a shadow or its `compare` has. */
void comparer_configure(struct comparer *c, const struct compared_shadow *shadows, size_t count);

/* Whether a pair made now would be taken: asked before one is made, so that none is made in vain. From any thread. */
bool comparer_has_room(const struct comparer *c);
/* Takes a complete pair over. False: the queue was full, and it is gone. From any thread. */
bool comparer_submit(struct comparer *c, struct pair *p) MUST_CHECK;

enum comparer_part { COMPARER_FINDINGS, COMPARER_DIFFS };

/* Adds an object for each compared shadow of a route, {"upstream": ..., ...}; how many. From main. */
size_t comparer_write(struct comparer *c, struct slice route, enum comparer_part part, struct json *array);

/* Whether everything submitted before is judged: for tests and for who waits. From any thread. */
bool comparer_is_idle(const struct comparer *c);

#endif
