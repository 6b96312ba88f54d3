/* base/memory.h - malloc that aborts on failure (R10); the only way to the heap outside base.
 *
 * A proxy that goes on after a failed allocation would need a tested way back from each of its allocations; this one
 * has none. Instead everything that a peer can make grow has a limit that is checked first (R9), so running out means
 * that the machine has too little memory for the limits that were set. scripts/lint keeps malloc and its relatives out
 * of all other files. */
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
/* Zeros straight from the system, on whole pages of memory: what nobody touches takes none. Not for small or short-lived
   things. memory_unmap wants the size again; NULL is fine. */
void *memory_map(size_t size_bytes);
void memory_unmap(void *pointer, size_t size_bytes);
/* A copy of a text with its NUL; freed by memory_free. */
char *memory_strdup(const char *text);
/* The same of so many bytes; a slice's, which need not end with one. */
char *memory_copy_text(const char *bytes, size_t length);
/* NULL is fine. */
void memory_free(void *pointer);

#endif
