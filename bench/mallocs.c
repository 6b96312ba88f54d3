/* bench/mallocs.c - counts a program's heap calls from outside, through LD_PRELOAD.
 *
 * The counters live in the file that BENCH_MALLOCS names, mapped shared, so that bench/run reads
 * them at any moment without a signal or a stop: four 64-bit numbers in the order of the enum,
 * summed over threads and over forked children. Calls made before the file is mapped are counted
 * too. Nothing else changes: each call goes to glibc's own allocator.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum call { CALL_MALLOC, CALL_CALLOC, CALL_REALLOC, CALL_FREE, CALLS };

/* glibc exports these for wrappers like this one, but no header declares them. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *old);

static _Atomic uint64_t early[CALLS];
static _Atomic uint64_t *counters = early;

static void count(enum call call)
{
    atomic_fetch_add_explicit(&counters[call], 1, memory_order_relaxed);
}

/* Maps the file, which bench/run made large enough, and carries over what came before. */
__attribute__((constructor)) static void map_counters(void)
{
    const char *path = getenv("BENCH_MALLOCS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared;

    if (fd < 0)
        return;
    shared = mmap(NULL, sizeof early, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED)
        return;
    counters = shared;
    for (int i = 0; i < CALLS; i++)
        atomic_fetch_add(&counters[i], early[i]);
}

void *malloc(size_t size)
{
    count(CALL_MALLOC);
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    count(CALL_CALLOC);
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    count(CALL_REALLOC);
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    count(CALL_MALLOC);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    *result = memalign(alignment, size);
    return *result ? 0 : ENOMEM;
}

void free(void *old)
{
    count(CALL_FREE);
    __libc_free(old);
}
