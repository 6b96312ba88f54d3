/* net/inbox.c - bytes read from a stream and not yet understood: one chunk and a cursor.
 *
 * A chunk whose bytes are all consumed is used again from its start when nobody else holds it; where room runs
 * short, what waits moves to a fresh one: heads borrow from the chunk they lie in, and must find it unchanged.
 * Chunks of more than CHUNK_BYTES are for heads that need them, up to what the limits allow. */
#include "net/inbox.h"

/* Below it a read is not worth its system call. */
#define MIN_ROOM_BYTES 2048

static uint32_t next_capacity(uint32_t waiting, uint32_t max_waiting_bytes)
{
    if (waiting + MIN_ROOM_BYTES <= CHUNK_BYTES)
        return CHUNK_BYTES;
    uint32_t doubled = waiting * 2 + MIN_ROOM_BYTES;
    /* More may wait than is allowed now: a reload lowers limits in the middle of a head. */
    uint32_t most = (waiting > max_waiting_bytes ? waiting : max_waiting_bytes) + MIN_ROOM_BYTES;
    return doubled < most ? doubled : most;
}

/* A chunk with room behind what waits; what waits is copied when it has to move. */
static void inbox_make_room(struct inbox *b, struct chunk_pool *pool, uint32_t max_waiting_bytes)
{
    struct chunk *old = b->chunk;
    if (old == NULL) {
        b->chunk = chunk_create(pool);
        b->at = 0;
        return;
    }
    uint32_t waiting = old->used - b->at;
    if (waiting == 0 && old->ref_count == 1)
        old->used = b->at = 0;
    if (chunk_room(old) >= MIN_ROOM_BYTES)
        return;
    uint32_t capacity = next_capacity(waiting, max_waiting_bytes);
    struct chunk *fresh = capacity == CHUNK_BYTES ? chunk_create(pool) : chunk_create_sized(pool, capacity);
    memcpy(fresh->bytes, old->bytes + b->at, waiting);
    fresh->used = waiting;
    chunk_unref(old);
    b->chunk = fresh;
    b->at = 0;
}

enum stream_status inbox_fill(struct inbox *b, struct stream *s, uint32_t max_waiting_bytes, bool *is_drained)
{
    inbox_make_room(b, &s->loop->chunks, max_waiting_bytes);
    uint32_t count;
    enum stream_status status = stream_read(s, b->chunk, &count);
    *is_drained = s->is_read_drained;
    return status;
}

void inbox_release_if_empty(struct inbox *b)
{
    if (b->chunk != NULL && b->at == b->chunk->used)
        inbox_fini(b);
}

void inbox_fini(struct inbox *b)
{
    if (b->chunk != NULL)
        chunk_unref(TAKE(&b->chunk));
    b->at = 0;
}

int stream_read_bulk(struct stream *s, uint64_t max_bytes, struct chunk *chunks[BULK_CHUNKS],
                     enum stream_status *status, bool *is_drained)
{
    CHECK(max_bytes > 0);
    struct iovec iov[BULK_CHUNKS];
    size_t asked = 0, got;
    int count = 0;
    for (; count < BULK_CHUNKS && asked < max_bytes; count++) {
        uint64_t left = max_bytes - asked;
        size_t length = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        chunks[count] = chunk_create(&s->loop->chunks);
        iov[count] = (struct iovec){ chunks[count]->bytes, length };
        asked += length;
    }
    *status = stream_readv(s, iov, count, &got);
    *is_drained = s->is_read_drained;
    int filled = 0;
    for (int i = 0; i < count; i++) {
        size_t length = got < iov[i].iov_len ? got : iov[i].iov_len;
        chunks[i]->used = (uint32_t)length;
        got -= length;
        if (length > 0)
            filled++;
        else
            chunk_unref(chunks[i]);
    }
    return filled;
}
