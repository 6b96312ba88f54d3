/* bench/releases/parallel.h - independent items on several processes, with the same results as on one. */
#ifndef RELEASES_PARALLEL_H
#define RELEASES_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Calls run(arg, i, &results[i]) for each i below count, in so many child processes. results: count items of size_bytes.
   False when a process failed. */
bool parallel_run(uint32_t count, uint32_t jobs, void (*run)(const void *arg, uint32_t i, void *result),
                  const void *arg, void *results, size_t size_bytes);

#endif
