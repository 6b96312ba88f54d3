/* base/blocks.c - free lists by size class. */
#include "base/blocks.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/poison.h"

#define CLASS_HEAP  BLOCKS_CLASS_COUNT /* no free list: from the heap and back to it */
#define BLOCK_MAGIC 0x424cu

/* In front of each block; its size keeps what follows aligned. */
struct block {
    uint32_t magic; /* 0 once given back */
    uint32_t class;
    size_t size_bytes; /* usable */
};

struct block_free {
    struct block_free *next;
};

_Static_assert(sizeof(struct block) == 16, "blocks are 16-byte aligned");

/* Two classes to each power of two, so at most a third is lost: 32, 48, 64, 96... */
static size_t class_bytes(uint32_t class)
{
    size_t power = (size_t)32 << (class / 2);
    return class % 2 == 0 ? power : power + power / 2;
}

static uint32_t class_of(size_t size_bytes)
{
    if (size_bytes <= 32)
        return 0;
    if (size_bytes > 4096)
        return CLASS_HEAP;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(size_bytes - 1); /* 2^power < size <= 2^(power + 1) */
    size_t half_way = ((size_t)1 << power) + ((size_t)1 << (power - 1));
    return (power - 5) * 2 + (size_bytes <= half_way ? 1 : 2);
}

void blocks_init(struct blocks *b, size_t free_max_bytes)
{
    *b = (struct blocks){ .free_max_bytes = free_max_bytes };
}

static struct block *header_of(void *pointer)
{
    return (struct block *)pointer - 1;
}

static struct block *pop(struct blocks *b, uint32_t class)
{
    struct block_free *head = b->free[class];
    UNPOISON(head, class_bytes(class));
    b->free[class] = head->next;
    b->free_bytes -= class_bytes(class);
    __builtin_prefetch(b->free[class]); /* with a thousand streams it is in no cache when its turn comes */
    return header_of(head);
}

void blocks_fini(struct blocks *b)
{
    CHECK(b->live_count == 0);
    for (uint32_t class = 0; class < BLOCKS_CLASS_COUNT; class ++)
        while (b->free[class] != NULL)
            memory_free(pop(b, class));
}

void *blocks_alloc(struct blocks *b, size_t size_bytes)
{
    CHECK(size_bytes <= SIZE_MAX / 2);
    uint32_t class = class_of(size_bytes);
    size_t bytes = class == CLASS_HEAP ? size_bytes : class_bytes(class);
    struct block *block;
    if (class != CLASS_HEAP && b->free[class] != NULL)
        block = pop(b, class);
    else
        block = memory_alloc(sizeof(*block) + bytes);
    *block = (struct block){ .magic = BLOCK_MAGIC, .class = class, .size_bytes = bytes };
    b->live_count++;
    b->live_bytes += sizeof(*block) + bytes;
    return block + 1;
}

void *blocks_zalloc(struct blocks *b, size_t count, size_t item_size_bytes)
{
    size_t size_bytes;
    CHECK(!__builtin_mul_overflow(count, item_size_bytes, &size_bytes));
    return memset(blocks_alloc(b, size_bytes), 0, size_bytes);
}

/* The heap moves pages of something large instead of copying it. */
static void *widen(struct blocks *b, void *old, size_t size_bytes)
{
    CHECK(size_bytes <= SIZE_MAX / 2);
    struct block *block = header_of(old);
    CHECK(block->magic == BLOCK_MAGIC);
    b->live_bytes += size_bytes - block->size_bytes;
    block = memory_resize(block, sizeof(*block) + size_bytes);
    block->size_bytes = size_bytes;
    return block + 1;
}

void *blocks_resize(struct blocks *b, void *old, size_t size_bytes)
{
    if (old == NULL)
        return blocks_alloc(b, size_bytes);
    size_t old_bytes = header_of(old)->size_bytes;
    if (size_bytes <= old_bytes)
        return old;
    if (header_of(old)->class == CLASS_HEAP)
        return widen(b, old, size_bytes);
    void *wider = blocks_alloc(b, size_bytes);
    memcpy(wider, old, old_bytes);
    blocks_free(b, old);
    return wider;
}

void blocks_free(struct blocks *b, void *pointer)
{
    if (pointer == NULL)
        return;
    struct block *block = header_of(pointer);
    CHECK(block->magic == BLOCK_MAGIC);
    block->magic = 0;
    b->live_count--;
    b->live_bytes -= sizeof(*block) + block->size_bytes;
    if (block->class == CLASS_HEAP || b->free_bytes + block->size_bytes > b->free_max_bytes) {
        memory_free(block);
        return;
    }
    struct block_free *freed = pointer;
    freed->next = b->free[block->class];
    b->free[block->class] = freed;
    b->free_bytes += block->size_bytes;
    POISON(freed, block->size_bytes);
}
