/* base/pieces.h - a queue of bytes by reference: (chunk, offset, length), in the order they leave.
 *
 * Bodies are queued behind sockets and behind streams of HTTP/2 without being copied. Most queues hold one or two
 * pieces and a few hold hundreds, so the queue is a list of small blocks; a piece that continues the last one in the
 * same chunk makes it longer.
 *
 *   first [first, last) -> ... -> last [first, last)     blocks of pieces, each piece with its chunk's reference
 *
 * A queue that cannot drain would hold a whole chunk for each short piece in it. Whoever queues behind somebody slow
 * packs such pieces: they are copied together into chunks of the queue's own.
 *
 * Owner: what it is embedded in. Thread: one worker's. How many bytes may wait is the owner's to limit. */
#ifndef BASE_PIECES_H
#define BASE_PIECES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/chunk.h"

#define PIECES_PER_BLOCK 31 /* a block is 512 bytes */

struct piece {
    struct chunk *chunk; /* one reference held */
    uint32_t offset, length;
};

/* Pieces [first, last) are waiting; never empty while it is in a queue. */
struct pieces_block {
    struct pieces_block *next;
    uint32_t first, last;
    struct piece pieces[PIECES_PER_BLOCK];
};

/* Blocks kept for reuse. One per worker. */
struct pieces_pool {
    struct pieces_block *free; /* a stack */
    uint32_t free_count, free_max;
    uint32_t live_count; /* blocks in queues; zero after a drain */
};

/* Embedded. `bytes` is the sum of the lengths; it and chunk_count are read by the owner, never written. */
struct pieces {
    struct pieces_block *first, *last; /* NULL when empty */
    struct chunk *pack;                /* where short pieces are copied together; NULL: none are queued */
    uint32_t bytes;
    uint32_t chunk_count; /* that it holds, at most: runs of pieces in the same chunk */
};

/* free_max: how many blocks are kept. */
void pieces_pool_init(struct pieces_pool *pool, uint32_t free_max);
/* Every queue must be empty. */
void pieces_pool_fini(struct pieces_pool *pool);

void pieces_init(struct pieces *q);
/* Drops everything that waits. */
void pieces_clear(struct pieces *q, struct pieces_pool *pool);

/* Bytes [offset, offset + length) of the chunk, by a reference of its own. Length 0 is nothing. */
void pieces_push(struct pieces *q, struct pieces_pool *pool, struct chunk *chunk, uint32_t offset, uint32_t length);
/* A copy, behind earlier copies in the same chunk. */
void pieces_pack(struct pieces *q, struct pieces_pool *pool, struct chunk_pool *chunks, const char *bytes,
                 uint32_t length);
/* Takes `count` bytes (at most q->bytes) off the front. */
void pieces_consume(struct pieces *q, struct pieces_pool *pool, size_t count);
/* The front as an array for sendmsg, at most `iov_max` entries: *bytes in all. */
int pieces_gather(const struct pieces *q, struct iovec *iov, int iov_max, size_t *bytes);

/* The first `most` bytes, or all there are, as one run: where they lie when the first piece has as many, else copied to
   `into`. Returns how many. The queue is not empty. */
size_t pieces_run(const struct pieces *q, char *into, size_t most, const char **run);

/* Adds what another queue holds, by references of its own. */
void pieces_share(struct pieces *q, struct pieces_pool *pool, const struct pieces *from);

/* A place in a queue; all zero: in front of its first piece. */
struct pieces_walk {
    const struct pieces_block *block;
    uint32_t next; /* in the block */
};

/* The pieces in order, NULL behind the last; borrowed. The queue does not change meanwhile. */
const struct piece *pieces_next(const struct pieces *q, struct pieces_walk *walk);

/* The first piece; borrowed until the queue changes. NULL when empty. */
static inline const struct piece *pieces_front(const struct pieces *q)
{
    return q->first != NULL ? &q->first->pieces[q->first->first] : NULL;
}

static inline bool pieces_is_empty(const struct pieces *q)
{
    return q->first == NULL;
}

#endif
