/* tests/unit/front/race_limits.c - workers count connections and requests of the same sources at the same time; a program of its own.
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

/* ---- rates ---------------------------------------------------------------------------------------------------------- */

/* Each key has one stride, in which the clock stands still: so it gets exactly its burst. It stands a microsecond earlier for half of the
   threads, and just there most buckets of the stride before become empty: so threads differ about which slots are free, and
   may give a key two. The keys of two strides share ways by accident, but never nine of them the same eight. */
enum { KEYS_PER_STRIDE = 512, KEY_STRIDES = 1000, BURST = 3, TRIES_EACH = 2, INTERVAL_US = 1000 };

static const struct rate_limit_config rate = { .count = 1000000 / INTERVAL_US, .period_ms = 1000, .burst = BURST };
static _Atomic uint32_t passed_counts[KEYS_PER_STRIDE];

static uint32_t take(uint32_t thread, uint32_t stride, uint32_t number)
{
    uint32_t key[2] = { stride, number };
    int64_t retry_after_ms;
    struct mono_time now = { (int64_t)(stride + 1) * BURST * INTERVAL_US - thread % 2 };
    return limits_take(limits, &rate, 7, slice_from((const char *)key, sizeof(key)), now, &retry_after_ms);
}

/* All threads go through the keys in one order, to meet at each, or each begins elsewhere, to meet where keys share ways. */
static void ask_for_all(uint32_t thread, uint32_t stride)
{
    uint32_t first = stride % 2 * thread * (KEYS_PER_STRIDE / THREAD_COUNT);
    for (uint32_t i = 0; i < KEYS_PER_STRIDE; i++) {
        uint32_t number = (first + i) % KEYS_PER_STRIDE;
        for (int k = 0; k < TRIES_EACH; k++)
            atomic_fetch_add(&passed_counts[number], take(thread, stride, number));
    }
}

static void *ask(void *arg)
{
    uint32_t thread = (uint32_t)(uintptr_t)arg;
    for (uint32_t stride = 0; stride < KEY_STRIDES; stride++) {
        meet(2 * stride);
        ask_for_all(thread, stride);
        meet(2 * stride + 1);
        for (uint32_t i = thread; i < KEYS_PER_STRIDE; i += THREAD_COUNT)
            CHECK(atomic_exchange(&passed_counts[i], 0) == BURST);
    }
    return NULL;
}

static void run(void *(*work)(void *))
{
    pthread_t threads[THREAD_COUNT];
    atomic_store(&arrived_count, 0);
    for (uintptr_t i = 0; i < THREAD_COUNT; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (int i = 0; i < THREAD_COUNT; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    limits = limits_create();
    run(come_and_go);
    check_end();
    run(ask);
    limits_destroy(limits);
    puts("race_limits: no count was lost or left behind, no rate exceeded");
    return 0;
}
