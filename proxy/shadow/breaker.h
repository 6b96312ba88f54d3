/* shadow/breaker.h - leaves a shadow alone that fails again and again, and tries it from time to time.
 *
 *            BREAKER_FAILURES in a row                      the pause is over: one copy is let through
 *   CLOSED ----------------------------> OPEN for a pause -------------------------------------------> PROBING
 *     ^                                   ^  the probe fails: twice the pause, at most BREAKER_PAUSE_MAX_MS |
 *     |                                   +-------------------------------------------------------------- -+
 *     +------------------------- any copy is answered ------------------------------------------------------
 *
 * What a hung shadow costs is bounded by max_inflight and max_memory as it is; the breaker keeps it from costing that
 * all the time. An answer of any status closes it: what a version answers is for people to judge. A probe that has not
 * ended within BREAKER_PAUSE_MAX_MS, as the copy of an upload may take hours, keeps no other from being tried.
 *
 * Pure: time is a parameter. Owner and lifetime: the lane it is embedded in (shadow/lane.h). Thread: its worker's. */
#ifndef SHADOW_BREAKER_H
#define SHADOW_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define BREAKER_FAILURES       5
#define BREAKER_PAUSE_FIRST_MS 1000
#define BREAKER_PAUSE_MAX_MS   30000

/* All zero: closed. */
struct breaker {
    uint32_t failure_count;       /* in a row */
    int64_t pause_ms;             /* the last one; 0 when closed */
    struct mono_time retry_at;    /* open: then the next probe is due */
    bool is_probing;              /* one copy is under way on trial */
    struct mono_time probe_until; /* then another may be, too */
};

static inline bool breaker_is_open(const struct breaker *b)
{
    return b->failure_count >= BREAKER_FAILURES;
}

/* May a copy begin? *is_probe: it is the one on trial, and its end is to be told as such. */
bool breaker_allows(struct breaker *b, struct mono_time now, bool *is_probe);

/* How a copy ended. True: the breaker opened, or closed, by this. */
bool breaker_on_answer(struct breaker *b);
bool breaker_on_failure(struct breaker *b, struct mono_time now, bool is_probe);
/* It was given up for reasons of the proxy's own, which say nothing of the shadow. */
void breaker_on_nothing(struct breaker *b, bool is_probe);

#endif
