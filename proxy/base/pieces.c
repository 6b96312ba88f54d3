/* base/pieces.c - the blocks behind a queue of pieces. */
#include "base/pieces.h"

#include <string.h>

#include "base/memory.h"
#include "base/poison.h"

_Static_assert(sizeof(struct pieces_block) == 512, "a block has a size the heap likes");

void pieces_pool_init(struct pieces_pool *pool, uint32_t free_max)
{
    *pool = (struct pieces_pool){ .free_max = free_max };
}

static struct pieces_block *pool_pop(struct pieces_pool *pool)
{
    struct pieces_block *b = pool->free;
    UNPOISON(b, sizeof(*b));
    pool->free = b->next;
    pool->free_count--;
    __builtin_prefetch(pool->free); /* as in base/blocks.c */
    return b;
}

void pieces_pool_fini(struct pieces_pool *pool)
{
    CHECK(pool->live_count == 0);
    while (pool->free != NULL)
        memory_free(pool_pop(pool));
}

static struct pieces_block *block_take(struct pieces_pool *pool)
{
    struct pieces_block *b = pool->free != NULL ? pool_pop(pool) : memory_alloc(sizeof(*b));
    pool->live_count++;
    b->next = NULL;
    b->first = b->last = 0;
    return b;
}

static void block_give(struct pieces_pool *pool, struct pieces_block *b)
{
    pool->live_count--;
    if (pool->free_count >= pool->free_max) {
        memory_free(b);
        return;
    }
    b->next = pool->free;
    pool->free = b;
    pool->free_count++;
    POISON(b, sizeof(*b));
}

void pieces_init(struct pieces *q)
{
    *q = (struct pieces){ .first = NULL };
}

void pieces_clear(struct pieces *q, struct pieces_pool *pool)
{
    while (q->first != NULL) {
        struct pieces_block *b = q->first;
        for (uint32_t i = b->first; i < b->last; i++)
            chunk_unref(b->pieces[i].chunk);
        q->first = b->next;
        block_give(pool, b);
    }
    q->last = NULL;
    q->bytes = q->chunk_count = 0;
    if (q->pack != NULL)
        chunk_unref(TAKE(&q->pack));
}

/* The piece behind which new bytes go; a fresh one when there is no room. */
static struct piece *next_piece(struct pieces *q, struct pieces_pool *pool)
{
    if (q->last == NULL || q->last->last == PIECES_PER_BLOCK) {
        struct pieces_block *b = block_take(pool);
        if (q->last == NULL)
            q->first = b;
        else
            q->last->next = b;
        q->last = b;
    }
    return &q->last->pieces[q->last->last++];
}

void pieces_push(struct pieces *q, struct pieces_pool *pool, struct chunk *chunk, uint32_t offset, uint32_t length)
{
    CHECK(offset + length <= chunk->capacity);
    if (length == 0)
        return;
    q->bytes += length;
    if (q->last != NULL) {
        struct piece *tail = &q->last->pieces[q->last->last - 1];
        if (tail->chunk == chunk && tail->offset + tail->length == offset) {
            tail->length += length;
            return;
        }
        q->chunk_count -= tail->chunk == chunk;
    }
    q->chunk_count++;
    *next_piece(q, pool) = (struct piece){ .chunk = chunk_ref(chunk), .offset = offset, .length = length };
}

void pieces_pack(struct pieces *q, struct pieces_pool *pool, struct chunk_pool *chunks, const char *bytes,
                 uint32_t length)
{
    while (length > 0) {
        if (q->pack != NULL && chunk_room(q->pack) == 0)
            chunk_unref(TAKE(&q->pack));
        if (q->pack == NULL)
            q->pack = chunk_create(chunks);
        struct chunk *pack = q->pack;
        uint32_t offset = pack->used, part = length < chunk_room(pack) ? length : chunk_room(pack);
        memcpy(pack->bytes + offset, bytes, part);
        pack->used += part;
        pieces_push(q, pool, pack, offset, part);
        bytes += part;
        length -= part;
    }
}

/* The first piece is used up. */
static void drop_front(struct pieces *q, struct pieces_pool *pool)
{
    struct pieces_block *b = q->first;
    struct chunk *gone = b->pieces[b->first].chunk;
    if (++b->first == b->last) {
        q->first = b->next;
        block_give(pool, b);
    }
    const struct piece *front = pieces_front(q);
    q->chunk_count -= front == NULL || front->chunk != gone;
    chunk_unref(gone);
    if (front != NULL)
        return;
    q->last = NULL;
    if (q->pack != NULL)
        chunk_unref(TAKE(&q->pack));
}

void pieces_consume(struct pieces *q, struct pieces_pool *pool, size_t count)
{
    CHECK(count <= q->bytes);
    q->bytes -= (uint32_t)count;
    while (count > 0) {
        struct piece *piece = &q->first->pieces[q->first->first];
        if (count < piece->length) {
            piece->offset += (uint32_t)count;
            piece->length -= (uint32_t)count;
            return;
        }
        count -= piece->length;
        drop_front(q, pool);
    }
}

int pieces_gather(const struct pieces *q, struct iovec *iov, int iov_max, size_t *bytes)
{
    int count = 0;
    *bytes = 0;
    for (const struct pieces_block *b = q->first; b != NULL && count < iov_max; b = b->next)
        for (uint32_t i = b->first; i < b->last && count < iov_max; i++) {
            const struct piece *piece = &b->pieces[i];
            iov[count++] = (struct iovec){ piece->chunk->bytes + piece->offset, piece->length };
            *bytes += piece->length;
        }
    return count;
}

size_t pieces_run(const struct pieces *q, char *into, size_t most, const char **run)
{
    const struct piece *front = pieces_front(q);
    size_t wanted = q->bytes < most ? q->bytes : most, copied = 0;
    *run = front->chunk->bytes + front->offset;
    if (front->length >= wanted)
        return wanted;
    *run = into;
    for (const struct pieces_block *b = q->first; copied < wanted; b = b->next)
        for (uint32_t i = b->first; i < b->last && copied < wanted; i++) {
            const struct piece *piece = &b->pieces[i];
            size_t part = piece->length < wanted - copied ? piece->length : wanted - copied;
            memcpy(into + copied, piece->chunk->bytes + piece->offset, part);
            copied += part;
        }
    return copied;
}

const struct piece *pieces_next(const struct pieces *q, struct pieces_walk *walk)
{
    if (walk->block == NULL || walk->next == walk->block->last) {
        walk->block = walk->block == NULL ? q->first : walk->block->next;
        walk->next = walk->block != NULL ? walk->block->first : 0;
    }
    return walk->block != NULL ? &walk->block->pieces[walk->next++] : NULL;
}

void pieces_share(struct pieces *q, struct pieces_pool *pool, const struct pieces *from)
{
    struct pieces_walk walk = { 0 };
    for (const struct piece *p; (p = pieces_next(from, &walk)) != NULL;)
        pieces_push(q, pool, p->chunk, p->offset, p->length);
}
