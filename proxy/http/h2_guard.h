/* http/h2_guard.h - how much a peer may have us do for nothing: a bucket of tokens for frames that do no work.
 *
 * HTTP/2 has many frames that cost their sender nothing and us something: streams reset as soon as they are opened
 * (CVE-2023-44487), rules broken so that we reset (CVE-2025-8671), PING, SETTINGS, WINDOW_UPDATE, empty DATA, endless
 * CONTINUATION (CVE-2024-27316). Each on its own has honest uses, so no fixed limit fits any of them; together they may
 * be as many as the work they belong to. So every such frame takes tokens, time gives some back, and work earns some:
 * a client that fetches, however fast, never runs out. Who does run out is told ENHANCE_YOUR_CALM.
 *
 * Pure: time is a parameter. Owner: the session. */
#ifndef HTTP_H2_GUARD_H
#define HTTP_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* What each costs, in tokens. */
enum h2_cost {
    H2_COST_FRAME = 1,     /* WINDOW_UPDATE, PRIORITY, CONTINUATION */
    H2_COST_PING = 2,      /* we answer it */
    H2_COST_EMPTY = 5,     /* DATA without a byte, which ends nothing */
    H2_COST_RESET = 5,     /* a request was begun in vain: by the peer's RST_STREAM, or refused */
    H2_COST_SETTINGS = 10, /* we answer, and all streams are looked at */
    H2_COST_FAULT = 20     /* a stream in which the rules were broken */
};

/* What work earns. */
enum h2_earning {
    H2_EARN_DATA =
        4, /* a DATA frame sent, and one more for each H2_EARN_BYTES: the WINDOW_UPDATEs and PINGs they lead to */
    H2_EARN_STREAM = 10 /* a stream that was complete */
};

#define H2_EARN_BYTES  1024
#define H2_WASTE_BYTES 512 /* so many bytes in frames that nobody sees cost a token */

/* Embedded. */
struct h2_guard {
    int64_t tokens_us; /* tokens * 1,000,000, at most the burst */
    int64_t burst_us;
    uint32_t per_second;
    struct mono_time updated;
};

/* Starts full. */
void h2_guard_init(struct h2_guard *g, uint32_t burst, uint32_t per_second);
/* Adds what time has brought. The first call only sets the clock; one that goes back brings nothing. */
void h2_guard_tick(struct h2_guard *g, struct mono_time now);
/* False when the bucket is empty: then and for good the peer is one to get rid of. */
bool h2_guard_take(struct h2_guard *g, uint32_t tokens);
void h2_guard_earn(struct h2_guard *g, uint32_t tokens);

#endif
