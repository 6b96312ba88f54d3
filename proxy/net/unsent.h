/* net/unsent.h - streams whose queues leave together when the turn ends.
 *
 * A write runs a long way through the kernel, and the parsing of the next request in between pushes that code out of the
 * caches and is pushed out itself. Short messages that leave one right behind the other find it there. So a stream may
 * say stream_flush_soon instead of stream_flush.
 *
 * Owner: the loop. At most UNSENT_MAX streams wait, then all of them are flushed, so that in a long turn nobody waits
 * for more than that many messages to be made. */
#ifndef NET_UNSENT_H
#define NET_UNSENT_H

#include <stdint.h>

#include "base/list.h"

#define UNSENT_MAX 64

struct loop;
struct stream;

struct unsent {
    struct list streams; /* in the order in which they asked, by stream->unsent_link */
    struct list failed;  /* whose flush failed while others asked: told when no stream function is on the stack */
    uint32_t count;      /* that asked since the last flush of all; some may have been flushed or closed since */
};

void unsent_init(struct unsent *u);
/* If it is one of them, its queue leaves now, as far as the kernel takes it: it is about to close. */
void unsent_flush_one(struct stream *s);
/* Flushes all of them, and tells those that failed by on_drained. Called when the turn ends; callbacks may make others
   ask. */
void unsent_end_turn(struct loop *loop);

#endif
