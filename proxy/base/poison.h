/* base/poison.h - marks memory we keep but nobody may touch, so that AddressSanitizer sees inside our free lists.
 *
 * Memory in a free list was never freed as far as the heap knows, so a late read of it would pass every test. POISON
 * tells the sanitizer that nobody may touch it, UNPOISON that somebody may again; without the sanitizer both are
 * nothing. The owner of the list calls them: arenas (base/arena.c) and chunks (base/chunk.c). */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define POISON_IS_ON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_IS_ON 1
#endif
#endif

#ifdef POISON_IS_ON
#include <sanitizer/asan_interface.h>
#define POISON(pointer, size_bytes)   ASAN_POISON_MEMORY_REGION(pointer, size_bytes)
#define UNPOISON(pointer, size_bytes) ASAN_UNPOISON_MEMORY_REGION(pointer, size_bytes)
/* Forbidden bytes behind each arena allocation; a multiple of 8. */
#define POISON_RED_ZONE_BYTES 8
#else
#define POISON(pointer, size_bytes)   ((void)(pointer), (void)(size_bytes))
#define UNPOISON(pointer, size_bytes) ((void)(pointer), (void)(size_bytes))
#define POISON_RED_ZONE_BYTES         0
#endif

#endif
