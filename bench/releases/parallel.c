/* bench/releases/parallel.c - child processes that write their results into shared pages. */
#include "releases/parallel.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_JOBS 64u

/* In front of the results: whoever is free takes the next item. */
struct board {
    _Alignas(64) _Atomic uint32_t next;
};

/* In the child. */
static void run_items(struct board *board, uint32_t count, void (*run)(const void *arg, uint32_t i, void *result),
                      const void *arg, size_t size_bytes)
{
    char *results = (char *)(board + 1);
    for (uint32_t i; (i = atomic_fetch_add(&board->next, 1)) < count;)
        run(arg, i, results + i * size_bytes);
    _exit(0);
}

static bool wait_for(const pid_t *children, uint32_t jobs)
{
    bool is_good = true;
    for (uint32_t j = 0; j < jobs; j++) {
        int status = 1;
        is_good &= children[j] > 0 && waitpid(children[j], &status, 0) == children[j] && status == 0;
    }
    return is_good;
}

bool parallel_run(uint32_t count, uint32_t jobs, void (*run)(const void *arg, uint32_t i, void *result),
                  const void *arg, void *results, size_t size_bytes)
{
    pid_t children[MOST_JOBS];
    jobs = jobs < 1 ? 1 : jobs > MOST_JOBS ? MOST_JOBS : jobs;
    size_t all_bytes = sizeof(struct board) + count * size_bytes;
    struct board *board = mmap(NULL, all_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return false;
    for (uint32_t j = 0; j < jobs; j++) {
        children[j] = fork();
        if (children[j] == 0)
            run_items(board, count, run, arg, size_bytes);
    }
    bool is_good = wait_for(children, jobs);
    memcpy(results, board + 1, count * size_bytes);
    munmap(board, all_bytes);
    return is_good;
}
