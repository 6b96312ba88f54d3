/* net/inbox.h - bytes read from a stream and not yet understood: one chunk and a cursor.
 *
 *   chunk->bytes:  [0, at) consumed   [at, used) waiting   [used, capacity) room
 *
 * What waits is contiguous, so that parsers can borrow from it; who borrows holds a reference to the chunk, and then
 * the bytes stay where they are: room is made in another chunk. An idle connection's inbox holds no chunk.
 *
 * Embedded in a client or an upstream connection, which owns it; bodies that need nothing contiguous go past it
 * (stream_read_bulk).
 */
#ifndef NET_INBOX_H
#define NET_INBOX_H

#include "base/chunk.h"
#include "net/stream.h"

struct inbox {
    struct chunk *chunk; /* NULL when nothing waits and nobody reads */
    uint32_t at;         /* where the waiting bytes begin */
};

/* What waits. */
static inline struct slice inbox_bytes(const struct inbox *b)
{
    if (b->chunk == NULL)
        return SLICE("");
    return slice_from(b->chunk->bytes + b->at, b->chunk->used - b->at);
}

static inline bool inbox_is_empty(const struct inbox *b)
{
    return b->chunk == NULL || b->at == b->chunk->used;
}

/* Marks everything but `rest` (a tail of inbox_bytes) as consumed. */
static inline void inbox_keep(struct inbox *b, struct slice rest)
{
    if (b->chunk != NULL)
        b->at = b->chunk->used - (uint32_t)rest.len;
}

/* Where a piece of inbox_bytes lies in the chunk. */
static inline uint32_t inbox_offset(const struct inbox *b, const char *ptr)
{
    return (uint32_t)(ptr - b->chunk->bytes);
}

/* Reads once. What waits may move to another chunk to make room, up to max_waiting_bytes of it; beyond that the caller
   must have refused. *is_drained: the read was short, nothing more is there now. */
enum stream_status inbox_fill(struct inbox *b, struct stream *s, uint32_t max_waiting_bytes, bool *is_drained);
/* Gives the chunk back when nothing waits. */
void inbox_release_if_empty(struct inbox *b);
/* Gives it back whatever waits. */
void inbox_fini(struct inbox *b);

#define BULK_CHUNKS 4

/* For bodies: reads up to max_bytes (not 0) into fresh chunks in one call; fills chunks[0..n) with used > 0, returns n.
   The caller owns a reference to each. */
int stream_read_bulk(struct stream *s, uint64_t max_bytes, struct chunk *chunks[BULK_CHUNKS],
                     enum stream_status *status, bool *is_drained);

#endif
