/* tests/unit/front/race_limits.c - workers count connections of the same sources at the same time; a program of its own.
 *
 * Criterion cannot map its memory under ThreadSanitizer, whose silence is half of this test: so no Criterion. Exits 0, or
 * aborts with the check that failed. */
#include "base/check.h"
#include "front/limits.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* All threads go through the sources together, so that they meet where a source gets its slot, and where slots pass from one source
   to another: there are several sources to a slot. */
enum { THREAD_COUNT = 4, SOURCE_COUNT = 400000, STRIDE = 16, MOST_PER_SOURCE = 2 };

static struct limits *limits;
static _Atomic uint32_t arrived_count;
static _Atomic uint32_t inside_counts[SOURCE_COUNT];

static struct ip_address source_at(uint32_t number)
{
    struct ip_address a = { { 0x20, 0x01 } };
    memcpy(a.bytes + 12, &number, sizeof(number));
    return a;
}

static void meet(uint32_t round)
{
    atomic_fetch_add(&arrived_count, 1);
    while (atomic_load(&arrived_count) < (round + 1) * THREAD_COUNT)
        sched_yield();
}

static void *come_and_go(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < SOURCE_COUNT; i++) {
        struct ip_address source = source_at(i);
        uint32_t place;
        if (i % STRIDE == 0)
            meet(i / STRIDE);
        if (!limits_enter(limits, &source, THREAD_COUNT, MOST_PER_SOURCE, &place))
            continue;
        CHECK(place != LIMITS_NOWHERE);
        CHECK(atomic_fetch_add(&inside_counts[i], 1) < MOST_PER_SOURCE);
        atomic_fetch_sub(&inside_counts[i], 1);
        limits_leave(limits, place);
    }
    return NULL;
}

/* Nothing is left: each source gets all of its places, and so do all together. */
static void check_end(void)
{
    uint32_t places[MOST_PER_SOURCE], place;
    for (uint32_t i = 0; i < SOURCE_COUNT; i++) {
        struct ip_address source = source_at(i);
        for (int k = 0; k < MOST_PER_SOURCE; k++)
            CHECK(limits_enter(limits, &source, MOST_PER_SOURCE, MOST_PER_SOURCE, &places[k]));
        CHECK(!limits_enter(limits, &source, 0, MOST_PER_SOURCE, &place));
        for (int k = 0; k < MOST_PER_SOURCE; k++)
            limits_leave(limits, places[k]);
    }
}

int main(void)
{
    pthread_t threads[THREAD_COUNT];
    limits = limits_create();
    for (int i = 0; i < THREAD_COUNT; i++)
        CHECK(pthread_create(&threads[i], NULL, come_and_go, NULL) == 0);
    for (int i = 0; i < THREAD_COUNT; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    check_end();
    limits_destroy(limits);
    puts("race_limits: no count was lost or left behind");
    return 0;
}
