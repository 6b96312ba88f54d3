/* http/trace.h - W3C Trace Context: carries a valid traceparent on with a new parent id, or starts one.
 *
 * The proxy takes part in every trace: it is a hop with a parent id of its own, which the upstream sees as its caller.
 * It samples nothing by itself: the flag that came goes on. A trace it starts is not sampled.
 *
 * tracestate is carried on untouched beside a valid traceparent; beside none, or a broken one, it says nothing and is
 * dropped (Trace Context 3.3). What of both is broken is never refused: tracing must not fail a request. */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

#include "http/message.h"

struct trace_context {
    char trace_id[33];  /* 32 lower-case hex characters and a NUL */
    char parent_id[17]; /* ours: 16 digits and a NUL */
    uint8_t flags;      /* bit 0: sampled */
};

/* Reads the request's traceparent (exactly one, valid by the rules of version 00, or a higher version's first three
   fields); when there is none, starts a new trace, id from random[0] and random[1], and drops tracestate. The new
   parent id is random[2]. Replaces the field in the message. random: three independent 64-bit numbers. */
void trace_carry(struct message *m, struct arena *arena, const uint64_t random[3], struct trace_context *out);

/* The value of a traceparent for a child of what trace_carry read: same trace, same flags, a parent id of its own. */
struct slice trace_child(struct arena *arena, const struct trace_context *of, uint64_t random);

#endif
