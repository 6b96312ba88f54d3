/* base/memory.h - malloc that aborts on failure (R10); the only way to the heap outside base. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Never return NULL; memory_zalloc zeroes; memory_resize(NULL, n) allocates. Abort when the system has none left. */
void *memory_alloc(size_t size_bytes);
void *memory_zalloc(size_t size_bytes);
void *memory_resize(void *old, size_t size_bytes);
/* At a multiple of `alignment`, a power of two that divides size_bytes; not to be resized. */
void *memory_zalloc_aligned(size_t size_bytes, size_t alignment);
/* Like memory_resize for arrays: checks count * item_size for overflow. */
void *memory_resize_array(void *old, size_t count, size_t item_size_bytes);
char *memory_strdup(const char *text);
void memory_free(void *pointer);

#endif
