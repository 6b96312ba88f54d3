/* net/unsent.h - streams whose queues leave together when the turn ends.
 *
 * A write to a peer on the same host, or to one that answers at once, wakes it, and waking a process is a good part of what a
 * write costs. Short messages that leave one right behind the other find their reader awake: the first of them wakes it
 * for all. So a stream may say stream_flush_soon instead of stream_flush.
 *
 * Owner: the loop. At most UNSENT_MAX streams wait, then all of them are flushed, so that in a long turn nobody waits
 * for more than that many messages to be made. */
#ifndef NET_UNSENT_H
#define NET_UNSENT_H

#include <stdint.h>

#include "base/list.h"

#define UNSENT_MAX 64

struct loop;

struct unsent {
    struct list streams; /* in the order in which they asked, by stream->unsent_link */
    struct list failed;  /* whose flush failed while others asked: told when no stream function is on the stack */
    uint32_t count;      /* that asked since the last flush of all; some may have been flushed or closed since */
};

void unsent_init(struct unsent *u);
/* Flushes all of them, and tells those that failed by on_drained. Called when the turn ends; callbacks may make others
   ask. */
void unsent_end_turn(struct loop *loop);

#endif
