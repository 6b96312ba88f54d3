/* tests/unit/shadow/race_comparer.c - workers submit while main reads and configures: for ThreadSanitizer. */
#include "shadow/comparer.h"

#include "base/memory.h"
#include "shadow/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define WORKERS 3
#define PAIRS   2000 /* of each */

struct worker_thread {
    pthread_t thread;
    struct comparer *comparer;
    unsigned taken, dropped;
};

static void *worker_run(void *arg)
{
    struct worker_thread *w = arg;
    for (unsigned i = 0; i < PAIRS; i++) {
        struct pair *p = json_pair("{\"a\":1}", i % 2 ? "{\"a\":1}" : "{\"a\":2}", "{\"a\":1}");
        bool is_taken = comparer_submit(w->comparer, p);
        w->taken += is_taken;
        w->dropped += !is_taken;
    }
    return NULL;
}

static void read_and_configure(struct comparer *comparer)
{
    struct compare_config config = { .is_on = true, .control = SLICE("twin") };
    struct compared_shadow shadow = { 1, SLICE("shop"), SLICE("dark"), &config };
    for (unsigned i = 0; i < 50; i++) {
        struct json *list = json_create_array();
        comparer_configure(comparer, &shadow, 1);
        comparer_write(comparer, SLICE("shop"), i % 2 ? COMPARER_FINDINGS : COMPARER_DIFFS, list);
        json_destroy(list);
        sched_yield();
    }
}

int main(void)
{
    struct comparer_hooks hooks = { 0 };
    struct comparer *comparer = comparer_start(&hooks);
    struct worker_thread workers[WORKERS] = { 0 };
    unsigned total = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].comparer = comparer;
        CHECK(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) == 0);
    }
    read_and_configure(comparer);
    for (unsigned i = 0; i < WORKERS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        total += workers[i].taken + workers[i].dropped;
    }
    while (!comparer_is_idle(comparer))
        sched_yield();
    comparer_stop(comparer);
    printf("race_comparer: %u pairs\n", total);
    return total == WORKERS * PAIRS ? 0 : 1;
}
