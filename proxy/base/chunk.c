/* base/chunk.c - the free list behind chunks. */
#include "base/chunk.h"

#include "base/memory.h"
#include "base/poison.h"

static size_t chunk_size_bytes(uint32_t capacity)
{
    return sizeof(struct chunk) + capacity;
}

void chunk_pool_init(struct chunk_pool *pool, uint32_t free_max)
{
    *pool = (struct chunk_pool){ .free_max = free_max };
}

static struct chunk *pool_pop(struct chunk_pool *pool)
{
    struct chunk *c = pool->free;
    UNPOISON(c, chunk_size_bytes(CHUNK_BYTES));
    pool->free = c->next_free;
    pool->free_count--;
    return c;
}

/* Live chunks keep a pointer to their pool: all must be gone by now. */
void chunk_pool_fini(struct chunk_pool *pool)
{
    CHECK(pool->live_count == 0);
    while (pool->free != NULL)
        memory_free(pool_pop(pool));
}

static struct chunk *chunk_hand_out(struct chunk_pool *pool, struct chunk *c, uint32_t capacity)
{
    c->magic = CHUNK_MAGIC;
    c->ref_count = 1;
    c->used = 0;
    c->capacity = capacity;
    c->pool = pool;
    c->next_free = NULL;
    pool->live_count++;
    return c;
}

struct chunk *chunk_create(struct chunk_pool *pool)
{
    if (pool->free == NULL)
        return chunk_create_sized(pool, CHUNK_BYTES);
    return chunk_hand_out(pool, pool_pop(pool), CHUNK_BYTES);
}

struct chunk *chunk_create_sized(struct chunk_pool *pool, uint32_t capacity)
{
    return chunk_hand_out(pool, memory_alloc(chunk_size_bytes(capacity)), capacity);
}

void chunk_free_last(struct chunk *c)
{
    CHECK_MAGIC(c, CHUNK_MAGIC);
    struct chunk_pool *pool = c->pool;
    c->magic = 0;
    pool->live_count--;
    if (c->capacity != CHUNK_BYTES || pool->free_count >= pool->free_max) {
        memory_free(c);
        return;
    }
    c->next_free = pool->free;
    pool->free = c;
    pool->free_count++;
    POISON(c, chunk_size_bytes(CHUNK_BYTES)); /* the header too: a late chunk_unref is caught */
}
