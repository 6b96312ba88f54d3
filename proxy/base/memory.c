/* base/memory.c - malloc that aborts on failure. */
#include "base/memory.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *memory_alloc(size_t size_bytes)
{
    return memory_resize(NULL, size_bytes);
}

void *memory_zalloc(size_t size_bytes)
{
    void *p = calloc(1, size_bytes ? size_bytes : 1);
    CHECK(p != NULL);
    return p;
}

/* C17 wants the size to be a multiple of the alignment. */
void *memory_zalloc_aligned(size_t size_bytes, size_t alignment)
{
    CHECK(size_bytes % alignment == 0);
    void *p = aligned_alloc(alignment, size_bytes);
    CHECK(p != NULL);
    return memset(p, 0, size_bytes);
}

/* Size 0 asks for one byte: realloc(p, 0) may free and answer NULL. */
void *memory_resize(void *old, size_t size_bytes)
{
    void *p = realloc(old, size_bytes ? size_bytes : 1);
    CHECK(p != NULL);
    return p;
}

void *memory_resize_array(void *old, size_t count, size_t item_size_bytes)
{
    size_t size_bytes;
    CHECK(!__builtin_mul_overflow(count, item_size_bytes, &size_bytes));
    return memory_resize(old, size_bytes);
}

void *memory_map(size_t size_bytes)
{
    void *p = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

void memory_unmap(void *pointer, size_t size_bytes)
{
    if (pointer != NULL)
        CHECK(munmap(pointer, size_bytes) == 0);
}

char *memory_strdup(const char *text)
{
    return memory_copy_text(text, strlen(text));
}

char *memory_copy_text(const char *bytes, size_t length)
{
    char *copy = memory_alloc(length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void memory_free(void *pointer)
{
    free(pointer);
}
